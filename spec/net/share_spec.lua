-- SPDX-License-Identifier: MIT
-- share_spec.lua - workers that share a listener spread its connections evenly; real processes, and their ends.
-- The rule alone is in board_spec.lua.

local core = require "moonpark.core"
local fleet = require "support.fleet"
local tls = require "support.tls"

local WORKERS, LONG, SHORT = 4, 64, 4000

after_each(fleet.stop_all)

local kinds = {
  plain = { count = WORKERS, kind = "plain" },
  http = { count = WORKERS, kind = "http" },
  tls = { count = WORKERS, kind = "tls", tls = tls.client(), server_name = "localhost",
    worker = { cert = tls.files.host_crt, key = tls.files.host_key } },
}

for _, kind in ipairs { "plain", "http", "tls" } do
  describe("workers that share a listener: " .. kind, function()
    it("differ by at most 3 of 64 connections that come at once", function()
      local workers = fleet.start(kinds[kind])
      local counts = workers:open(LONG, true)
      assert.is_true(fleet.spread(counts) <= 3, table.concat(counts, " ") .. "\n" .. workers:describe())
    end)

    it("differ by at most 3 of 64 connections that come one after another", function()
      local workers = fleet.start(kinds[kind])
      local counts = workers:open(LONG, false)
      assert.is_true(fleet.spread(counts) <= 3, table.concat(counts, " ") .. "\n" .. workers:describe())
    end)

    it("count a connection until it is closed", function()
      local workers = fleet.start(kinds[kind])
      workers:open(LONG, true)
      workers:close_all()
      workers:await(function(slots)
        local open, accepted = 0, 0
        for _, s in ipairs(slots) do open, accepted = open + s.open, accepted + s.accepted end
        return open == 0 and accepted == LONG
      end, "none is open")
    end)
  end)
end
