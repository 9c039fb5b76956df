-- SPDX-License-Identifier: MIT
-- JSON that finds no memory says so, loses none, and the next value is encoded. Needs the hard build: its buffers
-- begin with one byte, so a short text grows often.

local core = require "moonpark.core"

local encode, hard = core.json_encode, core.hard
local NO_MEMORY = "not enough memory"

if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation

-- encode(value) with its n-th allocation, and those after it up to `times`, failing -> ok, text | nil, why; and whether
-- that allocation was reached. The stack has grown before, and no collection shrinks it: the call itself needs memory
-- otherwise, and fails outside of pcall.
local function without_memory(n, times, value)
  collectgarbage "stop"
  pcall(encode, value)
  hard.fail_times(times)
  hard.fail_alloc(n)
  local ok, text, why = pcall(encode, value)
  local _, allocations = hard.counts()
  hard.fail_alloc(0)
  hard.fail_times(1)
  collectgarbage "restart"
  return ok, text, why, allocations >= n
end

local function blocks()
  collectgarbage()
  collectgarbage()
  return core.stats().blocks
end

describe("JSON without memory", function()
  setup(function() assert.is_table(hard, "MODE=hard is needed") end)

  for _, times in ipairs { 1, 3, 50 } do
    it(("is refused, or raises, wherever %d allocations fail"):format(times), function()
      local value = { id = 42, text = "a/b\0", list = { 1.5, 1e300, { true, false } }, [1] = ("x"):rep(999) }
      local want, before, failed = encode(value), blocks(), 0
      for n = 1, 1000 do
        local ok, text, why, reached = without_memory(n, times, value)
        if ok and text then
          assert.equal(want, text)
        else
          assert.is_truthy(tostring(why or text):find(NO_MEMORY, 1, true))
          failed = failed + 1
        end
        assert.equal(want, encode(value))
        if not reached then break end
      end
      assert.is_true(failed >= 4, failed .. " failures")
      assert.equal(before, blocks())
    end)
  end
end)
