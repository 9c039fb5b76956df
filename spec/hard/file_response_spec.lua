-- SPDX-License-Identifier: MIT
-- A request for a file with each of its system calls failing once: the client gets the file, or sees that it has not
-- got it, and no descriptor is left. Needs the hard build. (Failing allocations: see life_http.lua.)

local core = require "moonpark.core"
local fs = require "moonpark.fs"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local peer = require "support.file_response"
local testing = require "moonpark.testing"

local hard = core.hard
local BYTES = "some bytes of a file"

testing.timeout(60)

local function works()
  hard.fail_times(1)
  hard.fail_syscall(0)
end

-- One request -> what came back, or an error. Server and client live in one process: either may meet the fault.
local function ask(server, fields)
  local conn, err = net.dial(server:address(), { timeout = 30 })
  if not conn then error(err, 0) end
  conn:set_timeout(30)
  local pieces = {}
  local data = conn:write(peer.request("GET", "/sub/a", fields))
  while data do
    data, err = conn:read()
    pieces[#pieces + 1] = data
  end
  conn:close()
  return peer.parse(table.concat(pieces), err)
end

-- The request with its n-th call and `times` - 1 behind it failing -> answer or nil; was n reached.
local function faulted(server, n, times, fields)
  local task = moonpark.go(function()
    hard.fail_times(times)
    hard.fail_syscall(n)
    local answer = ask(server, fields)
    local calls = hard.counts()
    works()
    return answer, calls >= n
  end)
  local joined, answer, reached = task:join()
  works()
  if not joined then return nil, true end
  return answer, reached
end

local function is_whole(answer) return answer and #answer.body == tonumber(answer.fields["content-length"]) end

-- n = 1, 2, ... until the fault is not met any more.
local function sweep(folder, times, fields, wanted)
  local server = assert(http.server(http.static(folder), { address = "127.0.0.1:0", on_error = function() end }))
  local running = moonpark.go(server.run, server)
  local n, reached, answer = 0, true, nil
  while reached do
    n = n + 1
    answer, reached = faulted(server, n, times, fields)
    if is_whole(answer) and answer.status < 300 then assert.equal(wanted, answer.body) end
  end
  assert.is_true(is_whole(answer))
  assert.equal(wanted, answer.body)
  server:shutdown(5)
  running:join()
  return n - 1
end

local asked = { ["a file"] = { {}, BYTES }, ["a range"] = { { Range = "bytes=5-9" }, "bytes" } }

describe("in the hard build, a request for", function()
  for name, case in pairs(asked) do
    for _, times in ipairs { 1, 5 } do
      it(("%s survives %d failed calls in a row"):format(name, times), function()
        assert.is_table(hard, "MODE=hard is needed")
        support.with_folder(function(folder)
          assert(fs.mkdir(folder .. "/sub"))
          assert(fs.write(folder .. "/sub/a", BYTES))
          sweep(folder, times, case[1], case[2])
          collectgarbage()
          local descriptors = support.descriptors()
          assert.is_true(sweep(folder, times, case[1], case[2]) > 100)
          collectgarbage()
          collectgarbage()
          assert.equal(descriptors, support.descriptors())
          assert(fs.remove(folder .. "/sub", { recursive = true }))
        end)
      end)
    end
  end
end)
