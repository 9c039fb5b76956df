-- SPDX-License-Identifier: MIT
-- shared_spec.lua - shared memory when a system call or an allocation fails: nil and why, and nothing is left open.

local core = require "moonpark.core"
local segments = require "moonpark.shared.segments"
local shared = require "moonpark.shared"

require("jit").off() -- LuaJIT's compiler does not survive allocations that fail

local function descriptors()
  local pipe = assert(io.popen("ls /proc/" .. require("support.units").pid() .. "/fd | wc -l"))
  local n = tonumber(pipe:read "*a")
  pipe:close()
  return n
end

-- Opens with the n-th call failing, until none does. -> how often it failed
local function sweep(fail, open)
  local failures = 0
  for n = 1, 200 do
    local before = descriptors()
    fail(n)
    local ok, made, err = pcall(open, n)
    fail(0)
    if ok and made then return failures end
    failures = failures + 1
    local text = ok and err or made
    assert.is_true(type(text) == "string" and text ~= "", tostring(text))
    collectgarbage()
    assert.equal(before, descriptors())
  end
  error "it never succeeds"
end

describe("shared memory without", function()
  it("one system call", function()
    assert.is_true(sweep(core.hard.fail_syscall, function(n) return shared.dict("call " .. n) end) >= 4)
    core.check()
  end)

  it("one allocation", function()
    assert.is_true(sweep(core.hard.fail_alloc, function(n) return shared.dict("block " .. n) end) >= 4)
    core.check()
  end)

  it("one allocation in a call of a dict goes on with the next", function()
    local dict = shared.dict("calls")
    local long = ("x"):rep(100000)
    local failed = sweep(core.hard.fail_alloc, function()
      assert(dict:set("long", long))
      assert(#dict:keys() == 1)
      return dict:get("long") == long
    end)
    assert.is_true(failed > 0)
    assert.equal(long, dict:get "long")
    core.check()
  end)

  it("a source of memory has none of its own", function()
    segments.set_source(function() return nil, "gone" end)
    assert.same({ nil, "gone" }, { shared.dict "gone" })
    segments.set_source(nil)
  end)
end)
