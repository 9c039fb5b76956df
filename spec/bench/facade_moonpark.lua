-- SPDX-License-Identifier: MIT
-- What calls of façades cost beside the native ones: the process measures itself.
--
-- usage: luajit facade_moonpark.lua native|socket|ngx PORT; PORT is that of facade_peer.lua. Prints "CALL NANOSECONDS"
-- of CPU for each of line, exactly, until, nested. "redis" and "original" measure redis-lua's GET on a façade and on
-- LuaSocket, against a Redis server at PORT: "get NANOSECONDS".

local kind, port = arg[1], arg[2]
local HOST, CALLS, WARM_UP = "127.0.0.1", 300000, 30000

local function report(name, count, fn)
  for _ = 1, WARM_UP do fn() end
  local began = os.clock()
  for _ = 1, count do fn() end
  io.write(("%s %.2f\n"):format(name, (os.clock() - began) / count * 1e9))
end

local NESTED = { "SET ", { "key ", { "value" } }, "\r\n" }

local openers = {
  native = function()
    local conn = assert(require("moonpark.net").dial(HOST .. ":" .. port))
    return {
      line = function() return conn:read_line() end,
      exactly = function() return conn:read_exactly(80) end,
      ["until"] = function() return conn:read_until "\n" end,
      nested = function() return conn:write(NESTED) end,
    }
  end,
  socket = function()
    require("moonpark.compat").install "socket"
    local conn = require("socket").tcp()
    assert(conn:connect(HOST, port))
    return {
      line = function() return conn:receive() end,
      exactly = function() return conn:receive(80) end,
    }
  end,
  ngx = function()
    local conn = require("moonpark.ngx").ngx.socket.tcp()
    assert(conn:connect(HOST, tonumber(port)))
    return {
      line = function() return conn:receive() end,
      exactly = function() return conn:receive(80) end,
      ["until"] = conn:receiveuntil "\n",
      nested = function() return conn:send(NESTED) end,
    }
  end,
}

local function measure_calls()
  local calls = openers[kind]()
  for _, name in ipairs { "line", "exactly", "until", "nested" } do
    if calls[name] then report(name, CALLS, calls[name]) end
  end
  os.exit(0)
end

local function measure_redis()
  local client = require("redis").connect(HOST, port)
  client:set("key", ("v"):rep(64))
  report("get", 50000, function() return client:get "key" end)
end

if kind == "original" then return measure_redis() end
local moonpark = require "moonpark"
if kind == "redis" then
  require("moonpark.compat").install "socket"
  return moonpark.run(measure_redis)
end
moonpark.run(measure_calls)
