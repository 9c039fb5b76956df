-- SPDX-License-Identifier: MIT
-- http.lua - lapis.nginx.http, which lapis.http is inside of a server: its requests go through moonpark's client. In
-- nginx they are subrequests of a location that passes them on.

local failures = require "moonpark.failures"
local client = require "moonpark.http.client"

local M = {}

-- The client frames the body itself.
local OWN = { ["content-length"] = true, ["transfer-encoding"] = true, connection = true, host = false }

local BAD_GATEWAY, GATEWAY_TIMEOUT = 502, 504 -- as nginx answers for a server that does not

local function capitalized(name)
  return (name:gsub("%f[%w]%l", string.upper))
end

-- {["Content-Type"] = text, or a list of several}, as a subrequest's answer has them
local function fields_of(answer)
  local fields = {}
  for name, value in answer:each_header() do
    name = capitalized(name)
    local before = fields[name]
    if before == nil then fields[name] = value
    elseif type(before) == "table" then before[#before + 1] = value
    else fields[name] = { before, value } end
  end
  return fields
end

local function sent_fields(headers)
  local fields = {}
  for name, value in pairs(headers or {}) do
    if not OWN[name:lower()] then fields[name] = value end
  end
  return fields
end

local function measured(fn, ...)
  if not require("lapis.config").get().measure_performance then return fn(...) end
  local ngx, add = require("moonpark.ngx").ngx, require("lapis.nginx.context").increment_perf
  local began = ngx.now()
  local body, status, headers = fn(...)
  add("http_count", 1)
  add("http_time", ngx.now() - began)
  return body, status, headers
end

-- What nginx's location would do: no redirects are followed, bodies are left encoded.
local function send(request)
  local answer, err = client.request { url = request.url, method = request.method or "GET", body = request.body,
    headers = sent_fields(request.headers), redirects = 0, decode = false }
  if not answer then
    failures.log(("lapis.http: %s: %s"):format(request.url, err))
    return "", err == "timeout" and GATEWAY_TIMEOUT or BAD_GATEWAY, {}
  end
  return answer.body or "", answer.status, fields_of(answer)
end

--- simple(url or {url, method, body, headers}[, body]) -> body, status, headers. A body that is a table is a form.
---@param request string|{url: string, method?: string, body?: string|table, headers?: table}
---@param body? string|table
---@return string body
---@return integer status 502: the server could not be reached
---@return table headers
function M.simple(request, body)
  if type(request) == "string" then request = { url = request } end
  if body then request.method, request.body = "POST", body end
  if type(request.body) == "table" then
    request.body = require("lapis.util").encode_query_string(request.body)
    request.headers = request.headers or {}
    request.headers["Content-type"] = "application/x-www-form-urlencoded"
  end
  return measured(send, request)
end

local function drain(source)
  local pieces = {}
  local ltn12 = require "ltn12"
  assert(ltn12.pump.all(source, ltn12.sink.table(pieces)))
  return table.concat(pieces)
end

--- request(url[, body]) -> body, status, headers; or request {url, method, headers, source, sink} -> 1, status,
--- headers: as socket.http's.
---@param url string|table
---@param body? string a form that is encoded already
---@return string|integer
---@return integer status
---@return table headers
function M.request(url, body)
  local request = type(url) == "table" and url or { url = url, body = body,
    headers = body and { ["Content-type"] = "application/x-www-form-urlencoded" } or nil }
  local sent = request.source and drain(request.source) or request.body
  local text, status, headers = measured(send, { url = request.url, method = request.method or sent and "POST" or "GET",
    headers = request.headers, body = sent })
  if request ~= url then return text, status, headers end
  if request.sink then
    local ltn12 = require "ltn12"
    ltn12.pump.all(ltn12.source.string(text), request.sink)
  end
  return 1, status, headers
end

--- There is no location: what an application's configuration of nginx needs changes nothing here.
function M.set_proxy_location() end

function M.ngx_replace_headers() end

M.methods = setmetatable({}, { __index = function(self, name)
  local number = require("moonpark.ngx").ngx["HTTP_" .. name:upper()]
  self[name] = number
  return number
end })

return M
