-- SPDX-License-Identifier: MIT
-- proxies.lua - where a request is sent: to its origin, to a proxy or to a unix socket; and with which credentials.
--
-- The environment variables are those of curl and Go: http_proxy, in lower case only, because in a CGI program
-- HTTP_PROXY holds a client's "Proxy:" field; https_proxy or HTTPS_PROXY for https; and no_proxy or NO_PROXY. No client
-- can set these.
--
-- What is https goes through a tunnel (CONNECT): the proxy sees the host's name and nothing else.

local url = require "moonpark.url"

local M = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for shift = 3, 0, -1 do
      local digit = math.floor(bits / 64 ^ shift) % 64 + 1
      out[#out + 1] = ALPHABET:sub(digit, digit)
    end
    if not c then out[#out] = "=" end
    if not b then out[#out - 1] = "=" end
  end
  return table.concat(out)
end

--- The value of an Authorization field (RFC 7617): of {name, password}, or of a URL's "name:password".
---@param auth string[]|nil
---@param user string|nil
---@return string|nil
function M.credentials(auth, user)
  if auth then return "Basic " .. base64(tostring(auth[1] or "") .. ":" .. tostring(auth[2] or "")) end
  if not user then return nil end
  local name, password = user:match("^([^:]*):?(.*)$")
  return "Basic " .. base64((url.decode(name) or name) .. ":" .. (url.decode(password) or password))
end

--- The value in a table of headers, whatever the case of its name.
---@param headers table
---@param name string in lower case
function M.find(headers, name)
  for key, value in pairs(headers) do
    if type(key) == "string" and key:lower() == name then return value end
  end
end

-- The bytes of groups "a:b:c", each of two.
local function groups(bytes, text)
  for group in text:gmatch("[^:]+") do
    local number = #group <= 4 and tonumber(group, 16)
    if not number then return false end
    bytes[#bytes + 1] = math.floor(number / 256)
    bytes[#bytes + 1] = number % 256
  end
  return true
end

-- The bytes of a numeric address, 4 or 16; nil: it is a name.
local function bytes_of(text)
  local a, b, c, d = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  if a then
    a, b, c, d = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
    return math.max(a, b, c, d) <= 255 and { a, b, c, d } or nil
  end
  if not text:find("^[%x:]*:[%x:]*$") then return nil end
  local head, tail = text:match("^(.-)::(.*)$")
  local bytes, rest = {}, {}
  if not groups(bytes, head or text) or not groups(rest, tail or "") then return nil end
  local missing = 16 - #bytes - #rest
  if head and missing < 0 or not head and missing ~= 0 then return nil end
  for _ = 1, missing do bytes[#bytes + 1] = 0 end
  for _, byte in ipairs(rest) do bytes[#bytes + 1] = byte end
  return bytes
end

-- Is it an address in the network "address/bits", or that very address?
local function is_within(pattern, host)
  local text, bits = pattern:match("^([^/]*)/?(%d*)$")
  local network, address = text and bytes_of(text), bytes_of(host)
  if not network or not address or #network ~= #address then return false end
  bits = tonumber(bits) or #network * 8
  for i = 1, #network do
    local unit = 2 ^ math.max(0, math.min(8, 8 * i - bits)) -- of this byte's values, what is not looked at
    if math.floor(network[i] / unit) ~= math.floor(address[i] / unit) then return false end
  end
  return true
end

-- "example.com" and ".example.com" are also their subdomains; "*" is everything; a port may follow. Addresses may be
-- networks: "10.0.0.0/8", "2001:db8::/32".
local function matches(pattern, host, port)
  local name, only = pattern:match("^(%[.*%]):(%d+)$")
  if not name then name, only = pattern:match("^([^:]*):(%d+)$") end
  if only and tonumber(only) ~= port then return false end
  pattern = (name or pattern):lower():gsub("^%*?%.", ""):gsub("^%[(.*)%]", "%1"):gsub("%.$", "")
  host = host:lower():gsub("%.$", "")
  return pattern == "*" or host == pattern or host:sub(-#pattern - 1) == "." .. pattern or is_within(pattern, host)
end

--- Is the host one of those that the text lists?
---@param list string|nil "localhost, .example.com, 10.0.0.1:8080, 192.168.0.0/16"
---@param host string
---@param port integer
---@return boolean
function M.is_excepted(list, host, port)
  for pattern in (list or ""):gmatch("[^%s,]+") do
    if matches(pattern, host, port) then return true end
  end
  return false
end

local function proxy_of(target, options)
  if options.proxy == false then return nil end
  if options.proxy then return options.proxy end
  local text = target.scheme == "https" and (os.getenv("https_proxy") or os.getenv("HTTPS_PROXY"))
    or target.scheme == "http" and os.getenv("http_proxy")
  local except = os.getenv("no_proxy") or os.getenv("NO_PROXY")
  if not text or text == "" or M.is_excepted(except, target.host, target.port) then return nil end
  return text
end

---@class moonpark.http.route
---@field address string to be dialled
---@field target string of the request
---@field key string what is the same for all connections that may carry it
---@field credentials string|nil for the proxy
---@field tls moonpark.tls_context|true|nil TLS begins on the connection
---@field name string|nil whom the server's certificate must be for
---@field tunnel {address: string, credentials: string|nil}|nil what the proxy is asked to connect to
---@field wrong string|nil it cannot be sent

local numbers, last = setmetatable({}, { __mode = "k" }), 0 -- [context] = its number in keys

-- What else must be the same for a connection over TLS to carry another request: whom it was verified for, and how.
local function identity_of(target, context)
  if target.scheme ~= "https" then return "" end
  if context == true then return target.host:lower() end
  if not numbers[context] then
    last = last + 1
    numbers[context] = last
  end
  return ("%s %d"):format(target.host:lower(), numbers[context])
end

local function straight(target, address, tunnel, context)
  local secure = target.scheme == "https"
  return { address = address, target = tunnel or target.path, tls = secure and context or nil,
    name = secure and target.host or nil,
    key = ("%s %s %s"):format(target.scheme, address, identity_of(target, context)) }
end

local function through(proxy, target, tunnel, context)
  local credentials = M.credentials(nil, proxy.user)
  if target.scheme == "https" then
    return { address = proxy.address, target = target.path, tls = context, name = target.host,
      tunnel = { address = target.address, credentials = credentials },
      key = ("proxy %s %s https %s %s"):format(proxy.address, proxy.user or "", target.address,
        identity_of(target, context)) }
  end
  return { address = proxy.address, target = tunnel or "http://" .. target.authority .. target.path,
    key = ("proxy %s %s"):format(proxy.address, proxy.user or ""), credentials = credentials }
end

--- How a request to that target goes.
---@param target moonpark.url.parts
---@param options table unix, proxy, tls
---@param method string|nil
---@return moonpark.http.route
function M.of(target, options, method)
  local tunnel = method == "CONNECT" and target.address -- RFC 9110 9.3.6: its target is a host and a port
  if tunnel and target.scheme ~= "http" then return { wrong = "the URL of a CONNECT must begin with http://" } end
  local context = options.tls or true
  if options.unix then return straight(target, "unix:" .. options.unix, tunnel, context) end
  local proxy = proxy_of(target, options)
  if not proxy then return straight(target, target.address, tunnel, context) end
  local parts = url.parse(proxy:find("://", 1, true) and proxy or "http://" .. proxy)
  if not parts then return { wrong = "invalid proxy '" .. proxy .. "'" } end
  if parts.scheme ~= "http" then return { wrong = parts.scheme .. " proxies are not supported yet" } end
  return through(parts, target, tunnel, context)
end

return M
