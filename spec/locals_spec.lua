-- SPDX-License-Identifier: MIT
-- locals_spec.lua - values that belong to a task and that its children inherit.

local http = require "moonpark.http"
local moonpark = require "moonpark"

local locals = moonpark.locals

describe("moonpark.locals", function()
  it("are the task's own, and nil where none was set", function()
    assert.is_nil(locals.name)
    locals.name, locals[1], locals.no = "ada", "one", false
    assert.same({ "ada", "one", false }, { locals.name, locals[1], locals.no })
    locals.name = nil
    assert.is_nil(locals.name)
    assert.error_matches(function() locals[nil] = 1 end, "key expected")
  end)

  it("are inherited as they are at the start, and changes stay on their side", function()
    locals.user, locals.depth = "ada", 1
    local child = moonpark.go(function()
      local before = { locals.user, locals.depth }
      locals.depth = 2
      local grandchild = moonpark.go(function()
        locals.user = "grace"
        return locals.user, locals.depth
      end)
      return before, { select(2, grandchild:join()) }, { locals.user, locals.depth }
    end)
    locals.user = "eve" -- before the child runs
    local _, before, grandchild, after = child:join()
    assert.same({ "ada", 1 }, before)
    assert.same({ "grace", 2 }, grandchild)
    assert.same({ "ada", 2 }, after)
    assert.same({ "eve", 1 }, { locals.user, locals.depth })
  end)

  it("go with scopes, go_now, daemons and generators", function()
    locals.id = 7
    local seen = {}
    local function look() seen[#seen + 1] = locals.id end
    moonpark.scope(function(scope) scope:go(look) end)
    moonpark.go_now(look)
    moonpark.go_daemon(look)
    moonpark.yield()
    coroutine.wrap(look)()
    moonpark.timeout(1, look)
    assert.same({ 7, 7, 7, 7, 7 }, seen)
  end)

  it("leave nothing to a task that has none, in a coroutine used again", function()
    for _ = 1, 20 do
      moonpark.go(function() locals.secret = {} end):join()
      local _, found = moonpark.go(function() return locals.secret end):join()
      assert.is_nil(found)
    end
  end)

  it("do not disturb how a task ends", function()
    local _, a, b = moonpark.go(function() locals.x = 1 return "a", "b" end):join()
    assert.same({ "a", "b" }, { a, b })
    local ok, err = moonpark.go(function() locals.x = 1 error("lost", 0) end):join()
    assert.same({ nil, "lost" }, { ok, err })
  end)

  it("begin anew with each request", function()
    local seen = {}
    local server = assert(http.server(function(_, res)
      seen[#seen + 1] = locals.request or "none"
      locals.request = "an earlier one's"
      res:send "x"
    end, { address = "127.0.0.1:0" }))
    local serving = moonpark.go(server.run, server)
    local client = http.client()
    for _ = 1, 3 do assert.equal(200, client:get("http://" .. server:address() .. "/").status) end
    client:close()
    server:shutdown(1)
    serving:join()
    assert.same({ "none", "none", "none" }, seen)
  end)

  it("are none outside of tasks", function()
    local script = [[
      local moonpark = require "moonpark"
      print(moonpark.locals.x, pcall(function() moonpark.locals.x = 1 end))
      print(pcall(function() moonpark.go_daemon(print) end))
    ]]
    local process = require "support.process"
    local r = process.run { process.interpreter, "-e", script }
    assert.matches('^nil\tfalse\t%(command line%):2: moonpark.locals: must be set in a task', r.out)
    assert.matches('\nfalse\t%(command line%):3: no loop is running', r.out)
  end)

  it("have keys that tables may have", function()
    local line = debug.getinfo(1, "l").currentline
    local _, err = pcall(function() moonpark.locals[nil] = 1 end)
    assert.matches(("locals_spec.lua:%d: moonpark.locals: a key expected, got nil$"):format(line + 1), err)
    assert.error_matches(function() moonpark.locals[0 / 0] = 1 end, "a key expected, got %-?nan")
    local key = {}
    moonpark.locals[key] = 1
    assert.equal(1, moonpark.locals[key])
    moonpark.locals[key] = nil
  end)
end)
