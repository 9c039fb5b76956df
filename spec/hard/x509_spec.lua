-- SPDX-License-Identifier: MIT
-- Keys and certificates when an allocation fails, OpenSSL's included: words, nothing left, and the next call works.

local certificates = require "support.tls"
local core = require "moonpark.core"
local testing = require "moonpark.testing"

local hard = core.hard
if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation
testing.timeout(400)

local NO_MEMORY = "not enough memory"

local function allocs() return (select(2, hard.counts())) end

-- A stack that must grow needs memory too: not in the middle of what is looked at.
local function grow_stack() return select("#", unpack({}, 1, 100)) end

-- fn() with its n-th allocation failing, for many n until it makes fewer -> how many failed, and the last n. A call may
-- also work: OpenSSL does without some of what it wanted. Reading a key takes thousands of small steps that are alike.
local function sweep(fn)
  local n, failed = 1, 0
  local made
  repeat
    grow_stack()
    hard.fail_alloc(n)
    local ok, result, err = pcall(fn)
    made = allocs()
    hard.fail_alloc(0)
    local why = not ok and tostring(result) or result == nil and err
    if why then failed = failed + 1 end
    assert.is_true(not why or type(why) == "string", "no words")
    local step = n < 500 and 1 or 7
    n = n + step
  until made < n - step
  return failed, n
end

local key = core.key_new()
local point, signature = core.key_point(key), core.key_sign(key, "bytes")
local now = os.time()
local host, host_key = certificates.pem "host_crt", certificates.pem "host_key"
local lock = os.tmpname()

local calls = {
  { "key_new", function() return core.key_new() end },
  { "key_point", function() return core.key_point(key) end },
  { "key_sign", function() return core.key_sign(key, "bytes") end },
  { "key_verify", function() return core.key_verify(point, "bytes", signature) end },
  { "sha256", function() return core.sha256("bytes") end },
  { "hmac_sha256", function() return core.hmac_sha256("secret", "bytes") end },
  { "secure_random", function() return core.secure_random(20) end },
  { "x509_self_signed", function()
    return core.x509_self_signed(key, { "a.example", "127.0.0.1" }, now, now + 1000, point:sub(1, 32))
  end },
  { "x509_request", function() return core.x509_request(key, { "a.example", "127.0.0.1" }) end },
  { "x509_read", function() return core.x509_read(host, host_key) end },
  { "file_lock", function()
    local held, err = core.file_lock(lock)
    if held then held:close() end
    return held and true, err
  end },
}

describe("without memory", function()
  setup(function() assert.is_table(hard, "MODE=hard is needed") end)
  teardown(function() os.remove(lock) end)

  for _, call in ipairs(calls) do
    it(call[1] .. " fails with words, and leaves nothing", function()
      local fn = call[2]
      assert.is_truthy((fn()))
      collectgarbage()
      collectgarbage()
      local blocks = core.stats().blocks
      local failed, n = sweep(fn)
      assert.is_true(failed > 0, "none of " .. n .. " allocations could fail")
      collectgarbage()
      collectgarbage()
      assert.equal(blocks, core.stats().blocks)
      assert.is_truthy((fn()))
    end)
  end

  it("memory is named as the reason", function()
    hard.fail_alloc(1)
    local ok, result, err = pcall(core.x509_read, host)
    hard.fail_alloc(0)
    assert.equal(NO_MEMORY, ok and err or result)
  end)
end)
