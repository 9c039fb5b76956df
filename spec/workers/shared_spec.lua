-- SPDX-License-Identifier: MIT
-- moonpark.shared between workers: memory, locks, channels and values of one program in several processes.

local workers = require "support.workers"

local SHARED = [[
local shared = moonpark.shared
local dict = shared.dict("things", { size = "256k" })
app:get("/set/:key/:value", function(req, res) assert(dict:set(req.params.key, req.params.value)) res:send "set" end)
app:get("/get/:key", function(req, res) res:send(worker.number() .. " " .. tostring(dict:get(req.params.key))) end)
app:get("/count", function(_, res) res:send(worker.number() .. " " .. shared.counter("asked"):add(1)) end)
app:get("/lock", function(_, res)
  assert(shared.lock "the one")
  res:send(tostring(require("moonpark.core").pid()))
end)
app:get("/locked", function(_, res)
  local held, err = shared.lock("the one", 20)
  res:send(tostring(held and "mine" or err))
  if held then held:unlock() end
end)
app:get("/once", function(_, res)
  res:send(shared.once("table", function()
    dict:incr("computed", 1, 0)
    moonpark.sleep(0.05)
    return "value"
  end))
end)
local news = {}
moonpark.go(function()
  for text in shared.channel("news"):subscribe():iter() do news[#news + 1] = text end
end)
app:get("/publish/:text", function(req, res) shared.channel("news"):publish(req.params.text) res:send "told" end)
app:get("/news", function(_, res) res:send(worker.number() .. " " .. table.concat(news, ",")) end)
]]

describe("moonpark.shared among workers", function()
  after_each(workers.stop_all)

  local function start() return workers.start(workers.SERVER .. SHARED .. workers.SERVE, { "--workers", "2" }) end

  -- Asks until both workers have given that answer.
  local function both_say(program, path, expected)
    local seen = {}
    repeat
      local number, text = assert(program:get(path)):match "^(%d) (.*)$"
      if text == expected then seen[number] = true end
    until seen["1"] and seen["2"]
  end

  it("is one dict, which outlives a reload", function()
    local program = start()
    program:get "/set/colour/red"
    both_say(program, "/get/colour", "red")
    assert.equal(0, select(2, program:ask "reload"))
    both_say(program, "/get/colour", "red")
    program:stop()
  end)

  it("holds a rate limit for all of them together", function()
    local program = workers.start(workers.SERVER .. [[
app:group("/limited", function(limited)
  limited:use(http.rate_limit { rate = 1, per = 3600, burst = 20, dict = moonpark.shared.dict("limits") })
  limited:get("/", function(_, res) res:send(worker.number()) end)
end)
]] .. workers.SERVE, { "--workers", "2" })
    local counts = {}
    for _ = 1, 40 do
      local _, status = program:get "/limited/"
      counts[status] = (counts[status] or 0) + 1
    end
    assert.same({ [200] = 20, [429] = 20 }, counts)
    program:stop()
  end)

  it("counts in all of them", function()
    local program = start()
    local sum, seen = 0, {}
    while not (seen["1"] and seen["2"]) do
      local number, count = assert(program:get "/count"):match "^(%d) (%d+)$"
      sum = sum + 1
      assert.equal(sum, tonumber(count))
      seen[number] = true
    end
    program:stop()
  end)

  it("passes a lock on where the worker that held it dies", function()
    local program = start()
    local pid = program:get "/lock"
    assert(os.execute("kill -KILL " .. pid) == 0)
    local body
    repeat body = program:get "/locked" until body -- the dead one's connection has no answer
    assert.equal("mine", body)
    program:stop()
  end)

  it("computes a value once", function()
    local moonpark = require "moonpark"
    local program = start()
    moonpark.scope(function(scope)
      for _ = 1, 20 do scope:go(function() assert.equal("value", (program:get "/once")) end) end
    end)
    assert.matches(" 1$", (program:get "/get/computed"))
    program:stop()
  end)

  it("tells all of them what one publishes", function()
    local program = start()
    both_say(program, "/news", "")
    program:get "/publish/hello"
    both_say(program, "/news", "hello")
    program:stop()
  end)
end)
