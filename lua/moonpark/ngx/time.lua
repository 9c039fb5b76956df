-- SPDX-License-Identifier: MIT
-- time.lua - the times of ngx. nginx keeps a time that it reads once an event; here each call reads the clock.

local core = require "moonpark.core"
local date = require "moonpark.http.date"
local words = require "moonpark.ngx.words"

local M = {}

local floor = math.floor

local LAST = 253402300799 -- of the year 9999: no later time has this form

--- Seconds, with milliseconds as fractions.
function M.now() return floor(core.time() * 1000) / 1000 end

function M.time() return floor(core.time()) end

function M.update_time() end

function M.today() return os.date("%Y-%m-%d", floor(core.time())) end

function M.localtime() return os.date("%Y-%m-%d %H:%M:%S", floor(core.time())) end

function M.utctime() return os.date("!%Y-%m-%d %H:%M:%S", floor(core.time())) end

local function check(seconds, name)
  if type(seconds) ~= "number" then words.misuse(("bad argument #1 to '%s' (number argument only)"):format(name)) end
  if not (seconds >= 0 and seconds < 2^63) then return 0 end
  return math.min(seconds, LAST)
end

function M.http_time(seconds) return date.format(check(seconds, "http_time")) end

local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local days = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }

--- The form of cookies, whose years have two digits up to 2037.
function M.cookie_time(seconds)
  local t = os.date("!*t", check(seconds, "cookie_time"))
  local year = t.year > 2037 and ("%04d"):format(t.year) or ("%02d"):format(t.year % 100)
  return ("%s, %02d-%s-%s %02d:%02d:%02d GMT"):format(days[t.wday], t.day, months[t.month], year, t.hour, t.min, t.sec)
end

function M.parse_http_time(text)
  if type(text) ~= "string" then words.misuse "bad argument #1 to 'parse_http_time' (string argument only)" end
  return date.parse(text)
end

return M
