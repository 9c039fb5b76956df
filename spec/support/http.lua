-- SPDX-License-Identifier: MIT
-- support/http.lua - HTTP servers for specs, and a raw client: bytes in, bytes out.
--
--   local server = http.start(handler)              serves in a task of its own, at port 0
--   local answer = server:ask("GET / HTTP/1.1")     a head's lines, on a connection of its own
--   answer.status, answer.headers["etag"], answer.list["set-cookie"], answer.body
--   local bytes = server:raw(bytes)                 all that comes until the server closes
--   server:stop()                                   or http.stop_all() in after_each
--
-- What the server has logged is in server.log, and must be empty when it is stopped, unless it was taken.

local moonpark = require "moonpark"
local http = require "moonpark.http"
local net = require "moonpark.net"
local process = require "support.process"

local M = {}

local PATIENCE = 20 -- seconds; nothing in these specs takes as long, so whoever does hangs

---@class spec.http.server
local Server = {}
Server.__index = Server
local running = {}

--- Runs a client program, which need not know a sanitizer that this process was started with: curl hangs with one.
---@param words string[]
---@param options? table as process.run's
function M.run(words, options)
  local all = { env = { LD_PRELOAD = false, LD_LIBRARY_PATH = false } }
  for name, value in pairs(options or {}) do all[name] = value end
  return process.run(words, all)
end

--- Starts a server with that handler.
---@param handler function|table
---@param options? table as http.server's
function M.start(handler, options)
  local self = setmetatable({ log = {} }, Server)
  local all = { address = "127.0.0.1:0", on_error = function(text) table.insert(self.log, text) end }
  for name, value in pairs(options or {}) do all[name] = value end
  self.server = assert(http.server(handler, all))
  self.address = self.server:address()
  self.port = self.address:match ":(%d+)$"
  self.task = moonpark.go(function() return self.server:run() end)
  running[#running + 1] = self
  return self
end

function Server:dial()
  local conn = assert(net.dial(self.address, { timeout = PATIENCE }))
  conn:set_timeout(PATIENCE)
  return conn
end

--- What was logged so far, which is all right then.
function Server:take_log()
  local log = table.concat(self.log, "\n")
  self.log = {}
  return log
end

function Server:stop()
  for i, one in ipairs(running) do
    if one == self then table.remove(running, i) end
  end
  self.server:shutdown(5)
  self.task:join()
  assert(#self.log == 0, "the server has logged: " .. table.concat(self.log, "\n"))
end

--- Stops all that run.
function M.stop_all()
  while #running > 0 do running[#running]:stop() end
end

---------------------------------------------------------------------------------------------------
-- messages

local function read_chunks(conn)
  local parts = {}
  while true do
    local size = tonumber(assert(conn:read_line()):match("^%x+"), 16)
    if size == 0 then break end
    parts[#parts + 1] = assert(conn:read_exactly(size))
    assert(conn:read_exactly(2) == "\r\n")
  end
  repeat local line = assert(conn:read_line()) until line == ""
  return table.concat(parts)
end

local function read_body(conn, answer, method)
  local none = method == "HEAD" or answer.status == 204 or answer.status == 304
  if none then return "" end
  if answer.headers["transfer-encoding"] == "chunked" then return read_chunks(conn) end
  local length = tonumber(answer.headers["content-length"])
  if not length then return (conn:read_all()) end
  return length > 0 and assert(conn:read_exactly(length)) or ""
end

--- Reads one response from a connection.
---@param conn table
---@param method? string of its request
function M.read_answer(conn, method)
  local first = assert(conn:read_line())
  local answer = { status = tonumber(first:match("^HTTP/1%.1 (%d%d%d) ")), first = first, headers = {}, list = {} }
  assert(answer.status, "no status line: " .. first)
  while true do
    local line = assert(conn:read_line())
    if line == "" then break end
    local name, value = line:match("^([^:]+): (.*)$")
    name = name:lower()
    answer.headers[name] = value
    answer.list[name] = answer.list[name] or {}
    table.insert(answer.list[name], value)
  end
  answer.body = read_body(conn, answer, method)
  return answer
end

--- The bytes of a request: its first line and fields, to which Host and Content-Length are added.
---@param head string lines, without their ends
---@param body? string
function M.request(head, body)
  local lines = { (head:gsub("\n%s*", "\r\n")) }
  if not head:find("\n%s*[Hh]ost:") then lines[#lines + 1] = "Host: test" end
  if body and not head:find("[Tt]ransfer%-[Ee]ncoding") then lines[#lines + 1] = "Content-Length: " .. #body end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

--- One request on a connection of its own.
function Server:ask(head, body)
  local conn = self:dial()
  assert(conn:write(M.request(head, body)))
  local answer = M.read_answer(conn, head:match("^%S+"))
  conn:close()
  return answer
end

--- Sends bytes, and nothing after them; all that comes back.
function Server:raw(bytes)
  local conn = self:dial()
  assert(conn:write(bytes))
  conn:close_write()
  local all = conn:read_all()
  conn:close()
  return all
end

return M
