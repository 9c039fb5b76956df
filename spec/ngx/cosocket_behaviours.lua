-- SPDX-License-Identifier: MIT
-- cosocket_behaviours.lua - what the manual of ngx_lua says of cosockets, as calls. cosocket_spec.lua runs this script
-- inside nginx, with ngx_lua, and on the façade, and compares what it says, line by line. PEER is peer.lua's port.

local NONE = {} -- no argument
local HOST, PORT = "127.0.0.1", tonumber(PEER)

local function describe(value)
  return (tostring(value):gsub("[%z\r\n]", { ["\r"] = "\\r", ["\n"] = "\\n", ["\0"] = "\\0" }))
end

local function say(name, ...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = describe((select(i, ...))) end
  ngx.say(name, ": ", table.concat(words, " | "))
end

-- Of an error only what it is about: the rest differs with the way in which it was called.
local function try(name, fn, ...)
  local ok, err, more = pcall(fn, ...)
  if ok then return say(name, err, more) end
  say(name, "raised", tostring(err):match "%((.*)%)$" or (tostring(err):gsub("^.-:%d+: ", "")))
end

-- A socket whose peer does that.
local function told(what, options)
  local sock = ngx.socket.tcp()
  sock:settimeout(300)
  assert(sock:connect(HOST, PORT, options))
  assert(sock:send(what .. "\n"))
  return sock
end

local function read_all_of(what, ...)
  local sock = told(what)
  for i = 1, select("#", ...) do
    local pattern = select(i, ...)
    if pattern == NONE then say(what .. " receive()", sock:receive())
    else say(("%s receive(%s)"):format(what, tostring(pattern)), sock:receive(pattern)) end
  end
  sock:close()
end

-- states
local new = ngx.socket.tcp()
say("receive before connect", new:receive())
say("send before connect", new:send "x")
say("close before connect", new:close())
say("setkeepalive before connect", new:setkeepalive())
say("getreusedtimes before connect", new:getreusedtimes())
say("connect", new:connect(HOST, PORT))
say("getreusedtimes", new:getreusedtimes())
say("send", new:send "conn:write('x')\n")
say("receive", new:receive(1))
say("close", new:close())
say("close again", new:close())
say("receive after close", new:receive())
say("send after close", new:send "x")
say("refused", ngx.socket.tcp():connect(HOST, 1))
say("connect", (ngx.socket.connect(HOST, PORT)) ~= nil)
say("no unix socket", ngx.socket.tcp():connect("unix:/nosuch/socket"))

-- patterns
read_all_of("conn:write('a\\r\\nb\\rc\\n\\nrest')", NONE, "*l", "*l", "*l", "*l")
read_all_of("conn:write('12345678')", 3, "3", 0, 5, 1)
read_all_of("conn:write('all of it')", "*a", "*a", "*l")
read_all_of("conn:close()", "*a", "*l")
read_all_of("conn:close()", 5)
read_all_of("conn:write('half') sleep(1)", "*l", 2)
read_all_of("conn:write('half') sleep(1)", 10, "*l")
read_all_of("conn:write('line\\npart') sleep(1)", "*l", "*a")
try("receive(x)", function() return told "sleep(1)":receive "x" end)
try("receive(-1)", function() return told "sleep(1)":receive(-1) end)

-- slow pieces: a timeout is of each wait
read_all_of("for i = 1, 4 do conn:write('p') sleep(0.15) end conn:write('\\n')", "*l")

-- receiveany
local any = told "conn:write('some bytes') sleep(0.1) conn:write('more')"
say("receiveany", any:receiveany(4))
say("receiveany", any:receiveany(100))
say("receiveany", any:receiveany(100))
say("receiveany at the end", any:receiveany(100))
try("receiveany(0)", any.receiveany, any, 0)
any:close()

-- receiveuntil
local function until_of(what, pattern, options, ...)
  local sock = told(what)
  local reader
  if options == NONE then reader = sock:receiveuntil(pattern)
  else reader = sock:receiveuntil(pattern, options) end
  for i = 1, select("#", ...) do
    local size = select(i, ...)
    if size == NONE then say(("%s until %s()"):format(what, pattern), reader())
    else say(("%s until %s(%s)"):format(what, pattern, tostring(size)), reader(size)) end
  end
  say("then", sock:receive "*a")
  sock:close()
end

until_of("conn:write('hello, world! -agentzh\\r\\n--abcedhb blah')", "\r\n--abcedhb", NONE, 4, 4, 4, 4, 4, 4, 4)
until_of("conn:write('hello, world!--end tail')", "--end", NONE, NONE)
until_of("conn:write('one--two--three')", "--", NONE, NONE, NONE, NONE)
until_of("conn:write('one--two--three')", "--", { inclusive = true }, NONE, NONE, NONE)
until_of("conn:write('abcd--tail')", "--", NONE, 4, 4, 4)
until_of("conn:write('abcd--tail')", "--", NONE, 2, 2, 2, 2)
until_of("conn:write('abcd--tail')", "--", { inclusive = true }, 4, 4, 4)
until_of("conn:write('aaaab tail')", "aab", NONE, NONE)
until_of("conn:write('---x--- -')", "---", NONE, NONE, NONE)
until_of("conn:write('no end')", "--", NONE, NONE)
until_of("conn:write('no end')", "--", NONE, 4, 4, 4)
until_of("conn:write('abc') sleep(0.05) conn:write('-') sleep(0.05) conn:write('-d')", "--", NONE, NONE)
local empty = told "sleep(0.01)"
try("receiveuntil('')", empty.receiveuntil, empty, "")
try("receiveuntil with a wrong option", empty.receiveuntil, empty, "x", { inclusive = 3 })
empty:close()

-- sending
local echo = told "while true do local n = conn:read_line() if not n then break end conn:write(n, '\\n') end"
for _, data in ipairs { "text\n", 42, { "a", { "b", 1, { "c" } }, "\n" }, "\n" } do say("send", echo:send(data)) end
say("received", echo:receive())
say("received", echo:receive())
say("send nil", echo:send(nil))
say("send true", echo:send(true))
say("send", echo:send "\n")
say("received", echo:receive())
echo:close()

-- busy
local busy = told "conn:read() conn:write('x\\n')"
local reader = ngx.thread.spawn(function() say("the first", busy:receive()) end)
say("the second", busy:receive())
say("close while busy", busy:close())
say("setkeepalive while busy", busy:setkeepalive())
busy:send "go"
ngx.thread.wait(reader)
busy:close()

-- pools
local function pooled(what, options)
  local sock = ngx.socket.tcp()
  sock:settimeout(1000)
  say("connect to a pool", sock:connect(HOST, PORT, options))
  say("reused", sock:getreusedtimes())
  if sock:getreusedtimes() == 0 then sock:send(what .. "\n") end
  return sock
end

local ECHO = "while true do local n = conn:read_line() if not n then break end conn:write(n, '\\n') end"
local first = pooled(ECHO, { pool = "mine" })
first:send "1\n"
say("received", first:receive())
say("setkeepalive", first:setkeepalive(10000, 5))
say("receive after setkeepalive", first:receive())
say("setkeepalive again", first:setkeepalive())
local second = pooled(ECHO, { pool = "mine" })
second:send "2\n"
say("received", second:receive())
local other = pooled(ECHO, { pool = "other" })
other:close()
second:send "unread\n"
second:receive(1)
ngx.sleep(0.05)
say("setkeepalive with unread data", second:setkeepalive())
second:close()
local gone = pooled("conn:write('x')", { pool = "gone" })
gone:receive(1)
ngx.sleep(0.05)
say("setkeepalive of a closed one", gone:setkeepalive())

local limited = { pool = "limited", pool_size = 1, backlog = 1 }
local holder = pooled(ECHO, limited)
local function wait_for_one(name)
  return ngx.thread.spawn(function()
    local sock = ngx.socket.tcp()
    sock:settimeout(name == "patient" and 2000 or 50)
    local ok, err = sock:connect(HOST, PORT, limited)
    say(name, ok, err, ok and sock:getreusedtimes())
    if ok then sock:setkeepalive() end
  end)
end
local patient = wait_for_one "patient"
local refused = wait_for_one "refused"
ngx.thread.wait(refused)
holder:setkeepalive()
ngx.thread.wait(patient)

-- options
local option = told "conn:read_line()"
say("setoption", option:setoption("keepalive", true))
say("setoption", option:setoption("tcp-nodelay", true))
option:close()
