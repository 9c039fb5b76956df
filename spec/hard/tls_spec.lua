-- SPDX-License-Identifier: MIT
-- TLS, when a call fails: any allocation, OpenSSL's included, and any system call. A connection ends with an error and
-- nothing is left; the next one works. Needs the hard build: a read and a write move one byte.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local testing = require "moonpark.testing"
local tls = require "moonpark.tls"
local certificates = require "support.tls"

local hard = core.hard
if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation
testing.timeout(400)

local options = { cert = certificates.pem "host_crt", key = certificates.pem "host_key" }
local trust = { ca = certificates.pem "ca_crt" }

-- A handshake, bytes in both directions, and the ends.
local function life(server, client, pair, name)
  local a, b = pair()
  if not a then return false end
  local ok = pcall(certificates.over, a, b, server, client, name)
  local other = ok and moonpark.go(function()
    local bytes = b:read_exactly(5)
    if bytes then b:write(bytes) end
    b:close()
  end)
  if ok then ok = a:write "hello" and a:read_exactly(5) == "hello" and select(2, a:read()) == "eof" end
  a:close()
  if other then other:join() end
  b:close()
  return ok
end

-- fn with its n-th call failing, for n = first, first + step, ... until fewer were made: how many.
local function sweep(fail, made, step, fn)
  local n, failed = 1, 0
  repeat
    fail(n)
    local _, ok = pcall(fn)
    local calls = made()
    fail(0)
    if not ok then failed = failed + 1 end
    n = n + step
  until calls < n - step
  return n, failed
end

local function allocs() return (select(2, hard.counts())) end
local function calls() return (hard.counts()) end

local function nothing_left(before)
  collectgarbage()
  collectgarbage()
  assert.equal(before, tls.stats().open)
  core.check()
end

describe("TLS in the hard build", function()
  it("works a byte at a time", function()
    for _, transport in ipairs(support.transports) do
      assert.is_true(life(certificates.server(), certificates.client(), transport.pair))
    end
  end)

  it("survives the failure of any allocation of a connection", function()
    local server, client, open = certificates.server(), certificates.client(), tls.stats().open
    local function one() return life(server, client, net.pipe) end
    assert.is_true(one())
    local n, failed = sweep(hard.fail_alloc, allocs, 13, one)
    assert.is_true(n > 500 and failed > 20, n .. " " .. failed)
    nothing_left(open)
    assert.is_true(one())
    nothing_left(open)
  end)

  it("survives the failure of any allocation of a connection whose certificate is chosen", function()
    local other = assert(tls.server { cert = certificates.pem "other_crt", key = certificates.pem "other_key" })
    local asked, open = 0, tls.stats().open
    local verifying = { tickets = false, client_certificates = "require", client_ca = certificates.pem "ca_crt" }
    function verifying.choose()
      asked = asked + 1
      return other
    end
    for name, value in pairs(options) do verifying[name] = value end
    local server = assert(tls.server(verifying))
    local client = assert(tls.client { ca = trust.ca, cert = certificates.pem "client_crt",
      key = certificates.pem "client_key" })
    local function one() return life(server, client, net.pipe, "other.example") end
    assert.is_true(one())
    local n, failed = sweep(hard.fail_alloc, allocs, 23, one)
    assert.is_true(n > 500 and failed > 20 and asked > n / 23 / 2, n .. " " .. failed .. " " .. asked)
    nothing_left(open)
    assert.is_true(one())
    nothing_left(open)
  end)

  it("survives the failure of any allocation of a context", function()
    local function one()
      local server = tls.server(options)
      local client = server and tls.client(trust)
      return client and server:reload()
    end
    assert.is_true(one())
    local n, failed = sweep(hard.fail_alloc, allocs, 4, one)
    assert.is_true(n > 300 and failed > 20, n .. " " .. failed)
    assert.is_true(one())
  end)

  it("survives the failure of any system call of a connection", function()
    local server, client, open = certificates.server(), certificates.client(), tls.stats().open
    local function pair()
      local listener = net.listen("127.0.0.1:0")
      local a = listener and net.dial(listener:address())
      local b = a and listener:accept()
      if listener then listener:close() end
      if a and not b then a:close() end
      return b and a, b
    end
    local function one() return life(server, client, pair) end
    assert.is_true(one())
    local n, failed = sweep(hard.fail_syscall, calls, 31, one)
    assert.is_true(n > 500 and failed > 10, n .. " " .. failed)
    nothing_left(open)
    assert.is_true(one())
  end)
end)
