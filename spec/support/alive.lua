-- SPDX-License-Identifier: MIT
-- support/alive.lua - for specs of mistakes and faults: whatever happened, the loop works on and no descriptor
-- is missing.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local process = require "support.process"
local support = require "support.net"

local M = {}

-- Tasks talk to each other, sockets carry bytes, and the core's own invariants hold.
local function assert_alive()
  local channel = moonpark.chan()
  local a, b = support.connected("127.0.0.1:0")
  local task = moonpark.go(function()
    b:write(channel:recv())
    b:close()
  end)
  channel:send("alive")
  assert(a:read_all() == "alive")
  assert(task:join())
  a:close()
  core.check()
end

--- The body of an `it` after which the loop works and no descriptor is missing.
function M.lives_on(body)
  return function()
    assert_alive()
    local before = support.descriptors()
    body()
    assert_alive()
    local after = support.descriptors()
    assert(before == after, ("%d descriptors before, %d after"):format(before, after))
  end
end

--- Runs a script in a process of its own, with this LuaJIT: out, err, status.
function M.run_script(script)
  return process.run({ process.interpreter, "-e", script })
end

return M
