-- SPDX-License-Identifier: MIT
-- dashboard-feed_spec.lua - examples/dashboard-feed.lua as its users meet it.

local cjson = require "cjson"
local curl = require "support.curl"
local example = require "support.example"
local http = require "moonpark.http"
local process = require "support.process"

describe("examples/dashboard-feed.lua", function()
  after_each(process.stop_all)

  it("has a page, and pushes figures to all who look", function()
    local feed = example.start("dashboard-feed.lua")
    assert.matches("<title>dashboard</title>", curl(feed, "/").out, 1, true)
    local address = "ws://" .. feed.address .. "/feed"
    local one, two = assert(http.websocket(address)), assert(http.websocket(address))
    for _, ws in ipairs { one, two } do
      local last = 0
      for _ = 1, 3 do
        for _, sample in ipairs(cjson.decode((assert(ws:receive(20))))) do
          assert.is_true(sample.time > last)
          last = sample.time
          for _, name in ipairs { "memory", "tasks", "requests", "viewers", "late" } do
            assert.is_true(sample[name] >= 0)
          end
        end
      end
    end
    assert.is_true(two:close())
    one:abort()
    feed:stop()
  end)
end)
