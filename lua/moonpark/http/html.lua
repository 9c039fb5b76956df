-- SPDX-License-Identifier: MIT
-- html.lua - text in HTML pages: escaped, as a part of a URL, as JSON in a script, or as it is.

local http_json = require "moonpark.http.json"
local url = require "moonpark.url"

local M = {}

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- Escapes a text for HTML: as the content of an element, and as an attribute's value in quotes.
---@param text string|number
---@return string
function M.escape(text)
  local kind = type(text)
  if kind ~= "string" and kind ~= "number" then
    error(("bad argument #1 to 'escape_html' (string expected, got %s)"):format(kind), 2)
  end
  if kind == "string" and not text:find "[&<>\"']" then return text end
  return (tostring(text):gsub("[&<>\"']", entities))
end

---@class moonpark.http.html_text text that is HTML already
---@field [1] string
local Html = {}

function Html.__tostring(self) return self[1] end

--- Marks a text as HTML: it is written as it is.
---@param text string
---@return moonpark.http.html_text
function M.raw(text) return setmetatable({ tostring(text) }, Html) end

--- The text that was marked; nil for everything else.
---@param value any
---@return string|nil
function M.raw_text(value) return getmetatable(value) == Html and value[1] or nil end

-- What would end the script, begin a comment in it, or end a line of JavaScript.
local unsafe = { ["<"] = "\\u003c", [">"] = "\\u003e", ["&"] = "\\u0026", ["\226\128\168"] = "\\u2028",
  ["\226\128\169"] = "\\u2029" }

--- A value as JSON that may stand in a <script>, as a value of JavaScript as well.
---@param value any nil: null
---@return string|nil
---@return string? why it is no JSON
function M.script_json(value)
  if value == nil then return "null" end
  local text, why = http_json.encode(value)
  if not text then return nil, why end
  return (text:gsub("[<>&]", unsafe):gsub("\226\128[\168\169]", unsafe))
end

-- Schemes that do no more than lead somewhere.
local harmless = { http = true, https = true, mailto = true, tel = true, ftp = true }

--- A URL for an attribute that is followed, such as href: "#" in place of one that runs a script ("javascript:").
--- Browsers ignore blanks and control characters in the scheme.
---@param text string
---@return string
function M.safe_url(text)
  local scheme = text:gsub("[%z\1-\32\127]", ""):match "^([^/?#:]*):"
  if scheme and not harmless[scheme:lower()] then return "#" end
  return text
end

--- A part of a URL: a segment of the path, or a name or value of the query.
M.encode = url.encode

return M
