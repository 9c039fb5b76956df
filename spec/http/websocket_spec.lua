-- SPDX-License-Identifier: MIT
-- http.websocket, res:websocket: handshakes, and what becomes of a socket with its handler and its server.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local server_of = require "support.http"
local support = require "support.net"
local wire = require "support.websocket"

local KEY, ACCEPT = wire.HANDSHAKE_KEY, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

local function echo(options)
  return function(_, res)
    local ws = res:websocket(options)
    if not ws then return end
    for message, kind in ws:messages() do
      if kind == "text" then ws:send(message) else ws:send_binary(message) end
    end
  end
end

-- Shakes hands by hand: the answer, and the connection.
local function shake(server, changes)
  local conn = server:dial()
  assert(conn:write(server_of.request(wire.handshake(changes or {}))))
  local answer = server_of.read_answer(conn, "HEAD") -- no body is read
  return answer, conn
end

local function url_of(server, path) return "ws://" .. server.address .. (path or "/") end

describe("res:websocket", function()
  after_each(server_of.stop_all)

  it("answers the RFC's handshake, and the connection is a WebSocket", function()
    local server = server_of.start(echo())
    local answer, conn = shake(server)
    assert.equal(101, answer.status)
    assert.equal("HTTP/1.1 101 Switching Protocols", answer.first)
    assert.equal("websocket", answer.headers["upgrade"])
    assert.equal("Upgrade", answer.headers["connection"])
    assert.equal(ACCEPT, answer.headers["sec-websocket-accept"])
    assert.equal(nil, answer.headers["sec-websocket-extensions"])
    conn:write(wire.frame(wire.FIN + wire.TEXT, "Hello", "\55\250\33\61"))
    assert.equal("\129\5Hello", conn:read_exactly(7)) -- RFC 6455 5.7
    conn:close()
  end)

  it("takes the frames that come with the handshake", function()
    local server = server_of.start(echo())
    local conn = server:dial()
    conn:write(server_of.request(wire.handshake {}) .. wire.frame(wire.FIN + wire.TEXT, "at once", "abcd"))
    assert.equal(101, server_of.read_answer(conn, "HEAD").status)
    assert.same({ wire.FIN + wire.TEXT, "at once", false }, { wire.read_frame(conn) })
    conn:close()
  end)

  it("refuses what is no handshake, and says what would be", function()
    local server = server_of.start(echo())
    local function refused(status, changes, name, value)
      local answer, conn = shake(server, changes)
      assert.equal(status, answer.status)
      if name then assert.equal(value, answer.headers[name]) end
      conn:close()
    end
    refused(405, { line = "POST / HTTP/1.1" }, "allow", "GET")
    refused(426, { Upgrade = "h2c" }, "upgrade", "websocket")
    refused(426, { line = "GET / HTTP/1.0" }, "upgrade", "websocket")
    refused(426, { Upgrade = false }, "upgrade", "websocket")
    refused(400, { Connection = "keep-alive" })
    refused(426, { ["Sec-WebSocket-Version"] = "8" }, "sec-websocket-version", "13")
    refused(426, { ["Sec-WebSocket-Version"] = false }, "sec-websocket-version", "13")
    for _, key in ipairs { false, "", "x", KEY .. "=", KEY:sub(1, 22), ("="):rep(24), KEY .. ", " .. KEY,
      KEY .. "\nSec-WebSocket-Key: " .. KEY } do
      refused(400, { ["Sec-WebSocket-Key"] = key })
    end
    refused(400, { ["Content-Length"] = "1" })
    refused(400, { ["Transfer-Encoding"] = "chunked" })
    refused(426, { ["Sec-WebSocket-Version"] = "13, 8" }, "sec-websocket-version", "13")
    for _, names in ipairs { "chat, chat", "chat room", "a/b", "caf\233" } do
      refused(400, { ["Sec-WebSocket-Protocol"] = names })
    end
    local raw, plain = shake(server, { ["Sec-WebSocket-Version"] = "8" })
    assert.matches("upgrade", raw.headers["connection"]:lower(), 1, true) -- RFC 9110 7.8: it names what Upgrade is for
    plain:close()
    local answer, conn = shake(server, { Upgrade = "WebSocket", Connection = "keep-alive, UPGRADE" })
    assert.equal(101, answer.status)
    conn:close()
  end)

  it("agrees on a subprotocol", function()
    local server = server_of.start(function(req, res)
      local subprotocols = req.path == "/list" and { "v2", "v1" } or function(offered) return offered[2] end
      local ws = res:websocket { subprotocols = subprotocols }
      ws:send(tostring(ws.subprotocol))
    end)
    local function picked(path, offered)
      local ws = assert(http.websocket(url_of(server, path), { subprotocols = offered }))
      local said = ws:receive()
      assert.equal(tostring(ws.subprotocol), said)
      ws:close()
      return ws.subprotocol
    end
    assert.equal("v2", picked("/list", { "v1", "v2" }))
    assert.equal("v1", picked("/list", { "v1" }))
    assert.equal(nil, picked("/list", { "v3" }))
    assert.equal(nil, picked("/list", nil))
    assert.equal("b", picked("/ask", { "a", "b" }))
  end)

  it("sends the fields that the handler has set, and raises for broken ones", function()
    local server = server_of.start(function(req, res)
      res:cookie("session", "1"):set("X-Name", req.path == "/bad" and "a\r\nb" or "fine")
      local ws = res:websocket()
      if ws then ws:close() end
    end)
    local answer, conn = shake(server)
    assert.equal("session=1", answer.headers["set-cookie"])
    assert.equal("fine", answer.headers["x-name"])
    conn:close()
    answer, conn = shake(server, { line = "GET /bad HTTP/1.1" })
    assert.equal(500, answer.status)
    conn:close()
    assert.matches("invalid value of header 'X-Name'", server:take_log(), 1, true)
  end)

  it("opens no more than max_connections, with handlers of either kind", function()
    local apart = false
    local server = server_of.start(function(_, res)
      if apart then return res:websocket({}, function(ws) ws:receive() end) end
      local ws = res:websocket()
      if ws then ws:receive() end
    end, { max_connections = 2 })
    local first, one = shake(server)
    apart = true
    local second, two = shake(server)
    local third, three = shake(server)
    assert.same({ 101, 101, 503 }, { first.status, second.status, third.status })
    two:close()
    local fourth, four
    repeat -- the server hears of it in its own time
      if four then four:close() end
      fourth, four = shake(server)
    until fourth.status ~= 503
    assert.equal(101, fourth.status)
    for _, conn in ipairs { one, three, four } do conn:close() end
  end)

  it("opens no more, however long a function picks the subprotocol", function()
    local seen, go = 0, moonpark.event()
    local server = server_of.start(function(_, res)
      local ws = res:websocket { subprotocols = function()
        seen = seen + 1
        go:wait()
      end }
      if ws then ws:receive() else seen = seen + 1 end
    end, { max_connections = 2 })
    go:set()
    local _, first = shake(server)
    go:clear()
    local tasks, statuses = { moonpark.go(shake, server), moonpark.go(shake, server) }, {}
    while seen < 3 do moonpark.sleep(0.001) end
    go:set()
    for i, task in ipairs(tasks) do
      local _, answer, conn = task:join()
      statuses[i] = answer.status
      conn:close()
    end
    table.sort(statuses)
    assert.same({ 101, 503 }, statuses)
    first:close()
  end)

  it("closes with 1000 when the handler returns, and with 1011 when it fails", function()
    local server = server_of.start(function(req, res)
      local ws = res:websocket()
      ws:receive()
      if req.path == "/fail" then error "no reason" end
    end)
    for path, code in pairs { ["/"] = 1000, ["/fail"] = 1011 } do
      local ws = assert(http.websocket(url_of(server, path)))
      ws:send "go"
      assert.same({ nil, "eof" }, { ws:receive() })
      assert.equal(code, (ws:status()))
    end
    assert.matches("error in the handler for GET /fail: .*no reason", server:take_log())
  end)

  it("may have a handler of its own, which the request's need not wait for", function()
    local logged = {}
    local server = server_of.start(function(req, res)
      local name = req.path
      res:after(function() logged[#logged + 1] = name end)
      assert.is_true(res:websocket(nil, function(ws)
        local message = ws:receive()
        if name == "/fail" then error "no reason" end
        ws:send((message or "") .. name)
      end))
    end)
    local ws = assert(http.websocket(url_of(server, "/own")))
    assert.same({ "/own" }, logged)
    ws:send "hello from "
    assert.equal("hello from /own", (ws:receive()))
    assert.same({ nil, "eof" }, { ws:receive() })
    assert.equal(1000, (ws:status()))
    ws = assert(http.websocket(url_of(server, "/fail")))
    ws:send "x"
    assert.same({ nil, "eof" }, { ws:receive() })
    assert.equal(1011, (ws:status()))
    assert.matches("error in the handler of a WebSocket: .*no reason", server:take_log())
    ws = assert(http.websocket(url_of(server, "/own")))
    server:stop()
    assert.same({ nil, "eof" }, { ws:receive() })
    assert.equal(1001, (ws:status()))
  end)

  it("is 101 to a log, after its end", function()
    local lines = {}
    local app = http.router()
    app:use(http.logger { write = function(line) lines[#lines + 1] = line end })
    app:get("/", echo())
    local server = server_of.start(app)
    local ws = assert(http.websocket(url_of(server)))
    assert.same({}, lines)
    ws:close()
    server:stop()
    assert.equal(1, #lines)
    assert.matches(" 101 ", lines[1], 1, true)
  end)

  it("raises for options that do not exist, at the handler's line", function()
    local options, err
    local server = server_of.start(function(_, res)
      local _
      _, err = pcall(function() res:websocket(options) end)
      res:send ""
    end)
    local function raises(text, wrong)
      options = wrong
      local _, conn = shake(server)
      conn:close()
      assert.matches("websocket_spec.lua:%d+: .*" .. text, err)
    end
    raises("unknown option 'max_mesage'; did you mean 'max_message'%?", { max_mesage = 1 })
    raises("'origins' must be a list of origins, a function, or \"%*\"", { origins = "https://a.example" })
    raises("'origins' must be", { origins = { "https://a.example", 1 } })
  end)
end)

describe("a server's shutdown", function()
  after_each(server_of.stop_all)

  it("closes WebSockets with 1001, and waits for the other side", function()
    local ended
    local server = server_of.start(function(_, res)
      local ws = res:websocket()
      local _, err = ws:receive()
      ended = err
    end)
    local ws = assert(http.websocket(url_of(server)))
    local reader = support.parked(ws.receive, ws)
    server:stop()
    assert.equal("closed", ended)
    assert.same({ true, nil, "eof" }, { reader:join() })
    assert.equal(1001, (ws:status()))
  end)

  it("cuts those off whose peers do not answer, and cancels handlers that do something else", function()
    local ends = {}
    local server = server_of.start(function(req, res)
      local ws = res:websocket { close_timeout = 0 }
      if req.path == "/sleep" then ends.sleep = { moonpark.sleep(1000) } return end
      ends.receive = { ws:receive() }
    end)
    local _, one = shake(server)
    local _, two = shake(server, { line = "GET /sleep HTTP/1.1" })
    support.settle()
    server.server:shutdown(0.05)
    assert.same({ nil, "closed" }, ends.receive)
    assert.same({ nil, "canceled" }, ends.sleep)
    assert.same({ wire.FIN + wire.CLOSE, wire.code(1001), false }, { wire.read_frame(one) })
    one:close()
    two:close()
  end)

  it("by close is at once", function()
    local server = server_of.start(echo())
    local ws = assert(http.websocket(url_of(server)))
    server.server:close()
    assert.same({ nil, "eof" }, { ws:receive() })
    assert.equal(1001, (ws:status()))
  end)
end)

---------------------------------------------------------------------------------------------------

-- A server by hand: answer(lines of the request) -> what is sent back; then body(conn).
local function by_hand(answer, body)
  local listener = assert(net.listen "127.0.0.1:0")
  local task = moonpark.go(function()
    local conn = listener:accept()
    local lines = {}
    for line in conn:lines() do
      if line == "" then break end
      lines[#lines + 1] = line
      local name, value = line:match "^([^:]+): (.*)$"
      if name then lines[name:lower()] = value end
    end
    conn:write(answer(lines))
    if body then body(conn) end
    conn:close()
    listener:close()
  end)
  return "ws://" .. listener:address() .. "/path?query", task
end

local function accept_of(lines)
  return require("moonpark.core").websocket_accept(lines["sec-websocket-key"])
end

local function good(lines, more)
  return "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " .. accept_of(lines)
    .. "\r\n" .. (more or "") .. "\r\n"
end

describe("http.websocket", function()
  after_each(function()
    server_of.stop_all()
    http.close_idle()
  end)

  it("sends a handshake", function()
    local seen
    local address, task = by_hand(function(lines)
      seen = lines
      return good(lines, "Sec-WebSocket-Protocol: b\r\n")
    end)
    local ws = assert(http.websocket(address, { subprotocols = { "a", "b" }, origin = "http://page.example",
      headers = { Cookie = "x=1" }, auth = { "me", "secret" } }))
    task:join()
    assert.equal("GET /path?query HTTP/1.1", seen[1])
    assert.equal("websocket", seen["upgrade"])
    assert.equal("upgrade", seen["connection"]:lower())
    assert.equal("13", seen["sec-websocket-version"])
    assert.matches("^[%w+/]+==$", seen["sec-websocket-key"])
    assert.equal(24, #seen["sec-websocket-key"])
    assert.equal("a, b", seen["sec-websocket-protocol"])
    assert.equal("http://page.example", seen["origin"])
    assert.equal("x=1", seen["cookie"])
    assert.matches("^Basic ", seen["authorization"])
    assert.equal("b", ws.subprotocol)
    ws:abort()
  end)

  it("uses another key each time, and masks", function()
    local keys = {}
    for i = 1, 3 do
      local frame
      local address, task = by_hand(function(lines)
        keys[i] = lines["sec-websocket-key"]
        return good(lines)
      end, function(conn) frame = { wire.read_frame(conn) } end)
      local ws = assert(http.websocket(address))
      assert(ws:send "hidden")
      task:join()
      assert.same({ wire.FIN + wire.TEXT, "hidden", true }, frame)
      ws:abort()
    end
    assert.is_true(keys[1] ~= keys[2] and keys[2] ~= keys[3] and keys[1] ~= keys[3])
  end)

  it("refuses what is no answer to it", function()
    local function refused(err, answer, options)
      local address, task = by_hand(answer)
      assert.same({ nil, err }, { http.websocket(address, options) })
      task:join()
    end
    refused("malformed handshake", function(lines) return (good(lines):gsub("Accept: .", "Accept: *")) end)
    for _, changed in ipairs { { "Upgrade: websocket", "Upgrade: h2c" },
      { "Upgrade: websocket", "Upgrade: h2c, websocket" },
      { "Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: websocket" }, { "Upgrade: websocket\r\n", "" },
      { "Connection: upgrade", "Connection: close" }, { "HTTP/1.1", "HTTP/1.0" }, { "Accept: ", "Accept: x " },
      { "Sec%-WebSocket%-Accept: .-\r\n", "" }, { "(Sec%-WebSocket%-Accept: .-\r\n)", "%1%1" } } do
      refused("malformed handshake", function(lines) return (good(lines):gsub(unpack(changed))) end)
    end
    refused("subprotocol was not offered", function(lines)
      return good(lines, ("Sec-WebSocket-Protocol: a\r\n"):rep(2))
    end, { subprotocols = { "a" } })
    refused("response status 200", function() return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" end)
    refused("response status 403", function() return "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n" end)
    refused("response status 302", function()
      return "HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    end)
    refused("unexpected eof", function() return "" end)
    refused("subprotocol was not offered", function(lines) return good(lines, "Sec-WebSocket-Protocol: z\r\n") end)
    refused("subprotocol was not offered", function(lines) return good(lines, "Sec-WebSocket-Protocol: z\r\n") end,
      { subprotocols = { "a" } })
    local deflate = "Sec-WebSocket-Extensions: permessage-deflate"
    refused("extension was not offered", function(lines) return good(lines, deflate .. "\r\n") end)
    for _, wrong in ipairs { "; x", "; server_max_window_bits=16", "; server_max_window_bits",
      "; client_max_window_bits=7", "; server_no_context_takeover=1", "; client_max_window_bits=010",
      ", permessage-deflate", "; server_max_window_bits=10; server_max_window_bits=10" } do
      refused("extension was not offered", function(lines) return good(lines, deflate .. wrong .. "\r\n") end,
        { compress = true })
    end
    refused("extension was not offered", function(lines) return good(lines, deflate .. "\r\n") end,
      { compress = { peer_window_bits = 10 } })
  end)

  it("keeps what comes with the answer", function()
    local address, task = by_hand(function(lines)
      return good(lines) .. wire.frame(wire.FIN + wire.TEXT, "at once")
    end, function(conn) conn:read() end)
    local ws = assert(http.websocket(address))
    assert.equal("at once", (ws:receive()))
    ws:abort()
    task:join()
  end)

  it("gives up in time", function()
    local listener = assert(net.listen "127.0.0.1:0")
    assert.same({ nil, "timeout" }, { http.websocket("ws://" .. listener:address(), { timeout = 0.02 }) })
    listener:close()
    assert.same({ nil, "connection refused", 111 }, { http.websocket("ws://" .. support.NOBODY) })
  end)

  it("goes through a proxy by CONNECT", function()
    local server = server_of.start(echo { compress = true })
    local asked
    local proxy = server_of.start(function(req, res)
      asked = { req.method, req.target, req:header "proxy-authorization" }
      res:begin()
      local client, up = req:hijack(), assert(net.dial(req.target))
      net.relay(client, up)
      client:close()
      up:close()
    end, { connect = true })
    local ws = assert(http.websocket(url_of(server), { proxy = "http://me:secret@" .. proxy.address, compress = true }))
    assert.same({ "CONNECT", server.address, "Basic bWU6c2VjcmV0" }, asked)
    local text = ("through a tunnel "):rep(1000)
    ws:send(text)
    assert.equal(text, (ws:receive()))
    assert.is_true(ws:close())
    local refusing = server_of.start(function(_, res)
      res.status = 407
      res:send "no"
    end, { connect = true })
    assert.same({ nil, "proxy answered 407" }, { http.websocket(url_of(server), { proxy = refusing.address }) })
  end)

  it("raises for mistakes, at the script's line", function()
    local function raises(text, ...)
      local arguments = { ... }
      local _, err = pcall(function() http.websocket(unpack(arguments, 1, 2)) end)
      assert.matches("websocket_spec.lua:%d+: .*" .. text, err)
    end
    raises("URL expected, got nil")
    raises("begins with ws:// or wss://", "ftp://x")
    raises("has no fragment", "ws://x/#y")
    raises("unknown option 'subprotocol'; did you mean 'subprotocols'", "ws://x", { subprotocol = {} })
    raises("subprotocols%[2%] must be a name, and only once", "ws://x", { subprotocols = { "a", "a" } })
    raises("header 'sec%-websocket%-key' is set by", "ws://x", { headers = { ["sec-websocket-key"] = "x" } })
    raises("invalid value of header 'Origin'", "ws://x", { origin = "http://a\r\nX: b" })
    raises("header 'connection' is set by", "ws://x", { headers = { connection = "x" } })
    raises("compress: option 'level' must be a whole number from 1 to 9", "ws://x", { compress = { level = 10 } })
  end)
end)

describe("compression is agreed on:", function()
  after_each(server_of.stop_all)

  local function answered(offer, compress)
    local server = server_of.start(echo { compress = compress })
    local answer, conn = shake(server, { ["Sec-WebSocket-Extensions"] = offer })
    conn:close()
    server:stop()
    return answer.headers["sec-websocket-extensions"]
  end

  it("the first offer that can be met", function()
    local name = "permessage-deflate"
    assert.equal(nil, answered(name, nil))
    assert.equal(nil, answered(nil, true))
    assert.equal(name, answered(name, true))
    assert.equal(name, answered("x-webkit-deflate-frame, " .. name .. "; client_max_window_bits", true))
    assert.equal(name .. "; server_no_context_takeover", answered(name .. "; server_no_context_takeover", true))
    assert.equal(name .. "; client_no_context_takeover", answered(name .. "; client_no_context_takeover", true))
    assert.equal(name .. "; server_max_window_bits=10", answered(name .. '; server_max_window_bits="10"', true))
    assert.equal(name .. "; client_max_window_bits=12", answered(name .. "; client_max_window_bits=12", true))
    assert.equal(name .. "; server_no_context_takeover; server_max_window_bits=11; client_max_window_bits=9",
      answered(name .. "; client_max_window_bits",
        { takeover = false, window_bits = 11, peer_window_bits = 9 }))
    assert.equal(name .. "; client_max_window_bits=8", answered(name .. "; client_max_window_bits=8", true))
    assert.equal(name, answered(name .. "; server_max_window_bits=8, " .. name, true))
    for _, wrong in ipairs { "; x", "=1", "; server_max_window_bits", "; server_max_window_bits=16",
      "; client_max_window_bits=07", "; server_no_context_takeover=yes",
      "; client_max_window_bits; client_max_window_bits" } do
      assert.equal(nil, answered(name .. wrong, true), wrong)
    end
  end)

  it("whatever the two ends want, they understand each other", function()
    local settings = { true, { takeover = false }, { peer_takeover = false }, { window_bits = 9 },
      { peer_window_bits = 9 }, { level = 1, memory = 1, threshold = 0 } }
    for _, theirs in ipairs(settings) do
      local server = server_of.start(echo { compress = theirs })
      for _, ours in ipairs(settings) do
        local ws = assert(http.websocket(url_of(server), { compress = ours }))
        for i = 1, 5 do
          local text = ("message %d, "):format(i):rep(3000)
          assert(ws:send(text))
          assert.is_true(ws:receive() == text)
        end
        assert.is_true(ws:close())
      end
      server:stop()
    end
  end)
end)
