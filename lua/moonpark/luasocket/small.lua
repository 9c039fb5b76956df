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
  local socket = core.tcp()
  socket:setoption("reuseaddr", true)
  local ok, err = socket:bind(host, port)
  if ok then ok, err = socket:listen(backlog) end
  if ok then return socket end
  socket:close()
  return nil, err
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

return M
