-- SPDX-License-Identifier: MIT
-- events.lua - res:events: server-sent events (WHATWG HTML standard, 9.2).
--
-- A second task sends heartbeats; a lock keeps it and the handler from writing at once. It ends with the response,
-- however that ends. The stream ends when the server shuts down: clients come back by themselves, and a stream that
-- goes on would keep the server for as long as it may take.

local core = require "moonpark.core"
local misuse = require "moonpark.http.misuse"
local check_options = require("moonpark.options").check
local mistakes = require "moonpark.http.response_misuse"
local raise_outside = require "moonpark.outside"
local upgraded = require "moonpark.http.upgraded"

local M = {}

---@class moonpark.http.events
---@field last_event_id string|nil the id of the last event that the client got before it came back
local Events = {}
Events.__index = Events

local function check_line(text, name)
  text = tostring(text)
  if text:find("[\r\n%z]") then error(("send: option '%s' must be one line"):format(name), 4) end
  return text
end

-- "data: a\ndata: b\n": each kind of line end begins a new line (9.2.5).
local function add_lines(out, field, text)
  text = text:gsub("\r\n?", "\n")
  for line in (text .. "\n"):gmatch("(.-)\n") do out[#out + 1] = field .. line .. "\n" end
end

local function is_retry(value)
  return type(value) == "number" and value >= 0 and value == math.floor(value) and value <= 1e15
end

---@class moonpark.http.event
---@field event? string|number its name; "message"
---@field data? string|number lines of it arrive as they are
---@field id? string|number one line
---@field retry? integer milliseconds until the client comes back after an end

local of_event = { event = "string|number", data = "string|number", id = "string|number",
  retry = { is_retry, "must be a whole number of milliseconds" } }

---@param event moonpark.http.event|string|number
local function format(event)
  if type(event) == "string" or type(event) == "number" then event = { data = event } end
  if type(event) ~= "table" then error("send: a string or a table expected, got " .. type(event), 3) end
  check_options("send", event, of_event, 3)
  if next(event) == nil then error("send: an event needs data, an id, a name or a retry time", 3) end
  local out = {}
  if event.event then out[#out + 1] = "event: " .. check_line(event.event, "event") .. "\n" end
  if event.id then out[#out + 1] = "id: " .. check_line(event.id, "id") .. "\n" end
  if event.retry then out[#out + 1] = ("retry: %.0f\n"):format(event.retry) end
  if event.data then add_lines(out, "data: ", tostring(event.data)) end
  out[#out + 1] = "\n"
  return table.concat(out)
end

-- A write that has ended in the middle is the end of the stream: kept for what is asked once it is closed.
local function has_failed(self)
  if not self.closed then self.err, self.errno = self.x:failure(self.serial) end
  return self.err ~= nil
end

local function write_locked(self, text)
  if has_failed(self) then return nil, self.err, self.errno end
  if self.closed or self.x:phase(self.serial) ~= "body" then return nil, "closed" end
  if self.x:is_gone(self.serial) then return nil, "canceled" end
  return self.x:write(self.serial, text)
end

-- What raises (the request is over, there is no memory) must not keep the lock from the other task.
local function write(self, text)
  if has_failed(self) then return nil, self.err, self.errno end -- whatever has become of the task that asks
  local locked, why = self.lock:lock()
  if not locked then return nil, why end
  local called, ok, err, errno = pcall(write_locked, self, text)
  self.lock:unlock()
  if not called then error(ok, 0) end
  return ok, err, errno
end

--- Sends an event, whole: where one was cut off in the middle, the stream is too, and all that follows fails in the
--- same way. Its data alone, or {event = name, data = text, id = text, retry = milliseconds}. Lines of the data
--- arrive as they are, whatever ends them.
---@param event string|number|moonpark.http.event
---@return true|nil
---@return string? err "canceled" once the client has left, or where it waited for another event to be sent, and
--- nothing of it was; "timeout", "closed", "broken pipe", ...
---@return integer? errno
function Events:send(event)
  local text = format(event)
  return write(self, text)
end

--- Sends what clients pass over: it keeps the connection from looking dead.
---@param text? string|number
---@return true|nil
---@return string? err
---@return integer? errno
function Events:comment(text)
  local kind, out = type(text), {}
  if kind ~= "string" and kind ~= "number" and kind ~= "nil" then
    error("comment: a string or a number expected, got " .. kind, 2)
  end
  add_lines(out, text and ": " or ":", tostring(text or ""))
  return write(self, table.concat(out) .. "\n")
end

local function beat(self, seconds)
  while core.sleep(seconds) and not self.closed do
    if not self:comment() then return end
  end
end

local function stop(self)
  self.closed = true
  if self.beating then self.beating:cancel() end
  self.beating = nil
end

-- A request that is over raises: then so is the beating.
local function start_beating(self, seconds)
  self.beating = core.go(pcall, beat, self, seconds)
  self.beating:name "heartbeat"
end

-- Until nothing is on its way: a heartbeat perhaps, to a client that reads slowly.
local function await_turn(self)
  if has_failed(self) then return true end
  local ok, err = self.lock:lock()
  if not ok then return nil, err end
  self.lock:unlock()
  has_failed(self)
  return true
end

--- Ends the stream, behind what is being sent; the handler that returns has it done.
---@return true|nil
---@return string? err "closed", "canceled", or what a write has failed with
---@return integer? errno
function Events:close()
  local ok, err = true, nil
  if not self.closed then ok, err = await_turn(self) end
  if not ok then return nil, err end
  if self.closed then return nil, self.err or "closed", self.errno end
  stop(self)
  return self.finish(self.response)
end

-- The server shuts down: ends the stream, and cancels the handler's waits.
local function leave(self)
  self:close()
  self.x:lose(self.serial)
end

---@class moonpark.http.events.options
---@field heartbeat? number seconds between comments that keep the connection from looking dead; none

local of_stream = { heartbeat = "pause" }

local function prepare(self)
  self.type, self.transform = "text/event-stream", nil
  if not self:get("Cache-Control") then self:set("Cache-Control", "no-cache") end
  self:set("X-Accel-Buffering", "no") -- nginx would else keep them until it has a buffer full
end

local function begin(self)
  if self.x:phase(self.serial) == "unsent" then
    prepare(self)
    self:prepare()
  end
  mistakes.note_begin(self)
  local ok, err, errno = self.x:begin(self.serial, self.status, nil, self.type, self.fields)
  if not ok then return nil, err, errno end
  return self.x:flush()
end

--- Begins a stream of events. nil if the client is gone already.
---@param self moonpark.http.response
---@param options? moonpark.http.events.options
---@return moonpark.http.events|nil
---@return string? err
---@return integer? errno
function M.events(self, options)
  local heartbeat = check_options("events", options, of_stream, 2).heartbeat
  local ok, err, errno = raise_outside(pcall(begin, self))
  if not ok then return nil, err, errno end
  local finish = self.finish
  local events = setmetatable({ response = self, finish = finish, x = self.x, serial = self.serial, lock = core.mutex(),
    closed = self.request.method == "HEAD", last_event_id = self.request:header "last-event-id" }, Events)
  self.finish = function(response) -- the server's too, once the handler has returned
    if events.closed then return finish(response) end
    return events:close()
  end
  local streams = upgraded.of(self.x)
  if not events.closed then streams:add_stream(events, leave) end
  self:after(function()
    streams:remove_stream(events)
    stop(events)
  end)
  if heartbeat and not events.closed then start_beating(events, heartbeat) end
  return events
end

misuse.guard(Events, "event stream", "events", "serial")
misuse.check_names(Events, "event streams", { "response", "finish", "x", "serial", "lock", "closed", "last_event_id",
  "err", "errno", "beating" })

return M
