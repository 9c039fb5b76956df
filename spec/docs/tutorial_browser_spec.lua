-- SPDX-License-Identifier: MIT
-- tutorial_browser_spec.lua - the page that docs/tutorial.md builds, in a browser.

local browser = require "support.browser"
local page = require "support.page"
local process = require "support.process"
local testing = require "moonpark.testing"

local screenshots = os.getenv "MOONPARK_SCREENSHOTS"

describe("the page of docs/tutorial.md", function()
  testing.timeout(120)
  local reader, chromium

  after_each(function()
    if chromium then chromium:stop() end
    if reader then reader:stop() end
    process.stop_all()
  end)

  -- What the tutorial has written when its server runs with the page.
  local function follow()
    reader = page.reader(testing.tempdir())
    for _, section in ipairs(page.sections "docs/tutorial.md") do
      if section.title ~= "A first program" and section.title ~= "A thousand things at once" then
        if section.title == "Tests of the service" then return end
        for _, block in ipairs(section.blocks) do
          local is_console = block.info:find "^console"
          if not is_console or block.lines[1] == "$ moonpark init probe" then reader:follow { blocks = { block } } end
        end
      end
    end
    error "there is no such section any more"
  end

  it("shows in one window what is entered in another, as text", function()
    if not browser.is_installed() then return pending "chromium is not installed" end
    follow()
    reader:follow { blocks = { { info = "console in the background", line = 0, page = "",
      lines = { "$ moonpark server.lua", "listening on http://127.0.0.1:8080" } } } }
    local base = "http://" .. reader.host .. ":8080"
    chromium = browser.start()
    local one, other = chromium:open(base .. "/"), chromium:open(base .. "/")
    one:type("input", base .. "/healthz")
    one:click "button"
    one:wait_for "document.querySelector('td.done')"
    other:wait_for "document.querySelector('td.done')"
    assert.equal(base .. "/healthz", other:run "document.querySelector('td').textContent")
    assert.equal("200", other:run "document.querySelector('td.done').textContent")
    one:type("input", base:gsub("8080", "1") .. "/<b>")
    one:click "button"
    other:wait_for "document.querySelector('td.failed')"
    assert.equal("connection refused", other:run "document.querySelector('td.failed').textContent")
    assert.equal(0, other:run "document.querySelectorAll('b').length")
    if screenshots then other:screenshot(screenshots .. "/tutorial.png") end
  end)
end)
