-- SPDX-License-Identifier: MIT
-- hard/chaos.lua - a server and its clients in which system calls and allocations fail by chance.
--
--   luajit spec/hard/chaos.lua SEED [ONE_CALL_IN [ONE_ALLOC_IN [ROUNDS]]]
--
-- In the environment: MOONPARK_POLLER as ever, CHAOS_SHOW prints what each client met, CHAOS_PATIENCE is how many
-- seconds it may all take.
--
-- No wait in here has a time of its own that would hide a wake-up that got lost: what hangs, hangs, and the dump that
-- ends it says where. What a fault makes of an exchange is an error or an end, never other bytes. Afterwards nothing
-- fails any more, and the server must answer as if nothing had happened, shut down, and leave nothing behind.

local ffi = require "ffi"
local jit = require "jit"
jit.off() -- LuaJIT's compiler does not survive a failed allocation

local core = require "moonpark.core"
local fs = require "moonpark.fs"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "moonpark.process"
local hard = assert(core.hard, "chaos.lua needs the hard build")

for _, name in ipairs { "compress", "gzip", "brotli", "static" } do require("moonpark.http." .. name) end

local seed, calls, allocs = assert(tonumber(arg[1]), "a seed expected"), tonumber(arg[2] or 150), tonumber(arg[3] or 0)
local ROUNDS = tonumber(arg[4] or 12)
local PATIENCE = tonumber(os.getenv "CHAOS_PATIENCE") or 60
local SHOW = os.getenv "CHAOS_SHOW"

ffi.cdef [[
char *chaos_mkdtemp(char *template) __asm__("mkdtemp");
unsigned chaos_alarm(unsigned seconds) __asm__("alarm");
void chaos_exit(int status) __asm__("_exit");
]]

local function broken(...)
  hard.fail_by_chance(0, 0, 0)
  io.stderr:write(string.format(...), "\n")
  ffi.C.chaos_exit(1)
end

local BODY, FILE = "body", "bytes of a file"
local template = ffi.new("char[?]", 64, "/tmp/moonpark-chaos-XXXXXX")
assert(ffi.C.chaos_mkdtemp(template) ~= nil)
local folder = ffi.string(template)
local file = assert(io.open(folder .. "/file", "w"))
file:write(FILE)
file:close()

local met = {} -- [what a client met] = how often

local function note(what, err)
  local text = what .. ": " .. tostring(err)
  met[text] = (met[text] or 0) + 1
end

-- got must be all of wanted, or the beginning of it, with an error.
local function compare(what, wanted, got, err)
  if err == nil and got ~= wanted or got and wanted:sub(1, #got) ~= got then
    broken("%s: %q expected, got %q, %s", what, wanted, tostring(got), tostring(err))
  end
end

---------------------------------------------------------------------------------------------------
-- the server

local server, front -- and a proxy in front of it; each with its .task

local router = http.router()
router:post("/echo", function(req, res) res:send(assert(req:body())) end)
router:post("/stream", function(req, res)
  res:begin()
  while true do
    local data, err = req:read()
    if not data then
      assert(err == "eof", err)
      break
    end
    assert(res:write(data))
  end
end)
router:get("/file", function(_, res) res:file(folder .. "/file") end)
router:get("/slow", function(_, res)
  moonpark.sleep(0.001)
  res:send(BODY)
end)
router:mount("/static", http.static(folder))

local function start(handler)
  local one = assert(http.server(handler, { address = "127.0.0.1:0", on_error = function(text)
    note("server", (text:match("[^\n]*"):gsub("%d+", "N")))
  end }))
  one.task = moonpark.go(one.run, one)
  return one
end

local function start_front()
  return start(http.proxy("http://" .. server:address(), { on_error = function(text) note("proxy", text) end }))
end

---------------------------------------------------------------------------------------------------
-- clients; each returns, raises or is stopped by a fault

local client = http.client { max_per_host = 2, max_connections = 3 }

local function url(path) return "http://" .. server:address() .. path end

local function dialled(address)
  local conn, err = net.dial(address)
  if not conn then error(err, 0) end
  return conn
end

-- A request by hand, all of which is sent; the answer's body, as far as it came.
local function ask(address, text)
  local conn = dialled(address)
  local ok, err = conn:write(text)
  if not ok then
    conn:close()
    error(err, 0)
  end
  local pieces = {}
  while true do
    local data, why = conn:read()
    if not data then
      err = why
      break
    end
    pieces[#pieces + 1] = data
  end
  conn:close()
  local bytes = table.concat(pieces)
  local status, body = bytes:match "^HTTP/1%.[01] (%d+)[^\n]*\r\n.-\r\n\r\n(.*)$"
  if not status then error("no answer, " .. tostring(err), 0) end
  if status ~= "200" then error("answered with " .. status, 0) end
  return body, err
end

local function post(path)
  return ("POST %s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s"):format(path, #BODY, BODY)
end

local function by_hand(path, wanted, text)
  return function()
    local body, err = ask(server:address(), text or "GET " .. path .. " HTTP/1.0\r\n\r\n")
    compare(path, wanted, body, "maybe " .. tostring(err))
    if body ~= wanted then error("cut off", 0) end
  end
end

local function by_client(options, wanted)
  return function()
    local answer, err = client:request(options())
    if not answer then error(err, 0) end
    if answer.status ~= 200 then error("answered with " .. answer.status, 0) end
    compare(options().url, wanted, answer.body)
  end
end

local actions = {
  echo = by_hand("/echo", BODY, post "/echo"),
  stream = by_hand("/stream", BODY, post "/stream"),
  file = by_hand("/file", FILE),
  static = by_hand("/static/file", FILE),
  slow = by_hand("/slow", BODY),
  get = by_client(function() return { url = url "/slow" } end, BODY),
  put = by_client(function() return { url = url "/echo", method = "POST", body = BODY } end, BODY),
  upload = by_client(function()
    local pieces = { BODY }
    return { url = url "/stream", method = "POST", body = function() return table.remove(pieces) end }
  end, BODY),
  proxied = by_client(function() return { url = "http://" .. front:address() .. "/slow" } end, BODY),
  passed_up = by_client(function()
    return { url = "http://" .. front:address() .. "/echo", method = "POST", body = BODY }
  end, BODY),

  leaves = function()
    local conn = dialled(server:address())
    conn:write("POST /echo HT")
    conn:close()
  end,

  canceled = function()
    local task = moonpark.go(by_client(function() return { url = url "/slow" } end, BODY))
    for _ = 1, 20 do moonpark.yield() end
    task:cancel()
    local ok, err = task:join()
    if not ok then error(err, 0) end
  end,

  files = function()
    local path = ("%s/%p"):format(folder, {})
    local ok, err = fs.write(path, BODY)
    local data, why
    if ok then data, why = fs.read(path) end
    fs.remove(path)
    if data then compare("fs", BODY, data) end
    if not data then error(err or why, 0) end
  end,

  sends_file = function()
    local listener, err = net.listen "127.0.0.1:0"
    if not listener then error(err, 0) end
    moonpark.scope(function(scope)
      scope:go(function()
        local conn = assert(listener:accept())
        conn:sendfile(folder .. "/file")
        conn:close()
      end)
      local conn = dialled(listener:address())
      local data, why = conn:read_all()
      conn:close()
      if data then compare("sendfile", FILE, data, "maybe cut") else error(why, 0) end
    end)
    listener:close()
  end,

  copies = function()
    local address = server:address()
    local listener, err = net.listen("unix:" .. folder .. "/" .. tostring({}):match("%x+$"))
    if not listener then error(err, 0) end
    local ok, why = pcall(moonpark.scope, function(scope)
      scope:go(function()
        local left = assert(listener:accept())
        local right, wrong = net.dial(address)
        if right then net.relay(left, right) end
        left:close()
        if right then right:close() end
        assert(right, wrong)
      end)
      local body, cut = ask(listener:address(), post "/echo")
      compare("relay", BODY, body, "maybe " .. tostring(cut))
    end)
    listener:close()
    if not ok then error(why, 0) end
  end,

  named = function()
    local conn = dialled((server:address():gsub("^.*:", "localhost:")))
    conn:close()
  end,

  spawns = function()
    local result, err = process.run({ "echo", BODY }, { clear_env = true })
    if not result then error(err, 0) end
    compare("child", BODY .. "\n", result.stdout, "maybe cut")
  end,

  watches = function()
    local watcher, err = fs.watch(folder)
    if not watcher then error(err, 0) end
    local name = folder .. "/" .. tostring({}):match("%x+$")
    local ok, why = fs.write(name, "")
    if ok then ok, why = watcher:next(0.01) end
    watcher:close()
    fs.remove(name)
    if not ok then error(why, 0) end
  end,

  selects = function()
    local a, b = net.pipe()
    if not a then error(b, 0) end
    local channel = moonpark.chan(1)
    local ok, why = pcall(function()
      assert(a:write "x")
      local n, err = moonpark.select { { channel }, { b, "r" } }
      if n ~= 2 then error(err, 0) end
    end)
    a:close()
    b:close()
    if not ok then error(why, 0) end
  end,

  talks = function()
    local a, b = net.pipe(2)
    if not a then error(b, 0) end
    moonpark.scope(function(scope)
      scope:go(function()
        assert(a:write(BODY))
        a:close()
      end)
      local data, err = b:read_all()
      b:close()
      if data then compare("pipe", BODY, data) else error(err, 0) end
    end)
  end,

  waits = function()
    local channel = moonpark.chan()
    moonpark.scope(function(scope)
      scope:go(function() channel:send(BODY) end)
      local got, err = channel:recv()
      if not got then error(err, 0) end
    end)
    local ok, err = moonpark.sleep(0.0005)
    if not ok then error(err, 0) end
    local _, why = moonpark.timeout(0.001, moonpark.sleep, 3600)
    if why ~= "timeout" then error(why, 0) end
  end,
}

local names = {}
for name in pairs(actions) do names[#names + 1] = name end
table.sort(names)

---------------------------------------------------------------------------------------------------
-- rounds

local function attempt(name)
  local ok, err = pcall(actions[name])
  note(name, ok and "fine" or (tostring(err):gsub("%d+", "N")))
end

-- A pseudo-random choice that no fault changes.
local state = seed * 2 + 1
local function random(n)
  state = (state * 48271) % 2147483647
  return state % n + 1
end

local function go_all(scheduled)
  moonpark.scope(function(scope)
    for _, name in ipairs(scheduled) do scope:go(attempt, name) end
  end)
end

local function has_ended(one) return one.task:status() == "done" or one.task:status() == "failed" end

-- Without memory a server may end, and says so: then there is another one.
local function look_after()
  local ended = has_ended(server)
  for _, one in ipairs { server, front } do
    if has_ended(one) then
      local _, err = one.task:join()
      if not tostring(err):find("not enough memory", 1, true) then broken("a server has ended: %s", tostring(err)) end
    end
  end
  if not ended and not has_ended(front) then return end
  front:close()
  front.task:join()
  if ended then server = start(router) end
  front = start_front()
  moonpark.sleep(0)
end

local function round()
  local scheduled = {}
  for i = 1, 5 do scheduled[i] = names[random(#names)] end
  hard.fail_by_chance(seed * 1000 + random(1000), calls, allocs)
  pcall(go_all, scheduled)
  hard.fail_by_chance(0, 0, 0)
  look_after()
end

local function live()
  server = start(router)
  front = start_front()
  for _ = 1, ROUNDS do round() end
  for _, name in ipairs { "echo", "stream", "file", "static", "get", "put", "upload", "proxied", "passed_up",
    "files" } do
    local ok, err = pcall(actions[name])
    if not ok then broken("%s fails when nothing else does any more: %s", name, err) end
  end
  client:close()
  front:shutdown(1)
  server:shutdown(1)
  for _, one in ipairs { server, front } do
    local ok, err = one.task:join()
    if not ok then broken("the server has ended: %s", err) end
  end
  server, front = nil, nil -- the proxy keeps connections for as long as it is there
end

ffi.C.chaos_alarm(PATIENCE + 10)
core.limit(PATIENCE)
local ok, err = pcall(moonpark.run, live)
hard.fail_by_chance(0, 0, 0)
core.limit(nil)
if core.stats().tasks > 0 then
  local open = {}
  for i, conn in ipairs(core.conns()) do open[i] = conn.text end
  broken("hangs: %s\n%s\nopen: %s", tostring(err), moonpark.dump(), table.concat(open, "\n"))
end
if not ok then broken("ended by: %s", tostring(err)) end
core.check()
for _ = 1, 8 do collectgarbage() end
for _, conn in ipairs(core.conns()) do broken("left open: %s", conn.text) end
local stats = core.stats()
for _, name in ipairs { "tasks", "outside", "waiters", "polls", "timers", "jobs" } do
  if stats[name] ~= 0 then broken("%d %s left", stats[name], name) end
end

os.execute("rm -rf " .. folder)
local good, bad = 0, 0
for text, n in pairs(met) do
  if text:find(": fine$") then good = good + n else bad = bad + n end
  if SHOW then print(n, text) end
end
print(("seed %d: %d went well, %d met a fault"):format(seed, good, bad))
