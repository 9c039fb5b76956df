-- SPDX-License-Identifier: MIT
-- hello_spec.lua - examples/hello.lua as its users meet it; the client is curl.

local curl = require "support.curl"
local example = require "support.example"
local process = require "support.process"

describe("examples/hello.lua", function()
  after_each(process.stop_all)

  it("greets whoever is named", function()
    local hello = example.start("hello.lua")
    local r = curl(hello, "/hello/you")
    assert.same({ 0, '{"hello":"you"}' }, { r.status, r.out })
    assert.equal('{"hello":"a b"}', curl(hello, "/hello/a%20b").out)
    assert.equal("404", curl(hello, "/", "-o", "/dev/null", "-w", "%{http_code}").out)
    assert.equal("405", curl(hello, "/hello/you", "-X", "DELETE", "-o", "/dev/null", "-w", "%{http_code}").out)
    assert.matches("Content%-Type: application/json\r\n", curl(hello, "/hello/you", "-I").out)
    hello:stop()
  end)

  it("ends in order under the command", function()
    local hello = example.start("hello.lua", process.moonpark(example.path "hello.lua", "127.0.0.1:0"))
    assert.equal('{"hello":"you"}', curl(hello, "/hello/you").out)
    hello.child:kill("TERM")
    local status, out, err = hello.child:wait()
    assert.same({ 0, "listening on " .. hello.address .. "\n", "" }, { status, out, err })
  end)

  it("explains itself", function()
    local r = process.run(example.plain("hello.lua", "--help"))
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^usage: hello%.lua", r.out)
  end)

  it("says why it cannot listen", function()
    local first = example.start("hello.lua")
    local r = process.run(example.plain("hello.lua", first.address))
    assert.same({ 1, "" }, { r.status, r.out })
    assert.equal(("hello: cannot listen on %s: address already in use\n"):format(first.address), r.err)
    first:stop()
  end)
end)
