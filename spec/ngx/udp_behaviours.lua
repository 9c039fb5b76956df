-- SPDX-License-Identifier: MIT
-- udp_behaviours.lua - what ngx.socket.udp does, as calls: run as cosocket_behaviours.lua is. PEER is peer.lua's port.

local HOST, PORT = "127.0.0.1", tonumber(PEER)

local function say(name, ...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
  ngx.say(name, ": ", table.concat(words, " | "))
end

-- Of what is raised only what it is about: the rest differs with the way in which it was called.
local function shown(name, ok, ...)
  if ok then return say(name, ...) end
  local text = tostring((...)):gsub("^[^ ]-:%d+: ", "")
  say(name, "raised", text:match "^bad argument [^%(]*%((.*)%)$" or text)
end

local function try(name, fn, ...) shown(name, pcall(fn, ...)) end

local fresh = ngx.socket.udp()
try("send before setpeername", fresh.send, fresh, "x")
try("receive before setpeername", fresh.receive, fresh, "x")
try("close before setpeername", fresh.close, fresh)

local function set(...)
  local words = {}
  for i = 1, select("#", ...) do
    local word = select(i, ...)
    words[i] = type(word) == "table" and "{}" or tostring(word)
  end
  local sock = ngx.socket.udp()
  try("setpeername(" .. table.concat(words, ", ") .. ")", sock.setpeername, sock, ...)
end
set()
set(nil, PORT)
set({}, PORT)
set(HOST, PORT)
set(HOST, tostring(PORT))
set(HOST, PORT + 0.5)
set(HOST, PORT, 1)
set(HOST, "x")
set(HOST, nil)
set(HOST, -1)
set(HOST, 65536)
set("", 1)
set("::1", 1)
set("[::1", 1)
set("[::x]", 1)
set("a:b:c", 1)
set("unix:")
set("unix:/nosuch")
set("unix:" .. ("x"):rep(108))

local sock = ngx.socket.udp()
try("settimeout()", sock.settimeout, sock)
try("settimeout(-1)", sock.settimeout, sock, -1)
try("settimeout(x)", sock.settimeout, sock, "x")
try("settimeout(500)", sock.settimeout, sock, 500)
say("setpeername", sock:setpeername(HOST, PORT))
say("send", sock:send "reply 'one'")
say("receive", sock:receive())
say("send", sock:send { "reply ", { "'", 2, "'" } })
say("receive", sock:receive(1))
for _, size in ipairs { "2", 1.5, -1, 0 / 0, 8193, 100000 } do
  sock:send "reply(rep('x', 9000))"
  local data, err = sock:receive(size)
  say("receive some", data and #data, err)
end
sock:send "reply 'gone'"
try("receive(x)", sock.receive, sock, "x")
say("receive", sock:receive())
try("receive({})", sock.receive, sock, {})
say("receive nothing", sock:receive())
sock:send "reply 'zero'"
say("receive(0)", sock:receive(0))
sock:send "reply 'after'"
say("receive", sock:receive())
say("receive", sock:receive())
try("send()", sock.send, sock)
try("send(1, 2)", sock.send, sock, 1, 2)
for _, data in ipairs { { a = 1 }, { 1, [3] = 2 }, { true }, { 1, { 2, false } }, {}, "", 1.5, true } do
  try("send", sock.send, sock, data)
end
try("send(nil)", sock.send, sock, nil)
try("send(print)", sock.send, sock, print)
try("send null", sock.send, sock, ngx.null)
say("receive nothing", sock:receive())

local reader = ngx.thread.spawn(function() say("the first", sock:receive()) end)
say("receive while busy", sock:receive())
say("send while busy", sock:send "x")
say("close while busy", sock:close())
say("setpeername while busy", sock:setpeername(HOST, PORT))
ngx.thread.wait(reader)
say("setpeername again", sock:setpeername(HOST, PORT))
say("send", sock:send "reply 'again'")
say("receive", sock:receive())
say("close", sock:close())
say("close again", sock:close())
try("send after close", sock.send, sock, print)
try("receive after close", sock.receive, sock, "x")

local refused = ngx.socket.udp()
refused:settimeout(500)
say("setpeername to nobody", refused:setpeername(HOST, 1))
say("send to nobody", refused:send "x")
say("receive from nobody", refused:receive())
say("receive from nobody", refused:receive())
