-- SPDX-License-Identifier: MIT
-- signatures_spec.lua - what is read of the annotations in the installed sources.

local net = require "moonpark.net"
local signatures = require "moonpark.signatures"
local types = require "moonpark.signatures.types"

describe("types", function()
  it("are cut off the front of a text", function()
    assert.same({ "string|nil", "what it is" }, { types.cut "string|nil what it is" })
    assert.same({ "fun(a: string, b?: {c: integer}): string|nil, integer?", "then text" },
      { types.cut "fun(a: string, b?: {c: integer}): string|nil, integer? then text" })
    assert.same({ "integer", "" }, { types.cut "integer" })
  end)

  it("have alternatives; a function's results are its own", function()
    assert.same({ "a", "nil", "b" }, types.alternatives "a|b?")
    assert.same({ "fun(x: a|b)", "c" }, types.alternatives "fun(x: a|b)|c")
    assert.same({ "fun(): a|b" }, types.alternatives "fun(): a|b")
  end)

  it("of functions have parameters and results", function()
    local found = types.signature "fun(self, path: string, max?: integer, ...): string|nil, string?"
    assert.is_true(found.is_method)
    assert.same({ { name = "path", type = "string", optional = false },
      { name = "max", type = "integer", optional = true },
      { name = "...", type = "any", optional = false } }, found.params)
    assert.same({ "string|nil", "string?" }, found.returns)
    assert.is_nil(types.signature "string")
  end)
end)

describe("signatures", function()
  it("are found by module, by class, and by function", function()
    local entry = signatures.member("moonpark.net", "dial")
    assert.matches("^Connects", entry.text[1])
    assert.equal("address", signatures.signature(entry).params[1].name)
    assert.equal(entry, signatures.of_function(net.dial))
    assert.is_true(signatures.signature(signatures.member("moonpark.connection", "read")).is_method)
    assert.is_nil(signatures.of_function(print))
    assert.is_nil(signatures.class "nobody")
  end)

  it("have types and texts that go on in the next line", function()
    require "moonpark.http"
    local found = signatures.signature(signatures.member("moonpark.http", "websocket"))
    assert.same({ "moonpark.websocket|nil", "string?", "integer?" }, found.returns)
    local new = signatures.member("moonpark.http.proxy", "new")
    assert.matches("|%s*%(fun%(req: moonpark%.http%.request%): string|string%[%]|nil, integer%?%)$", new.params[1].type)
    local grace = signatures.member("moonpark.http.server.options", "grace")
    assert.matches("0: it leaves those signals alone%.", grace.text[1])
  end)

  it("keep a module's functions apart from a class of the same name, and a class's own word on its methods", function()
    assert.is_true(signatures.member("moonpark.task", "run_main").of_module)
    assert.falsy(signatures.member("moonpark.task", "join").of_module)
    assert.falsy(signatures.member("moonpark.connection", "lines").hidden)
    assert.is_true(signatures.member("moonpark.task", "results").hidden)
  end)
end)
