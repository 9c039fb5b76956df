-- SPDX-License-Identifier: MIT
-- small.lua - the module `socket` where LuaSocket is not installed: what clients of protocols need of it.

local core = require "moonpark.luasocket.core"

local M = {}
for name, value in pairs(core) do M[name] = value end

M.BLOCKSIZE = 2048

M.try = core.newtry()

--- socket.connect for one family.
function M.connect4(host, port, ...) return core.connect(host, port, (...), (select(2, ...)), "inet") end
function M.connect6(host, port, ...) return core.connect(host, port, (...), (select(2, ...)), "inet6") end

--- A listening socket.
function M.bind(host, port, backlog)
  if host == "*" then host = "0.0.0.0" end
  local list, err = core.dns.getaddrinfo(host)
  for _, one in ipairs(list or {}) do
    local ok, socket
    socket, err = (one.family == "inet6" and core.tcp6 or core.tcp4)()
    if socket then
      socket:setoption("reuseaddr", true)
      ok, err = socket:bind(one.addr, port)
      if ok then ok, err = socket:listen(backlog) end
      if ok then return socket end
      socket:close()
    end
  end
  return nil, err or "no info on address"
end

--- A function that picks another one by a name in its first argument; if that is no name, the one called "default".
function M.choose(choices)
  return function(name, first, second)
    if type(name) ~= "string" then name, first, second = "default", name, first end
    local chosen = choices[name or "nil"]
    if not chosen then error(("unknown key (%s)"):format(tostring(name)), 3) end
    return chosen(first, second)
  end
end

-- What ltn12 pumps through: a sink takes chunks and then nil, a source gives them. Both answer to getfd and dirty.
local function pump(socket, fn)
  return setmetatable({ getfd = function() return socket:getfd() end, dirty = function() return socket:dirty() end },
    { __call = function(_, chunk, err) return fn(chunk, err) end })
end

local function sink(closes)
  return function(socket)
    return pump(socket, function(chunk, err)
      if chunk then return socket:send(chunk) end
      if closes and not err then socket:close() end
      return 1
    end)
  end
end

M.sinkt = { ["close-when-done"] = sink(true), ["keep-open"] = sink(false) }
M.sinkt.default = M.sinkt["keep-open"]
M.sink = M.choose(M.sinkt)

M.sourcet = {
  ["by-length"] = function(socket, left)
    return pump(socket, function()
      if left <= 0 then return nil end
      local chunk, err = socket:receive(math.min(M.BLOCKSIZE, left))
      if not chunk then return nil, err end
      left = left - #chunk
      return chunk
    end)
  end,
  ["until-closed"] = function(socket)
    local done
    return pump(socket, function()
      if done then return nil end
      local chunk, err, partial = socket:receive(M.BLOCKSIZE)
      if chunk then return chunk end
      if err ~= "closed" then return nil, err end
      socket:close()
      done = true
      return partial
    end)
  end,
}
M.sourcet.default = M.sourcet["until-closed"]
M.source = M.choose(M.sourcet)

return M
