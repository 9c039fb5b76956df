-- SPDX-License-Identifier: MIT
-- support/fleet.lua - several worker processes that accept on one listening socket, and what they publish.
--
--   local fleet = require "support.fleet"
--   local workers = fleet.start { count = 4, kind = "plain" }       "http" or "tls"; slots = count
--   workers.address                      where they listen
--   local conn, slot = workers:connect() a connection, and the slot of the worker that accepted it
--   workers:slots()                      what core.share_read returns
--   workers:await(function(slots) ... end, "what is waited for")
--   workers:run(2, "return collectgarbage 'count'")     runs Lua in the worker of slot 2 -> its first result, as text
--   workers:start_one(5)                 one more
--   workers.child[2]                     its process
--   after_each(fleet.stop_all)
--
-- The workers get segment, wakes and listener over a unix socket, as those of a supervisor do.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"

local PATIENCE = 60 -- seconds; nothing takes as long, so whoever does hangs

local M = {}

---@class spec.fleet
local Fleet = {}
Fleet.__index = Fleet
local running = {}

-- In the worker. Its first line says what it is; every other one is Lua, which runs beside what it serves.
local worker = [[
  local moonpark = require "moonpark"
  local core = require "moonpark.core"
  local net = require "moonpark.net"
  local control, options, listener, slot

  local kinds = {}

  function kinds.plain()
    listener:serve(function(conn)
      conn:write(slot, "\n")
      conn:read()
    end, { max_connections = options.max_connections })
  end
  kinds.tls = kinds.plain

  function kinds.http()
    require("moonpark.http").serve(function(_, res) res:send(slot) end,
      { listener = listener, max_connections = options.max_connections, on_error = function() end })
  end

  local function receive()
    local data, fds = "", {}
    repeat
      local more, some = assert(control:recv_fds())
      data = data .. more
      for _, fd in ipairs(some) do fds[#fds + 1] = fd end
    until data:sub(-1) == "\n"
    options = assert(loadstring("return " .. data))()
    slot = tostring(options.slot)
    listener = assert(net.from_fd(table.remove(fds, 1)))
    assert(core.share_join(table.remove(fds, 1), fds, options.slot))
  end

  -- In this process alone: the listening socket is everybody's.
  local function cover()
    if options.kind ~= "tls" then return end
    local tls = require "moonpark.tls"
    core.tls_listen(listener, assert(tls.server { cert = options.cert, key = options.key }).core)
  end

  local environment = setmetatable({}, { __index = _G })

  function environment.exists(path)
    local file = io.open(path)
    if file then file:close() end
    return file ~= nil
  end

  moonpark.run(function()
    control = assert(net.dial(os.getenv "FLEET_DOOR"))
    control:write(os.getenv "FLEET_SLOT", "\n")
    receive()
    cover()
    assert(core.share_listener(listener))
    environment.listener, environment.core, environment.moonpark = listener, core, moonpark
    if options.kind ~= "idle" then moonpark.go(kinds[options.kind]) end
    for line in control:lines() do
      local ok, result = pcall(setfenv(assert(loadstring(line)), environment))
      control:write(ok and "yes " or "no ", (tostring(result):gsub("\n", " ")), "\n")
    end
    os.exit(0)
  end)
]]

local function quoted(options)
  local words = {}
  for name, value in pairs(options) do words[#words + 1] = ("%s=%q"):format(name, value):gsub('="(%d+)"$', "=%1") end
  return "{" .. table.concat(words, ",") .. "}\n"
end

-- All the descriptors in one message, and the rest of the words behind it.
local function hand_over(conn, text, fds)
  local sent = assert(conn:send_fds(text, fds))
  if sent < #text then assert(conn:write(text:sub(sent + 1))) end
end

--- Starts a worker in that slot, and waits until it has joined.
---@param slot integer
---@param options? table of this one, in place of the fleet's
function Fleet:start_one(slot, options)
  local child = process.start({ process.interpreter, "-e", worker },
    { env = { FLEET_DOOR = self.door:address(), FLEET_SLOT = slot } })
  local words = { slot = slot, kind = self.options.kind }
  for name, value in pairs(options or self.options.worker or {}) do words[name] = value end
  local control = assert(self.door:accept())
  assert(control:read_line() == tostring(slot))
  local fds = { self.listener, self.segment }
  for _, wake in ipairs(self.wakes) do fds[#fds + 1] = wake end
  hand_over(control, quoted(words), fds)
  if self.control[slot] then self.control[slot]:close() end
  self.child[slot], self.control[slot] = child, control
  assert(self:run(slot, "return 'here'") == "here")
end

--- Runs Lua in a worker, in the task that obeys; returns its first result as text.
---@param slot integer
---@param lua string one line
---@return string
function Fleet:run(slot, lua)
  assert(self.control[slot]:write(lua, "\n"))
  local answer, err = self.control[slot]:read_line()
  if not answer then
    self.child[slot]:stop()
    error(("worker %d: %s: %s"):format(slot, err, self.child[slot].text.err), 2)
  end
  local ok, result = answer:match("^(%l+) (.*)$")
  return ok == "yes" and result or error(result, 2)
end

--- The same without waiting: the worker is busy with it.
function Fleet:tell(slot, lua) assert(self.control[slot]:write(lua, "\n")) end

---@return {state: string, pid: integer, open: integer, accepted: integer, woken: integer,
--- stuck: integer}[]
function Fleet:slots() return assert(core.share_read(self.segment)) end

--- Waits until look(slots) is true. The time is the system's.
function Fleet:await(look, what)
  local since = os.time()
  while not look(self:slots()) do
    if os.time() - since > PATIENCE then error(("not in %d s: %s\n%s"):format(PATIENCE, what, self:describe()), 2) end
    assert(core.sleep(0.002))
  end
end

function Fleet:describe()
  local lines = {}
  for i, s in ipairs(self:slots()) do
    lines[i] = ("%d: %s, %d open, %d accepted, woken %d times, stuck %d times"):format(i, s.state, s.open, s.accepted,
      s.woken, s.stuck)
  end
  return table.concat(lines, "\n")
end

--- Waits until the workers are asleep, in their pollers.
function Fleet:await_sleep()
  self:await(function()
    for _, child in pairs(self.child) do
      local file = not child:ended() and io.open(("/proc/%d/stat"):format(child.pid))
      local state = file and file:read("*a"):match("%) (%a)")
      if file then file:close() end
      if state and state ~= "S" then return false end
    end
    return true
  end, "all workers asleep")
end

--- Connects, and reads who has accepted it. It stays open, unless the caller closes it.
---@return moonpark.connection
---@return integer slot
function Fleet:connect()
  local conn = assert(net.dial(self.address, { tls = self.options.tls, server_name = self.options.server_name }))
  self.conns[#self.conns + 1] = conn
  if self.options.kind ~= "http" then return conn, tonumber((assert(conn:read_line()))) end
  assert(conn:write("GET / HTTP/1.1\r\nHost: fleet\r\n\r\n"))
  repeat local line = assert(conn:read_line()) until line == ""
  return conn, tonumber((assert(conn:read_exactly(1))))
end

--- Opens n connections: all at once, or one after another. They stay open. -> how many each worker has accepted
---@param n integer
---@param at_once boolean
---@return integer[]
function Fleet:open(n, at_once)
  local counts = {}
  for slot = 1, self.options.count do counts[slot] = 0 end
  local function one()
    local _, slot = self:connect()
    counts[slot] = counts[slot] + 1
  end
  if not at_once then
    for _ = 1, n do one() end
    return counts
  end
  moonpark.scope(function(scope)
    for _ = 1, n do scope:go(one) end
  end)
  return counts
end

--- Closes those connections.
function Fleet:close_all()
  for _, conn in ipairs(self.conns) do conn:close() end
  self.conns = {}
end

function Fleet:stop()
  running[self] = nil
  self:close_all()
  for _, child in pairs(self.child) do child:stop() end
  for _, control in pairs(self.control) do control:close() end
  self.listener:close()
  self.door:close()
  self.segment:close()
  for _, wake in ipairs(self.wakes) do wake:close() end
end

function M.stop_all()
  for fleet in pairs(running) do fleet:stop() end
  process.stop_all()
end

--- How far the greatest of these counts is above the smallest.
function M.spread(counts)
  local least, most = math.huge, 0
  for _, n in ipairs(counts) do least, most = math.min(least, n), math.max(most, n) end
  return most - least
end

--- Starts the workers, and waits until all of them accept.
---@param options {count: integer, slots?: integer, kind: string, worker?: table, tls?: table, server_name?: string}
---@return spec.fleet
function M.start(options)
  local self = setmetatable({ options = options, child = {}, control = {}, conns = {} }, Fleet)
  self.segment, self.wakes = core.share_make(options.slots or options.count)
  assert(self.segment, self.wakes)
  self.listener = assert(net.listen("127.0.0.1:0"))
  self.address = self.listener:address()
  support.with_folder(function(folder)
    self.door = assert(net.listen("unix:@" .. folder))
  end)
  running[self] = true
  for slot = 1, options.count do self:start_one(slot) end
  if options.kind ~= "idle" then
    self:await(function(slots)
      for slot = 1, options.count do
        if slots[slot].state ~= "accepting" then return false end
      end
      return true
    end, "all workers accept")
  end
  return self
end

return M
