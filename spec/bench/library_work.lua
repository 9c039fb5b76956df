-- SPDX-License-Identifier: MIT
-- Client libraries of OpenResty at work: the same lines on the façade and in nginx. What is measured is the CPU time of
-- the process that they run in, whatever it spends it on.
--
--   work[name](at, spawn)  -> seconds of CPU for each operation
--   at {host =, port =, user =, password =, database =}; spawn(fn) -> a function that returns when fn has

local M = {}

-- Many at once, each on a connection of its own; the first round is not counted.
local function in_many(count, connect, operation, times, spawn)
  local clients, waits = {}, {}
  for i = 1, count do clients[i] = connect() end
  local function round(n)
    for i, client in ipairs(clients) do
      waits[i] = spawn(function() for _ = 1, n do operation(client) end end)
    end
    for _, wait in ipairs(waits) do wait() end
  end
  round(math.ceil(times / 10))
  local began = os.clock()
  round(times)
  return (os.clock() - began) / count / times
end

local function redis(at)
  local client = require("resty.redis"):new()
  client:set_timeout(10000)
  assert(client:connect(at.host, at.port))
  assert(client:set("key", ("v"):rep(64)))
  return client
end

local function get(client) assert(#client:get "key" == 64) end

local function get_fifty(client)
  client:init_pipeline(50)
  for _ = 1, 50 do client:get "key" end
  assert(#client:commit_pipeline() == 50)
end

M.redis = function(at, spawn) return in_many(32, function() return redis(at) end, get, 2000, spawn) end

M["redis-pipelined"] = function(at, spawn)
  return in_many(1, function() return redis(at) end, get_fifty, 3000, spawn)
end

local function postgres(at)
  local client = require("pgmoon").new(at)
  assert(client:connect())
  return client
end

local function select_one(client) assert(client:query("select 1 as one")[1].one == 1) end

local function select_rows(client)
  assert(#client:query "select n, 'text of row ' || n as words, now() as at from generate_series(1, 100) n" == 100)
end

M.pgmoon = function(at, spawn) return in_many(16, function() return postgres(at) end, select_one, 1000, spawn) end

M["pgmoon-rows"] = function(at, spawn)
  return in_many(1, function() return postgres(at) end, select_rows, 1500, spawn)
end

return M
