-- SPDX-License-Identifier: MIT
-- chat.lua - a chat room: each member's lines go to all others.
--
--   luajit examples/chat.lua [address]      or: moonpark examples/chat.lua [address]
--
-- Then, in two other terminals: nc 127.0.0.1 7001, and talk.
--
-- Every line goes into one channel, the hub. One task takes it from there and puts it into every member's mailbox,
-- which is a channel too; each member's writer sends what is in the mailbox. The hub never waits for a member: one
-- with QUEUE unread lines is disconnected (a chat with gaps would be worse), so a slow member holds up no other.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local USAGE = [[
usage: chat.lua [address]      a chat room for nc or telnet
address: host:port or unix:/path; 127.0.0.1:7001 by default; port 0 picks a free one]]

local QUEUE = 100          -- lines that may wait for a slow member
local LONGEST_LINE = 1000  -- bytes
local TRIES = 3            -- to choose a name
local PATIENCE = 60        -- seconds to choose it
local FAREWELL = 1         -- seconds for a member to read the rest of the mailbox

local members = {}              -- [name] = {name =, conn =, mailbox =}
local hub = moonpark.chan(QUEUE) -- of {from = name or nil, text = line}

-- A copy of the list: members come and go while a task goes through it.
local function everybody()
  local list = {}
  for _, member in pairs(members) do list[#list + 1] = member end
  return list
end

-- The task behind the hub.
local function deliver()
  for message in hub:iter() do
    for _, member in ipairs(everybody()) do
      if #member.mailbox == QUEUE then
        member.conn:close() -- its reader ends, and tells the others
      elseif member.name ~= message.from then
        member.mailbox:send(message.text .. "\n")
      end
    end
    moonpark.yield() -- lets all writers run: a mailbox fills only while its connection takes no more
  end
end

-- One member's writer.
local function write_mail(member)
  for line in member.mailbox:iter() do
    if not member.conn:write(line) then break end
  end
end

-- One member's reader. Removes control characters, which could disturb the other members' terminals.
local function read_lines(member)
  for line in member.conn:lines(LONGEST_LINE) do
    local text = line:gsub("%c", "")
    if text ~= "" then hub:send { from = member.name, text = member.name .. ": " .. text } end
  end
end

local function names()
  local list = {}
  for name in pairs(members) do list[#list + 1] = name end
  table.sort(list)
  return #list > 0 and table.concat(list, ", ") or "nobody"
end

local function ask_name(conn)
  conn:set_read_deadline(moonpark.now() + PATIENCE)
  conn:write("Here: ", names(), ". Your name?\n")
  for _ = 1, TRIES do
    local name = conn:read_line(LONGEST_LINE)
    if not name then return nil end
    if not name:find("^[%w_-]+$") or #name > 20 then
      conn:write("A name is 1 to 20 letters, digits, - and _. Your name?\n")
    elseif members[name] then
      conn:write("The name ", name, " is taken. Your name?\n")
    else
      conn:set_read_deadline(nil)
      return name
    end
  end
end

local function join(member)
  member.mailbox:send("Welcome, " .. member.name .. ".\n")
  hub:send { from = member.name, text = "* " .. member.name .. " has joined" }
end

-- The writer ends when the mailbox is empty; it waits FAREWELL seconds for a member that does not read.
local function leave(member)
  members[member.name] = nil
  member.mailbox:close()
  member.conn:set_write_deadline(moonpark.now() + FAREWELL)
  hub:send { text = "* " .. member.name .. " has left" }
end

local function chat(conn)
  local name = ask_name(conn)
  if not name then return end
  local member = { name = name, conn = conn, mailbox = moonpark.chan(QUEUE) }
  members[name] = member -- still free: nothing has waited since ask_name looked
  moonpark.scope(function(scope) -- ends when both reader and writer have ended
    scope:go(write_mail, member)
    join(member)
    read_lines(member)
    leave(member)
  end)
end

local function main(address)
  local fine, wrong = net.check_address(address)
  if not fine then
    io.stderr:write("chat: ", wrong, "\n")
    os.exit(2)
  end
  local listener, err = net.listen(address)
  if not listener then
    io.stderr:write("chat: cannot listen on ", address, ": ", err, "\n")
    os.exit(1)
  end
  moonpark.go(deliver):name("hub")
  print("listening on " .. listener:address())
  io.stdout:flush()
  listener:serve(chat)
  hub:close()
end

if arg[1] == "--help" then return print(USAGE) end
local address = arg[1] or "127.0.0.1:7001"
moonpark.run(main, address)
