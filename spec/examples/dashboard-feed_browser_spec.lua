-- SPDX-License-Identifier: MIT
-- dashboard-feed_browser_spec.lua - the page of examples/dashboard-feed.lua in a browser.

local browser = require "support.browser"
local example = require "support.example"
local process = require "support.process"

local SCREENSHOTS = os.getenv "MOONPARK_SCREENSHOTS" -- a folder, for those who want to see the page

describe("the page of examples/dashboard-feed.lua", function()
  after_each(process.stop_all)

  it("draws the numbers that are pushed to it, and says when they have stopped", function()
    local feed = example.start("dashboard-feed.lua")
    local window = browser.start()
    local page = window:open("http://" .. feed.address .. "/", 900, 700)
    page:wait_for "[...document.querySelectorAll('path')].every(p => (p.getAttribute('d') || '').split('L').length > 4)"
    assert.equal(5, page:run "document.querySelectorAll('figure').length")
    assert.equal("1", page:run "document.querySelector('#viewers output').textContent")
    page:wait_for "document.querySelector('#state').textContent == 'live'"
    if SCREENSHOTS then page:screenshot(SCREENSHOTS .. "/dashboard.png") end
    feed:stop()
    page:wait_for "document.querySelector('#state').textContent == 'connecting again'"
    window:stop()
  end)
end)
