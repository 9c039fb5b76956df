-- SPDX-License-Identifier: MIT
-- echo_spec.lua - examples/echo.lua as its users meet it.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local example = require "support.example"
local process = require "support.process"
local support = require "support.net"

describe("examples/echo.lua", function()
  local echo

  before_each(function() echo = example.start("echo.lua") end)
  after_each(function()
    echo:stop()
    process.stop_all()
  end)

  it("sends back what a shell's connection sends", function()
    local script = ([[exec 3<>/dev/tcp/127.0.0.1/%s; echo hello >&3; echo "you there" >&3; head -n 2 <&3]])
      :format(echo.port)
    local shell = process.run { "bash", "-c", script }
    assert.same({ 0, "hello\nyou there\n", "" }, { shell.status, shell.out, shell.err })
  end)

  it("sends back any bytes, however many", function()
    local conn, sent = echo:dial(), support.random_bytes(300000)
    local writer = moonpark.go(function()
      conn:write(sent)
      conn:close_write()
    end)
    assert.is_true(conn:read_all() == sent)
    writer:join()
    conn:close()
  end)

  it("serves one while another says nothing", function()
    local silent, conn = echo:dial(), echo:dial()
    conn:write("hello\n")
    assert.equal("hello", conn:read_line())
    silent:write("at last\n")
    assert.equal("at last", silent:read_line())
    silent:close()
    conn:close()
  end)

  it("ends a connection when its client does", function()
    local conn = echo:dial()
    conn:write("bye")
    conn:close_write()
    assert.equal("bye", conn:read_all())
    conn:close()
  end)
end)

describe("every example", function()
  after_each(process.stop_all)

  for _, name in ipairs { "echo.lua", "chat.lua", "kv.lua", "pipeline.lua" } do
    it("explains itself: " .. name .. " --help", function()
      local r = process.run(example.plain(name, "--help"))
      assert.same({ 0, "" }, { r.status, r.err })
      assert.matches("^usage: " .. name:gsub("%.", "%%."), r.out)
    end)

    it("says why it cannot listen: " .. name, function()
      local taken = assert(net.listen("127.0.0.1:0"))
      local address = taken:address()
      local r = process.run(example.plain(name, address))
      taken:close()
      assert.same({ 1, "" }, { r.status, r.out })
      assert.equal(("%s: cannot listen on %s: address already in use\n")
        :format(name:match "^%w+", address), r.err)
    end)

    it("runs under the moonpark command too, and ends with SIGTERM: " .. name, function()
      support.with_folder(function(folder)
        local address = "unix:" .. folder .. "/socket"
        local server = example.start(name, process.moonpark(example.path(name), address))
        assert.equal(address, server.address)
        assert(net.dial(address)):close()
        server.child:kill("TERM")
        local status, _, err = server.child:wait()
        assert.same({ 128 + 15, "" }, { status, err })
      end)
    end)
  end
end)
