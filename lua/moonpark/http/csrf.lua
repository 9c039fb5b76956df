-- SPDX-License-Identifier: MIT
-- csrf.lua - middleware: refuses requests that another site has made a browser send, with the user's cookies. Browsers
-- say where a request comes from (Sec-Fetch-Site, Origin); what says neither is no browser of today, and has no user's
-- cookies. So there are no tokens in forms.

local before = require("moonpark.http.middleware").before
local check_options = require("moonpark.options").check

local M = {}

-- What changes nothing (RFC 9110 9.2.1).
local safe = { GET = true, HEAD = true, OPTIONS = true, TRACE = true }

local function are_origins(list)
  if type(list) ~= "table" then return false end
  for _, origin in ipairs(list) do
    if type(origin) ~= "string" or not origin:find "^%a[%w+.-]*://[^/]+$" then return false end
  end
  return true
end

---@class moonpark.http.csrf.options
---@field origins? string[] other sites that may, "https://example.org"; none

local known = { origins = { are_origins, 'must be a list of origins, such as "https://example.org"' } }

local function is_welcome(req, trusted)
  if safe[req.method] then return true end
  local origin = req:header "origin"
  if origin and trusted[origin:lower()] then return true end
  local site = req:header "sec-fetch-site"
  if site then return site == "same-origin" or site == "none" end
  if not origin then return true end
  local host = origin:match "^%a[%w+.-]*://(.+)$"
  return host ~= nil and req.host ~= nil and host:lower() == req.host:lower()
end

--- Answers 403 to requests of other methods than GET, HEAD, OPTIONS and TRACE that come from another site.
---@param options? moonpark.http.csrf.options
---@return moonpark.http.middleware
function M.new(options)
  options = check_options("csrf", options, known, 2)
  local trusted = {}
  for _, origin in ipairs(options.origins or {}) do trusted[origin:lower()] = true end
  return before(function(req, res)
    if is_welcome(req, trusted) then return end
    res:fail(403, "a request of another site is refused")
    return false
  end)
end

return M
