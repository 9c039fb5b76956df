-- SPDX-License-Identifier: MIT
-- errors_spec.lua - the words scripts compare. A text in this table is never changed.

local ffi = require "ffi"
local units = require "support.units"
local lib = units.lib

-- Every code there is, and some that are none.
local function codes()
  local all = {}
  for code = -200, 0 do all[#all + 1] = code end
  for code = -100010, -99990 do all[#all + 1] = code end
  return ipairs(all)
end

local function text(code) return ffi.string(lib.errors_text(code)) end

local ours = {
  ERR_EOF = "eof",
  ERR_TIMEOUT = "timeout",
  ERR_CLOSED = "closed",
  ERR_CANCELED = "canceled",
  ERR_TOO_LONG = "too long",
  ERR_NOT_POLLABLE = "not pollable",
  ERR_UNEXPECTED_EOF = "unexpected eof",
  ERR_NOT_A_FILE = "not a regular file",
}

local system = { -- Linux
  [1] = "operation not permitted", [2] = "no such file or directory", [4] = "interrupted system call",
  [5] = "input/output error", [6] = "no such device or address", [9] = "bad file descriptor",
  [11] = "resource temporarily unavailable",
  [12] = "not enough memory", [13] = "permission denied", [14] = "bad address", [16] = "device or resource busy",
  [17] = "file exists", [19] = "no such device", [20] = "not a directory", [21] = "is a directory",
  [22] = "invalid argument", [23] = "too many open files in system", [24] = "too many open files",
  [28] = "no space left on device", [30] = "read-only file system", [32] = "broken pipe",
  [33] = "numerical argument out of domain", [34] = "numerical result out of range", [36] = "file name too long",
  [38] = "function not implemented", [40] = "too many levels of symbolic links", [71] = "protocol error",
  [88] = "socket operation on non-socket", [89] = "destination address required", [90] = "message too long",
  [91] = "protocol wrong type for socket", [92] = "protocol not available", [93] = "protocol not supported",
  [95] = "operation not supported", [97] = "address family not supported by protocol", [98] = "address already in use",
  [99] = "cannot assign requested address", [100] = "network is down", [101] = "network is unreachable",
  [102] = "network dropped connection on reset", [103] = "software caused connection abort",
  [104] = "connection reset by peer", [105] = "no buffer space available",
  [106] = "transport endpoint is already connected", [107] = "transport endpoint is not connected",
  [110] = "connection timed out", [111] = "connection refused", [112] = "host is down", [113] = "no route to host",
  [114] = "operation already in progress", [115] = "operation now in progress",
}

describe("errors", function()
  it("have these words for our own", function()
    for name, words in pairs(ours) do assert.equal(words, text(ffi.C[name])) end
  end)

  it("have these words for the system's, whatever language the user speaks", function()
    local before = os.setlocale()
    os.setlocale ""
    for errno, words in pairs(system) do assert.equal(words, text(-errno)) end
    os.setlocale(before)
  end)

  it("have words for every number", function()
    for _, code in ipairs { -134, -4095, -99999, -100000, -100999, 0, 5 } do
      assert.equal("system error", text(code))
    end
  end)

  it("have words of one kind: lower-case, one line, no space at either end, no full stop", function()
    for _, code in codes() do
      local words = text(code)
      if not words:find("^[a-z][a-z /-]*[a-z]$") then error(("%d: %q"):format(code, words)) end
    end
  end)

  it("differ in words where they differ in number", function()
    local seen = {}
    for _, code in codes() do
      local words = text(code)
      assert.is_true(words == "system error" or not seen[words], words)
      seen[words] = true
    end
  end)

  it("keep a passed deadline, a dead peer, our own close, the end and a reset apart", function()
    local words = {}
    for _, code in ipairs { ffi.C.ERR_TIMEOUT, -110, ffi.C.ERR_CLOSED, ffi.C.ERR_EOF, -104, ffi.C.ERR_CANCELED } do
      assert.is_nil(words[text(code)])
      words[text(code)] = true
    end
  end)

  it("tell the errno where the system gave one, else 0", function()
    assert.equal(111, lib.errors_errno(-111))
    for name in pairs(ours) do assert.equal(0, lib.errors_errno(ffi.C[name])) end
    assert.equal(0, lib.errors_errno(0))
    assert.equal(0, lib.errors_errno(7))
  end)

  it("may be made of words, which are kept until 63 others have come", function()
    local code = lib.errors_code("certificate is for a, not b")
    assert.equal("certificate is for a, not b", text(code))
    assert.equal(0, lib.errors_errno(code))
    assert.equal(code, lib.errors_code("certificate is for a, not b"))
    local other = lib.errors_code("another")
    assert.are_not.equal(code, other)
    for i = 1, 62 do lib.errors_code("words " .. i) end
    assert.equal("certificate is for a, not b", text(code))
    lib.errors_code("words 63")
    assert.equal("failure", text(code))
    assert.equal("another", text(other))
    assert.are_not.equal(code, lib.errors_code("certificate is for a, not b"))
    assert.equal(("x"):rep(159), text(lib.errors_code(("x"):rep(200))))
    assert.equal("system error", text(lib.errors_code("last") - 1))
  end)
end)
