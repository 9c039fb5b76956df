-- SPDX-License-Identifier: MIT
-- copy.lua - from one stream to another, and between two in both directions.
--
-- Small pieces are read and written in the usual way: a message costs the same as in an echo server. If the reads come
-- back full, the bytes go through a kernel pipe instead (splice), until reads are small again. The pipe is taken for
-- each piece and given back empty, so a waiting task holds none.

local core = require "moonpark.core"
local check_options = require("moonpark.options").check
local task = require "moonpark.task"

local M = {}

local LARGE = core.largest_read -- bytes: a read that brings so many may have left some
local RUN = 2                   -- large reads in a row before splicing pays; small splices before it no longer does
local PIECE = 2 ^ 20            -- bytes asked of one splice

local NO_HALF_CLOSE = "socket operation on non-socket"

local is_listener = core.conn_class.is_listener
local splice_in, splice_out = core.splice_in, core.splice_out

local READ, WRITE, BOTH = { "read" }, { "write" }, { "read", "write", "close_write", "close" }

local function has_all(value, methods)
  for _, method in ipairs(methods) do
    local found, fn = pcall(function() return value[method] end)
    if not (found and type(fn) == "function") then return false end
  end
  return true
end

-- A connection, or whatever has the methods.
local function check_stream(value, position, methods, name)
  local is_conn, listens = pcall(is_listener, value)
  if is_conn and not listens then return end
  local kind = is_conn and "a listener" or type(value)
  if is_conn or not has_all(value, methods) then
    error(("bad argument #%d to '%s' (connection expected, got %s)"):format(position, name, kind), 3)
  end
end

local function check_count(n)
  if n == nil then return math.huge end
  if type(n) ~= "number" then
    error(("bad argument #3 to 'copy' (number expected, got %s)"):format(type(n)), 3)
  end
  if not (n >= 0 and n == math.floor(n)) then
    error("bad argument #3 to 'copy' (whole number of at least 0 expected)", 3)
  end
  return n
end

--- connection:sendfile(file[, offset[, length]]) -> bytes; 4th result: bytes sent before a failure. sendfile(2).
--- file: a path, a descriptor's number, or what has fd(). "unexpected eof": it is too short, or has become so;
--- "is a directory", "not a regular file", "no such file or directory", "permission denied", ...; and as write's.
---@alias moonpark.sendfile
---| fun(self, file: string|integer|table, offset?: integer, length?: integer): integer|nil, string?, integer?, integer?

---@class moonpark.copy.job
---@field dst moonpark.connection
---@field src moonpark.connection
---@field left number bytes still to be moved
---@field moved number bytes that dst has taken
---@field splices boolean splicing has not been refused
---@field last number|nil when bytes went through last, where idle times are watched
---@field hose? userdata
---@field side? "read"|"write" which failed; nil: none did
---@field err? string
---@field errno? integer

local function new_job(dst, src, n, watched)
  return { dst = dst, src = src, left = n, moved = 0, splices = core.splices(dst) and core.splices(src),
    last = watched and core.now() }
end

local function fail(job, side, err, errno)
  job.side, job.err, job.errno = side, err, errno
end

local function advance(job, n)
  job.left, job.moved = job.left - n, job.moved + n
  if job.last then job.last = core.now() end
end

-- Reads and writes. True when the reads are so large that a splice would pay; else it is over.
local function by_hand(job)
  local src, dst, full = job.src, job.dst, 0
  while job.left > 0 do
    local data, err, errno = src:read(job.left < LARGE and job.left or LARGE)
    if not data then
      if err ~= "eof" then fail(job, "read", err, errno) end
      return false
    end
    local n, why, number, part = dst:write(data)
    advance(job, n or part or 0)
    if not n then return fail(job, "write", why, number) end
    full = #data == LARGE and full + 1 or 0
    if full >= RUN and job.splices then return true end
  end
  return false
end

-- Splices. True if reading and writing must continue; otherwise the copy has ended.
local function by_splice(job)
  local src, dst, little = job.src, job.dst, 0
  local hose = job.hose or core.hose()
  job.hose = hose
  while job.left > 0 and little < RUN do
    local got, err, errno = splice_in(src, hose, job.left < PIECE and job.left or PIECE)
    if got == 0 then return true end
    if not got then
      job.splices = err ~= "invalid argument"
      return not job.splices or fail(job, "read", err, errno)
    end
    local n, why, number, part = splice_out(dst, hose)
    advance(job, n or part)
    if not n then return fail(job, "write", why, number) end
    little = got < LARGE and little + 1 or 0
  end
  return job.left > 0
end

local function run(job)
  while by_hand(job) and by_splice(job) do end
  if job.hose then job.hose:close() end
end

--- Moves bytes from src to dst until src's end of stream, or n bytes. Both stay open.
--- After a failure `moved` is what dst has taken; a piece that was read and that dst did not take is lost.
---@param dst moonpark.connection or what has its write
---@param src moonpark.connection or what has its read
---@param n? integer bytes at most; fewer if the stream ends before
---@return number|nil moved bytes
---@return string? err of the read or the write that failed
---@return integer? errno
---@return number? moved with an error: bytes that dst has taken
---@return "read"|"write"|nil side with an error: which side failed
function M.copy(dst, src, n)
  check_stream(dst, 1, WRITE, "copy")
  check_stream(src, 2, READ, "copy")
  local job = new_job(dst, src, check_count(n))
  run(job)
  if job.side then return nil, job.err, job.errno, job.moved, job.side end
  return job.moved
end

---------------------------------------------------------------------------------------------------
-- both directions

---@class moonpark.net.relay.options
---@field idle_timeout? number seconds without a byte, then it fails with "timeout"; no limit

---@class moonpark.copy.relay
---@field scope moonpark.scope
---@field running integer directions that have not ended
---@field watcher? moonpark.task
---@field hung_up? boolean one without half-close was closed: so the other direction may end with "closed"
---@field err? string
---@field errno? integer

-- The first failure is the relay's, and ends the other direction.
local function give_up(relay, err, errno)
  if not relay.err then relay.err, relay.errno = err, errno end
  relay.scope:cancel()
end

-- As a half-close, or as a close to what has none.
local function pass_on_end(relay, dst)
  local ok, err, errno = dst:close_write()
  if ok then return end
  if err ~= NO_HALF_CLOSE then return give_up(relay, err, errno) end
  relay.hung_up = true
  dst:close()
end

local function one_way(relay, job)
  run(job)
  relay.running = relay.running - 1
  if not job.side then
    pass_on_end(relay, job.dst)
  elseif not (relay.hung_up and job.err == "closed") then
    give_up(relay, job.err, job.errno)
  end
  if relay.running == 0 and relay.watcher then relay.watcher:cancel() end
end

-- Bytes of the pieces that are being written: a slow reader takes long for one.
local function under_way(there, back) return core.under_way(there.dst) + core.under_way(back.dst) end

-- Gives up when nothing has gone through in either direction for so many seconds. What a piece under way has moved
-- is looked at here only: so that may be noticed late, and giving up take twice as long.
local function watch(relay, seconds, there, back)
  local before, changed = 0, core.now()
  while true do
    local moved = under_way(there, back)
    if moved ~= before then before, changed = moved, core.now() end
    local left = math.max(there.last, back.last, changed) + seconds - core.now()
    if left <= 0 then return give_up(relay, "timeout") end
    if not core.sleep(left) then return end
  end
end

local of_relay = { idle_timeout = { function(value) return type(value) == "number" and value > 0 end,
  "must be a positive number of seconds" } }

--- Copies from a to b and from b to a until both streams have ended. The end of one is passed on as a half-close
--- (as a close, to what has no half-close). A failure in one direction ends the other. Closes neither otherwise.
---@param a moonpark.connection
---@param b moonpark.connection
---@param options? moonpark.net.relay.options
---@return number|nil there bytes that b has taken from a
---@return number back bytes that a has taken from b; or a string: what failed
---@return integer? errno
---@return number? there with an error
---@return number? back with an error
function M.relay(a, b, options)
  check_stream(a, 1, BOTH, "relay")
  check_stream(b, 2, BOTH, "relay")
  local idle = check_options("relay", options, of_relay, 2, 3).idle_timeout
  local there, back = new_job(b, a, math.huge, idle), new_job(a, b, math.huge, idle)
  local relay = { running = 2 }
  task.scope(function(scope)
    relay.scope = scope
    if idle then relay.watcher = scope:go(watch, relay, idle, there, back) end
    scope:go(one_way, relay, there)
    one_way(relay, back)
  end)
  if relay.err then return nil, relay.err, relay.errno, there.moved, back.moved end
  return there.moved, back.moved
end

return M
