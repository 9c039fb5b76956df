-- SPDX-License-Identifier: MIT
-- https_reload_spec.lua - a server's certificates are read again while it serves.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local support = require "support.http"
local tls = require "moonpark.tls"
local certificates = require "support.tls"

describe("a server whose certificates are reloaded", function()
  after_each(support.stop_all)

  it("answers all requests meanwhile, on connections old and new", function()
    local context, client = certificates.server(), certificates.client()
    local server = support.start(function(_, res) res:send(("x"):rep(50000)) end, { tls = context })
    local url = "https://localhost:" .. server.port .. "/"
    local answers = 0
    moonpark.scope(function(scope)
      for _ = 1, 8 do
        scope:go(function()
          local own = http.client { tls = client }
          for i = 1, 10 do
            assert(context:reload())
            local answer = assert(own:get(url, { keep_alive = i % 3 > 0 }))
            assert.equal(50000, #answer.body)
            answers = answers + 1
          end
          own:close()
        end)
      end
    end)
    assert.equal(80, answers)
    support.stop_all()
    assert.equal(0, tls.stats().open)
  end)
end)
