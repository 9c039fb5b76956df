-- SPDX-License-Identifier: MIT
-- app.lua - a small Lapis application: what lapis_spec.lua asks.

local lapis = require "lapis"

local app = lapis.Application()
app.layout = false

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

app:get("/db", function()
  local db = require "lapis.db"
  return tostring(db.query("select ? :: int * 7 as product", 6)[1].product)
end)

app:get("/sleep", function()
  require("lapis.db").query "select pg_sleep(0.3)"
  return "slept"
end)

app:get("/broken", function() error "broken" end)

app:get("/changed", function() return require "changing" end)

return app
