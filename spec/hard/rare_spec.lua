-- SPDX-License-Identifier: MIT
-- What the system does too seldom to wait for: a connection that is gone before it is accepted, a sendfile that moves
-- something and raises SIGPIPE. Needs the hard build.

local core = require "moonpark.core"
local moving = require "support.moving"
local net = require "moonpark.net"
local process = require "support.process"

local hard = core.hard
local ECONNABORTED = 103

local function works()
  hard.fail_times(1)
  hard.fail_syscall(0)
  hard.fail_with(0)
end

describe("in the hard build", function()
  setup(function() assert.is_table(hard, "MODE=hard is needed") end)
  after_each(works)
  after_each(process.stop_all)

  for name, number in pairs { ECONNABORTED = ECONNABORTED, EPROTO = 71, ENETDOWN = 100, ENETUNREACH = 101,
    EHOSTDOWN = 112, EHOSTUNREACH = 113, ENONET = 64 } do
    it("accept passes over connections that were lost: " .. name, function()
      local times = 5
      local listener = assert(net.listen("127.0.0.1:0"))
      local client = assert(net.dial(listener:address()))
      hard.fail_with(number)
      hard.fail_times(times)
      hard.fail_syscall(1)
      local server, err = listener:accept()
      local calls = hard.counts()
      works()
      assert.is_truthy(server, err)
      assert.is_true(calls > times)
      assert.equal(client:local_address(), server:peer_address())
      for _, conn in ipairs { client, server, listener } do conn:close() end
    end)
  end

  -- A seccomp filter says so each time, and no client is gone then: whoever tried on would never come back.
  it("accept reports that it is not permitted", function()
    local listener = assert(net.listen("127.0.0.1:0"))
    hard.fail_with(1)
    hard.fail_times(5)
    hard.fail_syscall(1)
    local answer = { listener:accept() }
    works()
    assert.same({ nil, "operation not permitted", 1 }, answer)
    listener:close()
  end)

  it("a sendfile that moves something and raises SIGPIPE does not end the process", function()
    moving.with_file("some bytes", function(path)
      local child = process.run({ process.interpreter, "-e", ([[
        local core, moonpark = require "moonpark.core", require "moonpark"
        moonpark.run(function()
          local listener = assert(moonpark.net.listen "127.0.0.1:0")
          local client = assert(moonpark.net.dial(listener:address()))
          local server = assert(listener:accept())
          core.hard.raise_sigpipe(true)
          assert(server:sendfile(%q) == 10)
          core.hard.raise_sigpipe(false)
          server:close()
          io.write(assert(client:read_all()))
          client:close()
          listener:close()
        end)]]):format(path) })
      assert.same({ 0, "some bytes" }, { child.status, child.out }, child.err)
    end)
  end)
end)
