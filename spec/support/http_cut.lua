-- SPDX-License-Identifier: MIT
-- support/http_cut.lua - responses that end in the middle: the ways to write one, what ends a write, and what the
-- client has then.
--
-- A client of these specs reads nothing until its handler is through: so every large write waits, whatever buffers do.

local assert = require "luassert"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local http = require "support.http"
local task_state = require "support.task_state"

local M = {}

--- More than the buffers between the two hold.
M.BIG = ("x"):rep(1000000)

local function incompressible()
  local bytes, seed = {}, 1
  for i = 1, 300000 do -- more than an encoder looks back
    seed = (seed * 16807) % 2147483647
    bytes[i] = string.char(math.floor(seed / 1024) % 256)
  end
  return table.concat(bytes):rep(3)
end

--- The same, where what is written is compressed.
M.NOISE = incompressible()

--- Serves on connections that hold little of what is written.
function M.start(handler, options)
  local listener = assert(net.listen "127.0.0.1:0")
  assert(listener:setoption("sndbuf", 65536))
  local all = { listener = listener }
  for name, value in pairs(options or {}) do all[name] = value end
  return http.start(handler, all)
end

--- Runs fn() in a task of its own, and ends it once it waits, and is_begun() if that is given, by how(task). What fn
--- has returned.
function M.interrupted(fn, how, is_begun)
  local results
  local task = moonpark.go(function() results = { fn() } end)
  while task:status() == "ready" do moonpark.yield() end
  while is_begun and not is_begun() do moonpark.sleep(0.001) end -- it may wait for something else before
  task_state.assert_waits(task)
  how(task)
  assert(moonpark.shield(task.join, task)) -- a client that leaves ends the waits of its handler
  return unpack(results, 1, 3)
end

--- What ends a wait: waits[name](fn) -> what fn has returned, or nil, err.
M.waits = {
  ["a timeout"] = function(wait) return moonpark.timeout(0.001, wait) end,
  ["a cancelled task"] = function(wait) return M.interrupted(wait, function(task) task:cancel() end) end,
  ["a cancelled scope"] = function(wait)
    local results
    moonpark.scope(function(scope)
      scope:go(function() results = { wait() } end)
      moonpark.yield()
      scope:cancel()
    end)
    return unpack(results, 1, 3)
  end,
}

--- The bytes of a chunked body, as far as they have come, and whether its end has.
function M.unchunked(text)
  local parts, at = {}, 1
  while true do
    local size, from = text:match("^(%x+)\r\n()", at)
    if not size then return table.concat(parts), false end
    size = tonumber(size, 16)
    if size == 0 then return table.concat(parts), text:sub(from) == "\r\n" end
    parts[#parts + 1] = text:sub(from, from + size - 1)
    at = from + size + 2
  end
end

--- All that a client gets of an answer: {head, body, whole, err}; whole: would it be taken for one; err: what the end
--- was.
function M.received(conn)
  local pieces = {}
  local data, err = conn:read()
  while data do
    pieces[#pieces + 1] = data
    data, err = conn:read()
  end
  local head, body = table.concat(pieces):match("^(.-\r\n\r\n)(.*)$")
  local got = { head = head or "", body = body or "", err = err, whole = err == "eof" and head ~= nil }
  return M.framed(got)
end

--- The same of a head and what has come behind it.
function M.framed(got)
  local length = got.head:match("\r\nContent%-Length: (%d+)\r\n")
  if got.head:find("\r\nTransfer-Encoding: chunked\r\n", 1, true) then
    got.body, got.whole = M.unchunked(got.body)
  elseif length then
    got.whole = #got.body == tonumber(length)
  end
  return got
end

return M
