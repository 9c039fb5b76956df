-- SPDX-License-Identifier: MIT
-- systemd.lua - tells the service manager how the program is: ready, reloading, stopping, alive. After sd_notify(3).
--
-- Where no service manager listens nothing is sent, so a program calls these functions wherever it runs.

local core = require "moonpark.core"
local options_of = require "moonpark.options"

---@class moonpark.systemd
local M = {}

local AGAIN = 11     -- errno: the manager's queue is full
local PAUSE = 0.01   -- seconds until it is tried again
local MICRO = 1e6

-- What the manager said when this process was started; it stays known when children must not see it.
local own, notify_socket, watchdog_usec, watchdog_pid = core.notify_variables()
if notify_socket == "" then notify_socket = nil end

---------------------------------------------------------------------------------------------------
-- what is told

local function is_line(value) return type(value) == "string" and not value:find "[\n%z]" end
local function is_alive(value) return type(value) == "boolean" or value == "trigger" end

local fields = {
  ready = "boolean", reloading = "boolean", stopping = "boolean", mainpid = "positive", errno = "count",
  status = { is_line, "must be one line of text" },
  watchdog = { is_alive, 'must be true, false or "trigger"' },
  watchdog_timeout = "pause", extend_timeout = "pause",
}

local function micro(seconds) return ("%.0f"):format(seconds * MICRO) end
local function whole(number) return ("%.0f"):format(number) end

-- The manager ignores a reload whose time is before that of its own request.
local function reloading() return "1\nMONOTONIC_USEC=" .. micro(core.real()) end

-- In the order in which they are written: {option, name, fn(value) -> text; nil: 1 if it is true}
local rows = {
  { "ready", "READY" },
  { "reloading", "RELOADING", reloading },
  { "stopping", "STOPPING" },
  { "status", "STATUS", tostring },
  { "errno", "ERRNO", whole },
  { "mainpid", "MAINPID", whole },
  { "watchdog", "WATCHDOG", function(value) return value == true and "1" or value end },
  { "watchdog_timeout", "WATCHDOG_USEC", micro },
  { "extend_timeout", "EXTEND_TIMEOUT_USEC", micro },
}

local function text_of(state)
  local lines = {}
  for _, row in ipairs(rows) do
    local value = state[row[1]]
    if value then lines[#lines + 1] = row[2] .. "=" .. (row[3] and row[3](value) or "1") end
  end
  return table.concat(lines, "\n")
end

local function invalid(why) return nil, ("invalid NOTIFY_SOCKET '%s': %s"):format(notify_socket, why) end

-- In a task, a full queue is waited for; a message must not be lost because the manager is busy.
local function send(text)
  if not notify_socket:find "^[/@]" then return invalid "an absolute path, or '@' and a name, expected" end
  local address = "unixgram:" .. notify_socket
  while true do
    local sent, err, errno = core.notify_send(address, text)
    if sent == false then return invalid(err) end
    if sent then return true end
    if errno ~= AGAIN or not core.current() then return nil, err, errno end
    local slept, why = core.sleep(PAUSE)
    if not slept then return nil, why end
  end
end

---@class moonpark.systemd.state
---@field ready? boolean READY=1: the program has started, or is done with reloading
---@field reloading? boolean RELOADING=1 and the time, as Type=notify-reload asks for
---@field stopping? boolean STOPPING=1
---@field status? string one line, which `systemctl status` shows
---@field errno? integer why it failed
---@field mainpid? integer the process that is the service from now on
---@field watchdog? boolean|"trigger" the program is alive; or "trigger": it is not, as if the time were over
---@field watchdog_timeout? number seconds: another interval than the unit's
---@field extend_timeout? number seconds: the start, reload or stop that is going on may take that much longer

---@class moonpark.systemd.notify.options
---@field unset? boolean children do not see NOTIFY_SOCKET and the watchdog's variables from now on; false

local notify_options = { unset = "boolean" }

--- Tells the service manager. Never waits outside of tasks; in a task it waits while the manager's queue is full.
---@param state moonpark.systemd.state|string a text is sent as it is: "READY=1\nX_MINE=2"
---@param options? moonpark.systemd.notify.options this module still knows the variables
---@return boolean|nil sent false: no service manager listens; then nothing was sent
---@return string? err "invalid NOTIFY_SOCKET '...': ...", "connection refused", "canceled", ...
---@return integer? errno
function M.notify(state, options)
  if type(state) ~= "string" then
    if state == nil then error("bad argument #1 to 'notify' (table or string expected, got nil)", 2) end
    state = text_of(options_of.check("notify", state, fields, 2, 1))
  end
  options = options_of.check("notify", options, notify_options, 2, 2)
  if options.unset then core.notify_unset() end
  if not notify_socket then return false end
  if state == "" then return true end
  return send(state)
end

--- Was this process started by a service manager that wants to know when it is ready?
---@return boolean
function M.listens() return notify_socket ~= nil end

local function positive(text)
  local number = text:match "^%d+$" and tonumber(text)
  return number and number > 0 and number or nil
end

--- After how many seconds without `watchdog = true` the service manager ends this process (WatchdogSec= of its unit).
--- Tell it at least twice as often. After sd_watchdog_enabled(3).
---@return number|nil seconds nil: it does not watch this process
---@return string? err "invalid WATCHDOG_USEC '...'", "invalid WATCHDOG_PID '...'"
function M.watchdog_interval()
  if not watchdog_usec then return nil end
  local usec = positive(watchdog_usec)
  if not usec then return nil, ("invalid WATCHDOG_USEC '%s'"):format(watchdog_usec) end
  if watchdog_pid then
    local pid = positive(watchdog_pid)
    if not pid then return nil, ("invalid WATCHDOG_PID '%s'"):format(watchdog_pid) end
    if pid ~= own then return nil end
  end
  return usec / MICRO
end

--- Keeps the watchdog content, twice in each interval, until this task is cancelled: start it with moonpark.go. Where
--- nothing watches this process it returns at once.
---@param check? fun(): boolean is the program well? As long as it returns false, or waits, nothing is sent
---@return false|nil watched false: nothing watches this process
---@return string? err "canceled"; what watchdog_interval returns
function M.watch(check)
  if check ~= nil and type(check) ~= "function" then
    error(("bad argument #1 to 'watch' (function expected, got %s)"):format(type(check)), 2)
  end
  local seconds, err = M.watchdog_interval()
  if err then return nil, err end
  if not seconds or not notify_socket then return false end
  while true do
    if not check or check() then M.notify { watchdog = true } end
    local slept, why = core.sleep(seconds / 2)
    if not slept then return nil, why end
  end
end

return M
