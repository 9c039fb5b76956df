-- SPDX-License-Identifier: MIT
-- app.lua - a small Lapis application: what lapis_spec.lua asks.

local cached = require("lapis.cache").cached
local csrf = require "lapis.csrf"
local helpers = require "lapis.application"
local lapis = require "lapis"

local app = lapis.Application()
app:enable "etlua"
app.layout = false

app:before_filter(function(self)
  if self.params.blocked then self:write { "blocked", status = 403 } end
end)

app:get("/", function() return "welcome" end)

app:get("hello", "/hello/:name", function(self)
  return { json = { name = self.params.name, query = self.params.q, link = self:url_for("hello", { name = "x" }) } }
end)

app:get("/page", function(self)
  return self:html(function() h1 "a <title>" end) -- luacheck: ignore
end)

app:post("/login", function(self)
  self.session.user = self.params.user
  return { redirect_to = "/me" }
end)

app:get("/me", function(self) return "user " .. tostring(self.session.user) end)

app:post("/upload", function(self)
  local file = self.params.file
  return ("%s %s %d %s"):format(file.filename, file["content-type"], #file.content, self.params.note)
end)

app:get("/view", function() return { render = "list", layout = require "views.layout" } end)

app:match("/form", helpers.respond_to {
  GET = function(self) return csrf.generate_token(self) end,
  POST = helpers.capture_errors(function(self)
    csrf.assert_token(self)
    require("lapis.validate").assert_valid(self.params, { { "name", exists = true, min_length = 3 } })
    self.cookies.name = self.params.name
    return { redirect_to = self:url_for("hello", { name = self.params.name }) }
  end, function(self) return { status = 400, table.concat(self.errors, ", ") } end),
})

app:post("/json", helpers.json_params(function(self) return { json = self.params, status = 201 } end))

app:get("/cached", cached(function()
  ngx.shared.page_cache:incr("made", 1, 0) -- luacheck: ignore 113
  return tostring(ngx.shared.page_cache:get "made") -- luacheck: ignore 113
end))

app:get("/limited", function()
  local count = ngx.shared.limits:incr(ngx.var.remote_addr, 1, 0, 60) -- luacheck: ignore 113
  return { status = count > 2 and 429 or 200, tostring(count) }
end)

app:get("/fetch", function(self)
  local base = ("http://127.0.0.1:%s"):format(ngx.var.server_port) -- luacheck: ignore 113
  local body, status, headers = require("lapis.http").request(base .. self.params.path)
  local form, answer = require("lapis.http").simple(base .. "/login", { user = "fetched" })
  local none, gone = require("lapis.http").simple "http://127.0.0.1:1/"
  return { json = { body, status, headers["Content-Type"], form, answer, none, gone } }
end)

local Flow = require("lapis.flow").Flow
local Greeting = Flow:extend { answer = function(self) return "flow " .. self.params.name .. self:url_for "hello" end }
app:get("/flow/:name", function(self) return Greeting(self):answer() end)

app:get("/worker", function() return ngx.worker.count() .. " " .. ngx.worker.pid() end) -- luacheck: ignore 113

function app:handle_404() return { status = 404, "nothing at " .. self.req.request_uri } end

app:get("/db", function()
  local db = require "lapis.db"
  return tostring(db.query("select ? :: int * 7 as product", 6)[1].product)
end)

app:get("/sleep", function()
  require("lapis.db").query "select pg_sleep(0.3)"
  return "slept"
end)

app:get("/broken", function() error "broken" end)

app:get("/greeting", function() return tostring(require("lapis.config").get().greeting) end)

app:get("/changed", function() return require "changing" end)

return app
