-- SPDX-License-Identifier: MIT
-- testing.lua - tests of servers: `busted --helper=moonpark.testing` makes each test a task with a time limit,
-- and fails tests that leave a task, a timer or a descriptor behind. Also, with or without the helper: a virtual
-- clock, and in-memory pairs that deliver their bytes in chosen pieces.

if not jit then
  error("moonpark needs LuaJIT, and this is " .. _VERSION .. ": run busted --lua=luajit --helper=moonpark.testing", 0)
end

local core = require "moonpark.core"
local check_options = require("moonpark.options").check
require "moonpark"

---@class moonpark.testing
local M = {}

local DEFAULT_LIMIT = 10 -- seconds

local helper -- testing/busted.lua, if this is busted's helper

---------------------------------------------------------------------------------------------------
-- clock

---@class moonpark.testing.clock
local Clock = {}
Clock.__index = Clock

--- From now on time is virtual: it stands still, and jumps to the next timer as soon as every task waits and no
--- descriptor has anything to report. It ends with the test, or by clock:resume().
---
--- The jump does not wait for the kernel: what is still on its way through a socket comes after it. In-memory pairs
--- have no such way.
---@return moonpark.testing.clock
function M.clock()
  core.clock_freeze()
  return setmetatable({ started = core.now() }, Clock)
end

local function is_length(seconds)
  return type(seconds) == "number" and seconds >= 0 and seconds < math.huge
end

local function check_running(clock)
  if getmetatable(clock) ~= Clock then error("clock expected; call it with a colon", 3) end
  if clock.ended then error("the virtual clock has ended", 3) end
end

--- Virtual seconds since the clock was made, to the microsecond: so that they can be compared for equality.
---@return number
function Clock:now()
  check_running(self)
  return math.floor((core.now() - self.started) * 1e6 + 0.5) / 1e6
end

--- Lets that much virtual time pass: timers fire in their order, each at its own time, and what they wake runs
--- until it waits again.
---@param seconds number
---@return true|nil
---@return string? err "canceled"
function Clock:advance(seconds)
  check_running(self)
  if not is_length(seconds) then
    error("advance: a finite number of seconds of at least 0 expected, got " .. tostring(seconds), 2)
  end
  if not core.current() then
    core.clock_advance(seconds)
    return true
  end
  local ok, err = core.sleep(seconds)
  if not ok then return nil, err end
  return core.yield() -- those whose timer was due at the same instant have run
end

--- Time is real again. It continues from the virtual time: moonpark.now() never goes back.
function Clock:resume()
  check_running(self)
  self.ended = true
  core.clock_thaw()
end

---------------------------------------------------------------------------------------------------
-- pair

local function check_fragments(sizes)
  if type(sizes) ~= "table" then return false, "must be a table, not a " .. type(sizes) end
  if #sizes < 1 or #sizes > 256 then return false, "must hold 1 to 256 sizes" end
  for _, size in ipairs(sizes) do
    if type(size) ~= "number" or size < 1 or size % 1 ~= 0 then
      return false, "must hold positive whole numbers, not " .. tostring(size)
    end
  end
  return true
end

---@class moonpark.testing.pair.options
---@field fragments? integer[] bytes that each read of an end gives at most, round and round; as many as there are
---@field capacity? integer bytes held in each direction; 65536

local pair_options = { fragments = { check_fragments }, capacity = "positive" }

--- Two ends of an in-memory stream, with all methods of a connection. The first read of an end gives at most
--- fragments[1] bytes, the second fragments[2], and so on round and round: however the peer has written, and
--- whatever the reading method asks for.
---@param options? moonpark.testing.pair.options
---@return moonpark.connection
---@return moonpark.connection
function M.pair(options)
  options = check_options("pair", options, pair_options)
  local a, b = core.pair(options.capacity)
  if options.fragments and a then
    assert(core.fragment(a, options.fragments))
    assert(core.fragment(b, options.fragments))
  end
  return a, b
end

---------------------------------------------------------------------------------------------------
-- under busted

--- How long a test may take, in real time and counted from its start. In an `it` or before_each: this test; in the
--- body of a describe or of a file: each function in it, unless an inner block says otherwise.
---@param seconds number math.huge: no limit
function M.timeout(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds <= 0 then
    error("timeout: a positive number of seconds expected, got " .. tostring(seconds), 2)
  end
  if not (helper and helper.set_timeout(seconds < math.huge and seconds)) then
    error("timeout: can only be called in a spec, under busted --helper=moonpark.testing", 2)
  end
end

--- Takes the uncaught errors of tasks so far, as texts with their tracebacks: for tests that expect some. They do
--- not fail the test then.
---@return string[]
function M.uncaught()
  if not helper then error("uncaught: can only be called under busted --helper=moonpark.testing", 2) end
  return helper.uncaught()
end

local function quoted(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

--- A new folder; removed with all that is in it when the test has ended, or, if made in `setup`, the block.
---@return string path
function M.tempdir()
  local parent = os.getenv("TMPDIR") or "/tmp"
  local pipe = assert(io.popen("mktemp -d " .. quoted(parent .. "/moonpark-XXXXXXXX"))) -- moonpark: ignore
  local path = pipe:read("*l")
  pipe:close()
  if not path then error("tempdir: cannot create a folder in " .. parent, 2) end
  if helper then helper.at_end(function() os.execute("rm -rf -- " .. quoted(path)) end) end -- moonpark: ignore
  return path
end

---------------------------------------------------------------------------------------------------
-- the helper

local function default_limit()
  local text = os.getenv("MOONPARK_TEST_TIMEOUT")
  if not text or text == "" then return DEFAULT_LIMIT end
  local seconds = tonumber(text)
  if not seconds or seconds ~= seconds or seconds < 0 then
    error("MOONPARK_TEST_TIMEOUT: seconds expected (0: no limit), got '" .. text .. "'", 0)
  end
  return seconds > 0 and seconds < math.huge and seconds
end

-- Is busted loading its helper? A spec that requires this file without the helper must be left alone.
local function is_helper()
  local level = 2
  local info = debug.getinfo(level, "S")
  while info do
    if info.source:find("helper_loader%.lua$") then return package.loaded.busted ~= nil end
    level = level + 1
    info = debug.getinfo(level, "S")
  end
  return false
end

if is_helper() then
  helper = require "moonpark.testing.busted"
  require "moonpark.net" -- before busted begins to isolate files from each other
  require "moonpark.netpoll"
  helper.install(default_limit())
end

return M
