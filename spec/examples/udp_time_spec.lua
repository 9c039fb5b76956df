-- SPDX-License-Identifier: MIT
-- udp_time_spec.lua - examples/udp-time.lua as its users meet it.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local example = require "support.example"
local process = require "support.process"
local support = require "support.net"

local LINE = "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ\n$"

describe("examples/udp-time.lua", function()
  local server, client

  before_each(function() server = example.start("udp-time.lua", nil, "udp:127.0.0.1:0") end)
  after_each(function()
    server:stop()
    process.stop_all()
  end)

  local function it_with_client(name, body)
    it(name, function()
      client = assert(net.packet("udp:127.0.0.1:0", { peer = server.address }))
      client:set_timeout(30)
      body()
      client:close()
    end)
  end

  it("answers nc", function()
    local nc = process.start({ "nc", "-u", "127.0.0.1", server.port }, { stdin = true })
    nc:write("\n")
    assert.matches(LINE, nc:line() .. "\n")
    nc:kill("TERM")
    nc:wait()
  end)

  it_with_client("answers a newline with a line", function()
    for _, question in ipairs { "\n", "\r\n" } do
      client:send(question)
      assert.matches(LINE, (assert(client:recv())))
    end
  end)

  it_with_client("answers nothing with the seconds since 1900", function()
    local before = math.floor(moonpark.time())
    client:send("")
    local a, b, c, d = assert(client:recv()):byte(1, -1)
    local told = ((a * 256 + b) * 256 + c) * 256 + d - 2208988800
    assert.is_true(before <= told and told <= moonpark.time(), told)
  end)

  it_with_client("does not answer an answer", function()
    for _, noise in ipairs { "2001-02-03T04:05:06Z\n", "abcd", ("x"):rep(60000) } do client:send(noise) end
    client:send("\n")
    assert.matches(LINE, (assert(client:recv())))
    client:set_timeout(0.01)
    assert.same({ nil, "timeout" }, { client:recv() })
  end)

  it("tells the time to unix sockets, too, and passes over who cannot be answered", function()
    support.with_folder(function(folder)
      local other = example.start("udp-time.lua", nil, "unixgram:" .. folder .. "/time")
      local unnamed = assert(net.packet("unixgram:"))
      local named = assert(net.packet("unixgram:" .. folder .. "/client"))
      unnamed:send_to("\n", other.address)
      named:send_to("\n", other.address)
      assert.matches(LINE, (assert(named:recv())))
      unnamed:close()
      named:close()
      other:stop()
      assert(os.remove(folder .. "/time"))
    end)
  end)
end)

describe("examples/udp-time.lua", function()
  after_each(process.stop_all)

  it("explains itself", function()
    local r = process.run(example.plain("udp-time.lua", "--help"))
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^usage: udp%-time%.lua", r.out)
  end)

  it("ends at SIGTERM under the command, without a complaint", function()
    local server = example.start("udp-time.lua",
      process.moonpark(example.path "udp-time.lua", "udp:127.0.0.1:0"))
    server.child:kill("TERM")
    local status, _, err = server.child:wait()
    assert.same({ 128 + 15, "" }, { status, err })
  end)

  it("says why it cannot listen", function()
    local taken = assert(net.packet("udp:127.0.0.1:0"))
    local address = taken:address()
    local r = process.run(example.plain("udp-time.lua", address))
    taken:close()
    assert.same({ 1, "" }, { r.status, r.out })
    assert.equal(("udp-time: cannot listen on %s: address already in use\n"):format(address), r.err)
  end)
end)
