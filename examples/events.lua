-- SPDX-License-Identifier: MIT
-- events.lua - server-sent events: what anyone says, everyone sees at once.
--
--   luajit examples/events.lua [address]      or: moonpark examples/events.lua [address]
--
-- Then open http://127.0.0.1:8080/ in two windows, or, in two other terminals:
--
--   curl -N http://127.0.0.1:8080/events
--   curl -d 'hello, everybody' http://127.0.0.1:8080/say
--
-- Each client has a task. It sends what is new since it last looked, then waits on `news`. Every event has an id. A
-- browser that reconnects sends the last id it got, and so misses none of the last KEPT messages. A comment every
-- HEARTBEAT seconds keeps proxies from closing the connection.

local http = require "moonpark.http"
local net = require "moonpark.net"
local moonpark = require "moonpark"

local USAGE = [[
usage: events.lua [address]      a page on which everyone sees what anyone says
address: host:port or unix:/path; 127.0.0.1:8080 by default; port 0 picks a free one]]

if arg[1] == "--help" then return print(USAGE) end

local KEPT = 100      -- messages for clients that come back
local HEARTBEAT = 15  -- seconds
local LONGEST = 4096  -- bytes of a message

local PAGE = [[
<!doctype html>
<meta charset="utf-8">
<title>events</title>
<form id="form"><input id="text" autofocus autocomplete="off" placeholder="say something"></form>
<ul id="list"></ul>
<script>
  const text = document.getElementById("text")
  document.getElementById("form").onsubmit = (event) => {
    event.preventDefault()
    fetch("/say", { method: "POST", body: text.value })
    text.value = ""
  }
  new EventSource("/events").addEventListener("said", (event) => {
    const line = document.createElement("li")
    line.textContent = event.data
    document.getElementById("list").prepend(line)
  })
</script>
]]

local messages, last = {}, 0  -- messages[last - KEPT + 1 .. last]
local news = moonpark.event() -- set and replaced when a message comes

local function say(text)
  last = last + 1
  messages[last], messages[last - KEPT] = text, nil
  local old = news
  news = moonpark.event()
  old:set()
end

-- A new client gets what comes from now on; one that reconnects also gets what it has missed.
local function first_for(events)
  local seen = tonumber(events.last_event_id)
  if not seen or seen > last or seen ~= math.floor(seen) then return last + 1 end
  return math.max(seen + 1, last - KEPT + 1, 1)
end

local app = http.router()

app:get("/", function(_, res)
  res.type = "text/html; charset=utf-8"
  res:send(PAGE)
end)

app:post("/say", function(req, res)
  local text, err = req:body(LONGEST)
  if not text then return res:refuse(err) end
  say(text)
  res.status = 204
  res:send("")
end)

app:get("/events", function(_, res)
  local events = res:events { heartbeat = HEARTBEAT }
  if not events or not events:comment "welcome" then return end
  local at = first_for(events)
  while true do
    local coming = news -- taken before the messages are looked at: a later one sets this event
    while at <= last do
      at = math.max(at, last - KEPT + 1)
      if not events:send { event = "said", id = at, data = messages[at] } then return end
      at = at + 1
    end
    if not coming:wait() then return end
  end
end)

local function tell(server)
  print("listening on " .. server:address())
  io.stdout:flush()
end

local address = arg[1] or "127.0.0.1:8080"
local fine, wrong = net.check_address(address)
if not fine then
  io.stderr:write("events: ", wrong, "\n")
  os.exit(2)
end
local ok, err = http.serve(app, { address = address, on_listen = tell })
if not ok and err ~= "canceled" then
  io.stderr:write("events: cannot listen on ", address, ": ", err, "\n")
  os.exit(1)
end
