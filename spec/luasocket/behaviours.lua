-- SPDX-License-Identifier: MIT
-- behaviours.lua - what LuaSocket's manual says, as a table of calls. tcp_spec.lua runs this script on LuaSocket itself
-- and on the façade, each in a process of its own, and compares what it prints, line by line.
--
--   luajit behaviours.lua original | façade      façade: in a task if the moonpark command runs it

local tell = dofile(arg[0]:match "^(.*/)" .. "tell.lua")
local say, try, calls = tell.say, tell.try, tell.calls

if arg[1] == "façade" then require("moonpark.compat").install "socket" end

local socket = require "socket"

local server = socket.tcp()
calls("new", server, { { "getsockname" }, { "getpeername" }, { "getfd" }, { "getfamily" }, { "receive" }, { "accept" },
  { "getstats" } })
calls("server", server, { { "bind", "127.0.0.1", 0 }, { "getpeername" } })
local port = select(2, server:getsockname())
say("a port is a", type(port))
calls("server", server, { { "getsockname" }, { "listen" }, { "receive" }, { "send", "x" }, { "listen" } })
say("server", server)

local function pair()
  local client = socket.tcp()
  assert(client:connect("127.0.0.1", port))
  local peer = assert(server:accept())
  return client, peer
end

-- patterns, prefixes, timeouts
local client, peer = pair()
say("client and peer", client, peer)
calls("peer", peer, { { "send", "hello\r\rx\nabc" } })
client:settimeout(0.02)
calls("client", client, { { "receive" }, { "receive", "a" }, { "receive", "*a" }, { "receive", "l" }, { "receive",
  "*x" },
  { "receive", "x" }, { "receive", -1 }, { "receive", 0 }, { "receive", "5" }, { "receive", 1.5 }, { "receive", {} } })
calls("client", client, { { "settimeout", 0 }, { "receive" }, { "receive", 10 }, { "receive", "*a" }, { "gettimeout" },
  { "settimeout", 1, "t" }, { "gettimeout" }, { "settimeout", 1, "x" }, { "settimeout", -5 }, { "gettimeout" },
  { "settimeout", nil, n = 2 }, { "settimeout", "1" }, { "gettimeout" }, { "settimeout", nil, "t" }, { "settimeout",
  1 },
  { "settimeout", {} } })
calls("peer", peer, { { "send", "abc" } })
calls("client", client, { { "receive", 5, "ab" }, { "receive", 3, "abc" }, { "receive", 2, "abc" } })
client:settimeout(0.02)
calls("client", client, { { "receive", "*l", "pre" } })
calls("peer", peer, { { "send", "abc\ndef" } })
calls("client", client, { { "receive", "*l", "pre" }, { "receive", 2 }, { "receive", 1 }, { "dirty" } })

-- parts, and their last index
calls("peer", peer, { { "send", "hello", 2, 3 }, { "send", "hello", -2 }, { "send", "hello", 3, 100 },
  { "send", "hello", 4, 2 }, { "send", "hello", 0 }, { "send", "hello", -100, 2 }, { "send", "" }, { "send", 5 },
  { "send", nil, n = 2 }, { "send", {} }, { "send", "hello", "2", "3" }, { "send", "hello", 1.9, "-1.5" },
  { "send", "hello", {} }, { "send", "hello", "x" }, { "send", "hello", 1, {} }, { "send", "hello", nil, 3 } })
calls("client", client, { { "receive", 40 }, { "receive", 9 } })

-- the end
calls("peer", peer, { { "send", "tail" }, { "close" } })
calls("client", client, { { "receive", "*a" }, { "receive", "*a" }, { "receive" }, { "receive", 0 }, { "receive", 3 },
  { "receive", 3, "p" } })
client:send "x"
socket.sleep(0.05)
calls("cut", client, { { "send", "x" }, { "send", "hello", 2, 3 } })

-- options
local a, b = pair()
calls("a", a, { { "setoption", "foo", 1 }, { "setoption", "tcp-nodelay", true }, { "getoption", "tcp-nodelay" },
  { "getoption", "x" }, { "setoption", "tcp-nodelay", 1 }, { "setoption", "linger", { on = true, timeout = 3 } },
  { "getoption", "linger" }, { "setoption", "linger", 5 }, { "setoption", "keepalive", true },
  { "getoption", "keepalive" }, { "getoption", "error" }, { "setoption", "reuseport", true }, { "getoption",
  "reuseport" },
  { "setoption", "tcp-keepidle", 30 }, { "getoption", "tcp-keepidle" }, { "setoption", "recv-buffer-size", 10000 },
  { "getoption", "recv-buffer-size" }, { "setoption", "bindtodevice", "lo" }, { "setoption" },
  { "setoption", "keepalive" } })
calls("a", a, { { "getfamily" }, { "setstats", 1, 2 }, { "shutdown", "x" }, { "shutdown", "send" } })
b:settimeout(1)
calls("b", b, { { "receive" }, { "send", "still" } })
calls("a", a, { { "receive", 5 }, { "shutdown" }, { "close" }, { "receive" }, { "send", "x" }, { "getfd" },
  { "getpeername" }, { "getsockname" }, { "close" }, { "shutdown" }, { "settimeout", 1 }, { "dirty" },
  { "setoption", "keepalive", true } })
b:close()

-- connecting
try("connect, refused", socket.connect, "127.0.0.1", 1)
try("connect, no such name", socket.connect, "nosuch.invalid", 1)
try("connect without a port", socket.connect, "127.0.0.1")
try("connect to nothing", socket.connect)
try("connect to an unknown service", socket.connect, "127.0.0.1", "nosuchservice")
try("bind to a foreign address", socket.bind, "192.0.2.1", 9999)
try("bind to a used port", socket.bind, "127.0.0.1", port)
local again = socket.tcp()
calls("again", again, { { "connect", "127.0.0.1", 1 }, { "connect", "127.0.0.1", port }, { "connect", "127.0.0.1",
  port },
  { "accept" }, { "listen" }, { "bind", "127.0.0.1", 0 }, { "close" } })
local later = socket.tcp()
later:settimeout(0)
calls("later", later, { { "connect", "127.0.0.1", port } })
local _, writable = socket.select(nil, { later }, 5)
say("writable", #writable, writable[later])
calls("later", later, { { "connect", "127.0.0.1", port }, { "connect", "127.0.0.1", port }, { "getpeername" } })
later:close()
local function refused_later(list)
  local refused = socket.tcp()
  refused:settimeout(0)
  local ok, err = refused:connect("127.0.0.1", 1)
  say("refused:connect", ok, err)
  if err == "timeout" then say("refused:writable", #select(2, socket.select(nil, { refused }, 5))) end
  calls("refused", refused, list)
end
refused_later { { "getoption", "error" }, { "getoption", "error" }, { "close" }, { "getoption", "error" } }
refused_later { { "connect", "127.0.0.1", 1 }, { "getoption", "error" }, { "close" } }
server:settimeout(0)
repeat until not server:accept()
calls("server", server, { { "accept" }, { "close" }, { "accept" } })

-- names
try("toip", function() return (socket.dns.toip "127.0.0.1") end)
try("toip of no name", socket.dns.toip, "nosuch.invalid")
try("getaddrinfo of no name", socket.dns.getaddrinfo, "nosuch.invalid")
try("getaddrinfo", function()
  local list = socket.dns.getaddrinfo "127.0.0.1"
  return #list, list[1].family, list[1].addr
end)
for _, name in ipairs { "", " ", "a b", "127.0.0.1.", "1.2.3", "1.2.3.400", "::1", ("a"):rep(300), "a..b", "." } do
  try("toip of '" .. name:sub(1, 9) .. "'", function() return (select(2, socket.dns.toip(name))) end)
  try("getaddrinfo of '" .. name:sub(1, 9) .. "'", socket.dns.getaddrinfo, name)
end
try("gethostname", function() return type(socket.dns.gethostname()) end)

-- select
local listener = assert(socket.bind("127.0.0.1", 0))
local c = assert(socket.connect("127.0.0.1", (select(2, listener:getsockname()))))
local d = assert(listener:accept())
try("select of nothing", socket.select, {}, {}, 0)
try("select of nil", socket.select, nil, nil, 0)
local readable
readable, writable = socket.select({ c, listener }, { c, d }, 1)
say("select", #readable, #writable, writable[1] == c, writable[2] == d, writable[c], writable[d])
d:send "x\ny"
say("select", socket.select({ c }, nil, 1)[1] == c)
c:receive()
say("select finds what is buffered", socket.select({ c }, nil, 0)[c])
try("select of an object without a socket", socket.select, { {} }, nil, 0)
try("select of an object with one", function()
  local other = { getfd = function() return d:getfd() end }
  local _, w, err = socket.select(nil, { other }, 1)
  return #w, w[1] == other, err
end)
try("select of a string", socket.select, "x")
try("select with a time in text", socket.select, {}, {}, "0")
try("select with a time that is none", socket.select, {}, {}, "x")
c:receive(1)
d:send "1\n2\n"
local e = assert(socket.connect("127.0.0.1", (select(2, listener:getsockname()))))
local f = assert(listener:accept())
f:send "x\ny\n"
socket.select({ c }, nil, 5)
socket.select({ e }, nil, 5)
e:receive()
readable = socket.select({ c, e, c, e }, nil, 5)
say("what is buffered comes first", #readable, readable[1] == e, readable[2] == e, readable[c], readable[e])
c:receive()
readable = socket.select({ c, e, c }, nil, 5)
say("both buffered", #readable, readable[1] == c, readable[2] == e, readable[3] == c, readable[c], readable[e])
c:receive()
e:receive()
_, writable = socket.select({ c }, { c, e, c }, 5)
say("twice", #writable, writable[1] == c, writable[2] == e, writable[3] == c, writable[c], writable[e])
f:send "x"
socket.select({ e }, nil, 5)
readable = socket.select({ e, c, e }, nil, 5)
say("twice to be read", #readable, readable[e])
for _, one in ipairs { c, d, e, f, listener } do one:close() end

-- datagrams
local u = socket.udp()
say("udp", u)
calls("u", u, { { "getsockname" }, { "setsockname", "127.0.0.1", 0 }, { "getpeername" }, { "settimeout", 0.01 },
  { "receive" }, { "receivefrom" }, { "send", "x" } })
local v = socket.udp()
v:settimeout(5)
u:settimeout(5)
local uport = select(2, u:getsockname())
calls("v", v, { { "sendto", "hello", "127.0.0.1", uport }, { "sendto", "x", "127.0.0.1" }, { "sendto", {},
  "127.0.0.1", 9 } })
local data, host, vport = u:receivefrom()
say("receivefrom", data, host, type(vport))
calls("u", u, { { "sendto", "a longer one", host, vport } })
calls("v", v, { { "receive", 3 } })
for _ = 1, 3 do u:sendto("abc", host, vport) end
calls("v", v, { { "receive", 1.5 }, { "receive", "2" }, { "receivefrom", 1.9 }, { "receive", "x" } })
calls("v", v, { { "setpeername", "127.0.0.1", uport } })
say("connected", v)
calls("v", v, { { "getpeername" }, { "send", "again" }, { "sendto", "x", "127.0.0.1", uport }, { "receivefrom" } })
say("receivefrom", (u:receivefrom()))
calls("v", v, { { "setpeername", "*" }, { "getfamily" }, { "setoption", "broadcast", true }, { "getoption",
  "broadcast" },
  { "setoption", "foo", 1 }, { "close" }, { "send", "x" }, { "close" } })
u:close()

-- exceptions
try("newtry", function() return socket.newtry()(1, 2, 3) end)
try("newtry with a finalizer", socket.protect(function() socket.newtry(function() say "finalizer" end)(nil, "err",
  3) end))
try("protect an error", socket.protect(function() error("hard", 0) end))
try("protect a table", socket.protect(function() error { "t" } end))
try("protect", socket.protect(function(...) return ... end), 1, nil, 3)
try("try", socket.try, nil, "raised")
try("skip", socket.skip, 2, 1, 2, 3, 4)
try("sleep", socket.sleep, -1)
try("gettime", function() return type(socket.gettime()) end)
say("constants", socket._SETSIZE, socket._DATAGRAMSIZE, socket.BLOCKSIZE, socket._VERSION)
