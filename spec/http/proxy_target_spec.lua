-- SPDX-License-Identifier: MIT
-- proxy_target_spec.lua - what a target's URL means, and how its health is judged. Time is handed in.

local proxy_target = require "moonpark.http.proxy_target"

local LIMITS = { failures = 3, time = 10, max_time = 60 }
local CHECKS = { healthy = 2, unhealthy = 3 }

local function new(given, options) return assert(proxy_target.new(given or "http://a:81", options or {})) end

describe("a target", function()
  it("is a URL, or a table with one", function()
    local target = new { url = "https://a.example:8443/base/", name = "a", weight = 2.5, max_requests = 7,
      backup = true }
    assert.same({ "a", 2.5, 7, true, "/base", "a.example:8443" }, { target.name, target.weight, target.max_requests,
      target.backup, target.prefix, target.host })
    assert.same({ "a.example:8443", true, "a.example" }, { target.route.address, target.route.tls, target.route.name })
    target = new("unix:/run/a", { max_requests = 3, host = "preserve" })
    assert.same({ "unix:/run/a", 3 }, { target.route.address, target.max_requests })
    assert.is_nil(target.host)
  end)

  it("says what is wrong with it, and whether that is the script's mistake", function()
    local cases = {
      [{ }] = "target: option 'url' is needed", [{ url = "http://a", weigth = 1 }] = "did you mean 'weight'",
      [{ url = "http://a", weight = 0 }] = "option 'weight' must be a positive number",
      [{ url = "http://a", weight = 0 / 0 }] = "option 'weight' must be", [5] = "target expected, got number",
    }
    for given, wanted in pairs(cases) do
      local target, wrong, misuse = proxy_target.new(given, {})
      assert.is_nil(target)
      assert.matches(wanted, wrong, 1, true)
      assert.is_true(misuse)
    end
    for given, wanted in pairs { ["http://a b"] = "invalid URL", ["http://u:p@a"] = "credentials",
      ["http://a/?q"] = "query" } do
      local target, wrong, misuse = proxy_target.new(given, {})
      assert.is_nil(target)
      assert.matches(wanted, wrong, 1, true)
      assert.is_nil(misuse)
    end
  end)
end)

describe("a target on which requests fail", function()
  local function fail(target, now, n)
    local ejected = false
    for _ = 1, n or 1 do ejected = proxy_target.failed(target, "connection refused", now, LIMITS) or ejected end
    return ejected
  end

  it("is ejected after so many in a row, and not before", function()
    local target = new()
    fail(target, 100, 2)
    assert.is_true(proxy_target.is_usable(target, 100))
    proxy_target.succeeded(target)
    assert.is_false(fail(target, 100, 2))
    assert.is_true(fail(target, 100))
    assert.is_false(proxy_target.is_usable(target, 100))
    assert.same({ "ejected", 110, "connection refused", 5 }, { proxy_target.state(target, 109.9), target.ejected_until,
      target.last_error, target.failures })
  end)

  it("is not ejected again by requests that were on their way", function()
    local target = new()
    fail(target, 100, 3)
    assert.is_false(fail(target, 105, 10))
    assert.equal(110, target.ejected_until)
  end)

  it("is tried by one request at a time after that, until one succeeds", function()
    local target = new()
    fail(target, 100, 3)
    assert.is_true(proxy_target.is_usable(target, 110))
    assert.equal("trying", proxy_target.state(target, 110))
    assert.is_true(proxy_target.begin(target, 110))
    assert.is_false(proxy_target.is_usable(target, 110))
    assert.is_true(proxy_target.answered(target, 111))
    assert.is_true(proxy_target.is_usable(target, 111))
    assert.equal("up", proxy_target.state(target, 111))
    assert.is_false(proxy_target.answered(target, 112))
  end)

  it("is ejected for twice as long each time, up to the bound", function()
    local target, now, times = new(), 0, {}
    fail(target, now, 3)
    for i = 1, 5 do
      times[i] = target.ejected_until - now
      now = target.ejected_until
      proxy_target.begin(target, now)
      assert.is_true(fail(target, now))
      target.trying = false
    end
    assert.same({ 10, 20, 40, 60, 60 }, times)
    target.ejections = 5000
    now = target.ejected_until
    fail(target, now)
    assert.equal(now + 60, target.ejected_until)
  end)

  it("begins with the short time again once it has worked for as long as it was ejected", function()
    local target = new()
    fail(target, 0, 3)
    proxy_target.answered(target, 10)
    fail(target, 15, 3)
    assert.equal(20, target.ejected_for) -- it has worked for 5 s only
    proxy_target.answered(target, 35)
    proxy_target.succeeded(target)
    fail(target, 60, 3)
    assert.equal(10, target.ejected_for)
  end)

  it("is never ejected without limits", function()
    local target = new()
    for _ = 1, 100 do assert.is_false(proxy_target.failed(target, "eof", 1, nil)) end
    assert.is_true(proxy_target.is_usable(target, 1))
  end)
end)

describe("a target that is checked", function()
  local function check(target, results)
    local changes = {}
    for letter in results:gmatch "." do
      changes[#changes + 1] = proxy_target.checked(target, letter == "+", "status 500", 50, CHECKS) or "-"
    end
    return table.concat(changes, " ")
  end

  it("is asked before the first check has ended; that one decides at once", function()
    local target = new()
    assert.is_true(proxy_target.is_usable(target, 50))
    assert.equal("down", check(target, "-"))
    assert.is_false(proxy_target.is_usable(target, 50))
    assert.same({ "down", "status 500" }, { proxy_target.state(target, 50), target.last_error })
    assert.equal("-", check(new(), "+"))
  end)

  it("goes down and up after its thresholds, in a row", function()
    local target = new()
    assert.equal("- - - - - - down", check(target, "+--+---"))
    assert.equal("- - - up", check(target, "+-++"))
    assert.equal(50, target.up_since)
  end)

  it("is not saved by a check while it is ejected, nor by a request while it is down", function()
    local target = new()
    check(target, "+")
    for _ = 1, 3 do proxy_target.failed(target, "eof", 50, LIMITS) end
    check(target, "++++")
    assert.is_false(proxy_target.is_usable(target, 50))
    check(target, "---")
    proxy_target.answered(target, 61)
    assert.is_false(proxy_target.is_usable(target, 61))
  end)
end)

describe("the share of a target that starts slowly", function()
  it("grows to its weight", function()
    local target = new { url = "http://a", weight = 4 }
    assert.equal(4, proxy_target.share(target, 100, 20))
    target.up_since = 100
    assert.same({ 0.4, 0.4, 2, 4, 4 }, { proxy_target.share(target, 100, 20), proxy_target.share(target, 101, 20),
      proxy_target.share(target, 110, 20), proxy_target.share(target, 120, 20), proxy_target.share(target, 121, 20) })
    target.up_since = 100
    assert.equal(4, proxy_target.share(target, 100, nil))
  end)
end)
