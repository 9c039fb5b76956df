-- SPDX-License-Identifier: MIT
-- outside_spec.lua - the façade of ngx in a plain program, outside of tasks.

local process = require "support.process"

local function run(script)
  local r = process.run { process.interpreter, "-e",
    "require('moonpark.compat').install('ngx', { global = true }) " .. script }
  assert.equal("", r.err)
  return r.out
end

describe("outside of tasks", function()
  after_each(process.stop_all)

  it("ngx.ctx is one table, and the one of a task is another", function()
    assert.equal("nil\ttimer\n5\n", run [[
      ngx.ctx.a = 5
      require("moonpark").run(function() print(ngx.ctx.a, ngx.get_phase()) end)
      print(ngx.ctx.a)
    ]])
  end)

  it("a cosocket connects, sends and receives, as libraries do while they are set up", function()
    local net = require "moonpark.net"
    local listener = assert(net.listen "127.0.0.1:0")
    local server = require("moonpark").go(function()
      for conn in listener:accepts() do
        conn:write(conn:read_line(), " again\n")
        conn:close()
      end
    end)
    assert.equal("hello again\n", run(([[
      local socket = ngx.socket.tcp()
      assert(socket:connect("127.0.0.1", %s))
      ngx.ctx.socket = socket
      socket:send "hello\n"
      print(socket:receive())
      ngx.ctx.socket:close()
    ]]):format(listener:address():match "%d+$")))
    listener:close()
    server:join()
  end)
end)
