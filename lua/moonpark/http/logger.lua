-- SPDX-License-Identifier: MIT
-- logger.lua - middleware that writes one line for each request, after its response has finished. Text from clients is
-- escaped, so that it cannot add lines or send control bytes to a terminal.

local core = require "moonpark.core"
local before = require("moonpark.http.middleware").before
local check_options = require("moonpark.options").check
local memo = require "moonpark.memo"

local M = {}

local function escape(c) return ("\\x%02x"):format(c:byte()) end

-- In quotes; what could end the quotes or the line is escaped.
local quote = memo.new(function(text) return '"' .. text:gsub('[%z\1-\31"\\\127-\255]', escape) .. '"' end)
local function quoted(text) return text and quote[text] or '"-"' end

-- A word, quoted only if needed.
local bare = memo.new(function(text) return text:find('[^%w%-._~:/?#@!$&()*+,;%%%[%]]') and quoted(text) or text end)
local function word(text) return text and text ~= "" and bare[tostring(text)] or "-" end

-- os.date in that format, made once for each second.
local function clock(format)
  local last, text
  return function()
    local now = math.floor(core.time())
    if now ~= last then last, text = now, os.date(format, now) end
    return text
  end
end

local time_pairs = clock "!time=%Y-%m-%dT%H:%M:%SZ"

local function pairs_(req, _, status, bytes, seconds, failure)
  local parts = {
    time_pairs(), "address=" .. word(req.address), "method=" .. word(req.method),
    "target=" .. word(req.target), ("status=%d"):format(status), ("bytes=%.0f"):format(bytes),
    ("seconds=%.6f"):format(seconds),
  }
  if failure then parts[#parts + 1] = "failed=" .. word(failure) end
  if req.id then parts[#parts + 1] = "id=" .. word(req.id) end
  if req.user then parts[#parts + 1] = "user=" .. word(req.user) end
  return table.concat(parts, " ")
end

local formats = { pairs = pairs_ }

-- The combined format, which is the core's (runtime/lua/l_http_log.c), except for a connection that was taken over.
local host_of = memo.new(function(address) return (address:gsub(":%d+$", ""):gsub("^%[(.*)%]$", "%1")) end)
local time_combined = clock "!%d/%b/%Y:%H:%M:%S +0000"

local function combined_of_hijacked(req, user, status)
  local host = word(host_of[req.address or "-"])
  return ("%s - %s [%s] %s %d - %s"):format(host, user or "-", time_combined(), req.log_line, status, req.log_from)
end

local to_stdout = core.stdout_line

local known = {
  format = { function(value) return type(value) == "function" or value == "combined" or formats[value] ~= nil end,
    "must be 'combined', 'pairs' or a function" },
  write = "function",
}

local wrapper = {} -- a private key: the table before the request that the logger has seen

local function combined(write)
  local function log(req, res)
    local user = (rawget(req, wrapper) or req).user
    user = user and word(user)
    if rawget(req, "hijacked") then write(combined_of_hijacked(req, user, (res:sent())))
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

--- Logs each request. "combined" is the format of that name in Apache and nginx; "pairs" is key=value, with the time
--- that the request took. The status is the one that was sent, or 0 if the client left before that, or the connection
--- was taken over.
---@param options? {format?: "combined"|"pairs"|fun(req, res, status: integer, bytes: integer, seconds: number,
--- failure: string|nil): string, write?: fun(line: string)} failure: why the response was cut off; write: gets each
--- line; standard output
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
function M.new(options)
  options = check_options("logger", options, known)
  local format, write = options.format or "combined", options.write or to_stdout
  if format == "combined" then return before(combined(write)) end
  return before(of_format(formats[format] or format, write))
end

return M
