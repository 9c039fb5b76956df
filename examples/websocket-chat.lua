-- SPDX-License-Identifier: MIT
-- websocket-chat.lua - a chat with rooms, names and a history, in a page that talks to it by WebSocket.
--
--   luajit examples/websocket-chat.lua [address]      or: moonpark examples/websocket-chat.lua [address]
--
-- Then open http://127.0.0.1:8080/ in two windows.
--
-- Each client has a handler that receives. A room is a group: what is said goes to all members as one frame. A member
-- that does not read is closed once QUEUE bytes wait for it, and its page comes back and asks for what it has missed.

local http = require "moonpark.http"
local net = require "moonpark.net"
local cjson = require "cjson"
local moonpark = require "moonpark"

local USAGE = [[
usage: websocket-chat.lua [address]      a page on which people in a room talk
address: host:port or unix:/path; 127.0.0.1:8080 by default; port 0 picks a free one]]

if arg[1] == "--help" then return print(USAGE) end

local KEPT = 100       -- messages of a room, for those who come
local QUEUE = 65536    -- bytes that may wait for a member
local LONGEST = 2000   -- bytes of a message's text
local ROOMS = 1000     -- at once
local NAME_TAKEN = 4001
local GRACE = 5        -- seconds

local here = (arg[0] or ""):match "^(.*)/[^/]*$" or "."

local rooms, room_count = {}, 0 -- [name] = {group =, people = {[name] = socket}, messages = {...}, last = id}

local greatest_id = 0

-- Pages ask for what came after an id: one of a room that has ended, or of a server before this one, must be smaller.
local function first_id() return math.max(greatest_id, math.floor(moonpark.time() * 1000)) end

local function room_of(name)
  local room = rooms[name]
  if room or room_count == ROOMS then return room end
  room = { group = http.group { max_queue = QUEUE, policy = "close" }, people = {}, messages = {}, last = first_id() }
  rooms[name], room_count = room, room_count + 1
  return room
end

local function tell(room, message, except) room.group:send(cjson.encode(message), except) end

local function tell_people(room)
  local names = {}
  for name in pairs(room.people) do names[#names + 1] = name end
  table.sort(names)
  tell(room, { what = "people", names = names })
end

local function say(room, name, text)
  room.last = room.last + 1
  greatest_id = math.max(greatest_id, room.last)
  local message = { what = "said", id = room.last, name = name, text = text, time = moonpark.time() }
  table.insert(room.messages, message)
  if #room.messages > KEPT then table.remove(room.messages, 1) end
  tell(room, message)
end

-- A text that a client has sent; nil if it makes no sense.
local function text_of(message, kind)
  local ok, value = pcall(cjson.decode, message)
  local text = kind == "text" and ok and type(value) == "table" and value.text
  return type(text) == "string" and text ~= "" and #text <= LONGEST and text or nil
end

-- Sends what a client has missed: also what is said meanwhile, so that afterwards it has all.
local function catch_up(ws, room, after)
  local behind = true
  while behind do
    behind = false
    for _, message in ipairs(room.messages) do
      if message.id > after then
        after, behind = message.id, true
        if not ws:send(cjson.encode(message)) then return end
        break
      end
    end
  end
end

local function talk(ws, room, name)
  for message, kind in ws:messages() do
    local text = text_of(message, kind)
    if text then say(room, name, text)
    else ws:send(cjson.encode { what = "refused", why = "that is no message" }) end
  end
end

-- Comes in, talks, leaves: whatever ends the talking.
local function take_part(ws, room_name, name, after)
  local room = room_of(room_name)
  if not room then return ws:close(1013, "too many rooms") end
  if room.people[name] then return ws:close(NAME_TAKEN, "somebody has that name") end
  room.people[name] = ws
  catch_up(ws, room, after)
  room.group:add(ws)
  tell(room, { what = "came", name = name }, ws)
  tell_people(room)
  local ok, err = pcall(talk, ws, room, name)
  room.people[name] = nil
  room.group:remove(ws)
  if next(room.people) == nil then
    rooms[room_name], room_count = nil, room_count - 1
  else
    tell(room, { what = "left", name = name })
    tell_people(room)
  end
  if not ok then error(err, 0) end
end

local function is_name(text) return text and #text >= 1 and #text <= 96 and not text:find "[%c]" end

local app = http.router()

app:get("/", function(_, res) res:file(here .. "/websocket-chat/chat.html") end)

app:get("/chat", function(req, res)
  local room, name = req.query.room, req.query.name
  if not is_name(room) or not is_name(name) then
    res.status = 400
    return res:send("a room and a name are needed\n")
  end
  local ws = res:websocket { max_message = 2 * LONGEST, compress = { takeover = false, peer_takeover = false } }
  if ws then take_part(ws, room, name, tonumber(req.query.after) or 0) end
end)

-- SIGTERM and SIGINT drain the server: the pages are told that it goes away, and come back to the next one.
local function announce(server)
  print("listening on " .. server:address())
  io.stdout:flush()
end

local function main(address)
  local fine, wrong = net.check_address(address)
  if not fine then
    io.stderr:write("websocket-chat: ", wrong, "\n")
    os.exit(2)
  end
  local ok, err = http.serve(app, { address = address, on_listen = announce, grace = GRACE })
  if not ok and err ~= "canceled" then
    io.stderr:write("websocket-chat: cannot listen on ", address, ": ", err, "\n")
    os.exit(1)
  end
end

moonpark.run(main, arg[1] or "127.0.0.1:8080")
