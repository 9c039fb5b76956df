-- SPDX-License-Identifier: MIT
-- tls_bio_spec.lua - what OpenSSL may read in one step. A peer can ask it for answers without end (KeyUpdate), and it
-- goes on reading until it has a byte for us.

local ffi = require "ffi"
local units = require "support.units"

local lib, AGAIN = units.lib, -11
local READ, WRITE = 0, 1
local STEP, FULL = lib.TLS_BIO_BUDGET, 262144

pcall(ffi.cdef, [[
int BIO_read(struct bio_st *bio, void *to, int n);
int BIO_write(struct bio_st *bio, const void *bytes, int n);
int BIO_test_flags(const struct bio_st *bio, int flags);
int BIO_free(struct bio_st *bio);
]])
local crypto = ffi.load "libcrypto.so.3"
local RETRY = 8

-- A stream that always has something to read, and whose peer takes what `takes` says.
local function endless(body)
  return function()
    local peer = { takes = true, taken = 0 }
    local below = ffi.new "struct stream"
    local read = ffi.cast("ssize_t (*)(struct stream *, void *, size_t)", function(_, to, n)
      ffi.fill(to, n, 65)
      return n
    end)
    local write = ffi.cast("ssize_t (*)(struct stream *, const struct units_iovec *, int)", function(s, iov)
      if not peer.takes then
        s.again = WRITE
        return AGAIN
      end
      peer.taken = peer.taken + tonumber(iov[0].iov_len)
      return iov[0].iov_len
    end)
    local ops = ffi.new "struct stream_ops"
    ops.read, ops.write, below.ops = read, write, ops
    local b = ffi.new "struct tls_bio"
    b.below = below
    local bio = lib.tls_bio_new(b)
    body(b, bio, peer)
    crypto.BIO_free(bio)
    lib.buf_fini(b.out)
    read:free()
    write:free()
  end
end

-- Reads until nothing more is given -> how many bytes; OpenSSL may try again later.
local function read_all(b, bio)
  local to, total = ffi.new "char[16384]", 0
  b.budget, b.paused = STEP, false
  while true do
    local n = crypto.BIO_read(bio, to, 16384)
    if n <= 0 then
      assert.equal(RETRY, crypto.BIO_test_flags(bio, RETRY))
      return total
    end
    total = total + n
    assert.is_true(total <= 2 * STEP)
  end
end

jit.off(read_all) -- compiled code must not call what calls back

local function say(bio, n) assert.equal(n, crypto.BIO_write(bio, ("x"):rep(n), n)) end

describe("a step of TLS", function()
  it("reads a limited number of bytes, however many there are, and says that it has paused", endless(function(b, bio)
    assert.equal(STEP, read_all(b, bio))
    assert.is_true(b.paused)
    assert.equal(READ, b.again)
    assert.equal(STEP, read_all(b, bio))
  end))

  it("reads nothing while a peer takes no answers, and waits for it to", endless(function(b, bio, peer)
    peer.takes = false
    say(bio, FULL)
    assert.equal(STEP, read_all(b, bio))
    say(bio, 1)
    assert.equal(0, read_all(b, bio))
    assert.is_false(b.paused)
    assert.equal(WRITE, b.again)
    peer.takes = true
    assert.equal(STEP, read_all(b, bio))
    assert.equal(FULL + 1, peer.taken)
  end))
end)
