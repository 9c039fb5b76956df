-- SPDX-License-Identifier: MIT
-- listing_browser_spec.lua - a folder's page as people use it, in a Chromium.

local browser = require "support.browser"
local fs = require "moonpark.fs"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local process = require "support.process"
local support = require "support.file_response"

local SHOWN = [[[...document.querySelectorAll("tbody tr")].filter(row => row.offsetHeight && row.className != "up")
  .map(row => row.cells[0].textContent).join("|")]]

-- body(page): the page of a folder with d/, d2/ and files of different sizes and ages.
local function with_page(width, body)
  return function()
    local folder = process.run("mktemp -d").out:match "%S+"
    for _, name in ipairs { "d", "d2" } do assert(fs.mkdir(folder .. "/shown/" .. name, { parents = true })) end
    for i, name in ipairs { "b10", "b9", "long-" .. ("name"):rep(30), "<i>" } do
      assert(fs.write(folder .. "/shown/" .. name, ("x"):rep(10 * i)))
      support.touch(folder .. "/shown/" .. name, 1700000000 - 100000 * i)
    end
    support.served(http.static(folder, { listing = true }), function(_, server)
      local b = browser.start()
      local ok, err = pcall(function()
        local page = b:open("http://" .. server:address() .. "/shown/", width, 640)
        page:wait_for "document.querySelector('th button')"
        body(page)
        local path = os.getenv "MOONPARK_SCREENSHOTS"
        if path then page:screenshot(("%s/listing-%d.png"):format(path, width)) end
      end)
      b:stop()
      if not ok then error(err, 0) end
    end)()
    process.run { "rm", "-r", folder }
  end
end

local LONG = "long-" .. ("name"):rep(30)

describe("a folder's page in a browser", function()
  if not browser.is_installed() then
    pending "needs chromium"
    return
  end
  moonpark.testing.timeout(120)

  it("sorts by its columns, folders first, and back", with_page(1000, function(page)
    assert.equal("d/|d2/|<i>|b9|b10|" .. LONG, page:run(SHOWN))
    page:click "th:nth-child(2) button"
    assert.equal("d/|d2/|<i>|" .. LONG .. "|b9|b10", page:run(SHOWN))
    assert.equal("descending", page:run "document.querySelectorAll('th')[1].getAttribute('aria-sort')")
    page:click "th:nth-child(2) button"
    assert.equal("d/|d2/|b10|b9|" .. LONG .. "|<i>", page:run(SHOWN))
    page:click "th:nth-child(3) button"
    assert.equal("b10|b9|" .. LONG .. "|<i>", (page:run(SHOWN):gsub("^d2?/|d2?/|", "")))
    page:click "th:nth-child(1) button"
    assert.equal("d/|d2/|<i>|b9|b10|" .. LONG, page:run(SHOWN))
    page:click "th:nth-child(1) button"
    assert.equal("d2/|d/|" .. LONG .. "|b10|b9|<i>", page:run(SHOWN))
  end))

  it("filters by name, and says how many are left", with_page(1000, function(page)
    page:type("input", "B1")
    assert.equal("b10", page:run(SHOWN))
    assert.equal("1 of 6", page:run "document.querySelector('header p').textContent")
    page:type("input", "-none-")
    assert.equal('No name contains "B1-none-"', page:run(SHOWN))
    page:run "document.querySelector('input').dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }))"
    assert.equal("d/|d2/|<i>|b9|b10|" .. LONG, page:run(SHOWN))
  end))

  it("shows times of the reader's place", with_page(1000, function(page)
    page:call("Emulation.setTimezoneOverride", { timezoneId = "Asia/Kolkata" })
    page:run "location.reload()"
    page:wait_for "[...document.querySelectorAll('td:last-child')].some(cell => cell.textContent == '2023-11-13 23:56')"
    assert.equal("Modified", page:run "document.querySelectorAll('th')[2].textContent")
  end))

  it("fits a telephone", with_page(360, function(page)
    assert.equal(360, page:run "document.documentElement.scrollWidth")
    assert.equal("", page:run [[[...document.querySelectorAll("td, th")]
      .filter(e => e.getBoundingClientRect().right > 360).map(e => e.textContent).join("|")]])
    assert.equal("", page:run [[[...document.querySelectorAll("tbody tr")].filter(e => !e.hidden && e.offsetHeight < 40)
      .map(e => e.textContent).join("|")]]) -- for thumbs
  end))
end)
