-- SPDX-License-Identifier: MIT
-- states.lua - LuaSocket's objects from their making to their end: every method in every state, options, memberships,
-- unix sockets, names, and what the module itself has. Run as behaviours.lua is.

local tell = dofile(arg[0]:match "^(.*/)" .. "tell.lua")
local say, try, calls = tell.say, tell.try, tell.calls

if arg[1] == "façade" then require("moonpark.compat").install "socket" end
local socket = require "socket"
socket.unix = require "socket.unix"

---------------------------------------------------------------------------------------------------
-- streams: masters and servers

for _, kind in ipairs { "tcp4", "tcp6", "tcp" } do
  local one = socket[kind]()
  say(kind, one, one.class, one:getfd() >= 0)
  calls(kind, one, { { "getsockname" }, { "getpeername" }, { "getfamily" }, { "getstats" }, { "dirty" },
    { "gettimeout" }, { "send", "x" }, { "receive" }, { "accept" }, { "shutdown" } })
  for _, option in ipairs { "reuseaddr", "reuseport", "linger", "error", "ipv6-v6only", "tcp-defer-accept", "zz" } do
    calls(kind .. " " .. option, one, { { "getoption", option } })
  end
  calls(kind, one, { { "setoption", "reuseaddr", true }, { "getoption", "reuseaddr" },
    { "setoption", "tcp-keepidle", 7 }, { "getoption", "tcp-keepidle" }, { "setoption", "keepalive", false },
    { "getoption", "keepalive" }, { "setoption", "tcp-nodelay", false }, { "getoption", "tcp-nodelay" },
    { "setoption", "linger", { on = true } }, { "setoption", "linger", { on = 1, timeout = 1 } },
    { "setoption", "linger", { on = true, timeout = 5 } }, { "getoption", "linger" },
    { "setoption", "ipv6-v6only", true }, { "setoption", "tcp-defer-accept", 1 }, { "setoption", "tcp-fastopen", 5 },
    { "setoption", "tcp-fastopen-connect", 0 }, { "setoption", "error", 1 } })
  calls(kind, one, { { "listen" }, { "settimeout", 0 }, { "accept", "x" }, { "getsockname" }, { "shutdown" },
    { "close" }, { "getfd" }, { "getsockname" }, { "accept" }, { "close" } })
end

do
  local one = socket.tcp4()
  calls("bound", one, { { "bind", "127.0.0.1", 0 }, { "bind", "127.0.0.1", 0 }, { "setoption", "keepalive", true },
    { "getoption", "keepalive" }, { "listen", 5 }, { "bind", "127.0.0.1", 0 }, { "getoption", "keepalive" },
    { "connect", "127.0.0.1", 1 }, { "getoption", "reuseaddr" }, { "close" } })
  one = socket.tcp4()
  calls("wrong", one, { { "bind", "127.0.0.1", "zzz" }, { "bind", "::1", 0 }, { "connect", "::1", 1 },
    { "connect", "127.0.0.1", 1 }, { "receive" }, { "send", "x" }, { "close" } })
  say("a refused one", one)
  one = socket.tcp6()
  calls("six", one, { { "bind", "127.0.0.1", 0 }, { "bind", "::1", 0 }, { "listen" }, { "getsockname" }, { "close" } })
  one = socket.tcp6()
  calls("any six", one, { { "bind", "*", 0 }, { "getsockname" }, { "close" } })
  one = socket.tcp()
  calls("any", one, { { "bind", "*", 0 }, { "getsockname" }, { "getfamily" }, { "close" }, { "bind", "127.0.0.1", 0 },
    { "getsockname" }, { "close" } })
  one = socket.tcp()
  calls("six of no family", one, { { "bind", "::1", 0 }, { "getfamily" }, { "getsockname" }, { "close" } })
  one = socket.tcp()
  calls("arguments", one, { { "bind" }, { "bind", "x" }, { "connect" }, { "connect", {}, 1 }, { "settimeout", 1,
    "total" }, { "gettimeout" }, { "settimeout", -7, "r" }, { "gettimeout" }, { "settimeout", 2, "block" },
    { "gettimeout" }, { "settimeout", 2, 5 }, { "setfd" }, { "setfd", "x" } })
end

---------------------------------------------------------------------------------------------------
-- clients

local server = assert(socket.bind("127.0.0.1", 0))
local port = select(2, server:getsockname())

local function pair()
  local client = assert(socket.connect("127.0.0.1", port))
  return client, assert(server:accept())
end

do
  local a, b = pair()
  a:send "hello\n"
  b:receive()
  say("statistics", (b:getstats()), (select(2, a:getstats())))
  calls("a", a, { { "setstats", 5 }, { "setstats", nil, 6, 100, n = 4 }, { "setstats", "7", "8" } })
  say("statistics", a:getstats() == 7, (select(3, a:getstats())) >= 100)
  calls("a", a, { { "settimeout", 0 }, { "receive", 0 }, { "shutdown", "receive" }, { "receive" }, { "receive", 5 },
    { "shutdown", "both" }, { "send", "x" }, { "getpeername" } })
  calls("b", b, { { "receive" }, { "receive", "*a" }, { "setfd", -1 }, { "getfd" }, { "receive" }, { "send", "x" },
    { "getsockname" } })
  calls("server", server, { { "getpeername" }, { "dirty" }, { "send", "x" }, { "getstats" }, { "shutdown" } })
  a:close()
end

do -- what closes in the middle of what is sent
  local a, b = pair()
  b:close()
  a:settimeout(5)
  local sent, err
  repeat sent, err = a:send(("x"):rep(100000)) until not sent
  say("cut", sent, err)
  calls("cut", a, { { "receive" }, { "send", "x" }, { "close" }, { "receive", "*a" }, { "receive", 0 } })
  local c, d = pair()
  c:send "half a line"
  c:close()
  calls("half", d, { { "receive", "*l" }, { "receive", "*l" }, { "receive", "*a" }, { "close" } })
end

---------------------------------------------------------------------------------------------------
-- datagrams

local function udp_options(kind, one)
  for _, option in ipairs { "dontroute", "broadcast", "reuseaddr", "reuseport", "ip-multicast-if",
    "ip-multicast-loop", "ip-multicast-ttl", "error", "ipv6-unicast-hops", "ipv6-multicast-loop", "ipv6-v6only",
    "ip-add-membership", "linger", "zz" } do
    calls(kind .. " " .. option, one, { { "getoption", option } })
  end
  local group = { multiaddr = "224.1.1.1", interface = "127.0.0.1" }
  calls(kind, one, { { "setoption", "dontroute", true }, { "getoption", "dontroute" }, { "setoption", "broadcast",
    true }, { "getoption", "broadcast" }, { "setoption", "ip-multicast-if", "127.0.0.1" },
    { "getoption", "ip-multicast-if" }, { "setoption", "ip-multicast-if", "*" }, { "setoption", "ip-multicast-if",
    "x" }, { "setoption", "ip-multicast-ttl", 3 }, { "setoption", "ip-multicast-loop", false },
    { "getoption", "ip-multicast-loop" }, { "setoption", "ip-add-membership", group },
    { "setoption", "ip-drop-membership", group }, { "setoption", "ip-drop-membership", group },
    { "setoption", "ip-add-membership", {} }, { "setoption", "ip-add-membership", { multiaddr = "x",
    interface = "*" } }, { "setoption", "ip-add-membership", { multiaddr = "224.1.1.1" } },
    { "setoption", "ip-add-membership", { multiaddr = "224.1.1.1", interface = "z" } },
    { "setoption", "ip-add-membership", 5 }, { "setoption", "ipv6-unicast-hops", 9 },
    { "getoption", "ipv6-unicast-hops" }, { "setoption", "ipv6-multicast-loop", true },
    { "setoption", "ipv6-add-membership", { multiaddr = "zz" } } })
end

for _, kind in ipairs { "udp", "udp4", "udp6" } do
  local one = socket[kind]()
  say(kind, one, one.class, one:getfd() >= 0)
  calls(kind, one, { { "getsockname" }, { "getpeername" }, { "getfamily" }, { "dirty" }, { "gettimeout" },
    { "send", "x" }, { "settimeout", 0 } })
  if kind ~= "udp" then calls(kind, one, { { "receive" }, { "receivefrom" } }) end
  udp_options(kind, one)
  local host = kind == "udp6" and "::1" or "127.0.0.1"
  calls(kind, one, { { "setsockname", host, 0 }, { "getsockname" }, { "setsockname", host, 0 }, { "setsockname" },
    { "setsockname", "x" }, { "setpeername" }, { "setpeername", "x" }, { "setpeername", host, 9 }, { "getpeername" },
    { "getsockname" }, { "sendto", "x", host, 9 }, { "setpeername", "*" }, { "getpeername" }, { "close" },
    { "send", "x" }, { "getsockname" }, { "close" } })
end
calls("other family", socket.udp4(), { { "setsockname", "::1", 0 }, { "setpeername", "::1", 9 },
  { "sendto", "x", "::1", 9 }, { "sendto", "x", "localhost", 9 }, { "sendto", "x", "127.0.0.1", "http" },
  { "sendto" }, { "sendto", "x" } })

do
  local to, from = socket.udp4(), socket.udp4()
  to:setsockname("127.0.0.1", 0)
  from:setpeername("127.0.0.1", (select(2, to:getsockname())))
  calls("from", from, { { "send", "" }, { "send", ("x"):rep(65507) }, { "send", ("x"):rep(65508) },
    { "send", ("y"):rep(9000) }, { "send", 5 }, { "send", "abc" }, { "send", "abc" }, { "send" } })
  say("to:receive", to:receive())
  say("to:receive of a long one", #to:receive())
  say("to:receive with room", #to:receive(20000))
  calls("to", to, { { "receive", "3" }, { "receive", 1 }, { "receive", 0 }, { "receive", {} }, { "settimeout", 0 },
    { "receive" }, { "close" }, { "getfd" } })
  from:close()
end

---------------------------------------------------------------------------------------------------
-- unix sockets

do
  local path = os.tmpname()
  os.remove(path)
  local one = socket.unix()
  say("unix", one, socket.unix.stream ~= nil, socket.unix.tcp == socket.unix.stream,
    socket.unix.udp == socket.unix.dgram)
  calls("unix", one, { { "getsockname" }, { "setoption", "keepalive", true }, { "setoption", "linger", true },
    { "setoption", "tcp-nodelay", true }, { "send", "x" }, { "settimeout", 0 } })
  say("unix:bind", one:bind(path))
  calls("unix", one, { { "listen" }, { "accept" }, { "settimeout", 5 } })
  local client = socket.unix.stream()
  say("unix:connect", client:connect(path), client)
  local peer = one:accept()
  say("unix:accept", peer)
  calls("unix client", client, { { "send", "a line\nmore" }, { "getsockname" }, { "shutdown", "send" } })
  calls("unix peer", peer, { { "receive" }, { "receive", "*a" }, { "receive" }, { "send", "back" }, { "close" } })
  calls("unix client", client, { { "receive", 4 }, { "receive" }, { "close" }, { "send", "x" } })
  one:close()
  os.remove(path)
  say("nobody there", socket.unix():connect(path))
  say("a long path", socket.unix():connect(("x"):rep(200)), (select(2, socket.unix():bind(("x"):rep(200)))))

  local to, from = socket.unix.dgram(), socket.unix.dgram()
  say("dgram", to, (to:bind(path)), to:getsockname() == path)
  from:sendto("named", path)
  say("dgram:receivefrom", to:receivefrom())
  say("dgram:connect", from:connect(path), from)
  calls("dgram", from, { { "send", "connected" }, { "sendto", "x", path }, { "receivefrom" } })
  calls("dgram", to, { { "receive" }, { "settimeout", 0 }, { "receive" }, { "setoption", "reuseaddr", true },
    { "setoption", "broadcast", true }, { "sendto", "x", path .. "x" }, { "close" } })
  os.remove(path)
end

---------------------------------------------------------------------------------------------------
-- select, and the module

do
  local a, b = pair()
  local function selected(title, ...)
    local r, w, err = socket.select(...)
    say("select " .. title, #r, #w, err, r[a], w[a])
  end
  selected("nothing", nil, nil, 0)
  selected("a closed one", { socket.tcp() }, { socket.tcp() }, 0.01)
  selected("one twice", { a, a }, { a, a }, 0)
  selected("idle", { a, server }, nil, 0.01)
  b:close()
  selected("an end", { a }, { a }, 1)
  for _, one in ipairs { 1, "x" } do try("select", socket.select, one) try("select", socket.select, nil, one) end
  try("select", socket.select, nil, nil, "x")
  try("select", socket.select, { { getfd = function() return -1 end } }, nil, 0)
  a:close()
end

try("skip", socket.skip)
try("skip", socket.skip, 1, "a", "b")
try("skip", socket.skip, 5, 1)
try("choose", socket.choose { default = function(a, b) return "default", a, b end, x = function(a) return "x", a end },
  "x", 1)
try("choose", socket.choose { default = function(a, b) return "default", a, b end }, nil, 1)
try("choose", socket.choose {}, "q")
do
  local a, b = pair()
  say("sinks", type(socket.sink("close-when-done", a)), type(socket.sink("keep-open", a)),
    type(socket.source("until-closed", a)), type(socket.source("by-length", a, 5)))
  try("sink", socket.sink, "zz", a)
  local sink, source = socket.sink("close-when-done", a), socket.source("by-length", b, 7)
  say("sink", sink "a chunk", sink(nil))
  say("source", source(), source())
  b:close()
end
try("try", socket.try)
try("try", socket.try, false)
try("protect", socket.protect(function() socket.try(nil, "e", "f") end))
try("protect", socket.protect(function() return socket.newtry(function(...) say("finalizer", ...) end)(nil, { 1 }) end))
try("sleep", socket.sleep)
try("sleep", socket.sleep, "0.001")
try("connect", socket.connect, "127.0.0.1", port, nil, nil, "zz")
try("connect", socket.connect, {}, 1)
say("connect from", (select(2, socket.connect("127.0.0.1", 1, "127.0.0.1", 0))))
say("bind", socket.bind("*", 0), socket.bind("localhost", 0), (select(2, socket.bind("127.0.0.1", port))))

-- names
say("toip", socket.dns.toip "127.0.0.1")
say("tohostname", socket.dns.tohostname "127.0.0.1")
try("toip", socket.dns.toip)
try("getnameinfo", socket.dns.getnameinfo)
say("getnameinfo", socket.dns.getnameinfo("127.0.0.1", 80))
say("getnameinfo", socket.dns.getnameinfo "127.0.0.1")
say("getnameinfo", socket.dns.getnameinfo(nil, "http"))

-- what there is
local function names(of)
  local list = {}
  for name in pairs(of) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, " ")
end
say("socket", names(socket))
say("dns", names(socket.dns))
for _, one in ipairs { socket.tcp(), socket.udp(), socket.unix(), socket.unix.dgram() } do
  say("methods", one, names(getmetatable(one).__index))
end
