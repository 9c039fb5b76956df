-- SPDX-License-Identifier: MIT
-- Workers that are killed, reloaded and upgraded at random while clients ask. A request is lost only where the worker
-- that had it was killed.

local moonpark = require "moonpark"
local process = require "support.process"
local testing = require "moonpark.testing"
local workers = require "support.workers"

testing.timeout(300)

local STEPS, CLIENTS = 25, 3

-- One that serves: five that die before they do would be the script's fault.
local function a_worker(program)
  local body = program:get "/"
  return body and body:match "%d+$"
end

describe("workers under attack", function()
  after_each(workers.stop_all)

  it("lose what a killed one had, and nothing else", function()
    local seed = tonumber(os.getenv "SEED") or os.time()
    print("SEED=" .. seed)
    math.randomseed(seed)
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "3" })
    local killed, lost, answered, going = 0, 0, 0, true
    local function client()
      while going do
        local body, why = program:get "/"
        if body then answered = answered + 1 else
          lost = lost + 1
          if not (why == "no answer" or why == "connection reset by peer") then
            going = false
            local ended = program.child:ended() and program.child.status
            error(("%s; the supervisor's status: %s\n%s"):format(why, tostring(ended), program.child.text.err), 0)
          end
        end
      end
    end
    local clients = {}
    for i = 1, CLIENTS do clients[i] = moonpark.go(client) end
    for _ = 1, STEPS do
      local before = answered
      local choice = math.random(1, 5)
      if choice == 1 then program:ask "reload"
      elseif choice == 2 then program.child:kill "USR2"
      else
        local pid = a_worker(program)
        if pid and process.run({ "kill", "-KILL", pid }).status == 0 then killed = killed + 1 end
      end
      repeat moonpark.sleep(0.001) until answered > before + 10 or not going
    end
    going = false
    for _, each in ipairs(clients) do assert(each:join()) end
    assert.is_true(killed > 0)
    assert.is_true(lost <= killed * CLIENTS, ("%d lost by %d kills"):format(lost, killed))
    assert.is_true(answered > STEPS * 10)
    assert.equal(0, (program:stop()))
  end)
end)
