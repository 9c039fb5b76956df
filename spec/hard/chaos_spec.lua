-- SPDX-License-Identifier: MIT
-- A server and its clients in which calls fail by chance (chaos.lua), always the same ones; and what such runs have
-- found. Needs the hard build.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local testing = require "moonpark.testing"

local hard = core.hard
local EPIPE = 32
local AT_ONCE = 4 -- processes
local RATES = { -- one system call in so many, one allocation in so many
  { 30, 0 }, { 150, 0 }, { 1000, 0 }, { 0, 60 }, { 200, 150 }, { 500, 25 },
}
local SEEDS, ROUNDS = 6, 12 -- for each of them

testing.timeout(300)

if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation

local function works()
  hard.fail_with(0)
  hard.fail_syscall(0)
  hard.fail_alloc(0)
  hard.fail_times(1)
end

local function runs()
  local list = {}
  for i, rate in ipairs(RATES) do
    for seed = 1, SEEDS do list[#list + 1] = { i * 1000 + seed, rate[1], rate[2], ROUNDS } end
  end
  return list
end

describe("where calls fail by chance", function()
  setup(function() assert.is_table(hard, "MODE=hard is needed") end)
  after_each(process.stop_all)

  for _, poller in ipairs { "epoll", "poll" } do
    it("a server and its clients neither hang, nor mix up bytes, nor leave anything behind, over " .. poller, function()
      local list, script = runs(), process.root .. "/spec/hard/chaos.lua"
      moonpark.scope(function(scope)
        for _ = 1, AT_ONCE do
          scope:go(function()
            while #list > 0 do
              local run = table.remove(list)
              local child = process.run({ process.interpreter, script, unpack(run) },
                { env = { MOONPARK_POLLER = poller } })
              assert.equal(0, child.status, table.concat(run, " ") .. ":\n" .. child.out .. child.err)
            end
          end)
        end
      end)
    end)
  end
end)

-- fn() with its n-th call of that kind failing, and those after it, for every `step`-th n until there is none.
local function sweep(kind, times, step, fn)
  local n, reached = 1 - step, true
  while reached do
    n = n + step
    hard.fail_times(times)
    fn(function() hard["fail_" .. kind](n) end)
    local calls, allocs = hard.counts()
    reached = (kind == "alloc" and allocs or calls) >= n
    works()
  end
  return n
end

describe("in the hard build", function()
  after_each(works)

  local function echoing(body)
    local server = assert(http.server(function(req, res) res:send(assert(req:body())) end,
      { address = "127.0.0.1:0", idle_timeout = 0, head_timeout = 0, io_timeout = 0, on_error = function() end }))
    local running = moonpark.go(server.run, server)
    body("http://" .. server:address() .. "/")
    server:shutdown(0)
    running:join()
  end

  -- The server has half a request, and waits for the rest.
  for name, body in pairs { ["a text"] = "b", ["pieces"] = true } do
    it("a request with " .. name .. " that could not be sent does not wait for an answer that nobody gives", function()
      for times, step in ipairs { 1, 60 } do -- two: nor can the server be told, and is waited for a moment
        local count = sweep("syscall", times, step, function(fail)
          echoing(function(url) -- one each: accepting is over after an error that does not pass
            hard.fail_with(EPIPE)
            local pieces = { "b" }
            local client = http.client {}
            local task = moonpark.go(function()
              fail()
              return client:request { url = url, method = "POST",
                body = body == true and function() return table.remove(pieces) end or body }
            end)
            assert.is_true((task:join(60)), "it hangs")
            client:close()
          end)
        end)
        assert.is_true(count > 100)
      end
    end)
  end

  it("a server that could not run has closed its listener", function()
    local count = sweep("alloc", 1, 1, function(fail)
      local server = assert(http.server(function() end, { address = "127.0.0.1:0", on_error = function() end }))
      local address = server:address()
      local running = moonpark.go(function()
        collectgarbage "stop"
        fail()
        return server:run()
      end)
      moonpark.yield()
      moonpark.yield()
      works()
      collectgarbage "restart"
      for _ = 1, 5 do moonpark.yield() end
      if running:status() == "failed" then
        local conn = net.dial(address)
        assert.is_nil(conn)
        running:join()
      else
        server:shutdown(0)
        assert.is_true((running:join()))
      end
    end)
    assert.is_true(count > 1)
  end)
end)
