-- SPDX-License-Identifier: MIT
-- rate_limit_spec.lua - http.rate_limit: who may go on, what the others are told, and what no client can do to it.

local core = require "moonpark.core"
local ffi = require "ffi"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local peers = require "support.http_client"
local process = require "support.process"
local rate_bucket = require "moonpark.http.rate_bucket"
local testing = require "moonpark.testing"

ffi.cdef "int rate_close(int fd) __asm__(\"close\");\nint rate_dup(int fd) __asm__(\"dup\");"

-- How many of n requests are admitted now.
local function admitted(buckets, key, rate, n)
  local count = 0
  for _ = 1, n do count = count + (buckets:take(key, rate, 1) and 1 or 0) end
  return count
end

local dicts = 0

local kinds = {
  ["in this process"] = function() return rate_bucket.store(1000) end,
  ["in a shared dict"] = function()
    dicts = dicts + 1
    return rate_bucket.shared(assert(moonpark.shared.dict("rates " .. dicts, { size = "256k" })), "")
  end,
}

for kind, new in pairs(kinds) do
  describe("a bucket " .. kind, function()
    it("lets a burst pass, then so many as come in the time, and never more", function()
      local clock = testing.clock()
      local buckets, rate = new(), rate_bucket.rate(10, 1, 20)
      assert.equal(20, admitted(buckets, "a", rate, 100))
      clock:advance(0.05)
      assert.equal(0, admitted(buckets, "a", rate, 5))
      clock:advance(0.06)
      assert.equal(1, admitted(buckets, "a", rate, 5))
      clock:advance(1)
      assert.equal(10, admitted(buckets, "a", rate, 50))
      clock:advance(3600)
      assert.equal(20, admitted(buckets, "a", rate, 50))
      assert.equal(20, admitted(buckets, "b", rate, 50))
    end)

    it("says what is left, or how long to wait", function()
      testing.clock()
      local buckets, rate = new(), rate_bucket.rate(1, 10, 2)
      local ok, left = buckets:take("a", rate, 1)
      assert.same({ true, 1 }, { ok, math.floor(left + 0.5) })
      buckets:take("a", rate, 1)
      local wait
      ok, wait = buckets:take("a", rate, 1)
      assert.is_false(ok)
      assert.is_true(math.abs(wait - 10) < 0.001)
      moonpark.sleep(wait)
      assert.is_true((buckets:take("a", rate, 1)))
    end)

    it("admits in the long run exactly the rate, whatever the rhythm", function()
      local random = require("support.random").new(7)
      local clock = testing.clock()
      local buckets, rate, count, began = new(), rate_bucket.rate(50, 1, 10), 0, moonpark.now()
      for _ = 1, 3000 do
        count = count + admitted(buckets, "a", rate, random(12))
        clock:advance(random() * 0.1)
      end
      local most = 10 + (moonpark.now() - began) * 50
      assert.is_true(count <= most + 1 and count > most - 12, ("%d of %g"):format(count, most))
    end)

    it("counts requests that cost more, and refuses what can never be had", function()
      testing.clock()
      local buckets, rate = new(), rate_bucket.rate(1, 1, 10)
      assert.is_true((buckets:take("a", rate, 7)))
      assert.is_false((buckets:take("a", rate, 4)))
      assert.is_true((buckets:take("a", rate, 3)))
      assert.is_true((buckets:take("a", rate, 0)))
      assert.is_false((buckets:take("b", rate, 11)))
      assert.equal(10, admitted(buckets, "b", rate, 20))
    end)

    it("counts exactly at the ends of what it can count", function()
      local clock = testing.clock()
      for _, case in ipairs { { 1e6, 1, 1e6 }, { 1e6, 1, 10 }, { 1, 1e9, 3 }, { 1e-9, 1, 1 }, { 3, 7, 5 } } do
        local buckets, rate = new(), rate_bucket.rate(case[1], case[2], case[3])
        local burst = math.min(case[3], 1000)
        assert.is_true((buckets:take("a", rate, case[3] - burst)))
        local got = admitted(buckets, "a", rate, burst + 5)
        assert.is_true(math.abs(got - burst) <= math.max(0, case[3] / 1000), got)
        clock:advance(1)
      end
    end)
  end)
end

describe("the buckets of a process", function()
  it("are bounded: the one that was unused for longest goes", function()
    testing.clock()
    local buckets, rate = rate_bucket.store(3), rate_bucket.rate(1, 1, 1)
    for _, key in ipairs { "a", "b", "c" } do assert.is_true((buckets:take(key, rate, 1))) end
    assert.is_false((buckets:take("a", rate, 1))) -- that was a use
    assert.is_true((buckets:take("d", rate, 1)))
    assert.same({ 3, 1 }, { buckets.count, buckets.forgotten })
    assert.is_false((buckets:take("a", rate, 1)))
    assert.is_true((buckets:take("b", rate, 1)))
  end)

  it("hold no more for very many keys", function()
    local buckets, rate = rate_bucket.store(1000), rate_bucket.rate(1, 60, 5)
    local n = core.hard and 20000 or 300000
    for i = 1, n do buckets:take("key " .. i, rate, 1) end
    assert.equal(1000, buckets.count)
    local keys, places = 0, 0
    for _ in pairs(buckets.places) do keys = keys + 1 end
    for _ in pairs(buckets.times) do places = places + 1 end
    assert.same({ 1000, 1000 }, { keys, places })
    local at, around = buckets.newer[0], 0 -- the circle is whole, in both directions
    while at ~= 0 do
      assert.equal(at, buckets.newer[buckets.older[at]])
      at, around = buckets.newer[at], around + 1
    end
    assert.equal(1000, around)
  end)

  it("behave as a plain model does, in a long random run", function()
    local random = require("support.random").new(11)
    local clock = testing.clock()
    local buckets, rate, model = rate_bucket.store(50), rate_bucket.rate(2, 1, 4), {}
    for _ = 1, 20000 do
      local key, now = "k" .. random(50), moonpark.now()
      local state = model[key] or { tokens = 4, at = now }
      state.tokens = math.min(4, state.tokens + (now - state.at) * 2)
      state.at = now
      local expected = state.tokens >= 1 - 0.01
      if math.abs(state.tokens - 1) > 0.02 then assert.equal(expected, (buckets:take(key, rate, 1)))
      else expected = buckets:take(key, rate, 1) end
      if expected then state.tokens = state.tokens - 1 end
      model[key] = state
      if random(3) == 1 then clock:advance(random() * 0.05) end
    end
  end)
end)

describe("one bucket of several processes", function()
  it("never gives more than it has, and all that it has", function()
    local fd = assert(core.shared_memory("rates", 2 ^ 20))
    local dict = core.shared_dict()
    assert(core.shared_dict_open(dict, ffi.C.rate_dup(fd), "rates", 2 ^ 20))
    local worker = process.root .. "/spec/support/rate_worker.lua"
    local calls, burst, children = core.hard and 50 or 5000, core.hard and 100 or 10000, {}
    for i = 1, 4 do
      children[i] = assert(moonpark.process.spawn({ process.interpreter, worker, calls .. "", burst .. "" },
        { stdin = fd, stdout = "pipe", stderr = "pipe" }))
    end
    local total = 0
    for _, child in ipairs(children) do
      local out, err = child.stdout:read_all(), child.stderr:read_all()
      assert.equal("", err)
      total = total + assert(tonumber(out))
      child:wait()
      child.stdout:close()
      child.stderr:close()
    end
    ffi.C.rate_close(fd)
    assert.equal(burst, total)
  end)
end)

describe("http.rate_limit", function()
  after_each(peers.stop_all)

  local function limited(options, handler)
    local app = http.router()
    app:use(http.rate_limit(options))
    app:get("/", handler or function(_, res) res:send "ok" end)
    return peers.serve(app)
  end

  local function ask(server, headers) return assert(http.get(server.url, { headers = headers })) end

  it("admits a burst, then answers 429 with Retry-After, and says what is left", function()
    local server = limited { rate = 1, per = 60, burst = 3 }
    local lines = {}
    for i = 1, 4 do
      local answer = ask(server)
      lines[i] = ("%d %s | %s | %s"):format(answer.status, answer.headers["ratelimit-policy"],
        answer.headers["ratelimit"], answer.headers["retry-after"] or "-")
    end
    assert.same({
      '200 "default";q=3;w=180 | "default";r=2;t=60 | -', '200 "default";q=3;w=180 | "default";r=1;t=120 | -',
      '200 "default";q=3;w=180 | "default";r=0;t=180 | -', '429 "default";q=3;w=180 | "default";r=0;t=60 | 60',
    }, lines)
  end)

  it("counts each client by itself, and none without a key", function()
    local server = limited { rate = 1, per = 60, burst = 1, key = function(req) return req:header "api-key" end }
    assert.same({ 200, 429, 200 }, { ask(server, { ["API-Key"] = "a" }).status,
      ask(server, { ["API-Key"] = "a" }).status, ask(server, { ["API-Key"] = "b" }).status })
    for _ = 1, 3 do assert.is_nil(ask(server).headers["ratelimit"]) end
    local long = ("k"):rep(2000)
    assert.same({ 200, 429, 200 }, { ask(server, { ["API-Key"] = long }).status,
      ask(server, { ["API-Key"] = long }).status, ask(server, { ["API-Key"] = long .. "2" }).status })
  end)

  it("believes X-Forwarded-For only of proxies that it trusts", function()
    local function statuses(server)
      local list = {}
      for i, forwarded in ipairs { "203.0.113.1", "203.0.113.2", "203.0.113.1" } do
        list[i] = ask(server, { ["X-Forwarded-For"] = forwarded }).status
      end
      return list
    end
    assert.same({ 200, 429, 429 }, statuses(limited { rate = 1, per = 60, burst = 1 }))
    assert.same({ 200, 200, 429 }, statuses(limited { rate = 1, per = 60, burst = 1, trusted = "127.0.0.0/8" }))
  end)

  it("may say nothing, use another status, or let a function answer; several policies stand side by side", function()
    local waited
    local app = http.router()
    app:use(http.rate_limit { rate = 100, name = "short" })
    app:use(http.rate_limit { rate = 1, per = 3600, burst = 1, name = "hourly", on_limit = function(_, res, wait)
      waited = wait
      res.status = 403
      res:json { error = "quota" }
    end })
    app:get("/", function(_, res) res:send "ok" end)
    local server = peers.serve(app)
    local answer = ask(server)
    assert.equal('"short";q=100;w=1, "hourly";q=1;w=3600', answer.headers["ratelimit-policy"])
    answer = ask(server)
    assert.same({ 403, "3600" }, { answer.status, answer.headers["retry-after"] })
    assert.matches("quota", answer.body)
    assert.is_true(waited > 3500 and waited <= 3600)
    server = limited { rate = 1, per = 60, burst = 1, fields = false, status = 503 }
    ask(server)
    answer = ask(server)
    assert.same({ 503, "60" }, { answer.status, answer.headers["retry-after"] })
    assert.is_nil(answer.headers["ratelimit"])
  end)

  it("takes what a request costs", function()
    local server = limited { rate = 1, per = 60, burst = 10, cost = function(req)
      local cost = req:header "cost"
      return cost and tonumber(cost)
    end }
    assert.same({ 200, 429, 200 }, { ask(server, { Cost = "8" }).status, ask(server, { Cost = "3" }).status,
      ask(server).status })
    assert.equal(500, ask(server, { Cost = "-1" }).status)
    assert.matches("the cost must be a number of at least 0", server.log[1])
  end)

  it("is shared by all who have the dict and its name", function()
    local dict = assert(moonpark.shared.dict "rate limit spec")
    local one = limited { rate = 1, per = 60, burst = 2, dict = dict, name = "a" }
    local two = limited { rate = 1, per = 60, burst = 2, dict = dict, name = "a" }
    local other = limited { rate = 1, per = 60, burst = 2, dict = dict, name = "b" }
    assert.same({ 200, 200, 429, 200 }, { ask(one).status, ask(two).status, ask(one).status, ask(other).status })
  end)

  it("raises for what it cannot mean", function()
    for wanted, options in pairs {
      ["option 'rate' is needed"] = {}, ["option 'rate' must be a number from"] = { rate = 0 / 0 },
      ["must be a number from 1e-09 to 1e+06"] = { rate = math.huge }, ["option 'per' must be"] = { rate = 1, per = 0 },
      ["option 'burst' must be a whole number from 1"] = { rate = 1, burst = 0.5 },
      ["beyond what can be counted"] = { rate = 1e-9, per = 1e3 }, ["option 'dict' must be"] = { rate = 1, dict = {} },
      ["option 'trusted' must list"] = { rate = 1, trusted = { "example.com" } },
      ["option 'name' must be"] = { rate = 1, name = 'a"b' }, ["did you mean 'burst'"] = { rate = 1, brust = 2 },
    } do
      local ok, err = pcall(function() http.rate_limit(options) end)
      assert.is_false(ok)
      assert.matches("^spec/http/rate_limit_spec.lua:%d+: rate_limit: ", err)
      assert.truthy(err:find(wanted, 1, true), err)
    end
  end)
end)

describe("http.limit_concurrency", function()
  after_each(peers.stop_all)

  local function server_with(options)
    local app, go_on, inside = http.router(), core.event(), { now = 0 }
    app:use(http.limit_concurrency(options))
    app:get("/", function(req, res)
      inside.now = inside.now + 1
      go_on:wait()
      inside.now = inside.now - 1
      if req.query.fail then error "no" end
      res:send "ok"
    end)
    return peers.serve(app), go_on, inside
  end

  local function start(server, path, headers)
    local request = {}
    request.task = moonpark.go(function()
      request.answer = assert(http.get(server.url .. path, { headers = headers }))
    end)
    return request
  end

  local function wait_for(inside, n)
    while inside.now < n do moonpark.sleep(0.001) end
  end

  it("admits so many of a client at once, and counts down whatever becomes of them", function()
    local server, go_on, inside = server_with { max = 2, key = function(req) return req:header "client" end }
    local running = { start(server, "/", { Client = "a" }), start(server, "/?fail=1", { Client = "a" }),
      start(server, "/", { Client = "b" }), start(server, "/"), start(server, "/") }
    wait_for(inside, 5)
    local answer = assert(http.get(server.url, { headers = { Client = "a" } }))
    assert.same({ 429, "1" }, { answer.status, answer.headers["retry-after"] })
    local leaving = peers.dial(server)
    leaving:write "GET / HTTP/1.1\r\nHost: a\r\nClient: b\r\n\r\n"
    wait_for(inside, 6)
    leaving:close()
    go_on:set()
    local statuses = {}
    for i, request in ipairs(running) do
      request.task:join()
      statuses[i] = request.answer.status
    end
    assert.same({ 200, 500, 200, 200, 200 }, statuses)
    for _ = 1, 3 do assert.equal(200, assert(http.get(server.url, { headers = { Client = "a" } })).status) end
    assert.equal(200, assert(http.get(server.url, { headers = { Client = "b" } })).status)
  end)

  it("may be one limit for everybody", function()
    local server, go_on, inside = server_with { max = 1, key = false }
    local first = start(server, "/")
    wait_for(inside, 1)
    assert.equal(503, assert(http.get(server.url)).status)
    go_on:set()
    first.task:join()
    assert.equal(200, assert(http.get(server.url)).status)
  end)

  it("raises for what it cannot mean", function()
    for wanted, options in pairs { ["option 'max' is needed"] = {}, ["option 'max' must be a positive"] = { max = 0 },
      ["option 'key' must be a function, or false"] = { max = 1, key = "a" } } do
      local ok, err = pcall(function() http.limit_concurrency(options) end)
      assert.is_false(ok)
      assert.matches("^spec/http/rate_limit_spec.lua:%d+: limit_concurrency: " .. wanted:gsub("%p", "%%%0"), err)
    end
  end)
end)
