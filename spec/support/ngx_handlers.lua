-- SPDX-License-Identifier: MIT
-- support/ngx_handlers.lua - a script as the handler of requests, inside nginx and on the façade: what both answer to
-- the same bytes.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local openresty = require "support.openresty"
local testing = require "moonpark.testing"

local M = {}

-- The bytes of {target, method =, fields = {...}, body =}.
local function message(request)
  local lines = { ("%s %s HTTP/1.1"):format(request.method or "GET", request[1]) }
  if request.host ~= false then lines[2] = "Host: " .. (request.host or "localhost") end
  lines[#lines + 1] = "Connection: close"
  for _, field in ipairs(request.fields or {}) do lines[#lines + 1] = field end
  if request.body then lines[#lines + 1] = "Content-Length: " .. (request.length or #request.body) end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (request.body or "")
end

local function exchange(address, request)
  local conn = assert(net.dial(address))
  conn:set_timeout(10)
  assert(conn:write(message(request)))
  if request.cut then conn:close_write() end
  local pieces = {}
  for piece in function() return (conn:read()) end do pieces[#pieces + 1] = piece end
  conn:close()
  return table.concat(pieces)
end

local function unchunked(body)
  local pieces, at = {}, 1
  while true do
    local size, from = body:match("^(%x+)\r\n()", at)
    if not size or size == "0" then return table.concat(pieces) .. (size and "" or "(cut)") end
    size = tonumber(size, 16)
    pieces[#pieces + 1] = body:sub(from, from + size - 1)
    at = from + size + 2
  end
end

-- What each server adds of its own.
local own = { server = true, date = true, connection = true, ["transfer-encoding"] = true, ["keep-alive"] = true }

-- The status, the fields in order of their names, and the body. A page of the server's own has no text to compare.
local function essence(text, request, is_page)
  local head, body = text:match "^(.-\r\n)\r\n(.*)$"
  if not head then return { text == "" and "nothing" or text } end
  local lines = {}
  for name, value in head:gmatch "\n([^:]+): ?([^\r]*)" do
    local lower = name:lower()
    local hidden = own[lower] or lower == "content-length" and request.method ~= "HEAD"
    if is_page and lower == "content-type" then value = value:match "^text/" or value end
    if not hidden then
      lines[#lines + 1] = lower .. ": " .. value:gsub("^http://localhost/", "/")
    end
  end
  table.sort(lines)
  table.insert(lines, 1, head:match "^HTTP/1.1 (%d+)")
  if head:lower():find("\r\ntransfer-encoding: chunked", 1, true) then body = unchunked(body) end
  if is_page then
    lines[#lines + 1] = body ~= "" and "a page" or "no page"
    return lines
  end
  for line in body:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

--- fn(name, theirs, ours) for each request: the lines of both answers.
---@param script string
---@param requests table[] {target, method =, fields =, body =, host =, cut =, length =}
---@param fn fun(name: string, theirs: string[], ours: string[])
function M.compare(script, requests, fn)
  local compat = require "moonpark.compat"
  compat.install("ngx", { global = true })
  local folder = testing.tempdir()
  local server = assert(http.server(http.ngx(assert(loadstring(script, "@script.lua"))),
    { address = "unix:" .. folder .. "/socket", on_error = function() end }))
  local serving = moonpark.go(server.run, server)
  local nginx = openresty.start(script)
  for _, request in ipairs(requests) do
    local theirs = exchange("unix:" .. nginx.folder .. "/socket", request)
    local ours = exchange("unix:" .. folder .. "/socket", request)
    local is_page = theirs:find("<center>nginx", 1, true) ~= nil
    fn(request.name or request[1], essence(theirs, request, is_page), essence(ours, request, is_page))
  end
  nginx:stop()
  server:shutdown(1)
  serving:join()
  _G.ngx = nil
end

return M
