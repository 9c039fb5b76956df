-- SPDX-License-Identifier: MIT
-- target.lua - whom a cosocket is to connect to: host, port and options, read as ngx_lua and nginx read them.

local addresses = require "moonpark.net.addresses"
local words = require "moonpark.ngx.words"

local M = {}

local misuse = words.misuse
local UNIX_PATH = 108 -- bytes of sockaddr_un.sun_path, with the zero at the end

-- A port that is written behind the host -> number | nil, what is wrong
local function read_port(text)
  local port = #text <= 5 and text:find "^%d+$" and tonumber(text)
  if port and port >= 1 and port <= 65535 then return port end
  return nil, "invalid port"
end

local readers = {}

function readers.unix(host)
  local path = host:sub(6)
  if path == "" then return nil, "no path in the unix domain socket" end
  if #path >= UNIX_PATH then return nil, "too long path in the unix domain socket" end
  return "unix:" .. path
end

function readers.ipv6(host, port)
  local inner, rest = host:match "^%[([^%]]*)%](.*)$"
  if not inner or rest ~= "" and rest:sub(1, 1) ~= ":" then return nil, "invalid host" end
  if rest ~= "" then
    local err
    port, err = read_port(rest:sub(2))
    if not port then return nil, err end
  end
  local address = ("[%s]:%d"):format(inner, port)
  if inner == "" then return nil, "no host" end
  if inner:find "[^%x:.]" or not addresses.test(address) then return nil, "invalid IPv6 address" end
  return address
end

-- An address of four numbers may bring its port; a name with one is looked up as it stands, and is not found.
function readers.plain(host, port)
  if host:find "[/?]" then return nil, "invalid host" end
  local name, text = host:match "^([^:]*):(.*)$"
  local own, err
  if text then
    own, err = read_port(text)
    if not own then return nil, err end
  end
  if (name or host) == "" then return nil, "no host" end
  if own and name:find "^%d+%.%d+%.%d+%.%d+$" then return ("%s:%d"):format(name, own) end
  return ("%s:%d"):format(host, port)
end

--- The address as moonpark.net takes it; false: no such name can be found.
---@param host string
---@param port integer
---@return string|false|nil
---@return string? err as ngx_lua words it
function M.parse(host, port)
  local kind = host:sub(1, 5):lower() == "unix:" and "unix" or host:sub(1, 1) == "[" and "ipv6" or "plain"
  local address, err = readers[kind](host, port)
  if not address then return nil, ('failed to parse host name "%s": %s'):format(host, err) end
  return addresses.test(address) and address or false
end

--- How ngx_lua says that a name has no address.
---@param err string
---@param host string
---@return string
function M.explain(err, host)
  if err == "no such host" then return ("%s could not be resolved (3: Host not found)"):format(host) end
  if err == "server failure" then return ("%s could not be resolved (2: Server failure)"):format(host) end
  return words.of(err)
end

--- A numeric local address, as moonpark.net takes it; nil: it is none.
---@param host string
---@param port integer
---@return string|nil
function M.source(host, port)
  local form = host:find ":" and "[%s]:%d" or "%s:%d"
  local is_numeric = host:find "^%d+%.%d+%.%d+%.%d+$" or host:find "^%x*:[%x:.]*$"
  local address = form:format(host, port)
  return is_numeric and addresses.test(address) and address or nil
end

---------------------------------------------------------------------------------------------------
-- the arguments of connect

local function option(argument, text, ...)
  misuse(("bad argument #%d to 'connect' (%s)"):format(argument, text:format(...)))
end

local function read_options(options, argument)
  local size, backlog, pool = words.integer(options.pool_size), words.integer(options.backlog), options.pool
  if not size and options.pool_size ~= nil then
    option(argument, 'bad "pool_size" option type: %s', type(options.pool_size))
  end
  if size and size <= 0 then option(argument, 'bad "pool_size" option value: %d', size) end
  if backlog and backlog < 0 then option(argument, 'bad "backlog" option value: %d', backlog) end
  if pool ~= nil and type(pool) ~= "string" and type(pool) ~= "number" then
    option(argument, 'bad "pool" option type: %s', type(pool))
  end
  return size, backlog, pool and tostring(pool)
end

---@class moonpark.ngx.target
---@field address string|false
---@field host string
---@field pool string the name of its pool
---@field pool_size integer|nil
---@field backlog integer|nil

--- What connect was called with. Raises where ngx_lua does.
---@param count integer of arguments
---@param host any
---@param port any
---@param options any
---@return moonpark.ngx.target|nil
---@return string? err
function M.read(count, host, port, options)
  if count < 1 or count > 3 then
    misuse(("ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen %d"):format(count + 1))
  end
  if type(host) ~= "string" and type(host) ~= "number" then
    misuse(("bad argument #1 to 'connect' (string expected, got %s)"):format(count > 0 and type(host) or "no value"))
  end
  host = tostring(host)
  local target = { host = host }
  local given = count == 3 and options or port
  if type(given) == "table" then target.pool_size, target.backlog, target.pool = read_options(given, count) end
  local number = words.integer(port)
  if not number and host:sub(1, 5):lower() ~= "unix:" then return nil, "missing the port number" end
  if number and (number < 0 or number > 65535) then return nil, ("bad port number: %d"):format(number) end
  target.pool = target.pool or (number and host .. ":" .. tostring(port) or host)
  local err
  target.address, err = M.parse(host, number or 0)
  target.err = err
  return target
end

return M
