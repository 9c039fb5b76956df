-- SPDX-License-Identifier: MIT
-- date.lua - dates of header fields (RFC 9110 5.6.7): writes one form, reads three. Rejects dates and times that do not
-- exist, and those with the wrong day of the week (RFC 5322 3.3, which 5.6.7 refers to).

local M = {}

local DAY = 86400
local days = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local month_lengths = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
local month_number, long_days = {}, {}
for i, name in ipairs(months) do month_number[name] = i end
for i, name in ipairs { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" } do
  long_days[name] = days[i]
end

--- "Sun, 06 Nov 1994 08:49:37 GMT": as a field has it, whatever the user's language.
---@param seconds number since 1970
---@return string
function M.format(seconds)
  local t = os.date("!*t", math.floor(seconds))
  return ("%s, %02d %s %04d %02d:%02d:%02d GMT"):format(days[t.wday], t.day, months[t.month], t.year, t.hour, t.min,
    t.sec)
end

--- Days from 1970 to one of the Gregorian calendar, which may be one that the month does not have.
---@param year integer
---@param month integer
---@param day integer
---@return integer
function M.days_before(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local era = math.floor(year / 400)
  local of_era = year - era * 400
  local of_year = math.floor((153 * (month - 3) + 2) / 5) + day - 1
  return era * 146097 + of_era * 365 + math.floor(of_era / 4) - math.floor(of_era / 100) + of_year - 719468
end

--- How many days that month has.
---@param year integer
---@param month integer
---@return integer
function M.days_of(year, month)
  local is_leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return month == 2 and is_leap and 29 or month_lengths[month]
end

-- Seconds of the day; nil for what is no time. A leap second is the last one of a day.
local function time_of(hour, minute, second)
  if hour > 23 or minute > 59 or second > 60 then return nil end
  if second == 60 and not (hour == 23 and minute == 59) then return nil end
  return hour * 3600 + minute * 60 + second
end

-- The year of two digits that is not more than 50 years from now (RFC 9110 5.6.7), and of those the latest.
local function full_year(digits, month, day, seconds, now)
  local today = os.date("!*t", math.floor(now))
  local limit = M.days_before(today.year + 50, today.month, today.day) * DAY + math.floor(now) % DAY
  local year = today.year - today.year % 100 + 100 + digits
  while M.days_before(year, month, day) * DAY + seconds > limit do year = year - 100 end
  return year
end

-- The day's name, day, month, year, hour, minute, second, and is the year one of two digits?
local function take_apart(text)
  local name, day, month, year, h, m, s = text:match("^(%a%a%a), (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$")
  if name then return name, day, month, year, h, m, s end
  name, day, month, year, h, m, s = text:match("^(%a+), (%d%d)%-(%a%a%a)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$")
  if name then return long_days[name], day, month, year, h, m, s, true end
  name, month, day, h, m, s, year = text:match("^(%a%a%a) (%a%a%a) ([ %d]%d) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$")
  return name, day, month, year, h, m, s
end

--- Seconds since 1970 of a date in any of the three forms: "Sun, 06 Nov 1994 08:49:37 GMT",
--- "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"; nil if it is none.
---@param text string|nil
---@param now? number seconds since 1970: two digits of a year mean one that is not more than 50 years later
---@return number|nil
function M.parse(text, now)
  local name, day, month, year, hour, minute, second, is_short = take_apart(text or "")
  month = name and month_number[month]
  local seconds = month and time_of(tonumber(hour), tonumber(minute), tonumber(second))
  if not seconds then return nil end
  day, year = tonumber(day), tonumber(year)
  if is_short then year = full_year(year, month, day, seconds, now or os.time()) end
  if year < 1 or day < 1 or day > M.days_of(year, month) then return nil end
  local since = M.days_before(year, month, day)
  if days[(since + 4) % 7 + 1] ~= name then return nil end
  return since * DAY + seconds
end

return M
