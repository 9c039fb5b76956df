-- SPDX-License-Identifier: MIT
-- middleware_spec.lua - the order in which middleware and a handler act, whether it gets `next` or only comes before.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local middleware = require "moonpark.http.middleware"
local support = require "support.http"

describe("a chain of middleware", function()
  after_each(support.stop_all)

  local acts

  before_each(function() acts = {} end)

  local function note(text) acts[#acts + 1] = text end

  local function around(name)
    return function(_, _, next)
      note(name .. "(")
      next()
      note(")" .. name)
    end
  end

  local function before(name, answer)
    return middleware.before(function(_, res)
      note(name)
      if answer then
        res:fail(answer)
        return false
      end
    end)
  end

  local function ask(...)
    local app = http.router()
    for _, one in ipairs { ... } do app:use(one) end
    app:get("/", function(_, res)
      note "handler"
      res:send "sent"
    end)
    return support.start(app):ask "GET / HTTP/1.1"
  end

  it("acts from the outermost to the handler and back", function()
    assert.equal("sent", ask(around "a", before "b", around "c", before "d", before "e").body)
    assert.same({ "a(", "b", "c(", "d", "e", "handler", ")c", ")a" }, acts)
  end)

  it("ends where one answers in the handler's place", function()
    assert.equal(403, ask(around "a", before("b", 403), before "c").status)
    assert.same({ "a(", "b", ")a" }, acts)
  end)

  it("is answered with 500 if one raises", function()
    local server = support.start(http.router():use(middleware.before(function() error "lost" end)):get("/", print))
    assert.equal(500, server:ask("GET / HTTP/1.1").status)
    assert.matches("lost", server:take_log())
  end)

  it("may be called by hand: what comes before calls next, unless it has answered", function()
    local handler = function(req, res) return before "b"(req, res, function() return res:send "next" end) end
    assert.equal("next", support.start(handler):ask("GET / HTTP/1.1").body)
    handler = function(req, res) return before("b", 404)(req, res, function() return res:send "next" end) end
    assert.equal(404, support.start(handler):ask("GET / HTTP/1.1").status)
  end)

  it("keeps its own state for each of two requests that are in it at the same time", function()
    local names = {}
    local app = http.router():use(function(req, _, next)
      moonpark.yield()
      next()
      names[#names + 1] = req.query.name
    end):use(http.request_id { make = function() return "id" end })
    app:get("/:name", function(req, res)
      moonpark.yield()
      assert.equal(req.query.name, req.params.name)
      res:send(req.params.name .. req.id)
    end)
    local server, tasks = support.start(app), {}
    for i = 1, 5 do
      tasks[i] = moonpark.go(function() return server:ask(("GET /%d?name=%d HTTP/1.1"):format(i, i)).body end)
    end
    for i = 1, 5 do assert.same({ true, i .. "id" }, { tasks[i]:join() }) end
    assert.equal(5, #names)
  end)
end)
