-- SPDX-License-Identifier: MIT
-- support/watched.lua - a program in a folder of its own, run by `moonpark --watch`, and clients of it.
--
--   local program = watched.start({ ["app.lua"] = text, ["greet.lua"] = text })
--   program:save("greet.lua", text)         as an editor does; program:write(name, text) in place
--   program:restarted()                     waits for the line that says so, and returns it
--   local answer = program:get("/")         answer.status, answer.body; a connection of its own
--   program:stop()

local core = require "moonpark.core"
local net = require "moonpark.net"
local process = require "support.process"

local M = {}

local PATIENCE = 60 -- seconds; nothing in these specs takes as long, so whoever does hangs

---@class watched.program
local Program = {}
Program.__index = Program

--- Text of a script that serves what require(module) returns, at a port that it prints.
---@param module string
---@return string
function M.server_of(module)
  return ([[
    local http = require "moonpark.http"
    local text = require "%s"
    assert(http.serve(function(_, res) res:send(text) end, { address = "127.0.0.1:0",
      on_listen = function(server) print("listening on " .. server:address()) end }))
  ]]):format(module)
end

--- Starts app.lua.
---@param files table<string, string>
---@param options? string[] of the command
---@return watched.program
function M.start(files, options)
  local folder = process.run("mktemp -d").out:match "%S+"
  local self = setmetatable({ folder = folder }, Program)
  for name, text in pairs(files) do self:write(name, text) end
  local words = process.moonpark("--watch", "--control", folder .. "/.control")
  for _, word in ipairs(options or {}) do words[#words + 1] = word end
  words[#words + 1] = "app.lua"
  self.child = process.start(words, { cwd = folder })
  return self
end

--- Waits until it says where it listens.
---@return string address
function Program:listening()
  self.child:expect "listening on "
  self.address = self.child:line()
  return self.address
end

function Program:path(name) return self.folder .. "/" .. name end

--- Writes a file in place; folders are made.
function Program:write(name, text)
  local folder = name:match "^(.*)/"
  if folder then assert(process.run({ "mkdir", "-p", self:path(folder) }).status == 0) end
  local file = assert(io.open(self:path(name), "wb"))
  assert(file:write(text))
  file:close()
end

--- Writes another file beside it and renames it.
function Program:save(name, text)
  self:write(name .. "~", text)
  assert(os.rename(self:path(name .. "~"), self:path(name)))
end

function Program:remove(name) assert(os.remove(self:path(name))) end

--- The next line of the terminal that says what came of a change.
---@return string
function Program:restarted()
  repeat
    local line = assert(self.child:line "err", "it has ended")
    if line:find "restarted in" then return line end
  until line:find "waiting for a change"
  error("it does not run:\n" .. self.child.text.err, 2)
end

--- What it has said until it waits for a change.
---@return string
function Program:failed()
  local before = self.child:expect("waiting for a change\n", "err")
  return before
end

--- One request.
---@param path? string
---@param accept? string
---@param method? string
---@return {status: integer, head: string, body: string}
function Program:get(path, accept, method)
  local conn = assert(net.dial(self.address, { timeout = PATIENCE }))
  conn:set_timeout(PATIENCE)
  assert(conn:write(("%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept: %s\r\n\r\n"):format(method or "GET",
    path or "/", accept or "*/*")))
  local text = assert(conn:read_all())
  conn:close()
  local head, body = text:match "^(.-\r\n)\r\n(.*)$"
  assert(head, "no answer")
  return { status = tonumber(head:match "^HTTP/1.1 (%d+)"), head = head, body = body }
end

--- Ends it as Ctrl-C does.
---@return integer status
---@return string out
---@return string err
function Program:stop()
  self.child:kill "INT"
  local status, out, err = self.child:wait()
  process.run({ "rm", "-rf", self.folder })
  return status, out, err
end

--- Lets other tasks run.
function M.pause() assert(core.sleep(0.002)) end

return M
