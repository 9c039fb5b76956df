-- SPDX-License-Identifier: MIT
-- A lookup of which any allocation or system call fails: all of the answer, or an error that names the failure; never
-- half of an answer, and the next lookup works. Needs the hard build. The name server is another process.

local core = require "moonpark.core"
local net = require "moonpark.net"
local process = require "support.process"

local hard = core.hard
local ADDRESSES = "127.1.2.3 127.1.2.4 ::1"
local FEWEST = { alloc = 40, syscall = 15 } -- calls of a lookup

local script = [[
local moonpark, dns = require "moonpark", require "support.dns"
moonpark.run(function()
  local server = dns.start()
  local answer = { a = { "127.1.2.3", "127.1.2.4" }, aaaa = { "::1" } }
  server:on("udp.test", answer)
  server:on("tcp.test", { a = answer.a, aaaa = answer.aaaa, truncate = true })
  io.write(server.address, "\n")
  io.flush()
  moonpark.sleep(600)
end)
]]

local words = {
  alloc = { ["not enough memory"] = true },
  -- what a server that cannot be reached looks like, and what this machine has too few of
  syscall = { ["server failure"] = true, ["timeout"] = true, ["too many open files"] = true,
    ["no buffer space available"] = true, ["permission denied"] = true },
}

local function sorted(addresses)
  table.sort(addresses)
  return table.concat(addresses, " ")
end

local function calls(kind)
  local syscalls, allocs = hard.counts()
  return kind == "alloc" and allocs or syscalls
end

-- A fresh channel, and a lookup with the n-th call failing -> addresses or nil, the error, were there n calls.
local function attempt(address, name, kind, n)
  assert(net.set_resolver { servers = { address }, search = {}, lookups = "fb", timeout = 0.3 })
  local fail, options = hard["fail_" .. kind], { timeout = 10 }
  fail(n)
  local ok, addresses, err = pcall(net.resolve, name, options)
  local reached = calls(kind) >= n
  fail(0)
  if not ok then return nil, tostring(addresses):match("not enough memory") or addresses, reached end
  return addresses, err, reached
end

-- LuaJIT does not survive a stack that cannot grow when a function is called: it is large enough, and stays so.
local function sweep(address, name, kind)
  assert(select("#", unpack({}, 1, 200)) == 200)
  local n, more = 0, true
  while more do
    n = n + 1
    local addresses, err
    addresses, err, more = attempt(address, name, kind, n)
    if addresses then assert.equal(ADDRESSES, sorted(addresses))
    else assert.is_true(words[kind][err], ("%s %d: %s"):format(kind, n, err)) end
    assert.equal(ADDRESSES, sorted(assert(net.resolve(name))))
    core.check()
  end
  assert.is_true(n > FEWEST[kind], n .. " calls")
end

describe("a lookup in the hard build", function()
  local address

  before_each(function()
    assert.is_table(hard, "MODE=hard is needed")
    if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation
    collectgarbage("stop")
    address = assert(process.start({ process.interpreter, "-e", script }):line())
  end)

  after_each(function()
    collectgarbage("restart")
    net.set_resolver(nil)
    process.stop_all()
  end)

  for _, kind in ipairs { "alloc", "syscall" } do
    for _, name in ipairs { "udp.test", "tcp.test" } do
      it(("of %s survives the failure of any %s"):format(name, kind), function() sweep(address, name, kind) end)
    end
  end
end)
