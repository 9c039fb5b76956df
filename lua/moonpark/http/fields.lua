-- SPDX-License-Identifier: MIT
-- fields.lua - header fields: received ones by any case of their name, those to be sent as a flat list; cookies.

local core = require "moonpark.core"
local http_date = require "moonpark.http.date"
local memo = require "moonpark.memo"
local new_table = require "table.new"

local M = {}

--- Header fields: fields["content-type"], in any case; a repeated one's values are joined by ", ".
---@class moonpark.http.fields
---@field [string] string|nil
local Fields = {}

local lower = memo.new(string.lower)
M.lower = lower

local function get(self, name)
  local list = self[M]
  name = lower[name]
  local value
  for i = 1, #list, 2 do
    if list[i] == name then value = value and value .. ", " .. list[i + 1] or list[i + 1] end
  end
  return value
end

function Fields.__index(self, name)
  if type(name) ~= "string" then return nil end
  local value = get(self, name)
  if value then rawset(self, name, value) end
  return value
end

--- The received fields of a flat list with names in lower case. fields["content-type"] takes any case and joins
--- repeated ones by ", "; M.each(fields) gives all in their order, M.all(fields, name) the values of one.
---@param list string[]
---@return moonpark.http.fields
function M.received(list) return setmetatable({ [M] = list }, Fields) end

local OfRequest = {}

function OfRequest.__index(self, name)
  if type(name) ~= "string" then return nil end
  local value = self[1]:field(self[2], name)
  if value then rawset(self, name, value) end
  return value
end

--- Those of a request, as long as that has not finished: most handlers ask for one or two, and no list is made then.
---@param x userdata the exchange
---@param serial number of the request
---@return moonpark.http.fields
function M.of_request(x, serial)
  local fields = new_table(2, 1) -- with room for the one that is asked for
  fields[1], fields[2] = x, serial
  return setmetatable(fields, OfRequest)
end

local function list_of(fields)
  local list = rawget(fields, M)
  if not list then
    list = fields[1]:fields(fields[2])
    rawset(fields, M, list)
  end
  return list
end

--- for name, value in http_fields.each(fields): in their order, names in lower case.
---@param fields moonpark.http.fields
---@return fun(): string|nil, string|nil
function M.each(fields)
  local list, i = list_of(fields), -1
  return function()
    i = i + 2
    return list[i], list[i + 1]
  end
end

--- The values of one name, in their order.
---@param fields moonpark.http.fields
---@param name string
---@return string[]
function M.all(fields, name)
  local values = {}
  name = name:lower()
  for found, value in M.each(fields) do
    if found == name then values[#values + 1] = value end
  end
  return values
end

--- May a field have that name (RFC 9110 5.1)?
---@param name any
---@return boolean
function M.is_name(name) return type(name) == "string" and name:find("^[%w!#$%%&'*+%-.^_`|~]+$") ~= nil end

--- May a field have that value? A line end, for one, would make two fields of it.
---@param value any
---@return boolean
function M.is_value(value)
  return type(value) == "number" or type(value) == "string" and not value:find("[%z\1-\8\10-\31\127]")
end

--- A text without the blanks around it. Not by one pattern: "^%s*(.-)%s*$" looks at long runs of blanks again for each
--- byte in front of them, and what clients send is as long as they like.
---@param text string
---@return string
function M.trim(text)
  local first = text:find("%S")
  return first and text:match("^.*%S", first) or ""
end

---------------------------------------------------------------------------------------------------
-- lists in a field's value (RFC 9110 5.6.1), with weights (12.4.2)

-- An invalid weight counts as 0: a client never gets what it did not clearly ask for.
local function weight(parameters)
  local q = parameters:match(";%s*[qQ]%s*=%s*([^;%s]*)")
  if not q then return 1 end
  if not (q:find("^0%.?%d*$") or q:find("^1%.?0*$")) or #q > 5 then return 0 end
  return tonumber(q)
end

--- Weights by name, in lower case, of a field such as Accept-Encoding: "gzip;q=0.5, br" -> {gzip = 0.5, br = 1}.
---@param text string|nil
---@return table<string, number>
function M.weights(text)
  local weights = {}
  for item in (text or ""):gmatch("[^,]+") do
    local name, parameters = item:match("^%s*([^;%s]+)%s*(.*)$")
    if name then weights[name:lower()] = weight(parameters) end
  end
  return weights
end

--- How much an Accept-Encoding field of these weights wants a coding: 0 (not at all) to 1.
---@param weights table<string, number>
---@param coding string "gzip", "br", ...
---@return number
function M.coding_weight(weights, coding)
  return weights[coding] or coding == "gzip" and weights["x-gzip"] or weights["*"] or 0
end

--- Has such a list that name? Whatever the case.
---@param text string|nil
---@param name string
---@return boolean
function M.lists(text, name)
  name = name:lower()
  for item in (text or ""):gmatch("[^,]+") do
    if M.trim(item):lower() == name then return true end
  end
  return false
end

---------------------------------------------------------------------------------------------------
-- fields to be sent: {name, value, name, value, ...}; the core checks them when they are

--- An empty list with room for what most responses have: to grow from nothing costs more than to fill it.
function M.new() return new_table(16, 0) end

--- Adds one to those of that name.
function M.add(list, name, value)
  local n = #list
  list[n + 1] = name
  list[n + 2] = tostring(value)
end

--- The value of the first of that name.
function M.get(list, name)
  name = lower[name]
  for i = 1, #list, 2 do
    if lower[list[i]] == name then return list[i + 1] end
  end
end

--- The values of all of that name, joined by ", "; nil if there is none.
function M.joined(list, name)
  local value
  name = lower[name]
  for i = 1, #list, 2 do
    if lower[list[i]] == name then value = value and value .. ", " .. list[i + 1] or list[i + 1] end
  end
  return value
end

--- Takes all of that name away.
function M.remove(list, name)
  name = lower[name]
  for i = #list - 1, 1, -2 do
    if lower[list[i]] == name then
      table.remove(list, i + 1)
      table.remove(list, i)
    end
  end
end

--- Puts one in place of all of that name; none if the value is nil.
function M.set(list, name, value)
  local key, n = lower[name], #list
  for i = 1, n, 2 do
    if lower[list[i]] == key then
      M.remove(list, name)
      n = #list
      break
    end
  end
  if value == nil then return end
  list[n + 1] = name
  list[n + 2] = tostring(value)
end

--- Those of a response, made if it has none. In its array (response.lua); a table in front of one has its own, unless
--- the response has some already.
function M.of_response(res)
  local is_wrapper = not rawget(res, 1)
  local fields = is_wrapper and res.fields or rawget(res, 5)
  if fields then return fields end
  fields = M.new()
  if is_wrapper then res.fields = fields
  else rawset(res, 5, fields) end
  return fields
end

---------------------------------------------------------------------------------------------------
-- cookies (RFC 6265)

--- Names and values of a Cookie field, as they were sent. The first of a name counts: browsers send the most specific
--- one first.
---@type fun(text: string): table<string, string>
M.cookies = core.http_cookies

-- level: 1 is our caller, and so on up to the caller of res:cookie.
-- In one line: %q leaves line ends in.
local function wrong(level, text, ...) error((text:format(...):gsub("\\\n", "\\n")), level + 1) end

local function check_part(text, pattern, what, level)
  if type(text) ~= "string" then wrong(level, "cookie %s must be a string, got %s", what, type(text)) end
  if text:find(pattern) then wrong(level, "invalid cookie %s: %q", what, text) end
end

-- Seconds since 1970. Outside them browsers read no date (RFC 6265 5.1.1), and the cookie would stay.
local YEAR_1601, YEAR_10000 = -11644473600, 253402300800

---@class moonpark.http.cookie.options
---@field path? string below which it is sent; the request's folder
---@field domain? string whose subdomains get it, too; this host alone
---@field max_age? integer seconds; until the browser is closed
---@field expires? number seconds since 1970; max_age takes precedence
---@field secure? boolean over TLS only; false
---@field http_only? boolean not for the page's scripts; false
---@field same_site? "Strict"|"Lax"|"None" the browser's default, mostly "Lax"; "None" needs secure

-- option = function(value) -> what it adds to the field
local attributes = {
  path = function(value)
    check_part(value, "[%c;]", "path", 5)
    return "; Path=" .. value
  end,
  domain = function(value)
    check_part(value, "[^%w.%-]", "domain", 5)
    return "; Domain=" .. value
  end,
  max_age = function(value)
    if type(value) ~= "number" or value ~= math.floor(value) or math.abs(value) > 2 ^ 53 then
      wrong(4, "cookie option 'max_age' must be a whole number of seconds, got %s", tostring(value))
    end
    return ("; Max-Age=%.0f"):format(value)
  end,
  expires = function(value)
    if type(value) ~= "number" or not (value >= YEAR_1601 and value < YEAR_10000) then
      wrong(4, "cookie option 'expires' must be seconds since 1970, got %s", tostring(value))
    end
    return "; Expires=" .. http_date.format(value)
  end,
  secure = function(value) return value and "; Secure" or "" end,
  http_only = function(value) return value and "; HttpOnly" or "" end,
  same_site = function(value, options)
    if value ~= "Strict" and value ~= "Lax" and value ~= "None" then
      wrong(4, "cookie option 'same_site' must be 'Strict', 'Lax' or 'None', got %s", tostring(value))
    end
    if value == "None" and not options.secure then wrong(4, "cookie option 'same_site' 'None' needs 'secure'") end
    return "; SameSite=" .. value
  end,
}
local order = { "path", "domain", "max_age", "expires", "secure", "http_only", "same_site" }

---@param options moonpark.http.cookie.options
local function check_options(options)
  if type(options) ~= "table" then wrong(4, "cookie: a table of options expected, got %s", type(options)) end
  for name in pairs(options) do
    if not attributes[name] then wrong(4, "unknown cookie option '%s'", tostring(name)) end
  end
end

--- The value of a Set-Cookie field. Raises unless it makes exactly one cookie, at the line of the caller's caller.
---@param name string
---@param value string|number
---@param options? moonpark.http.cookie.options
---@return string
function M.format_cookie(name, value, options)
  if type(value) == "number" then value = tostring(value) end
  check_part(name, "[^%w!#$%%&'*+%-.^_`|~]", "name", 4)
  check_part(value, "[%c%s\",;\\\127-\255]", "value", 4)
  if name == "" then error("cookie name is empty", 3) end
  local parts = { name .. "=" .. value }
  if not options then return parts[1] end
  check_options(options)
  for _, option in ipairs(order) do
    if options[option] ~= nil then parts[#parts + 1] = attributes[option](options[option], options) end
  end
  return table.concat(parts)
end

---------------------------------------------------------------------------------------------------

--- The reason phrase of a status; "Unknown" if RFC 9110 has none.
---@param status integer
---@return string
function M.reason(status)
  if type(status) ~= "number" then error("reason: status expected, got " .. type(status), 2) end
  local reason = core.http_reason(status)
  return reason ~= "" and reason or "Unknown"
end

return M
