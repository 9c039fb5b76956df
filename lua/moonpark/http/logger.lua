-- SPDX-License-Identifier: MIT
-- logger.lua - middleware that writes one line for each request, after its response has finished.

local core = require "moonpark.core"
local before = require("moonpark.http.middleware").before
local check_options = require("moonpark.options").check
local formats = require "moonpark.http.access_formats"

local M = {}

local to_stdout = core.stdout_line

local is_format = {}
for _, name in ipairs(formats.names) do is_format[name] = true end

local function is_query(value)
  if type(value) == "boolean" then return true end
  if type(value) ~= "table" then return false end
  for _, name in ipairs(value) do
    if type(name) ~= "string" then return false end
  end
  return #value > 0
end

local known = {
  format = { function(value) return type(value) == "function" or is_format[value] == true end,
    "must be 'combined', 'common', 'json', 'pairs' or a function" },
  query = { is_query, "must be true, false or a list of parameters whose values are hidden" },
  write = "function",
}

local wrapper = {} -- a private key: the table before the request that the logger has seen

-- Written by the core (runtime/lua/l_http_log.c), except for a connection that was taken over.
local function combined(write)
  local function log(req, res)
    local user = (rawget(req, wrapper) or req).user
    user = user and formats.word(user)
    if rawget(req, "hijacked") then write(formats.combined_of_hijacked(req, user, (res:sent())))
    elseif write == to_stdout then req.x:log_to_stdout(req.serial, user)
    else write(req.x:log_line(req.serial, user)) end
  end

  return function(req, res)
    req.x:note_client(req.serial)
    if res.request ~= req then rawset(res.request, wrapper, req) end
    res:after(log)
  end
end

local function of_format(format, write)
  local noted = {} -- a private key

  local function log(request, res)
    local seen = request[noted]
    local req = seen.req
    req.address = seen.address
    local status, bytes, failure = res:sent()
    write(format(req, res, status, bytes, core.now() - seen.began, failure))
  end

  return function(req, res)
    res.request[noted] = { began = core.now(), address = req.address, req = req } -- the address may be gone later
    res:after(log)
  end
end

---@class moonpark.http.logger.options
---@field format? "combined"|"common"|"json"|"pairs"|moonpark.http.logger.format "combined"
---@field query? boolean|string[] what the lines show of queries: all, true; nothing, false; or all but the values of
--- these parameters. A format of your own decides itself. true
---@field write? fun(line: string) gets each line; the standard output

---@alias moonpark.http.logger.format
---| fun(req: table, res: table, status: integer, bytes: integer, seconds: number, failure: string|nil): string

--- Logs each request. "combined" and "common" are the formats of these names in Apache and nginx; "json" has a JSON
--- object in each line, "pairs" key=value; both have the time that the request took. The status is the one that was
--- sent, 101 of a WebSocket, or 0 if the client left before that or your handler took the connection. failure: why the
--- response was cut off.
---@param options? moonpark.http.logger.options
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
function M.new(options)
  options = check_options("logger", options, known)
  local format, write, query = options.format or "combined", options.write or to_stdout, options.query
  if query == nil then query = true end
  if format == "combined" and query == true then return before(combined(write)) end
  return before(of_format(type(format) == "string" and formats.new(format, query) or format, write))
end

return M
