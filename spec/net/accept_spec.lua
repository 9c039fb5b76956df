-- SPDX-License-Identifier: MIT
-- accept_spec.lua - what becomes of a listener whose accept has failed: the rule alone. How servers keep it is in
-- serve_spec.lua, lost_spec.lua and http/ending_spec.lua.

local units = require "support.units"
local lib = units.lib

local passing = { EMFILE = 24, ENFILE = 23, ENOBUFS = 105, ENOMEM = 12 }
local lasting = { EBADF = 9, EINVAL = 22, ENOTSOCK = 88, EOPNOTSUPP = 95, EPERM = 1, ECONNABORTED = 103, EAGAIN = 11 }

local function pauses(error, last)
  local list = {}
  for i = 1, 11 do
    last = lib.accept_pause(error, last)
    list[i] = tonumber(last) / 1e6
  end
  return list
end

describe("accept_pause", function()
  for name, errno in pairs(passing) do
    it("is 5 ms after " .. name .. ", and twice as long each time, up to 1 s", function()
      assert.same({ 5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000 }, pauses(-errno, 0))
    end)
  end

  it("is 1 s after one that would be longer when doubled", function()
    assert.equal(1000, pauses(-passing.EMFILE, 500000000)[1])
    assert.equal(1000, pauses(-passing.EMFILE, units.INT64_MAX)[1])
  end)

  for name, errno in pairs(lasting) do
    it("is none after " .. name .. ": accepting is over", function() assert.equal(0, pauses(-errno, 0)[1]) end)
  end

  it("is none after errors of ours, such as a listener that was closed", function()
    for _, code in ipairs { "ERR_CLOSED", "ERR_CANCELED", "ERR_TIMEOUT" } do
      assert.equal(0, pauses(require("ffi").C[code], 5000000)[1], code)
    end
  end)
end)
