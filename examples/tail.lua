-- SPDX-License-Identifier: MIT
-- tail.lua - sends the last lines of a file to every client that connects, and then each line as it is written.
--
--   luajit examples/tail.lua [-n LINES] file [address]      or: moonpark examples/tail.lua ...
--
-- Then, in two other terminals: nc 127.0.0.1 7003, and for example: date >> file
--
-- One task follows the file and keeps its last lines. It watches the directory, not the file, so it notices when the
-- file is renamed and another takes its name, as in log rotation. Each client has a task, which sends what is new since
-- it last looked, and then waits on `news`. A slow client misses nothing until it is KEPT lines behind; then it gets a
-- line that says how many it missed. Other clients are not affected.

local moonpark = require "moonpark"
local fs, net = moonpark.fs, moonpark.net

local USAGE = [[
usage: tail.lua [-n LINES] file [address]      the end of a file for every client, and what is added to it
file: need not exist yet; may be cut short, replaced or renamed: whichever file has the name is followed
address: host:port or unix:/path; 127.0.0.1:7003 by default; port 0 picks a free one
-n LINES: how many of the last lines a new client gets first; 10 by default]]

local KEPT = 10000         -- lines for slow clients
local PIECE = 65536        -- bytes read at once
local LONGEST_LINE = 65536 -- bytes; longer lines are split
local BACKLOG = 1048576    -- bytes at the end of the file that are read at the start

local lines, first, last = {}, 1, 0 -- lines[first .. last] are kept
local news = moonpark.event()       -- set and replaced when lines come

local function tell(line)
  last = last + 1
  lines[last] = line
  if last - first >= KEPT then
    lines[first] = nil
    first = first + 1
  end
end

local function announce()
  local old = news
  news = moonpark.event()
  old:set()
end

---------------------------------------------------------------------------------------------------
-- the file

local followed = {} -- file =, inode =, position =, rest = the bytes after the last line end

-- Keeps every whole line of the bytes.
local function cut(bytes)
  local text = followed.rest .. bytes
  local from = 1
  for line, after in text:gmatch("([^\n]*\n)()") do
    tell(line)
    from = after
  end
  followed.rest = text:sub(from)
  if #followed.rest > LONGEST_LINE then
    tell(followed.rest .. "\n")
    followed.rest = ""
  end
end

local function read_on()
  local size = followed.file:size()
  if size and size < followed.position then -- it was cut short: begin at its start
    followed.position, followed.rest = 0, ""
  end
  local data = followed.file:read_at(followed.position, PIECE)
  while data do
    cut(data)
    announce() -- clients run during the next read
    followed.position = followed.position + #data
    data = followed.file:read_at(followed.position, PIECE)
  end
end

local function let_go()
  if not followed.file then return end
  read_on() -- what was written before it lost its name
  if followed.rest ~= "" then
    tell(followed.rest .. "\n")
    announce()
  end
  followed.file:close()
  followed = {}
end

-- Opens the file that has the name now; checks twice, because it may be renamed meanwhile. -> file, inode | nil
local function open_current(path)
  while true do
    local before, file = fs.stat(path), fs.open(path)
    local after = file and fs.stat(path)
    if after and before and after.inode == before.inode then return file, after.inode end
    if not file then return nil end
    file:close()
  end
end

-- Switches to the file that has the name now, if that is another one, and reads on.
local function look(path)
  local st = fs.stat(path)
  if followed.file and (not st or st.inode ~= followed.inode) then let_go() end
  if st and not followed.file then
    local file, inode = open_current(path)
    if file then followed = { file = file, inode = inode, position = 0, rest = "" } end
  end
  if followed.file then read_on() end
end

-- Of a file that exists at the start only the end is read; its first line may be incomplete, and is dropped then.
local function begin(path)
  local file, inode = open_current(path)
  if not file then return end
  local position = math.max(0, (file:size() or 0) - BACKLOG)
  followed = { file = file, inode = inode, position = position, rest = "" }
  read_on()
  if position > 0 and last >= first then
    lines[first] = nil
    first = first + 1
  end
end

local function follow(watcher, path)
  local name = path:match("[^/]*$")
  for event in watcher do
    if event.name == name or event.event == "overflow" then look(path) end
  end
end

---------------------------------------------------------------------------------------------------
-- the clients

-- Sends lines from `at` on, at most 1000 at once. -> the number of the next line, or nil if the client is gone
local function send(conn, at)
  if at < first then
    if not conn:write(("[%d lines missed]\n"):format(first - at)) then return nil end
    at = first
  end
  local to = math.min(last, at + 999)
  return conn:write(table.concat(lines, "", at, to)) and to + 1 or nil
end

local function write_lines(conn, wanted)
  local at = math.max(first, last - wanted + 1) ---@type integer?
  while at do
    local coming = news -- taken before the lines are looked at: a later one sets this event
    if at <= last then
      at = send(conn, at)
    elseif not coming:wait() then
      return
    end
  end
  conn:close()
end

-- What a client sends is ignored; when it ends its stream, its connection is closed.
local function serve(conn, wanted)
  moonpark.scope(function(scope)
    local writer = scope:go(write_lines, conn, wanted)
    while conn:read() do end
    writer:cancel()
  end)
end

local function fail(...)
  io.stderr:write("tail: ", ...)
  io.stderr:write("\n")
  os.exit(1)
end

local function main(path, address, wanted)
  local fine, wrong = net.check_address(address)
  if not fine then
    io.stderr:write("tail: ", wrong, "\n")
    os.exit(2)
  end
  local folder = path:match("^(.*/)[^/]*$") or "."
  local watcher, err = fs.watch(folder)
  if not watcher then return fail("cannot watch ", folder, ": ", err) end
  local listener
  listener, err = net.listen(address)
  if not listener then return fail("cannot listen on ", address, ": ", err) end
  begin(path)
  moonpark.go(follow, watcher, path):name("follow")
  print("listening on " .. listener:address())
  io.stdout:flush()
  listener:serve(function(conn) serve(conn, wanted) end)
  watcher:close()
end

if arg[1] == "--help" then return print(USAGE) end
local wanted = 10 ---@type number?
if arg[1] == "-n" then
  wanted = tonumber(arg[2])
  table.remove(arg, 1)
  table.remove(arg, 1)
end
if not arg[1] or not wanted or wanted < 0 or wanted ~= math.floor(wanted) then
  io.stderr:write(USAGE, "\n")
  os.exit(2)
end
moonpark.run(main, arg[1], arg[2] or "127.0.0.1:7003", wanted)
