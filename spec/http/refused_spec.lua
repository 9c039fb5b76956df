-- SPDX-License-Identifier: MIT
-- refused_spec.lua - requests that no handler sees: which status answers them, and with what behind its head.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local http = require "support.http"
local wire = require "support.http_wire"

local GET, get = wire.GET, wire.get
local status_of, is_closed = wire.status_of, wire.is_closed

after_each(http.stop_all)

-- A server whose handler must not be asked but for GET /.
local function start(options)
  return http.start(function(req, res)
    assert(req.method == "GET" and req.raw_path == "/", req.method)
    res:send "ok"
  end, options)
end

-- All that is answered to those bytes, which are the last but for the end.
local function raw(server, bytes)
  local conn = server:dial()
  assert(conn:write(bytes))
  local all = assert(conn:read_all())
  conn:close()
  return all
end

local function status(all) return tonumber(all:match "^HTTP/1.1 (%d%d%d) ") end
local function body(all) return all:match "\r\n\r\n(.*)$" end

describe("a head that is longer than max_head", function()
  local LONG = { max_head = 1000 }

  local function answers(wanted, ...)
    local server = start(LONG)
    for _, bytes in ipairs { ... } do
      assert.equal(wanted, status(raw(server, bytes)), bytes:sub(1, 40))
      assert.equal(wanted, status(raw(server, "\r\n\r\n" .. bytes)), bytes:sub(1, 40))
      local conn = server:dial()
      assert.equal(200, status_of(conn, GET))
      assert.equal(wanted, status_of(conn, bytes))
      is_closed(conn)
      conn:close()
    end
  end

  it("is answered with 414 where its target has no end, or takes more than half of that", function()
    answers(414, get("/" .. ("y"):rep(2000)), get("/?" .. ("y"):rep(1000)), get("http://a/" .. ("y"):rep(990)),
      "GET /" .. ("y"):rep(995), "GET /" .. ("y"):rep(600) .. " HTTP/1.1\r\nHost: a\r\nX: " .. ("y"):rep(600))
  end)

  it("is answered with 431 where its fields take more", function()
    answers(431, "GET / HTTP/1.1\r\nX: " .. ("y"):rep(2000), "GET / HTTP/1.1\r\n" .. ("y"):rep(2000),
      "GET / HTTP/1.1\r\n" .. ("X: y\r\n"):rep(90) .. ("y"):rep(900),
      "GET /" .. ("y"):rep(400) .. " HTTP/1.1\r\nHost: a\r\nX: " .. ("y"):rep(600))
  end)

  it("is answered with 501 where its method has no end", function() answers(501, ("M"):rep(1000), ("M"):rep(2000)) end)

  it("is taken up to that length, however it is made of target and fields", function()
    local server = http.start(function(req, res) res:send(#req.target) end, LONG)
    local conn = server:dial()
    for _, n in ipairs { 1, 499, 974 } do
      local head = get("/" .. ("y"):rep(n - 1))
      head = head:sub(1, -3) .. (n < 974 and "X: " .. ("z"):rep(1000 - #head - 5) .. "\r\n" or "") .. "\r\n"
      assert.is_true(n == 974 or #head == 1000)
      conn:write(head)
      local answer = http.read_answer(conn)
      assert.same({ 200, tostring(n) }, { answer.status, answer.body })
    end
    conn:close()
  end)
end)

describe("a HEAD that is refused has no body in its answer", function()
  local function head(fields, line) return (line or "HEAD / HTTP/1.1") .. "\r\nHost: a\r\n" .. fields .. "\r\n" end

  local cases = {
    { 400, "HEAD / HTTP/1.1\r\n\r\n" },
    { 400, head("", "HEAD a HTTP/1.1") },
    { 400, head("", "HEAD / HTTP/x") },
    { 400, head "Content-Length: x\r\n" },
    { 400, head "X : y\r\n" },
    { 400, "\r\n\r\nHEAD / HTTP/1.1\n" },
    { 413, head "Content-Length: 101\r\n" },
    { 414, "HEAD /" .. ("y"):rep(2000) },
    { 417, head "Expect: something\r\n" },
    { 431, head("X: " .. ("y"):rep(2000)) },
    { 431, head(("X: y\r\n"):rep(101)) },
    { 501, head "Transfer-Encoding: gzip, chunked\r\n" },
    { 505, head("", "HEAD / HTTP/2.0") },
  }

  for _, case in ipairs(cases) do
    it(("%d: %s"):format(case[1], case[2]:gsub("%s+", " "):sub(1, 50)), function()
      local server = start { max_head = 1000, max_body = 100 }
      local all = raw(server, case[2])
      assert.same({ case[1], "" }, { status(all), body(all) })
      assert.matches("\r\nContent%-Length: %d+\r\n", all) -- what a GET's would have
      all = raw(server, GET .. case[2]):match "\r\n\r\nok(.*)"
      assert.same({ case[1], "" }, { status(all), body(all) })
      all = raw(server, (case[2]:gsub("HEAD", "HEAT")))
      assert.equal(case[1], status(all))
      assert.is_true(#body(all) > 0 and #body(all) == tonumber(all:match "\r\nContent%-Length: (%d+)\r\n"))
    end)
  end

  it("408: its head came too late", function()
    for method, has_body in pairs { HEAD = false, GET = true, HEADS = true } do
      local server = start { head_timeout = 1 }
      local conn, other = server:dial(), server:dial()
      conn:write(method .. " / HTTP/1.1\r\nHo")
      assert.equal(200, status_of(other, GET)) -- what had come before was read
      core.clock_freeze()
      core.clock_advance(2)
      core.clock_thaw()
      local all = conn:read_all()
      assert.same({ 408, has_body }, { status(all), #body(all) > 0 })
      conn:close()
      other:close()
      server:stop()
    end
  end)

  it("413, 400 and 408: the handler could not read its body", function()
    local server = http.start(function(req) req:body() end, { max_body = 3, io_timeout = 0.05 })
    local chunked = "HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for bytes, wanted in pairs { ["4\r\nabcd\r\n0\r\n\r\n"] = 413, ["x\r\n"] = 400, ["1\r\n"] = 408 } do
      local all = raw(server, chunked .. bytes)
      assert.same({ wanted, "" }, { status(all), body(all) })
    end
  end)

  it("503: its time was up", function()
    local server = http.start(function() moonpark.sleep(3600) end, { request_timeout = 0.02 })
    local all = raw(server, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert.same({ 503, "" }, { status(all), body(all) })
  end)
end)
