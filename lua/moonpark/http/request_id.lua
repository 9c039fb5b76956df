-- SPDX-License-Identifier: MIT
-- request_id.lua - middleware: gives each request an id, to match it across the logs of several programs. The id is
-- unique, but not secret.

local core = require "moonpark.core"
local before = require("moonpark.http.middleware").before
local fields = require "moonpark.log.fields"
local check_options = require("moonpark.options").check
local http_fields = require "moonpark.http.fields"

local M = {}

-- Of this process, made when the first name is.
local prefix, count

local function random_hex(bytes)
  local file = io.open("/dev/urandom", "rb")
  local data = file and file:read(bytes)
  if file then file:close() end
  if not data or #data < bytes then return ("%014x"):format(core.time() * 1e6) end
  return (data:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function make()
  if not prefix then prefix, count = random_hex(8), 0 end
  count = count + 1
  return ("%s-%x"):format(prefix, count)
end

local function is_good(id) return id and #id <= 128 and id:find("^[%w%-._~+/=:]+$") ~= nil end

---@class moonpark.http.request_id.options
---@field header? string "X-Request-Id"
---@field accept? boolean the client's own id; true; false if clients are strangers
---@field make? fun(): string makes an id

local known = { header = { http_fields.is_name, "must be a header's name" }, accept = "boolean", make = "function" }

--- Sets req.id and the response's X-Request-Id: what the client has sent, where that is a plain word of up to 128
--- characters, else one of our own.
---@param options? moonpark.http.request_id.options
---@return moonpark.http.middleware
function M.new(options)
  options = check_options("request_id", options, known)
  local header, accept, generate = options.header or "X-Request-Id", options.accept ~= false, options.make or make
  return before(function(req, res)
    local id = accept and req:header(header)
    if not is_good(id) then id = generate() end
    req.id = id
    fields.set { request_id = id }
    res:set(header, id)
  end)
end

return M
