-- SPDX-License-Identifier: MIT
-- ssl_behaviours.lua - what sslhandshake does, as calls: run as cosocket_behaviours.lua is. PEER is peer.lua's port;
-- the specs' authority is trusted.

local HOST, PORT = "127.0.0.1", tonumber(PEER)

local function say(name, ...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))):gsub("[%z\n]", ".") end
  ngx.say(name, ": ", table.concat(words, " | "))
end

-- Of what is raised only what it is about: the rest differs with the way in which it was called.
local function shown(name, ok, ...)
  if ok then return say(name, ...) end
  local text = tostring((...)):gsub("^[^ ]-:%d+: ", "")
  say(name, "raised", text:match "^bad argument [^%(]*%((.*)%)$" or text)
end

local function try(name, fn, ...) shown(name, pcall(fn, ...)) end

local function connected(what, options)
  local sock = ngx.socket.tcp()
  sock:settimeout(1000)
  assert(sock:connect(HOST, PORT, options))
  if sock:getreusedtimes() > 0 then return sock end
  assert(sock:send("conn:write('go on\\n') " .. what .. "\n")) -- what is received before TLS is no TLS
  assert(sock:receive() == "go on")
  return sock
end

-- Says whether the server resumed a session, and which name it was asked for.
local function server(certificate, version)
  return ("if tls('%s', '%s') then local i = conn:tls() conn:write(tostring(i.resumed), ' ', tostring(i.server_name),"
    .. "'\\n') conn:read() end"):format(certificate, version or "1.2")
end

-- A session is no value that could be compared.
local function outcome(name, session, err)
  if session == true or not session then return say(name, session, err) end
  say(name, "a session", err)
end

-- lua-resty-core may take a handshake that fails at once for one that worked: it raises "assertion failed!", or returns
-- true with the socket closed. Then it is tried again.
local function shake(name, certificate, ...)
  local sock, ok, session, err
  for _ = 1, 5 do
    sock = connected(server(certificate))
    ok, session, err = pcall(sock.sslhandshake, sock, ...)
    if ok and (not session or sock:getreusedtimes()) then break end
    sock:close()
  end
  outcome(name, session, err)
  if session then say("  the server says", sock:receive()) end
  say("  close", sock:close())
  return session
end

local closed = connected "conn:read()"
say("close", closed:close())
say("after close", closed:sslhandshake())

-- verification, and names
shake("no arguments", "host")
shake("false", "host", false)
shake("a name", "host", nil, "host.example")
shake("false, a name", "host", false, "host.example", true)
shake("verified", "host", nil, "host.example", true)
shake("verified, by a wildcard", "wild", nil, "www.wild.example", true)
shake("verified, without a name", "host", nil, nil, true)
shake("another name, not verified", "host", nil, "other.example")
shake("another name", "host", nil, "other.example", true)
-- Of another name with false nginx says "true" where the handshake ends late, so that is not asked here.
shake("expired", "expired", nil, "host.example", true)
shake("expired, not verified", "expired", nil, "host.example")
shake("an unknown issuer", "far", nil, "far.example", true)
shake("an unknown issuer, without a name", "far", nil, nil, true)

-- sessions
local session = shake("first", "host", nil, "host.example", true)
shake("without the session", "host", nil, "host.example", true)
local second = shake("with it", "host", session, "host.example", true)
shake("with the second", "host", second, "host.example", true)
shake("with it again", "host", session, "host.example", true)
shake("with no session", "host", "no session", "host.example", true)
local unverified = shake("not verified", "far", nil, "far.example")
shake("a session that was not verified", "far", unverified, "far.example", true)

-- states
local function shake_of(sock, ...) return outcome("handshake", sock:sslhandshake(...)) end
local fresh = ngx.socket.tcp()
try("before connect", fresh.sslhandshake, fresh)
local twice = connected(server "host")
shake_of(twice, nil, "host.example")
shake_of(twice, nil, "host.example")
shake_of(twice, false, "host.example")
say("receive", twice:receive())
say("close", twice:close())
try("five arguments", twice.sslhandshake, twice, nil, nil, nil, nil, nil)

local pool = { pool = "tls" }
local kept = connected(server "host", pool)
shake_of(kept, nil, "host.example", true)
say("receive", kept:receive())
say("setkeepalive", kept:setkeepalive())
kept = connected("", pool)
say("reused", kept:getreusedtimes())
shake_of(kept, nil, "host.example", true)
shake_of(kept, false, "host.example", true)
say("close", kept:close())

-- peers that do not shake hands
local function fails(name, what, ms)
  local sock = connected(what)
  sock:settimeout(ms or 1000)
  say(name, sock:sslhandshake(nil, "host.example"))
  say("  close", sock:close())
  say("  connect", sock:connect(HOST, PORT))
end
fails("a peer that says nothing", "sleep(1)", 100)
fails("a peer that closes", "conn:close()")
fails("a peer that resets", "conn:setoption('linger', 0) conn:close()")
fails("a peer that speaks something else", "conn:write('hello, this is no TLS at all\\n') conn:read()")
fails("a peer that closes in the middle",
  "conn:read(20) conn:write('\\22\\3\\3\\0\\100\\2') conn:close_write() sleep(0.2)")

local busy = connected "sleep(1)"
busy:settimeout(200)
local shaking = ngx.thread.spawn(function() say("the handshake", busy:sslhandshake()) end)
say("receive meanwhile", busy:receive())
say("receiveany meanwhile", busy:receiveany(1))
say("iterator meanwhile", busy:receiveuntil "x" ())
say("send meanwhile", busy:send "x")
say("close meanwhile", busy:close())
say("setkeepalive meanwhile", busy:setkeepalive())
say("connect meanwhile", busy:connect(HOST, PORT))
say("sslhandshake meanwhile", busy:sslhandshake())
ngx.thread.wait(shaking)
local reading = connected "sleep(1)"
reading:settimeout(200)
local reader = ngx.thread.spawn(function() say("the reader", reading:receive()) end)
say("sslhandshake meanwhile", reading:sslhandshake())
ngx.thread.wait(reader)
reading:close()

-- bytes
local bytes = connected(
  "tls('host') local line = conn:read_line() conn:write(line, rep('x', 100000), '\\n') conn:read()")
shake_of(bytes, nil, "host.example", true)
say("send", bytes:send { "one", { " ", 2 }, "\n" })
say("receive", bytes:receive(5))
say("receive", #bytes:receive())
say("close", bytes:close())
local ends = connected "tls('host') conn:write('half')"
shake_of(ends)
say("receive", ends:receive())
say("send", ends:send "x")
say("close", ends:close())
local cert = connected(server "host")
say("setclientcert", cert:setclientcert())
say("setclientcert(x)", cert:setclientcert "x")
say("setclientcert(nil, x)", cert:setclientcert(nil, "x"))
cert:close()
