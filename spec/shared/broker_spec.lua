-- SPDX-License-Identifier: MIT
-- The broker by itself: what it answers whom, what a client's end does, its bounds; and against a model, in a long
-- random run with deaths and restarts in it.

local broker = require "moonpark.shared.broker"
local json = require "moonpark.http.json"
local model = require "support.broker_model"
local random = require "support.random"

-- A broker with clients a, b, c, ... that write down what they are told: "granted 1".
local function world(names, settings)
  local w = { broker = broker.new(settings), told = {} }
  for name in names:gmatch "." do
    w.told[name] = {}
    w[name] = { send = function(_, message)
      local value = message.value or message.error or message.count or message.kept
      table.insert(w.told[name], message.op:match "%.(%a+)$" .. " " .. message.id
        .. (value ~= nil and " " .. tostring(value) or ""))
    end }
    w.broker:join(w[name])
  end
  -- say("a", "lock", 1, { name = "x", wait = true }) returns what each has been told since, by its name.
  function w.say(name, op, id, message)
    message = message or {}
    message.op, message.id = "shared." .. op, id
    assert(w.broker:handle(w[name], message))
    return w.take()
  end
  function w.take()
    local told = {}
    for name, list in pairs(w.told) do
      if #list > 0 then told[name], w.told[name] = table.concat(list, ", "), {} end
    end
    return told
  end
  function w.leave(name)
    w.broker:leave(w[name])
    return w.take()
  end
  return w
end

local function lock(name) return { name = name or "x", wait = true } end

describe("a broker's lock", function()
  it("is granted at once if it is free, and goes to the others in the order in which they asked", function()
    local w = world "abc"
    assert.same({ a = "granted 1" }, w.say("a", "lock", 1, lock()))
    assert.same({}, w.say("b", "lock", 7, lock()))
    assert.same({}, w.say("c", "lock", 1, lock()))
    assert.same({}, w.say("b", "lock", 8, lock()))
    assert.same({ b = "granted 7" }, w.say("a", "release", 1))
    assert.same({ c = "granted 1" }, w.say("b", "release", 7))
    assert.same({ b = "granted 8" }, w.say("c", "release", 1))
    assert.same({}, w.say("b", "release", 8))
    assert.same({ a = "granted 2" }, w.say("a", "lock", 2, lock()))
  end)

  it("is refused at once to those who do not wait", function()
    local w = world "ab"
    w.say("a", "lock", 1, lock())
    assert.same({ b = "refused 1 locked" }, w.say("b", "lock", 1, { name = "x", wait = false }))
    assert.same({ b = "granted 1" }, w.say("b", "lock", 1, { name = "y", wait = false }))
  end)

  it("passes by a client that gave up waiting", function()
    local w = world "abc"
    w.say("a", "lock", 1, lock())
    w.say("b", "lock", 1, lock())
    w.say("c", "lock", 1, lock())
    assert.same({}, w.say("b", "release", 1))
    assert.same({ c = "granted 1" }, w.say("a", "release", 1))
  end)

  it("is given back by a release that crosses the grant", function()
    local w = world "abc"
    w.say("a", "lock", 1, lock())
    w.say("b", "lock", 1, lock())
    w.say("c", "lock", 1, lock())
    assert.same({ b = "granted 1" }, w.say("a", "release", 1))
    assert.same({ c = "granted 1" }, w.say("b", "release", 1))
  end)

  it("goes to the next one when its client ends, whose own waiters get nothing", function()
    local w = world "ab"
    w.say("a", "lock", 1, lock())
    w.say("a", "lock", 2, lock())
    w.say("b", "lock", 1, lock())
    assert.same({ b = "granted 1" }, w.leave "a")
    assert.has_error(function() w.say("a", "lock", 3, lock()) end, "the client has not joined")
  end)
end)

describe("a broker's channel", function()
  it("delivers to all subscriptions, and says to how many", function()
    local w = world "abc"
    assert.same({ a = "done 1 0" }, w.say("a", "publish", 1, { name = "x", value = "nobody" }))
    assert.same({ a = "subscribed 2" }, w.say("a", "subscribe", 2, { name = "x", window = 2 }))
    w.say("b", "subscribe", 1, { name = "x", window = 2 })
    w.say("c", "subscribe", 1, { name = "other", window = 2 })
    assert.same({ a = "message 2 hi, done 3 2", b = "message 1 hi" },
      w.say("a", "publish", 3, { name = "x", value = "hi" }))
  end)

  it("sends to one subscription, to each in turn, and passes by those that are full", function()
    local w = world "abs"
    assert.same({ s = "refused 1 nobody receives" }, w.say("s", "send", 1, { name = "x", value = "0" }))
    w.say("a", "subscribe", 1, { name = "x", window = 1 })
    w.say("b", "subscribe", 1, { name = "x", window = 2 })
    assert.same({ a = "message 1 1", s = "done 2" }, w.say("s", "send", 2, { name = "x", value = "1" }))
    assert.same({ b = "message 1 2", s = "done 3" }, w.say("s", "send", 3, { name = "x", value = "2" }))
    assert.same({ b = "message 1 3", s = "done 4" }, w.say("s", "send", 4, { name = "x", value = "3" }))
    assert.same({ s = "refused 5 full" }, w.say("s", "send", 5, { name = "x", value = "4" }))
    w.say("a", "took", 1, { count = 1 })
    assert.same({ a = "message 1 5", s = "done 6" }, w.say("s", "send", 6, { name = "x", value = "5" }))
  end)

  it("has room for so many bytes, and for one message of any size", function()
    local w = world("as", { limits = { window_bytes = 4 } })
    w.say("a", "subscribe", 1, { name = "x", window = 9 })
    assert.same({ a = "message 1 12345", s = "done 1" }, w.say("s", "send", 1, { name = "x", value = "12345" }))
    assert.same({ s = "refused 2 full" }, w.say("s", "send", 2, { name = "x", value = "" }))
    w.say("a", "took", 1, { count = 1 })
    w.say("s", "send", 3, { name = "x", value = "123" })
    assert.same({ s = "refused 4 full" }, w.say("s", "send", 4, { name = "x", value = "12" }))
    assert.same({ a = "message 1 1", s = "done 5" }, w.say("s", "send", 5, { name = "x", value = "1" }))
  end)

  it("counts what a slow subscription loses, and tells it when there is room again", function()
    local w = world "as"
    w.say("a", "subscribe", 1, { name = "x", window = 1 })
    w.say("s", "publish", 1, { name = "x", value = "1" })
    assert.same({ s = "done 2 0" }, w.say("s", "publish", 2, { name = "x", value = "2" }))
    w.say("s", "publish", 3, { name = "x", value = "3" })
    assert.same({ a = "gap 1 2" }, w.say("a", "took", 1, { count = 1 }))
    assert.same({ a = "message 1 4", s = "done 4 1" }, w.say("s", "publish", 4, { name = "x", value = "4" }))
    assert.same({}, w.say("a", "took", 1, { count = 1 }))
  end)

  it("says when a subscription has ended, after its last message; those of a dead client are forgotten", function()
    local w = world "as"
    w.say("a", "subscribe", 1, { name = "x", window = 1 })
    assert.same({ a = "ended 1" }, w.say("a", "release", 1))
    w.say("a", "subscribe", 2, { name = "x", window = 1 })
    w.leave "a"
    assert.same({ s = "refused 1 nobody receives" }, w.say("s", "send", 1, { name = "x", value = "1" }))
  end)
end)

describe("a broker's value", function()
  it("is computed by the first that asks, while the others wait; then it is there", function()
    local w = world "abc"
    assert.same({ a = "compute 1" }, w.say("a", "once", 1, { name = "x" }))
    assert.same({}, w.say("b", "once", 1, { name = "x" }))
    assert.same({}, w.say("c", "once", 1, { name = "x" }))
    assert.same({ a = "done 1 true", b = "value 1 v", c = "value 1 v" }, w.say("a", "computed", 1, { value = "v" }))
    assert.same({ b = "value 2 v" }, w.say("b", "once", 2, { name = "x" }))
  end)

  it("is computed by the next one if the first gives up, or ends", function()
    local w = world "abc"
    w.say("a", "once", 1, { name = "x" })
    w.say("b", "once", 1, { name = "x" })
    w.say("c", "once", 1, { name = "x" })
    assert.same({ b = "compute 1" }, w.say("a", "release", 1))
    assert.same({ c = "compute 1" }, w.leave "b")
    assert.same({}, w.say("c", "release", 1))
    assert.same({ a = "compute 2" }, w.say("a", "once", 2, { name = "x" }))
  end)

  it("expires", function()
    local now = 100
    local w = world("a", { now = function() return now end })
    w.say("a", "once", 1, { name = "x" })
    w.say("a", "computed", 1, { value = "v", ttl = 10 })
    now = 109.9
    assert.same({ a = "value 2 v" }, w.say("a", "once", 2, { name = "x" }))
    now = 110
    assert.same({ a = "compute 3" }, w.say("a", "once", 3, { name = "x" }))
  end)

  it("is forgotten, also while it is computed: then only those that asked before get it", function()
    local w = world "abc"
    w.say("a", "once", 1, { name = "x" })
    w.say("b", "once", 1, { name = "x" })
    assert.same({ c = "done 1" }, w.say("c", "forget", 1, { name = "x" }))
    assert.same({ c = "compute 2" }, w.say("c", "once", 2, { name = "x" }))
    assert.same({ a = "done 1 false", b = "value 1 old" }, w.say("a", "computed", 1, { value = "old" }))
    assert.same({ c = "done 2 true" }, w.say("c", "computed", 2, { value = "new" }))
    assert.same({ a = "value 3 new" }, w.say("a", "once", 3, { name = "x" }))
    w.say("a", "forget", 4, { name = "x" })
    assert.same({ a = "compute 5" }, w.say("a", "once", 5, { name = "x" }))
  end)

  it("goes to those that wait, but is not kept, if there is no room for it", function()
    local now = 0
    local w = world("ab", { now = function() return now end, limits = { kept = 1, kept_bytes = 4 } })
    w.say("a", "once", 1, { name = "x" })
    w.say("a", "computed", 1, { value = "123", ttl = 1 })
    w.say("a", "once", 2, { name = "y" })
    w.say("b", "once", 1, { name = "y" })
    assert.same({ a = "done 2 false", b = "value 1 1" }, w.say("a", "computed", 2, { value = "1" }))
    now = 1
    w.say("a", "once", 3, { name = "y" })
    assert.same({ a = "done 3 false" }, w.say("a", "computed", 3, { value = "1234" }))
    w.say("a", "once", 4, { name = "y" })
    assert.same({ a = "done 4 true" }, w.say("a", "computed", 4, { value = "123" }))
  end)
end)

describe("a broker", function()
  it("refuses what is too much", function()
    local w = world("ab", { limits = { requests = 3, waiters = 1 } })
    w.say("a", "lock", 1, lock())
    w.say("a", "lock", 2, lock())
    assert.same({ b = "refused 1 too many tasks wait" }, w.say("b", "lock", 1, lock()))
    w.say("a", "once", 3, { name = "x" })
    assert.same({ a = "refused 4 too many requests" }, w.say("a", "once", 4, { name = "y" }))
    w.say("b", "once", 2, { name = "x" })
    assert.same({ b = "refused 3 too many tasks wait" }, w.say("b", "once", 3, { name = "x" }))
    w.say("a", "release", 2)
    assert.same({ a = "compute 5" }, w.say("a", "once", 5, { name = "y" }))
  end)

  it("says what is wrong with a message, and does nothing", function()
    local w = world "a"
    local function wrong(message)
      local ok, err = w.broker:handle(w.a, message)
      assert.is_nil(ok)
      assert.same({}, w.take())
      return err
    end
    assert.equal("unknown message 'shared.dance'", wrong { op = "shared.dance", id = 1 })
    assert.equal("unknown message 'nil'", wrong {})
    assert.equal("shared.lock: bad field 'id'", wrong { op = "shared.lock", id = 1.5, name = "x", wait = true })
    assert.equal("shared.lock: bad field 'wait'", wrong { op = "shared.lock", id = 1, name = "x" })
    assert.equal("shared.once: bad field 'name'", wrong { op = "shared.once", id = 1, name = "" })
    assert.equal("shared.once: bad field 'name'", wrong { op = "shared.once", id = 1, name = ("x"):rep(256) })
    assert.equal("shared.send: bad field 'value'", wrong { op = "shared.send", id = 1, name = "x", value = 1 })
    assert.equal("shared.subscribe: bad field 'window'",
      wrong { op = "shared.subscribe", id = 1, name = "x", window = 0 })
    assert.equal("shared.computed: bad field 'ttl'", wrong { op = "shared.computed", id = 1, value = "", ttl = -1 })
    w.say("a", "lock", 1, lock())
    assert.equal("shared.lock: the id is in use", wrong { op = "shared.lock", id = 1, name = "y", wait = true })
  end)

  it("confirms that it has taken all messages so far", function()
    assert.same({ a = "done 1" }, world("a").say("a", "sync", 1))
  end)

  it("ignores messages about requests that are gone, or of another kind", function()
    local w = world "a"
    assert.same({}, w.say("a", "release", 9))
    assert.same({}, w.say("a", "took", 9, { count = 1 }))
    w.say("a", "lock", 1, lock())
    assert.same({}, w.say("a", "took", 1, { count = 1 }))
    assert.same({}, w.say("a", "computed", 1, { value = "v" }))
  end)

  it("goes on from its state, and keeps what it has to tell a client until that one has joined again", function()
    local w = world "ab"
    w.say("a", "lock", 1, lock())
    w.say("b", "lock", 1, lock())
    local restored = broker.restore(json.decode(json.encode(w.broker:state())))
    assert.same({ 1, 2 }, restored:awaited())
    w.broker = restored
    restored:join(w.a, 1)
    assert.same({}, w.say("a", "release", 1))
    restored:join(w.b, 2)
    assert.same({ b = "granted 1" }, w.take())
    assert.same({}, restored:awaited())
    assert.has_error(function() restored:join({}, 2) end, "no such client is awaited")
    assert.has_error(function() restored:join(w.a) end, "the client has joined already")
    assert.equal(3, restored:join { send = function() end })
  end)

  it("keeps what is in a subscription's window, however much", function()
    local w = world "as"
    w.say("a", "subscribe", 1, { name = "x", window = 10000 })
    for i = 1, 10000 do w.say("s", "send", i, { name = "x", value = "v" }) end
    w.broker = broker.restore(json.decode(json.encode(w.broker:state())))
    w.broker:join(w.a, 1)
    w.broker:join(w.s, 2)
    assert.same({ s = "refused 10001 full" }, w.say("s", "send", 10001, { name = "x", value = "v" }))
    w.say("a", "took", 1, { count = 1 })
    assert.same({ a = "message 1 v", s = "done 10002" }, w.say("s", "send", 10002, { name = "x", value = "v" }))
  end)

  it("lets a client leave that does not come back after a restart", function()
    local w = world "ab"
    w.say("a", "lock", 1, lock())
    w.say("b", "lock", 1, lock())
    w.broker = broker.restore(w.broker:state())
    w.broker:join(w.b, 2)
    w.broker:leave(1)
    assert.same({ b = "granted 1" }, w.take())
  end)

  it("refuses the state of a version that it does not know", function()
    assert.has_error(function() broker.restore { version = 2 } end, "state of version 2, not 1")
  end)
end)

---------------------------------------------------------------------------------------------------
-- against the model

local LIMITS = { requests = 12, waiters = 3, kept = 3, kept_bytes = 24, window_bytes = 10 }
local NAMES = { "x", "y", "z", "\0\255\"", "long" }

-- Messages to compare: the order among those to one client counts.
local function by_client(messages)
  local all = {}
  for _, message in ipairs(messages) do
    local list = all[message.to] or {}
    all[message.to] = list
    list[#list + 1] = ("%s %d %s"):format(message.op, message.id,
      tostring(message.value or message.error or message.count or message.kept))
  end
  return all
end

-- A broker and a model that are told the same, by clients that are numbers.
local function start(dice)
  local run = { random = dice, now = 0, told = {}, clients = {}, last_client = 0, ids = {} }
  local function now() return run.now end
  run.settings = { now = now, limits = LIMITS }
  run.broker, run.model = broker.new(run.settings), model.new(LIMITS, now)
  return run
end

local function joining(run, number)
  return { send = function(_, message)
    local copy = json.decode(json.encode(message))
    copy.to = number
    run.told[#run.told + 1] = copy
  end }
end

local function join(run)
  run.last_client = run.last_client + 1
  local number = run.last_client
  run.clients[number], run.ids[number] = joining(run, number), 0
  assert(number == run.broker:join(run.clients[number]))
end

local function restart(run)
  run.broker = broker.restore(json.decode(json.encode(run.broker:state())), run.settings)
  for number in pairs(run.clients) do
    run.clients[number] = joining(run, number)
    run.broker:join(run.clients[number], number)
  end
end

local function any_client(run)
  local numbers = {}
  for number in pairs(run.clients) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  return numbers[run.random(#numbers)], #numbers
end

local function opening(run, client, op)
  run.ids[client] = run.ids[client] + 1
  return { op = op, id = run.ids[client], name = NAMES[run.random(#NAMES)], wait = run.random(4) > 1,
    window = run.random(4), value = ("v"):rep(run.random(0, 8)) }
end

local kinds = { took = "subscribe", computed = "once" }

local function about_one(run, client, op)
  local own, kind = {}, run.random(4) > 1 and kinds[op:sub(8)]
  for _, request in ipairs(run.model:requests_of(client)) do
    if not kind or request.kind == kind then own[#own + 1] = request end
  end
  local id = own[1] and run.random(5) > 1 and own[run.random(#own)].id or run.random(run.ids[client] + 1)
  return { op = op, id = id, value = ("w"):rep(run.random(0, 8)), count = run.random(3),
    ttl = run.random(2) == 1 and run.random(20) or nil }
end

local openings = { "shared.lock", "shared.lock", "shared.once", "shared.once", "shared.subscribe", "shared.publish",
  "shared.publish", "shared.send", "shared.forget" }
local others = { "shared.release", "shared.release", "shared.took", "shared.took", "shared.computed" }

local function step(run)
  local client, count = any_client(run)
  local dice = run.random(100)
  if count < 2 or dice == 1 and count < 6 then return join(run) end
  if dice <= 3 then
    run.broker:leave(run.clients[client])
    run.model:leave(client)
    run.clients[client] = nil
  elseif dice <= 4 then
    restart(run)
  elseif dice <= 10 then
    run.now = run.now + run.random(5)
  else
    local message = dice <= 55 and opening(run, client, openings[run.random(#openings)])
      or about_one(run, client, others[run.random(#others)])
    assert(run.broker:handle(run.clients[client], json.decode(json.encode(message))))
    run.model:handle(client, message)
  end
end

-- What the model tells those that are gone.
local function without_the_gone(run, messages)
  local left = {}
  for _, message in ipairs(messages) do
    if run.clients[message.to] then left[#left + 1] = message end
  end
  return left
end

describe("a broker and its model", function()
  it(("tell all clients the same, whatever these ask and whoever ends (RANDOM_SEED=%d)"):format(random.seed), function()
    local run, counts = start(random.new()), {}
    for number = 1, 20000 do
      step(run)
      local told, wanted = run.told, without_the_gone(run, run.model:take_messages())
      run.told = {}
      assert.same(by_client(wanted), by_client(told), ("step %d of seed %d"):format(number, random.seed))
      for _, message in ipairs(told) do counts[message.op] = (counts[message.op] or 0) + 1 end
    end
    for _, op in ipairs { "granted", "refused", "value", "compute", "done", "subscribed", "message", "gap", "ended" } do
      assert.is_true((counts["shared." .. op] or 0) > 20, op .. " hardly ever happened")
    end
  end)
end)
