-- SPDX-License-Identifier: MIT
-- set_cookie.lua - parses a Set-Cookie field as a client must (RFC 6265 5.2): ignores fields that are not cookies, and
-- invalid attributes.

local http_date = require "moonpark.http.date"
local http_fields = require "moonpark.http.fields"

local M = {}

---@class moonpark.http.set_cookie its fields are called as res:cookie's options
---@field name string
---@field value string as it was sent, quotes included
---@field path string|nil nil: that of the request, up to its last "/"
---@field domain string|nil without a dot in front, in lower case; nil: the host that was asked, and none below it
---@field max_age number|nil seconds; counts before expires; 0 and less: it is to be forgotten
---@field expires number|nil seconds since 1970
---@field secure boolean
---@field http_only boolean
---@field same_site string|nil "Strict", "Lax", "None"

---------------------------------------------------------------------------------------------------
-- dates (5.1.1): tokens in any order, with anything between them

local months = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10, nov = 11,
  dec = 12 }

-- The token says one thing that is not known yet, or nothing. %f: no digit follows.
local function take_token(date, token)
  local hour, minute, second = token:match("^(%d%d?):(%d%d?):(%d%d?)%f[%D]")
  if hour and not date.hour then
    date.hour, date.minute, date.second = tonumber(hour), tonumber(minute), tonumber(second)
    return
  end
  local day, month = token:match("^(%d%d?)%f[%D]"), months[token:sub(1, 3):lower()]
  if day and not date.day then
    date.day = tonumber(day)
  elseif month and not date.month then
    date.month = month
  elseif not date.year then
    date.year = tonumber((token:match("^(%d%d%d?%d?)%f[%D]")))
  end
end

--- Seconds since 1970 of an Expires attribute; nil if it is not a date, or one that does not exist.
---@param text string
---@return number|nil
function M.parse_date(text)
  local date = {}
  for token in text:gmatch("[^\t !-/;-@%[\\%]^_`{-~]+") do take_token(date, token) end
  local year = date.year
  if not (date.hour and date.day and date.month and year) then return nil end
  if year < 100 then year = year + (year < 70 and 2000 or 1900) end
  if year < 1601 or date.day < 1 or date.day > http_date.days_of(year, date.month) then return nil end
  if date.hour > 23 or date.minute > 59 or date.second > 59 then return nil end
  return http_date.days_before(year, date.month, date.day) * 86400 + date.hour * 3600 + date.minute * 60 + date.second
end

---------------------------------------------------------------------------------------------------
-- attributes (5.2.1 and so on; SameSite as browsers have it): function(cookie, value)

local sites = { strict = "Strict", lax = "Lax", none = "None" }

local attributes = {
  expires = function(cookie, value) cookie.expires = M.parse_date(value) or cookie.expires end,
  ["max-age"] = function(cookie, value)
    if value:find("^%-?%d+$") then cookie.max_age = tonumber(value) end
  end,
  domain = function(cookie, value)
    local domain = value:gsub("^%.", ""):lower()
    if value ~= "" then cookie.domain = domain ~= "" and domain or nil end
  end,
  path = function(cookie, value) cookie.path = value:find("^/") and value or nil end,
  secure = function(cookie) cookie.secure = true end,
  httponly = function(cookie) cookie.http_only = true end,
  samesite = function(cookie, value) cookie.same_site = sites[value:lower()] or cookie.same_site end,
}

--- The cookie of a Set-Cookie field; nil if it is none: it has no name, or no "=".
---@param field string
---@return moonpark.http.set_cookie|nil
function M.parse(field)
  local pair, rest = field:match("^([^;]*)(.*)$")
  local name, value = pair:match("^([^=]*)=(.*)$")
  name = name and http_fields.trim(name)
  if not name or name == "" then return nil end
  local cookie = { name = name, value = http_fields.trim(value), secure = false, http_only = false }
  for part in rest:gmatch("[^;]+") do
    local attribute, argument = part:match("^([^=]*)=?(.*)$")
    local take = attributes[http_fields.trim(attribute):lower()]
    if take then take(cookie, http_fields.trim(argument)) end
  end
  return cookie
end

return M
