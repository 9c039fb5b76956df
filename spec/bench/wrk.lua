-- SPDX-License-Identifier: MIT
-- HTTP requests as bytes: wrk sends them, and a check sends the same ones once and looks at the answers.
--
-- A request is { method =, target =, fields = list of "Name: value", body = }, everything but `target` optional. "{n}"
-- in it stands for a number of five digits, another one in each of 64 requests, so that no server sees one request
-- only. `answer` is what it must be answered with: a text, a table that the JSON must hold, or nil for anything.
-- `closes`: the connection ends after it. `tls`: it is sent over TLS 1.3, with TLS_AES_128_GCM_SHA256.

local process = require "process"
local start = require "start"

local FIRST, LAST = 10000, 10063
local CONNECTIONS, SECONDS = 64, 1
local TLS = [[
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = offered
[offered]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
]]
local LOAD = [[
local batches, i = { %s }, 0
request = function()
  i = i %% #batches + 1
  return batches[i]
end
]]

local M = {}

-- The request of one number, as it goes over the wire.
local function bytes_of(request, number)
  local lines = { (request.method or "GET") .. " " .. request.target .. " HTTP/1.1", "Host: 127.0.0.1" }
  for _, field in ipairs(request.fields or {}) do table.insert(lines, field) end
  local body = (request.body or ""):gsub("{n}", number)
  if request.body then table.insert(lines, "Content-Length: " .. #body) end
  return table.concat(lines, "\r\n"):gsub("{n}", number) .. "\r\n\r\n" .. body
end

---A script for wrk that sends the requests in turn, `depth` at a time.
---@return string
function M.script(request, depth)
  local batches = {}
  for first = FIRST, LAST, depth or 1 do
    local batch = {}
    for number = first, first + (depth or 1) - 1 do table.insert(batch, bytes_of(request, number)) end
    table.insert(batches, ("%q"):format(table.concat(batch)))
  end
  return LOAD:format(table.concat(batches, ", "))
end

-- Whether wrk had answers to all it sent. A server that closes without saying so in its answer counts as a read error.
local function is_content(output, closes)
  local connect, read, write, timeout =
    output:match("Socket errors: connect (%d+), read (%d+), write (%d+), timeout (%d+)")
  if output:find "Non%-2xx" then return false end
  return not connect or connect + write + timeout == 0 and (closes or read == "0")
end

-- wrk has no option for what it offers: OpenSSL's own file says it.
local function environment(tls)
  if not tls then return nil end
  start.write_file(start.BUILD .. "wrk.cnf", TLS)
  return { "OPENSSL_CONF=" .. start.BUILD .. "wrk.cnf" }
end

---Lets wrk work for a second.
---@param script string
---@param request? table what of it counts here: closes, tls
---@return number requests
---@return number seconds
function M.run(port, script, request)
  local file = start.BUILD .. "wrk.lua"
  local closes, tls = request and request.closes, request and request.tls
  start.write_file(file, script)
  local address = (tls and "https" or "http") .. "://127.0.0.1:" .. port
  local argv = { "wrk", "-t1", "-c" .. CONNECTIONS, "-d" .. SECONDS, "-s", file, address }
  local load = start.load("http", argv, environment(tls))
  local output = load:finish()
  load:stop()
  local requests, seconds = output:match("(%d+) requests in ([%d.]+)s")
  if not requests or not is_content(output, closes) then
    error("wrk was not content; it wrote:\n" .. output, 0)
  end
  return tonumber(requests), tonumber(seconds)
end

-- What "{n}" stands for, in all texts of an answer.
local function filled(value, number)
  if type(value) == "string" then return (value:gsub("{n}", number)) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, inner in pairs(value) do copy[key] = filled(inner, number) end
  return copy
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function is_right(head, body, answer)
  local kind = head:lower():match("\r\ncontent%-type: ([^;\r]+)")
  if type(answer) == "string" then return kind == "text/plain" and body == answer end
  local cjson = require "cjson"
  local ok, value = pcall(cjson.decode, body)
  return ok and kind == "application/json" and same(value, answer) and #body == #cjson.encode(answer)
end

-- As process.exchange does it, over TLS.
local function exchange_tls(port, bytes)
  local file = start.BUILD .. "exchange"
  start.write_file(file, bytes)
  local pipe = assert(io.popen(("timeout 5 %sload_tls %s once <%s 2>&1"):format(start.BUILD, port, file)))
  local answer = pipe:read("*a")
  pipe:close()
  return answer
end

---Sends the first and the last of the requests. Raises if one is not answered with what it must be.
function M.check(port, request)
  if not request.answer then return end
  for _, number in ipairs { FIRST, LAST } do
    local exchange = request.tls and exchange_tls or process.exchange
    local answer = exchange(tonumber(port), bytes_of(request, number))
    local head, body = answer:match("^(HTTP/1%.1 200 .-\r\n)\r\n(.*)$")
    if not head or not is_right(head, body, filled(request.answer, number)) then
      error("the wrong answer to " .. request.target .. ":\n" .. answer, 0)
    end
  end
end

return M
