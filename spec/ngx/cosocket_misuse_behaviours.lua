-- SPDX-License-Identifier: MIT
-- cosocket_misuse_behaviours.lua - cosockets that are called with what they do not take, out of turn, and after the
-- peer's end, as calls: run as cosocket_behaviours.lua is. PEER is peer.lua's port.

local HOST, PORT = "127.0.0.1", tonumber(PEER)
local ECHO = "while true do local n = conn:read_line() if not n then break end conn:write(n, '\\n') end"

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

local function told(what, options)
  local sock = ngx.socket.tcp()
  sock:settimeout(300)
  assert(sock:connect(HOST, PORT, options))
  assert(sock:send(what .. "\n"))
  return sock
end

-- hosts and ports
local function connect(...)
  local words = {}
  for i = 1, select("#", ...) do
    local word = select(i, ...)
    words[i] = type(word) == "table" and "{}" or tostring(word)
  end
  local sock = ngx.socket.tcp()
  try("connect(" .. table.concat(words, ", ") .. ")", sock.connect, sock, ...)
  try("  and then", sock.getreusedtimes, sock)
  try("  and again", sock.connect, sock, HOST, PORT)
end
connect()
connect(nil, PORT)
connect({}, PORT)
connect(HOST)
connect(HOST, nil)
connect(HOST, "x")
connect(HOST, {})
connect(HOST, -1)
connect(HOST, 65536)
connect(HOST, PORT, 3)
connect(HOST, PORT, nil)
connect(HOST, PORT, {}, 1)
connect(HOST, tostring(PORT))
connect(HOST, PORT + 0.5)
connect("", 1)
connect(":1", 1)
connect("::1", 1)
connect("a:b:c", 1)
connect("a:0", 1)
connect("a/b", 1)
connect("a?b", 1)
connect("[::1", 1)
connect("[::1]x", 1)
connect("[::1]:x", 1)
connect("[]", 1)
connect("[::x]", 1)
connect("[127.0.0.1]", 1)
connect(HOST .. ":" .. PORT, 1)
connect("unix:", 1)
connect("unix:")
connect("unix:" .. ("x"):rep(107))
connect("unix:" .. ("x"):rep(108))
connect("unix:/nosuch", "x")
connect("UNIX:/nosuch")
connect("unix:/nosuch", 70000)
for _, name in ipairs { "a b", "127.0.0.1 ", "a..b", ("x"):rep(64), ("x."):rep(130), "127.0.0.1.5", "*" } do
  local ok, err = ngx.socket.tcp():connect(name, 1)
  say("no such name", ok, tostring(err):find("could not be resolved", 1, true) ~= nil or err)
end

-- local addresses
local function bound(...)
  local sock = ngx.socket.tcp()
  try("bind", sock.bind, sock, ...)
  if (...) == "127.0.0.2" then
    say("  connect", sock:connect(HOST, PORT))
    sock:send "conn:write(conn:peer_address():match '^[^:]+', '\\n')\n"
    say("  the peer sees", sock:receive())
  end
end
bound {}
bound ""
bound "localhost"
bound "127.0.0"
bound "127.0.0.256"
bound "::1"
bound "::x"
bound "127.0.0.2"

-- options
local function option(name, value)
  local sock = ngx.socket.tcp()
  local shape = type(value) == "table" and "{}" or tostring(value)
  try(name .. " = " .. shape, sock.connect, sock, HOST, PORT, { [name] = value })
  sock:close()
end
for _, value in ipairs { 0, -1, "3", "x", true, 1.5, 0.5 } do option("pool_size", value) end
option("pool_size", {})
for _, value in ipairs { -1, "3", "x", true, 0.5 } do option("backlog", value) end
for _, value in ipairs { "name", 5, true, false } do option("pool", value) end
option("pool", {})
local unix = ngx.socket.tcp()
try("options of a unix socket", unix.connect, unix, "unix:/nosuch", { pool_size = 0 })

local fresh = ngx.socket.tcp()
try("setoption before connect", fresh.setoption, fresh, "keepalive", true)
try("getoption before connect", fresh.getoption, fresh, "keepalive")
local set = told(ECHO)
try("setoption()", set.setoption, set)
try("setoption(keepalive)", set.setoption, set, "keepalive")
try("setoption(nosuch)", set.setoption, set, "nosuch", 1)
try("setoption(nosuch, nil)", set.setoption, set, "nosuch")
try("getoption()", set.getoption, set)
try("getoption(nosuch)", set.getoption, set, "nosuch")
for _, name in ipairs { "keepalive", "reuseaddr", "tcp-nodelay" } do
  for _, value in ipairs { true, false, 1, 0, 5 } do
    try(("%s = %s"):format(name, tostring(value)), set.setoption, set, name, value)
    try("  is", set.getoption, set, name)
  end
end
for _, name in ipairs { "sndbuf", "rcvbuf" } do
  try(name, set.setoption, set, name, 20000.5)
  try("  is", set.getoption, set, name)
end
set:close()
try("setoption after close", set.setoption, set, "keepalive", true)
try("getoption after close", set.getoption, set, "keepalive")

-- timeouts
local timed = told "conn:write('x\\n') conn:read_line()"
try("settimeout()", timed.settimeout, timed)
try("settimeout(1, 2)", timed.settimeout, timed, 1, 2)
for _, value in ipairs { "x", "100", -1, 0, 0.5, 2 ^ 31, 2 ^ 31 - 1, true, 0 / 0 } do
  try(("settimeout(%s)"):format(tostring(value)):gsub("%-nan", "nan"), timed.settimeout, timed, value)
end
try("settimeout(nil)", timed.settimeout, timed, nil)
try("settimeouts()", timed.settimeouts, timed)
try("settimeouts(1)", timed.settimeouts, timed, 1)
try("settimeouts(1, 2, 3)", timed.settimeouts, timed, 1, 2, 3)
try("settimeouts(1, nil, x)", timed.settimeouts, timed, 1, nil, "x")
try("settimeouts(1, 2, -1)", timed.settimeouts, timed, 1, 2, -1)
try("settimeouts of four", timed.settimeouts, timed, 1, 2, 3, 4)
try("receive", timed.receive, timed)

-- receiving
local function reads(name, method, ...)
  local sock = told "conn:write('123456789\\nmore\\n')"
  try(name, sock[method], sock, ...)
  try("  and then", sock.receive, sock)
  try("  and then", sock.receive, sock)
  sock:close()
end
for _, value in ipairs { 0, -1, -0.5, 1.5, "2", "2.5", 0 / 0, -1 / 0, "x", "*", "*x", "*ll", "" } do
  reads(("receive(%s)"):format(tostring(value)):gsub("%-nan", "nan"), "receive", value)
end
reads("receive(true)", "receive", true)
reads("receive({})", "receive", {})
for _, value in ipairs { 1.5, 0.5, 0, -1, "3", "x", 0 / 0, 2 ^ 40 } do
  reads(("receiveany(%s)"):format(tostring(value)):gsub("%-nan", "nan"), "receiveany", value)
end
reads("receiveany()", "receiveany")
reads("receiveany(1, 2)", "receiveany", 1, 2)
reads("receiveany({})", "receiveany", {})
local pattern = told "conn:write('123456789\\n')"
try("receiveuntil()", pattern.receiveuntil, pattern)
try("receiveuntil({})", pattern.receiveuntil, pattern, {})
try("receiveuntil(x, 5)", pattern.receiveuntil, pattern, "x", 5)
try("receiveuntil(x, { inclusive = x })", pattern.receiveuntil, pattern, "x", { inclusive = "x" })
local until_9 = pattern:receiveuntil(9)
try("iterator(x)", until_9, "x")
try("iterator(nil)", until_9, nil)
try("iterator(1, 2)", until_9, 1, 2)
try("iterator(1.5)", until_9, 1.5)
try("iterator(0.5)", until_9, 0.5)
try("iterator after", until_9)
pattern:close()

-- receiveuntil
-- Each step is a size for the iterator, false for none, text: what is received in between, or true: the peer goes on.
local function read_until(name, options, what, steps)
  local sock = told(what)
  local reader = sock:receiveuntil(name, options)
  for _, step in ipairs(steps) do
    if type(step) == "string" then say("receive " .. step, sock:receive(step))
    elseif step == true then sock:send "\n"
    elseif step then say(("until %s (%d)"):format(name, step), reader(step))
    else say("until " .. name, reader()) end
  end
  sock:close()
end
local plain, inclusive = {}, { inclusive = true }
-- another read between pieces
read_until("--", plain, "conn:write('abcdefgh--ijkl--mn')", { 2, "5", 2, 2, 2, "1", 20, 20, 20 })
read_until("--", inclusive, "conn:write('abcdefgh--ijkl\\n--mn')", { 2, "*l", 2, 2, 2 })
-- a timeout inside the pattern
local half = "conn:write('abc--e') conn:read_line() conn:write('nd tail\\n') conn:read()"
read_until("--end", plain, half, { false, true, false, false, "*l" })
read_until("--end", inclusive, half, { false, true, false, false, "*l" })
read_until("--end", plain, half, { 2, 2, true, 2, 2, 2, 2 })
read_until("--end", plain, "conn:write('abc--e') conn:read_line() conn:write('x--end tail\\n') conn:read()",
  { false, true, false, false, "*l" })
read_until("aab", inclusive, "conn:write('xaa') conn:read_line() conn:write('aab tail\\n') conn:read()",
  { false, true, false, false, false })
-- an end inside the pattern
read_until("--end", plain, "conn:write('abc--e')", { false, false })
read_until("--end", plain, "conn:write('abc--e')", { 2, 20, 20 })

local nowhere = ngx.socket.tcp()
try("receiveany before connect", nowhere.receiveany, nowhere, "x")
try("receive before connect", nowhere.receive, nowhere, "x")
try("iterator before connect", function() return nowhere:receiveuntil "x" () end)
try("receiveuntil nothing before connect", nowhere.receiveuntil, nowhere, "")

-- sending
local echo = told(ECHO)
try("send()", echo.send, echo)
try("send(1, 2)", echo.send, echo, 1, 2)
local circle = setmetatable({}, { __index = function() return "x" end })
for name, data in pairs { hole = { 1, nil, 2 } } do try("send a " .. name, echo.send, echo, data) end
for _, data in ipairs { { a = 1 }, { 1, a = 2 }, { [1.5] = 1 }, { [0] = 1 }, { [2] = 1 }, { 1, { a = 1 } }, { true },
  { 1, ngx.null }, { {}, { {} } }, {}, { 1, { 2, nil, 3 } }, { print }, { 1, print }, "", circle } do
  try("send a table", echo.send, echo, data)
end
try("send a function", echo.send, echo, print)
try("send null", echo.send, echo, ngx.null)
try("send false", echo.send, echo, false)
try("send a number", echo.send, echo, -1.5)
try("send a line", echo.send, echo, "\n")
try("receive", echo.receive, echo)
echo:close()
try("send a hole to a closed one", echo.send, echo, { 1, nil, 2 })
try("send a function to a closed one", echo.send, echo, print)

-- keeping
-- After these nginx's socket is in no good state.
for _, arguments in ipairs { { "x" }, { 1, "x" }, { 1, 0 }, { 1, -1 } } do
  local kept = told(ECHO, { pool = "misuse of " .. arguments[1] .. tostring(arguments[2]) })
  try("setkeepalive", kept.setkeepalive, kept, unpack(arguments))
end
local kept = told(ECHO, { pool = "misuse" })
try("setkeepalive(10000, 1.5)", kept.setkeepalive, kept, 10000, 1.5)
try("setkeepalive of none", kept.setkeepalive, kept)
try("again", kept.connect, kept, HOST, PORT, { pool = "misuse" })
try("reused", kept.getreusedtimes, kept)
try("setkeepalive(10000, 0) to a pool that is there", kept.setkeepalive, kept, 10000, 0)
try("again", kept.connect, kept, HOST, PORT, { pool = "misuse" })
try("reused", kept.getreusedtimes, kept)
kept:send "data\n"
ngx.sleep(0.05)
try("setkeepalive with data on the way", kept.setkeepalive, kept, 10000)
try("receive", kept.receive, kept)
try("close", kept.close, kept)

-- after the end
local function ended(name, ...)
  local sock = told "conn:write('some') conn:close_write() conn:read_line() sleep(0.5)"
  say(name, sock[name](sock, ...))
  say("  receive", sock:receive())
  say("  receiveany", sock:receiveany(1))
  say("  receiveuntil", sock:receiveuntil("x")())
  try("  receive(x)", sock.receive, sock, "x")
  say("  getreusedtimes", sock:getreusedtimes())
  say("  setkeepalive", sock:setkeepalive())
  say("  send", sock:send "after\n")
  say("  close", sock:close())
  say("  close", sock:close())
  say("  connect", sock:connect(HOST, PORT))
  say("  send", sock:send "conn:write('x\\n')\n")
  say("  receive", sock:receive())
end
ended("receive", 100)
ended("receive", "*l")
local all = told "conn:write('some') conn:close_write() sleep(0.1)"
say("*a", all:receive "*a")
say("  receive", all:receive())
say("  send", all:send "x")
say("  close", all:close())
local quiet = told "conn:write('x') conn:close_write() sleep(1)"
say("receive", quiet:receive(1))
ngx.sleep(0.05)
say("setkeepalive after an end that was not read", quiet:setkeepalive())
say("  receive", quiet:receive())
say("  send", quiet:send "x")
say("  close", quiet:close())
local reset = told "conn:setoption('linger', 0) conn:close()"
ngx.sleep(0.05)
say("receive after a reset", reset:receive())
say("  receive", reset:receive())
say("  close", reset:close())

-- a peer that does not read
local stuck = told "conn:write('x\\n') sleep(3)"
stuck:settimeout(100)
say("send to a peer that does not read", stuck:send(("x"):rep(2 ^ 24)))
say("  send", stuck:send "x")
say("  receive", stuck:receive())
say("  getreusedtimes", stuck:getreusedtimes())
say("  setkeepalive", stuck:setkeepalive())
say("  receive", stuck:receive())
say("  close", stuck:close())
local dead = told "conn:write('some') conn:setoption('linger', 0) conn:close()"
ngx.sleep(0.05)
say("send to a peer that has reset", dead:send "x")
say("  send", dead:send "x")
say("  receive", dead:receive())
say("  getreusedtimes", dead:getreusedtimes())
say("  close", dead:close())

-- two threads
local shared = told "conn:read_line() sleep(3)"
shared:settimeout(200)
local reading = ngx.thread.spawn(function() say("the reader", shared:receive()) end)
local writing = ngx.thread.spawn(function() say("the writer", shared:send(("x"):rep(2 ^ 24))) end)
say("  receive meanwhile", shared:receive())
say("  receiveany meanwhile", shared:receiveany(1))
say("  send meanwhile", shared:send "x")
say("  close meanwhile", shared:close())
say("  setkeepalive meanwhile", shared:setkeepalive())
say("  connect meanwhile", shared:connect(HOST, PORT))
say("  iterator meanwhile", shared:receiveuntil "x" ())
ngx.thread.wait(reading)
ngx.thread.wait(writing)
say("  close", shared:close())
