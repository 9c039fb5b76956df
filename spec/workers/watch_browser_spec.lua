-- SPDX-License-Identifier: MIT
-- watch_browser_spec.lua - the page of `moonpark --watch` for code that does not start, in a browser.

local browser = require "support.browser"
local http = require "moonpark.http"
local process = require "support.process"
local watched = require "support.watched"

local SCREENSHOTS = os.getenv "MOONPARK_SCREENSHOTS" -- a folder, for those who want to see the pages

local FAILING = [[
local M = {}

-- How we greet <everybody>.
local function greeting_of(name)
  local words = M.words
  return words.hello .. ", " .. name
end

M.text = greeting_of "world"

return M.text
]]

describe("the page of moonpark --watch for code that does not start", function()
  local program, window
  before_each(function()
    program = watched.start { ["app.lua"] = [[
      local http = require "moonpark.http"
      local text = require "greetings"
      assert(http.serve(function(_, res)
        res.type = "text/html"
        res:send("<!doctype html><title>app</title><p id=text>" .. text .. "</p>")
      end, { address = "127.0.0.1:0",
        on_listen = function(server) print("listening on " .. server:address()) end }))
    ]], ["greetings.lua"] = "return 'first'" }
    program:listening()
    window = browser.start()
  end)
  after_each(process.stop_all)

  local function look(page, name)
    if SCREENSHOTS then page:screenshot(("%s/watch-%s.png"):format(SCREENSHOTS, name)) end
  end

  -- The code does not start, and its page is there: until then the old code answers.
  local function fails()
    program:failed()
    local client = http.client()
    local answer
    repeat
      answer = client:get("http://" .. program.address .. "/")
    until answer and answer.body:find("does not start", 1, true)
    client:close()
  end

  local function shows(page, text)
    page:wait_for(("document.querySelector('#text')?.textContent == '%s'"):format(text))
  end

  local function theme(page, value)
    page:call("Emulation.setEmulatedMedia", { features = { { name = "prefers-color-scheme", value = value } } })
  end

  it("shows the failure where it is, and loads itself again when another one or the mended code is there", function()
    local page = window:open("http://" .. program.address .. "/", 860, 720)
    shows(page, "first")
    program:save("greetings.lua", FAILING)
    fails()
    page:call("Page.reload")
    page:wait_for "document.querySelector('.failed')"
    assert.equal("app.lua does not start", page:run "document.querySelector('h1').textContent")
    assert.matches("attempt to index local 'words'", page:run "document.querySelector('.message').textContent")
    assert.equal("./greetings.lua:6", page:run "document.querySelector('main > .place').textContent")
    assert.equal("6  return words.hello .. \", \" .. name", page:run "document.querySelector('.failed').textContent")
    look(page, "light")
    theme(page, "dark")
    look(page, "dark")
    program:save("greetings.lua", "return 'second'")
    shows(page, "second")
    program:stop()
    window:stop()
  end)

  it("shows the next failure by itself", function()
    program:save("greetings.lua", FAILING)
    fails()
    local page = window:open("http://" .. program.address .. "/", 480, 640)
    page:wait_for "document.querySelector('.failed')"
    look(page, "narrow")
    program:save("greetings.lua", "local name = = 'x'")
    page:wait_for "document.querySelector('.message')?.textContent.includes(\"near '='\")"
    look(page, "syntax")
    program:save("greetings.lua", "return 'mended'")
    shows(page, "mended")
    program:stop()
    window:stop()
  end)

  it("shows the failure of a handler, too", function()
    program:save("app.lua", [[
      local http = require "moonpark.http"
      local greetings = require "greetings"
      local app = http.router()
      app:get("/", function(_, res)
        res.type = "text/html"
        res:send("<p id=text>" .. greetings.of(nil))
      end)
      assert(http.serve(app, { address = "127.0.0.1:0", on_error = function() end }))
    ]])
    program:save("greetings.lua", "local M = {}\nfunction M.of(name) return 'Hello, ' .. name end\nreturn M\n")
    program:restarted()
    local page = window:open("http://" .. program.address .. "/", 860, 720)
    page:wait_for "document.querySelector('.failed')"
    look(page, "handler")
    program:save("greetings.lua", "return { of = function() return 'mended' end }")
    shows(page, "mended")
    program:stop()
    window:stop()
  end)
end)
