-- SPDX-License-Identifier: MIT
-- support/browser.lua - a headless Chromium for specs, driven over its DevTools protocol by our own WebSocket client.
--
--   local browser = require "support.browser"
--   local b = browser.start()                            raises if there is none: see browser.is_installed
--   local page = b:open("http://127.0.0.1:8080/")        returns once it is loaded
--   page:run("document.title")                           the value of an expression, awaited if it is a promise
--   page:wait_for("document.querySelector('li')")        until it is true
--   page:type("#name", "ann") page:click("#enter")
--   page:screenshot("/tmp/page.png")
--   b:stop()
--
-- Chromium's own documentation of the protocol: https://chromedevtools.github.io/devtools-protocol/

local cjson = require "cjson"
local core = require "moonpark.core"
local http = require "moonpark.http"
local process = require "support.process"

local M = {}

local PATIENCE = 60           -- seconds; nothing in these specs takes as long, so whoever does hangs
local LARGEST = 64 * 1048576 -- bytes of a message: a screenshot is one

--- Is there a Chromium?
---@return boolean
function M.is_installed() return process.run({ "sh", "-c", "command -v chromium" }).status == 0 end

---@class browser
local Browser = {}
Browser.__index = Browser

---@class browser.page
local Page = {}
Page.__index = Page

-- What the sanitized builds preload is not for a program of that size.
local function launch(folder)
  return process.start({ "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--hide-scrollbars", "--remote-debugging-port=0", "--user-data-dir=" .. folder, "about:blank" },
    { env = { LD_PRELOAD = false, ASAN_OPTIONS = false } })
end

--- Starts one, with a profile of its own.
---@return browser
function M.start()
  local folder = process.run("mktemp -d").out:match "%S+"
  local child = launch(folder)
  child:expect("DevTools listening on ", "err")
  local socket = assert(http.websocket(child:line "err", { max_message = LARGEST, timeout = PATIENCE }))
  return setmetatable({ child = child, folder = folder, socket = socket, last = 0 }, Browser)
end

-- Sends a command and returns its result; events that come meanwhile are none of ours.
function Browser:call(method, params, session)
  self.last = self.last + 1
  local message = { id = self.last, method = method, params = params, sessionId = session }
  assert(self.socket:send(cjson.encode(message)))
  while true do
    local answer = cjson.decode((assert(self.socket:receive(PATIENCE))))
    if answer.id == self.last then
      assert(not answer.error, answer.error and method .. ": " .. answer.error.message)
      return answer.result
    end
  end
end

--- Opens a page in a window of its own.
---@param address string
---@param width? integer
---@param height? integer
---@return browser.page
function Browser:open(address, width, height)
  local target = self:call("Target.createTarget", { url = "about:blank" }).targetId
  local session = self:call("Target.attachToTarget", { targetId = target, flatten = true }).sessionId
  local page = setmetatable({ browser = self, session = session }, Page)
  page:call("Emulation.setDeviceMetricsOverride", { width = width or 480, height = height or 640, deviceScaleFactor = 1,
    mobile = false })
  page:call("Page.navigate", { url = address })
  page:wait_for(("location.href.startsWith(%s) && document.readyState == 'complete'"):format(cjson.encode(address)))
  return page
end

function Browser:stop()
  self.socket:close()
  self.child:stop()
  process.run({ "rm", "-rf", self.folder })
end

function Page:call(method, params) return self.browser:call(method, params, self.session) end

--- The value of an expression in the page; raises what it throws.
---@param expression string
---@return any
function Page:run(expression)
  local answer = self:call("Runtime.evaluate", { expression = expression, awaitPromise = true, returnByValue = true })
  local thrown = answer.exceptionDetails
  assert(not thrown, thrown and (thrown.exception and thrown.exception.description or thrown.text))
  return answer.result.value
end

--- Asks again and again until an expression is true.
---@param expression string
function Page:wait_for(expression)
  local since = os.time()
  while not self:run(("!!(%s)"):format(expression)) do
    if os.time() - since > PATIENCE then
      error(("%s is not true after %d s; the page says:\n%s"):format(expression, PATIENCE,
        self:run "document.body.innerText"), 2)
    end
    assert(core.sleep(0.02))
  end
end

--- Puts the focus on an element and types a text.
---@param selector string
---@param text string
function Page:type(selector, text)
  self:run(("document.querySelector(%s).focus()"):format(cjson.encode(selector)))
  self:call("Input.insertText", { text = text })
end

---@param selector string
function Page:click(selector) self:run(("document.querySelector(%s).click()"):format(cjson.encode(selector))) end

--- Writes what a person sees to a PNG file.
---@param path string
function Page:screenshot(path)
  local data = self:call("Page.captureScreenshot", { format = "png" }).data
  local file = assert(io.open(path .. ".base64", "w"))
  file:write(data)
  file:close()
  assert(process.run(("base64 -d '%s.base64' >'%s' && rm '%s.base64'"):format(path, path, path)).status == 0)
end

return M
