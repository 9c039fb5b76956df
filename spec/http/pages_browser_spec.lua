-- SPDX-License-Identifier: MIT
-- pages_browser_spec.lua - sessions, http.csrf and templates as a browser takes them.

local browser = require "support.browser"
local http = require "moonpark.http"
local process = require "support.process"
local support = require "support.http"

describe("a browser", function()
  after_each(function()
    support.stop_all()
    process.stop_all()
  end)

  it("keeps the session's cookie from this machine without TLS, hides it from scripts, and sends none across sites",
    function()
      local app = http.router():use((http.sessions { keys = ("k"):rep(32) })):use(http.csrf())
      app:get("/", function(req, res)
        req.session.n = (req.session.n or 0) + 1
        res:html(http.template "<p id=n><%= n %></p>":render { n = req.session.n })
      end)
      local posted = 0
      app:post("/", function(_, res)
        posted = posted + 1
        res:send "posted"
      end)
      local server = support.start(app)
      local window = browser.start()
      local address = "http://localhost:" .. server.port .. "/"
      for i = 1, 3 do
        local page = window:open(address)
        assert.equal(tostring(i), page:run "document.querySelector('#n').textContent")
        assert.equal("", page:run "document.cookie")
        assert.equal(200, page:run "fetch('/', { method: 'POST' }).then(r => r.status)")
      end
      local other = window:open("http://127.0.0.1:" .. server.port .. "/")
      assert.equal(3, posted)
      local arrived = other:run(("fetch('%s', { method: 'POST', mode: 'no-cors', credentials: 'include' })")
        :format(address) .. ".then(r => 1)")
      assert.same({ 1, 3 }, { arrived, posted })
      window:stop()
    end)

  it("runs nothing of what a template has written as a value", function()
    local hostile = {
      "<script>window.hit = 1</script>", "\"><img src=x onerror='window.hit = 1'>", "' onload='window.hit = 1",
      "javascript:window.hit = 1", " java\tscript:window.hit = 1", "</script><script>window.hit = 1</script>",
      "<!--<script>", "\\u003cscript>", "\226\128\168window.hit = 1//", "*/window.hit = 1/*", "${window.hit = 1}",
      "</title><script>window.hit = 1</script>", "`;window.hit = 1;`", "\";window.hit = 1;\"",
    }
    local make = http.template [[<!doctype html><title><%= x %></title>
      <body class="<%= x %>" title='<%= x %>'><a id="a" href="<%= x %>"><%= x %></a><img alt="<%= x %>" src="<%= x %>">
      <script>const seen = <%= x %>; const list = [/['"`]/, <%= { x, x } %>]; window.done = seen</script>
      <script type="application/json" id="data"><%= { x = x } %></script>]]
    local app = http.router()
    app:get("/:i", function(req, res) res:html(make:render { x = hostile[tonumber(req.params.i)] or "" }) end)
    local server = support.start(app)
    local window = browser.start()
    for i, x in ipairs(hostile) do
      local page = window:open(("http://%s/%d"):format(server.address, i))
      assert.equal(x, page:run "window.done")
      assert.equal(x, page:run "JSON.parse(document.querySelector('#data').textContent).x")
      assert.equal(x, page:run "document.body.title")
      assert.equal(x, page:run "document.querySelector('#a').textContent")
      assert.is_false(page:run "document.querySelector('#a').protocol == 'javascript:'")
      assert.equal("none", page:run "window.hit === undefined ? 'none' : 'hit'", x)
    end
    window:stop()
  end)
end)
