-- SPDX-License-Identifier: MIT
-- access_formats.lua - the lines of the access log. Text from clients is escaped, so that it cannot add lines or send
-- control bytes to a terminal.

local core = require "moonpark.core"
local lines = require "moonpark.log.lines"
local memo = require "moonpark.memo"
local values = require "moonpark.log.values"

local M = {}

local function escape(c) return ("\\x%02x"):format(c:byte()) end

-- In quotes; what could end the quotes or the line is escaped.
local quote = memo.new(function(text) return '"' .. text:gsub('[%z\1-\31"\\\127-\255]', escape) .. '"' end)
local function quoted(text) return text and quote[text] or '"-"' end

-- A word, quoted only if needed.
local bare = memo.new(function(text) return text:find('[^%w%-._~:/?#@!$&()*+,;%%%[%]]') and quoted(text) or text end)

--- A word for a line of text, "-" for nil.
function M.word(text) return text and text ~= "" and bare[tostring(text)] or "-" end
local word = M.word

-- os.date in that format, made once for each second.
local function clock(format)
  local last, text
  return function()
    local now = math.floor(core.time())
    if now ~= last then last, text = now, os.date(format, now) end
    return text
  end
end

---------------------------------------------------------------------------------------------------
-- queries, which may hold secrets

local function unescaped(text)
  return (text:gsub("\\x(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Of a connection that was taken over the head is gone. Its request line was kept in quotes, see l_http_log.c.
local function kept_line(req) return req.log_line:match '^"(%S+) (.*) (HTTP/%d%.%d)"$' end

local function target_of(req)
  if not rawget(req, "hijacked") then return req.target end
  return unescaped((select(2, kept_line(req))))
end

local function protocol_of(req)
  if not rawget(req, "hijacked") then return "HTTP/" .. req.version end
  return (select(3, kept_line(req)))
end

-- What a line shows of a URL or target: fn(text) -> text. rule: true, all; false, nothing behind the path; a list, the
-- values of these parameters are hidden.
local function shower(rule)
  if rule == true then return function(text) return text end end
  if rule == false then return function(text) return (text:gsub("[?#].*", "", 1)) end end
  local hidden = {}
  for _, name in ipairs(rule) do hidden[name:lower()] = true end
  local function hide(before, name, value)
    local plain = name:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end):lower()
    return before .. name .. (hidden[plain] and "=hidden" or value)
  end
  return function(text) return (text:gsub("([?&;])([^=&;#]+)(=[^&;#]*)", hide)) end
end

-- So were these.
local function kept_field(req, n)
  local referer, agent = req.log_from:match '^"(.-)" "(.*)"$'
  local text = n == 1 and referer or agent
  return text ~= "-" and unescaped(text) or nil
end

local function referer_of(req)
  if rawget(req, "hijacked") then return kept_field(req, 1) end
  return req:header "Referer"
end

local function agent_of(req)
  if rawget(req, "hijacked") then return kept_field(req, 2) end
  return req:header "User-Agent"
end

---------------------------------------------------------------------------------------------------
-- text

local time_pairs = clock "!time=%Y-%m-%dT%H:%M:%SZ"

local function pairs_of(show)
  return function(req, _, status, bytes, seconds, failure)
    local parts = {
      time_pairs(), "address=" .. word(req.address), "method=" .. word(req.method),
      "target=" .. word(show(target_of(req))), ("status=%d"):format(status), ("bytes=%.0f"):format(bytes),
      ("seconds=%.6f"):format(seconds),
    }
    if failure then parts[#parts + 1] = "failed=" .. word(failure) end
    if req.id then parts[#parts + 1] = "id=" .. word(req.id) end
    if req.user then parts[#parts + 1] = "user=" .. word(req.user) end
    return table.concat(parts, " ")
  end
end

local host_of = memo.new(function(address) return (address:gsub(":%d+$", ""):gsub("^%[(.*)%]$", "%1")) end)
local time_combined = clock "!%d/%b/%Y:%H:%M:%S +0000"

local function request_line(req, show)
  return quoted(("%s %s %s"):format(req.method, show(target_of(req)), protocol_of(req)))
end

-- of Apache and nginx
local function common_of(show)
  return function(req, _, status, bytes)
    local user = req.user
    return ("%s - %s [%s] %s %d %s"):format(word(host_of[req.address or "-"]), user and word(user) or "-",
      time_combined(), request_line(req, show), status, bytes > 0 and ("%.0f"):format(bytes) or "-")
  end
end

-- In the core, if nothing is hidden: see logger.lua.
local function combined_of(show)
  local common = common_of(show)
  return function(req, res, status, bytes)
    local referer = referer_of(req)
    local line = common(req, res, status, bytes)
    return ("%s %s %s"):format(line, quoted(referer and show(referer)), quoted(agent_of(req)))
  end
end

--- The combined format of a connection that was taken over.
---@param user string|nil as word() has made it
function M.combined_of_hijacked(req, user, status)
  local host = word(host_of[req.address or "-"])
  return ("%s - %s [%s] %s %d - %s"):format(host, user or "-", time_combined(), req.log_line, status, req.log_from)
end

---------------------------------------------------------------------------------------------------
-- JSON

local text_json = values.string

local function json_of(show)
  return function(req, _, status, bytes, seconds, failure)
    local path, query = show(target_of(req)):match "^([^?]*)%??(.*)$"
    local parts = { '{"time":"', lines.time(), '","method":', text_json(req.method), ',"path":', text_json(path) }
    local n = #parts
    local function put(name, text)
      if text == nil then return end
      parts[n + 1], parts[n + 2] = name, type(text) == "string" and text_json(text) or values.json(text)
      n = n + 2
    end
    if query ~= "" then put(',"query":', query) end
    put(',"protocol":', protocol_of(req))
    put(',"status":', status)
    put(',"bytes":', bytes)
    put(',"duration":', math.floor(seconds * 1e6 + 0.5) / 1e6)
    put(',"client":', req.address)
    put(',"user":', req.user)
    put(',"user_agent":', agent_of(req))
    local referer = referer_of(req)
    put(',"referer":', referer and show(referer))
    put(',"request_id":', req.id)
    put(',"upstream":', req.upstream)
    put(',"failure":', failure)
    parts[n + 1] = "}"
    return table.concat(parts, "", 1, n + 1)
  end
end

local makers = { combined = combined_of, common = common_of, json = json_of, pairs = pairs_of }

--- The names of formats.
M.names = { "combined", "common", "json", "pairs" }

--- A format: fn(req, res, status, bytes, seconds, failure) -> a line.
---@param name string
---@param query boolean|string[] what of queries is shown: all, nothing, all but the values of these parameters
---@return function
function M.new(name, query) return makers[name](shower(query)) end

return M
