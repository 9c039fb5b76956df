-- SPDX-License-Identifier: MIT
-- websocket-chat_browser_spec.lua - the page of examples/websocket-chat.lua in a browser, in two windows.

local browser = require "support.browser"
local example = require "support.example"
local process = require "support.process"

local SCREENSHOTS = os.getenv "MOONPARK_SCREENSHOTS" -- a folder, for those who want to see the pages

describe("the page of examples/websocket-chat.lua", function()
  local chat, windows
  before_each(function()
    chat = example.start("websocket-chat.lua")
    windows = browser.start()
  end)
  after_each(process.stop_all)

  local function look(page, name)
    if SCREENSHOTS then page:screenshot(("%s/chat-%s.png"):format(SCREENSHOTS, name)) end
  end

  local function enter(name)
    local page = windows:open("http://" .. chat.address .. "/")
    look(page, "door")
    page:type("#name", name)
    page:click "#join button"
    page:wait_for "document.querySelector('#state.open')"
    return page
  end

  local function say(page, text)
    page:type("#text", text)
    page:click "#send"
  end

  local function hears(page, who, text)
    page:wait_for(("[...document.querySelectorAll('.said')].some(e => e.querySelector('b').textContent == '%s' && "
      .. "e.textContent.endsWith('%s'))"):format(who, text))
  end

  it("lets two windows talk", function()
    local ann, bob = enter "Ann", enter "Bob"
    ann:wait_for "document.querySelector('#people').textContent == 'Ann, Bob'"
    say(ann, "Good evening, Bob")
    hears(bob, "Ann", "Good evening, Bob")
    say(bob, "<b>Hello</b>, Ann ☾")
    hears(ann, "Bob", "<b>Hello</b>, Ann ☾")
    assert.equal("", ann:run "document.querySelector('#text').value")
    look(ann, "ann")
    look(bob, "bob")
    windows:stop()
    chat:stop()
  end)

  it("asks for another name if somebody has that one", function()
    enter "Ann"
    local second = windows:open("http://" .. chat.address .. "/")
    second:type("#name", "Ann")
    second:click "#join button"
    second:wait_for "document.querySelector('#why')?.hidden === false"
    assert.equal("Somebody in that room is called Ann already.",
      second:run "document.querySelector('#why').textContent")
    look(second, "taken")
    second:type("#name", "Eve")
    second:click "#join button"
    second:wait_for "document.querySelector('#people').textContent == 'Ann, Eve'"
    windows:stop()
    chat:stop()
  end)

  it("shows what was said before, and says when the server has gone", function()
    local ann = enter "Ann"
    say(ann, "Is anybody here?")
    hears(ann, "Ann", "Is anybody here?")
    local bob = enter "Bob"
    hears(bob, "Ann", "Is anybody here?")
    chat:stop()
    bob:wait_for "!document.querySelector('#state.open') && document.querySelector('#send').disabled"
    bob:wait_for "document.querySelector('#list').textContent.includes('The server has gone')"
    look(bob, "gone")
    windows:stop()
  end)
end)
