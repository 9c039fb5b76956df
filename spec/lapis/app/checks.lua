-- SPDX-License-Identifier: MIT
-- checks.lua - specs of the application as its author would write them, run by lapis_spec.lua under busted of its own.

local request = require("lapis.spec.server").request
local simulate = require("lapis.spec.request").simulate_request
local spec = require "lapis.spec"

describe("the application", function()
  spec.use_test_server()

  it("answers on a test server", function()
    local answered, text = request "/"
    assert.same({ 200, "welcome" }, { answered, text })
    local _, body = request("/hello/ann", { expect = "json", get = { q = "2" } })
    assert.same({ name = "ann", query = "2", link = "/hello/x" }, body)
    assert.equal(404, (request "/nothing"))
    local status, _, headers = request("/login", { post = { user = "ada" } })
    assert.same({ 302, "string" }, { status, type(headers.set_cookie) })
    assert.error_matches(function() request "/broken" end, "app.lua:%d+: broken")
  end)

  it("runs code on the server", function()
    local code = "print(require('lapis.environment').default_environment(), ngx.get_phase())"
    assert.equal("test\tcontent", require("lapis.spec.server").get_current_server():exec(code))
    assert.error_matches(function()
      require("lapis.spec.server").get_current_server():exec "error 'on purpose'"
    end, "on purpose")
  end)
end)

describe("without a server", function()
  it("answers a simulated request", function()
    local status, body = simulate(require "app", "/")
    assert.same({ 200, "welcome" }, { status, body })
  end)
end)
