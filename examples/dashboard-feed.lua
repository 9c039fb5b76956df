-- SPDX-License-Identifier: MIT
-- dashboard-feed.lua - figures of this process, pushed into a page that plots them.
--
--   luajit examples/dashboard-feed.lua [address]      or: moonpark examples/dashboard-feed.lua [address]
--
-- Then open http://127.0.0.1:8080/.
--
-- One task measures every INTERVAL seconds and sends the figures to a group. A page that does not read misses some
-- ("drop"): the next ones make up for it. Who comes gets the last KEPT ones at once.

local http = require "moonpark.http"
local net = require "moonpark.net"
local cjson = require "cjson"
local core = require "moonpark.core"
local moonpark = require "moonpark"

local USAGE = [[
usage: dashboard-feed.lua [address]      a page that plots what this process does
address: host:port or unix:/path; 127.0.0.1:8080 by default; port 0 picks a free one]]

if arg[1] == "--help" then return print(USAGE) end

local INTERVAL = 0.5 -- seconds
local KEPT = 120     -- samples
local GRACE = 5      -- seconds

local here = (arg[0] or ""):match "^(.*)/[^/]*$" or "."

local viewers = http.group { policy = "drop", max_queue = 16384 }
local samples = {}

local function measure(server, late)
  local counts = server:stats()
  return { time = moonpark.time(), memory = math.floor(collectgarbage "count"), tasks = core.stats().tasks,
    requests = counts.requests, viewers = viewers:count(), late = math.max(0, late) * 1000 }
end

-- "late": by how many milliseconds the loop has missed the time that was asked for.
local function feed(server)
  local due = moonpark.now() + INTERVAL
  while moonpark.sleep(math.max(0, due - moonpark.now())) do
    local sample = measure(server, moonpark.now() - due)
    samples[#samples + 1] = sample
    if #samples > KEPT then table.remove(samples, 1) end
    viewers:send(cjson.encode { sample })
    due = due + INTERVAL
  end
end

local function view(ws)
  if #samples > 0 and not ws:send(cjson.encode(samples)) then return end
  viewers:add(ws)
  while ws:receive() do end -- the page says nothing; but so its end is noticed
end

local app = http.router()
app:get("/", function(_, res) res:file(here .. "/dashboard-feed/dashboard.html") end)
app:get("/feed", function(_, res) res:websocket({ max_message = 100 }, view) end)

local function start_feed(server)
  moonpark.go(feed, server):name "feed" -- ends with the program: its sleep is cancelled then
  print("listening on " .. server:address())
  io.stdout:flush()
end

local function main(address)
  local fine, wrong = net.check_address(address)
  if not fine then
    io.stderr:write("dashboard-feed: ", wrong, "\n")
    os.exit(2)
  end
  local ok, err = http.serve(app, { address = address, on_listen = start_feed, grace = GRACE })
  if not ok and err ~= "canceled" then
    io.stderr:write("dashboard-feed: cannot listen on ", address, ": ", err, "\n")
    os.exit(1)
  end
end

moonpark.run(main, arg[1] or "127.0.0.1:8080")
