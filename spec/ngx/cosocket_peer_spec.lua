-- SPDX-License-Identifier: MIT
-- cosocket_peer_spec.lua - cosockets whose peer answers by halves, late, with nothing, and closes anywhere; TLS
-- sessions that are resumed; and requests, whose end closes them.

local cosockets = require "support.cosockets"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local testing = require "moonpark.testing"
local tls = require "support.tls"

local HOST = cosockets.HOST

local MESSAGE = "first\r\nsec\rond\n12345--piece---\n-rest--end"

-- Everything that reads, in one conversation -> what each call returned.
local function converse(sock)
  local said = {}
  local function note(...) said[#said + 1] = { n = select("#", ...), ... } end
  note(sock:receive())
  note(sock:receive "*l")
  note(sock:receive(3))
  local whole, pieces = sock:receiveuntil "--", sock:receiveuntil("--", { inclusive = true })
  note(whole())
  for _ = 1, 5 do note(pieces(3)) end
  note(whole())
  note(sock:receive "*a")
  note(sock:receive())
  return said
end

-- What a peer that sends these pieces, and then ends, makes of it.
local function said_of(pieces, finish)
  local said
  cosockets.serving(function(conn)
    for _, piece in ipairs(pieces) do
      conn:write(piece)
      for _ = 1, 3 do moonpark.yield() end
    end
    finish(conn)
  end, function(port)
    local sock = cosockets.connected(port)
    said = converse(sock)
    assert.equal(1, sock:close())
  end)
  return said
end

local function closes(conn) conn:close() end

-- The bytes that the calls have handed out, partial ones too: nothing is lost but patterns and ends of lines.
local function count_bytes(said)
  local count = 0
  for _, one in ipairs(said) do count = count + #(one[1] or one[3] or "") end
  return count
end

describe("a cosocket", function()
  it("reads the same from a peer that answers by halves", function()
    local expected = said_of({ MESSAGE }, closes)
    assert.same({ n = 1, "first" }, expected[1])
    assert.same({ n = 1, "second" }, expected[2])
    assert.same({ n = 1, "123" }, expected[3])
    assert.same({ n = 1, "45" }, expected[4])
    for at = 1, #MESSAGE - 1 do
      assert.same(expected, said_of({ MESSAGE:sub(1, at), MESSAGE:sub(at + 1) }, closes), "cut at " .. at)
    end
    local single = {}
    for i = 1, #MESSAGE do single[i] = MESSAGE:sub(i, i) end
    assert.same(expected, said_of(single, closes), "byte by byte")
  end)

  it("ends with a peer that closes anywhere", function()
    local most = count_bytes(said_of({ MESSAGE }, closes))
    local before = -1
    for at = 0, #MESSAGE do
      local said = said_of({ MESSAGE:sub(1, at) }, closes)
      assert.same({ nil, "closed" }, { said[#said][1], said[#said][2] })
      local count = count_bytes(said)
      assert.is_true(count <= most and count >= before - 2, ("%d bytes at %d, then %d"):format(before, at, count))
      before = count
    end
  end)

  it("ends with a peer that resets anywhere", function()
    for at = 0, #MESSAGE do
      local said = said_of({ MESSAGE:sub(1, at) }, function(conn)
        conn:setoption("linger", 0)
        conn:close()
      end)
      local last = said[#said]
      assert.is_nil(last[1])
      assert.is_true(last[2] == "closed" or last[2] == "connection reset by peer", last[2])
    end
  end)

  it("times out with a peer that stops anywhere, and reads on", function()
    for at = 0, #MESSAGE - 1, 3 do
      local go_on = moonpark.event()
      cosockets.serving(function(conn)
        conn:write(MESSAGE:sub(1, at))
        go_on:wait()
        conn:write(MESSAGE:sub(at + 1))
        conn:read()
      end, function(port)
        local sock = cosockets.connected(port, nil, 5)
        local came = ""
        repeat
          local data, err, partial = sock:receive "*a"
          assert.same({ nil, "timeout" }, { data, err })
          came = came .. partial
        until #came >= at
        assert.equal(MESSAGE:sub(1, at), came)
        go_on:set()
        sock:settimeout(5000)
        assert.equal(MESSAGE:sub(at + 1), sock:receive(#MESSAGE - at))
        sock:close()
      end)
    end
  end)

  it("fails to shake hands with a peer that answers with anything else, or not at all", function()
    local answers = { "", "x", "\22\3\1", "\22\3\3\0\4\2\0\0\0", "\21\3\3\0\2\2\40", "HTTP/1.1 400 Bad Request\r\n\r\n",
      ("\255"):rep(20000) }
    for i, answer in ipairs(answers) do
      cosockets.serving(function(conn)
        conn:read()
        conn:write(answer)
      end, function(port)
        local sock = cosockets.connected(port)
        assert.same({ nil, "handshake failed" }, { sock:sslhandshake(nil, "host.example", i % 2 == 0) })
        assert.same({ nil, "closed" }, { sock:close() })
      end)
    end
  end)
end)

describe("a session of TLS 1.3", function()
  local facade = require "moonpark.ngx"

  before_each(function() facade.trust(tls.files.ca_crt) end)
  after_each(function() facade.trust(nil) end)

  local function secure(conn)
    if not conn:handshake() then return end
    conn:write(tostring(conn:tls().resumed), " ", conn:tls().version, "\n")
    conn:read()
  end

  -- Runs body(shake) with a server that has this certificate; shake(...) returns the session, and whether it resumed.
  local function serving(options, body)
    local listener = assert(net.listen(HOST .. ":0", { tls = tls.server(options) }))
    local task = moonpark.go(listener.serve, listener, secure)
    body(function(...)
      local sock = cosockets.connected(tonumber(listener:address():match ":(%d+)$"))
      local session = assert(sock:sslhandshake(...))
      local line = assert(sock:receive())
      assert.equal(1, sock:close())
      return session, line
    end)
    task:cancel()
    listener:close()
    task:join()
  end

  it("is resumed, with the ticket that came after the handshake", function()
    serving({}, function(shake)
      local session, line = shake(nil, "host.example", true)
      assert.equal("false TLSv1.3", line)
      for _ = 1, 3 do
        session, line = shake(session, "host.example", true)
        assert.equal("true TLSv1.3", line)
      end
      assert.equal("false TLSv1.3", select(2, shake(nil, "host.example", true)))
      assert.equal(true, (shake(false, "host.example", true)))
      collectgarbage()
      assert.equal("true TLSv1.3", select(2, shake(session, "host.example", true)))
    end)
  end)

  it("counts for no other server, no other verification and no other certificate", function()
    serving({}, function(shake)
      local session = shake(nil, "host.example", true)
      assert.equal("false TLSv1.3", select(2, shake(session, "localhost", true)))
      assert.equal("false TLSv1.3", select(2, shake(session, nil, true)))
      assert.equal("false TLSv1.3", select(2, shake(session, "host.example", false)))
      local unverified = shake(nil, "host.example")
      assert.equal("false TLSv1.3", select(2, shake(unverified, "host.example", true)))
      assert.equal("true TLSv1.3", select(2, shake(unverified, "host.example")))
      facade.trust(tls.pem "ca_crt")
      assert.equal("false TLSv1.3", select(2, shake(session, "host.example", true)))
    end)
  end)

  it("keeps no connection open", function()
    local ended = moonpark.event()
    local listener = assert(net.listen(HOST .. ":0", { tls = tls.server() }))
    local task = moonpark.go(listener.serve, listener, function(conn)
      while conn:read() do end
      ended:set()
    end)
    local session = assert(cosockets.connected(tonumber(listener:address():match ":(%d+)$")):sslhandshake())
    collectgarbage()
    collectgarbage()
    assert.is_true(ended:wait(5))
    assert.is_table(session)
    task:cancel()
    listener:close()
    task:join()
  end)

  it("is no way around the verification", function()
    serving({ cert = tls.files.other_crt, key = tls.files.other_key }, function(shake)
      local unverified = shake(nil, "host.example")
      local ok, err = pcall(shake, unverified, "host.example", true)
      assert.is_false(ok)
      assert.matches("certificate host mismatch", err)
    end)
  end)
end)

describe("a request", function()
  it("closes its cosockets at its end, and gives their places back", function()
    local ended = moonpark.event()
    cosockets.serving(function(conn)
      conn:write "x"
      assert.same({ nil, "eof" }, { conn:read() })
      ended:set()
    end, function(port)
      local kept
      local server = assert(http.server(http.ngx(function()
        kept = cosockets.connected(port, { pool = "request", pool_size = 1, backlog = 0 })
        kept:receive(1)
        require("moonpark.ngx").ngx.say "done"
      end), { address = HOST .. ":0" }))
      local serving = moonpark.go(server.run, server)
      assert(http.get("http://" .. server:address() .. "/"))
      assert.is_true(ended:wait(5))
      assert.same({ nil, "closed" }, { kept:receive() })
      assert.same({ nil, "closed" }, { kept:close() })
      assert.equal(0, require("moonpark.ngx.pool").open "request")
      server:shutdown(1)
      serving:join()
    end)
  end)
end)

describe("outside of a loop", function()
  after_each(process.stop_all)

  it("each call has a loop of its own", function()
    local peer = process.start(process.moonpark(process.root .. "/spec/ngx/peer.lua"))
    local path = testing.tempdir() .. "/script.lua"
    local file = assert(io.open(path, "w"))
    file:write(("local PORT = %s\n"):format(assert(peer:line()):match ":(%d+)$"), [[
      local ngx = require("moonpark.ngx").ngx
      local sock = ngx.socket.tcp()
      sock:settimeout(2000)
      print(sock:connect("127.0.0.1", PORT, { pool = "out", pool_size = 1, backlog = 1 }))
      print(sock:send "conn:write('line\\nhalf--rest') sleep(0.05) conn:write('x--') conn:read()\n")
      print(sock:receive())
      print(sock:receiveuntil("--")(3), sock:receiveuntil("--")())
      print(sock:receive(5), sock:receiveany(1), sock:receive(1))
      sock:settimeout(10)
      print(sock:receive())
      local second = ngx.socket.tcp()
      second:settimeout(10)
      print(second:connect("127.0.0.1", PORT, { pool = "out" }))
      print(sock:setkeepalive())
      print(second:connect("127.0.0.1", PORT, { pool = "out" }))
      print(second:getreusedtimes(), second:close(), second:close())
      local udp = ngx.socket.udp()
      udp:settimeout(2000)
      print(udp:setpeername("127.0.0.1", PORT), udp:send "reply 'datagram'", udp:receive(), udp:close())
    ]])
    file:close()
    local r = process.run { process.interpreter, path }
    assert.equal("1\n73\nline\nhal\tf\nrestx\t-\t-\nnil\ttimeout\t\nnil\ttimeout\n1\n1\n1\t1\tnil\tclosed\n"
      .. "1\t1\tdatagram\t1\n", r.out .. r.err)
  end)
end)
