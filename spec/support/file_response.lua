-- SPDX-License-Identifier: MIT
-- support/file_response.lua - an HTTP server in the spec's own loop, and a client that sends what it is told.
--
--   it("...", served(handler, function(ask, server) local answer = ask("GET", "/a", { Range = "bytes=0-3" }) ... end))

local ffi = require "ffi"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.fs"
local assert = require "luassert"

ffi.cdef [[
struct file_response_time { long seconds, microseconds; };
int file_response_utimes(const char *path, const struct file_response_time times[2]) __asm__("utimes");
int file_response_truncate(const char *path, long length) __asm__("truncate");
int file_response_chmod(const char *path, unsigned mode) __asm__("chmod");
unsigned file_response_geteuid(void) __asm__("geteuid");
]]

local M = {}

local PATIENCE = 30 -- seconds

---@class file_response.answer
---@field status integer
---@field fields table<string, string> names in lower case
---@field body string
---@field err string what ended the reading: "eof", or what went wrong

--- Makes the file as old as that: seconds since 1970.
function M.touch(path, seconds)
  local times = ffi.new("struct file_response_time[2]", { { seconds, 0 }, { seconds, 0 } })
  assert(ffi.C.file_response_utimes(path, times) == 0)
end

function M.truncate(path, length) assert(ffi.C.file_response_truncate(path, length) == 0) end
function M.chmod(path, mode) assert(ffi.C.file_response_chmod(path, mode) == 0) end
function M.is_root() return ffi.C.file_response_geteuid() == 0 end

-- Reads to the end of the connection.
local function read_all(conn)
  local pieces = {}
  while true do
    local data, err = conn:read()
    if not data then return table.concat(pieces), err end
    pieces[#pieces + 1] = data
  end
end

--- Takes the text of a response apart.
---@return file_response.answer
function M.parse(text, err)
  local head, body = text:match("^(.-\r\n)\r\n(.*)$")
  if not head then return { status = 0, fields = {}, body = text, err = err } end
  local fields = {}
  for name, value in head:gmatch("\r\n([^:\r\n]+): ([^\r\n]*)") do
    name = name:lower()
    fields[name] = fields[name] and fields[name] .. ", " .. value or value
  end
  return { status = tonumber(head:match("^HTTP/1%.1 (%d+)")), fields = fields, body = body, err = err }
end

--- The text of a request that ends its connection.
function M.request(method, target, fields)
  local lines = { ("%s %s HTTP/1.1"):format(method, target), "Host: a", "Connection: close" }
  for name, value in pairs(fields or {}) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

--- A connection to the server that gives up after a while.
function M.dial(server)
  local conn = assert(net.dial(server:address(), { timeout = PATIENCE }))
  conn:set_timeout(PATIENCE)
  return conn
end

--- The body of an `it`: body(ask, server, logged) with a server of that handler; ask(method, target, fields) -> answer.
--- Whatever the server logs must be taken out of `logged` by the body.
function M.served(handler, body)
  return function()
    local logged = {}
    local server = assert(http.server(handler, { address = "127.0.0.1:0",
      on_error = function(text) logged[#logged + 1] = text end }))
    local running = moonpark.go(server.run, server)
    local function ask(method, target, fields)
      local conn = M.dial(server)
      assert(conn:write(M.request(method, target, fields)))
      local answer = M.parse(read_all(conn))
      conn:close()
      return answer
    end
    local ok, err = pcall(body, ask, server, logged)
    server:shutdown(1)
    running:join()
    support.settle()
    if not ok then error(err, 0) end
    assert.same({}, logged)
  end
end

return M
