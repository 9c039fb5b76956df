-- SPDX-License-Identifier: MIT
-- http_logger.lua - middleware: a line for each request once its response is over. What clients have sent is escaped,
-- so that a line is one line and a terminal sees no control bytes.

local core = require "moonpark.core"
local check_options = require("moonpark.options").check

local M = {}

local function escape(c) return ("\\x%02x"):format(c:byte()) end

-- In quotes, with what could end them or the line escaped.
local function quoted(text)
  return text and '"' .. text:gsub('[%z\1-\31"\\\127-\255]', escape) .. '"' or '"-"'
end

-- A word, quoted only where it has to be.
local function word(text)
  if not text or text == "" then return "-" end
  return text:find('[^%w%-._~:/?#@!$&()*+,;%%%[%]]') and quoted(text) or text
end

local function combined(req, _, status, bytes)
  local request = ("%s %s HTTP/%s"):format(req.method, req.target, req.version)
  local host = (req.address or "-"):gsub(":%d+$", ""):gsub("^%[(.*)%]$", "%1")
  return ("%s - %s [%s] %s %d %s %s %s"):format(host, word(req.user), os.date("!%d/%b/%Y:%H:%M:%S +0000", core.time()),
    quoted(request), status, bytes > 0 and ("%.0f"):format(bytes) or "-", quoted(req:header("referer")),
    quoted(req:header("user-agent")))
end

local function pairs_(req, _, status, bytes, seconds, failure)
  local parts = {
    os.date("!time=%Y-%m-%dT%H:%M:%SZ", core.time()), "address=" .. word(req.address), "method=" .. word(req.method),
    "target=" .. word(req.target), ("status=%d"):format(status), ("bytes=%.0f"):format(bytes),
    ("seconds=%.6f"):format(seconds),
  }
  if failure then parts[#parts + 1] = "failed=" .. word(failure) end
  if req.id then parts[#parts + 1] = "id=" .. word(req.id) end
  if req.user then parts[#parts + 1] = "user=" .. word(req.user) end
  return table.concat(parts, " ")
end

local formats = { combined = combined, pairs = pairs_ }

local function to_stdout(line)
  io.stdout:write(line, "\n")
  io.stdout:flush()
end

local known = { format = "string|function", write = "function" }

--- Logs each request. "combined" is what Apache and nginx call so, "pairs" is key=value with the time that it took. The
--- status is what was sent, and 0 where the client left before that, or the connection was taken over.
---@param options? {format?: "combined"|"pairs"|fun(req, res, status: integer, bytes: integer, seconds: number,
--- failure: string|nil): string, write?: fun(line: string)} failure: why the response was cut off; write: gets each
--- line; standard output
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
function M.new(options)
  options = check_options("logger", options, known)
  local format, write = options.format or "combined", options.write or to_stdout
  if type(format) ~= "function" then
    format = formats[format] or error("logger: option 'format' must be 'combined', 'pairs' or a function", 2)
  end
  return function(req, res, next)
    local began = core.now()
    local address = req.address -- the connection may be gone later
    res:after(function()
      req.address = address
      local status, bytes, failure = res:sent()
      write(format(req, res, status, bytes, core.now() - began, failure))
    end)
    return next()
  end
end

return M
