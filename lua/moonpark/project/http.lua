-- SPDX-License-Identifier: MIT
-- http.lua - the project that `moonpark init --http` writes: a JSON service with routes of its own, their spec, a log,
-- and an orderly end. @NAME@ is its name.

local SERVER = [[
#!/usr/bin/env moonpark
-- @NAME@: an HTTP server. Its routes are in @NAME@/routes.lua.
--
--   moonpark server.lua [address]       127.0.0.1:8080 if none is given; port 0 picks a free one
--
-- SIGTERM and Ctrl-C stop it: running requests have GRACE seconds to finish.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local routes = require "@NAME@.routes"
local systemd = require "moonpark.systemd"

local GRACE = 10 -- seconds

local address = ... or "127.0.0.1:8080"

local function listening(server)
  print("listening on http://" .. server:address())
  systemd.notify { ready = true, status = "listening on " .. server:address() }
  moonpark.go_daemon(systemd.watch):name "watchdog"
end

local sockets = assert(net.inherited()) -- the listener that systemd has opened for us, if it has
local ok, err = http.serve(routes.app(), {
  address = not sockets[1] and address or nil,
  listener = sockets[1],
  grace = GRACE,
  on_listen = listening,
})
if not ok and err ~= "canceled" then
  io.stderr:write("@NAME@: cannot serve ", address, ": ", err, "\n")
  os.exit(1)
end
]]

local ROUTES = [[
-- The routes of @NAME@: notes, kept in memory. A database would take the place of `notes`.

local http = require "moonpark.http"

local M = {}

local LARGEST = 65536 -- bytes of a body

local function fail(res, status, text)
  res.status = status
  return res:json { error = text }
end

-- A router with notes of its own. options.log = false: requests are not logged.
function M.app(options)
  local notes = {}
  local app = http.router()

  app:use(http.request_id())
  if not options or options.log ~= false then app:use(http.logger { format = "pairs" }) end
  app:not_found(function(_, res) return fail(res, 404, "not found") end)

  app:get("/", function(_, res) return res:json { name = "@NAME@", notes = #notes } end)

  app:get("/healthz", function(_, res) return res:send "ok\n" end)

  app:get("/notes", function(_, res) return res:json_list(notes) end)

  app:get("/notes/:id", function(req, res)
    local note = notes[tonumber(req.params.id)]
    if not note then return fail(res, 404, "no such note") end
    return res:json(note)
  end)

  app:post("/notes", function(req, res)
    local body, err = req:json(LARGEST)
    if body == nil then return res:refuse(err) end
    if type(body) ~= "table" or type(body.text) ~= "string" then return fail(res, 422, "a text is missing") end
    local note = { id = #notes + 1, text = body.text }
    notes[note.id] = note
    res.status = 201
    res:set("Location", "/notes/" .. note.id)
    return res:json(note)
  end)

  return app
end

return M
]]

local SPEC = [[
local http = require "moonpark.http"
local moonpark = require "moonpark"
local routes = require "@NAME@.routes"

describe("@NAME@", function()
  local server, serving, client, base

  before_each(function()
    server = assert(http.server(routes.app { log = false }, { address = "127.0.0.1:0" }))
    serving = moonpark.go(function() return server:run() end)
    client = http.client()
    base = "http://" .. server:address()
  end)

  after_each(function()
    client:close()
    server:shutdown()
    serving:join()
  end)

  it("says what it is, and that it is well", function()
    local answer = assert(client:get(base .. "/"))
    assert.same({ name = "@NAME@", notes = 0 }, answer:json())
    assert.equal(200, assert(client:get(base .. "/healthz")).status)
  end)

  it("keeps notes", function()
    local answer = assert(client:post(base .. "/notes", { json = { text = "buy milk" } }))
    assert.same({ 201, "/notes/1" }, { answer.status, answer.headers.location })
    assert.same({ id = 1, text = "buy milk" }, assert(client:get(base .. "/notes/1")):json())
    assert.equal(1, #assert(client:get(base .. "/notes")):json())
  end)

  it("refuses what is no note", function()
    for body, status in pairs { ["{"] = 400, ["{}"] = 422, ["[1]"] = 422, ['"text"'] = 422 } do
      local answer = assert(client:post(base .. "/notes", { body = body }))
      assert.equal(status, answer.status, body)
    end
  end)

  it("has no other pages", function()
    for _, path in ipairs { "/none", "/notes/1", "/notes/x" } do
      local answer = assert(client:get(base .. path))
      assert.equal(404, answer.status)
      assert.is_string(answer:json().error)
    end
  end)
end)
]]

local README = [[
# @NAME@

An HTTP server on moonpark: notes as JSON, kept in memory.

## Run

```
moonpark server.lua                 on 127.0.0.1:8080; Ctrl-C lets running requests finish
moonpark --watch server.lua         the same, started again when a file changes
curl http://127.0.0.1:8080/
curl -d '{"text": "buy milk"}' http://127.0.0.1:8080/notes
```

The routes are in `@NAME@/routes.lua`. Each request is a line on the standard output.

## Test

```
busted                              runs spec/, through moonpark's HTTP client
moonpark check server.lua @NAME@/routes.lua      looks for mistakes without running them
```

## Deploy

```
moonpark init --deploy              writes units for systemd, a Dockerfile and a health check
moonpark --workers auto server.lua :8080
luarocks --lua-version 5.1 make     installs the command @NAME@
```

With workers each process has its own notes: what they share belongs in `moonpark.shared` or a database.
]]

return {
  files = {
    { path = "server.lua", text = SERVER },
    { path = "@NAME@/routes.lua", text = ROUTES },
    { path = "spec/routes_spec.lua", text = SPEC },
  },
  readme = README,
  modules = ' ["@NAME@.routes"] = "@NAME@/routes.lua" ',
  steps = {
    "busted                  # its spec",
    "moonpark server.lua     # the server; Ctrl-C stops it",
    "curl http://127.0.0.1:8080/    # in another terminal",
  },
}
