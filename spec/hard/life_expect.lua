-- SPDX-License-Identifier: MIT
-- life_expect.lua - what the stages of a life check: a fault may excuse a failure, but never a wrong result.

-- What marks a broken promise, which no fault excuses.
local WRONG = "WRONG: "

local function expect(expected, got, err)
  if got == nil then error(err, 0) end
  if got ~= expected then error(("%s%q expected, got %q"):format(WRONG, tostring(expected), tostring(got)), 0) end
  return got
end

-- Ends with one of these words, or met the fault.
local function expect_failure(words, got, err)
  if got ~= nil then error(WRONG .. words .. " expected, got success", 0) end
  if err ~= words then error(err, 0) end
end

return { WRONG = WRONG, expect = expect, expect_failure = expect_failure }
