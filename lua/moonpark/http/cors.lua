-- SPDX-License-Identifier: MIT
-- cors.lua - middleware: which other origins' pages may call (the CORS protocol of the Fetch standard). Use it on a
-- router, not on a group: a browser first sends an OPTIONS request that no route matches.

local before = require("moonpark.http.middleware").before
local check_options = require("moonpark.options").check
local http_fields = require "moonpark.http.fields"

local M = {}

local function joined(list) return type(list) == "table" and table.concat(list, ", ") or list end

-- function(origin, req) -> may it call?
local function judge_of(origins)
  if origins == nil or origins == "*" then return function() return true end end
  if type(origins) == "function" then return origins end
  if type(origins) == "string" then origins = { origins } end
  local known = {}
  for _, origin in ipairs(origins) do known[origin:lower()] = true end
  return function(origin) return known[origin] == true end
end

local function check_credentials(options)
  if options.credentials and (options.origins == nil or options.origins == "*") then
    error("cors: option 'credentials' needs named origins: with '*' any page could use them", 3)
  end
  for _, name in ipairs { "methods", "headers", "expose" } do
    if options.credentials and joined(options[name]) == "*" then
      error(("cors: option '%s' cannot be '*' when credentials are allowed"):format(name), 3)
    end
  end
end

local function preflight(req, res, options)
  res:vary("Access-Control-Request-Headers")
  res:set("Access-Control-Allow-Methods", joined(options.methods) or "GET, HEAD, POST, PUT, PATCH, DELETE")
  local asked = req:header("access-control-request-headers")
  local headers = joined(options.headers) or asked
  if headers then res:set("Access-Control-Allow-Headers", headers) end
  if options.max_age then res:set("Access-Control-Max-Age", ("%.0f"):format(options.max_age)) end
  res.status = 204
  return res:send()
end

local function allow(res, origin, options, any)
  res:set("Access-Control-Allow-Origin", any and "*" or origin)
  if options.credentials then res:set("Access-Control-Allow-Credentials", "true") end
end

local function check_origins(origins)
  if type(origins) == "function" or origins == "*" then return true end
  if type(origins) == "string" then origins = { origins } end
  if type(origins) ~= "table" then return false, "must be '*', a string, a list or a function" end
  for _, origin in ipairs(origins) do
    if origin == "*" then return false, "must not have '*' among other origins" end
    if type(origin) ~= "string" or not origin:find("^%a[%w+.-]*://[^/%s]+$") then
      return false, ("must hold \"https://host\" without a path, not %q"):format(tostring(origin))
    end
  end
  return true
end

local function are_names(list)
  if type(list) == "string" then list = { list } end
  if type(list) ~= "table" then return false end
  for _, name in ipairs(list) do
    if not http_fields.is_value(name) then return false end
  end
  return true
end

local names = { are_names, "must be a name, or a list of them" }

---@class moonpark.http.cors.options
---@field origins? "*"|string|string[]|fun(origin: string, req: moonpark.http.request): boolean whose pages; "*"
---@field methods? string|string[] that they may use; GET, HEAD, POST, PUT, PATCH, DELETE
---@field headers? string|string[] that they may send; those that the browser asks for
---@field expose? string|string[] headers of the response that they may read; none but the safe ones
---@field credentials? boolean with cookies; false
---@field max_age? integer seconds that browsers keep the answer; their own default

local known = { origins = { check_origins }, methods = names, headers = names, expose = names,
  credentials = "boolean", max_age = "count" }

--- Tells browsers that pages of these origins may read the responses. It does not keep other clients out.
---@param options? moonpark.http.cors.options
---@return moonpark.http.middleware
function M.new(options)
  options = check_options("cors", options, known)
  check_credentials(options)
  local may = judge_of(options.origins)
  local any = options.origins == nil or options.origins == "*"
  return before(function(req, res)
    local origin = req:header("origin")
    if not any then res:vary("Origin") end
    if not origin or not may(origin, req) then return end
    allow(res, origin, options, any)
    if req.method == "OPTIONS" and req:header("access-control-request-method") then
      preflight(req, res, options)
      return false
    end
    if options.expose then res:set("Access-Control-Expose-Headers", joined(options.expose)) end
  end)
end

return M
