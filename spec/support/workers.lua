-- SPDX-License-Identifier: MIT
-- support/workers.lua - programs with workers, as processes of their own.
--
--   local program = workers.start(script text, { "--workers", "2" })
--   program:get("/")          body, status of one answer on a new connection
--   program:ask "status"      what `moonpark status` prints; a second result: its status
--   program:stop()            TERM -> its status, what it wrote to stderr

local net = require "moonpark.net"
local process = require "support.process"

local M = {}

local PATIENCE = 60

local folders = {}

--- A folder that stop_all removes.
---@return string
function M.folder()
  local pipe = assert(io.popen "mktemp -d /tmp/moonpark-workers-XXXXXX") -- moonpark: ignore
  local folder = pipe:read "*l"
  pipe:close()
  folders[#folders + 1] = folder
  return folder
end

--- Puts a text into a file at once: who reads it sees the old one or the new one.
---@param path string
---@param text string
function M.write(path, text)
  local file = assert(io.open(path .. ".new", "w"))
  file:write(text)
  file:close()
  assert(os.rename(path .. ".new", path))
end

local Program = {}
Program.__index = Program

--- The HTTP server of most specs: it says who answers.
M.SERVER = [[
local moonpark, http, worker = require "moonpark", require "moonpark.http", require "moonpark.worker"
local app = http.router()
app:get("/", function(_, res)
  res:send(("%d %d %d"):format(worker.number(), worker.generation(), require("moonpark.core").pid()))
end)
]]

M.SERVE = [[
assert(http.serve(app, { address = "127.0.0.1:0", on_listen = function(server)
  io.write("listening on ", server:address(), "\n")
  io.flush()
end }))
]]

--- Starts a script with these words of the command, and returns once a worker says where it listens.
---@param text string
---@param words string[]
---@param options? {env?: table, silent?: boolean, plain?: boolean, library?: string, stderr?: string,
--- readable?: boolean} plain: without the command; library: the copy of lua/ that it runs from
function M.start(text, words, options)
  options = options or {}
  local folder = M.folder()
  local path = folder .. "/server.lua"
  M.write(path, text)
  if options.readable then assert(os.execute("chmod -R a+rX " .. folder) == 0) end -- moonpark: ignore
  local env = { MOONPARK_RUN_DIR = folder .. "/run" }
  for name, value in pairs(options.env or {}) do env[name] = value end
  if options.library then
    env.LUA_PATH = ("%s/?.lua;%s/?/init.lua;;"):format(options.library, options.library)
  end
  local argv = options.plain and { process.interpreter } or process.moonpark(unpack(words))
  if options.library then argv[2] = options.library .. "/bin/moonpark" end
  argv[#argv + 1] = path
  if options.stderr then argv = { "sh", "-c", 'exec "$@" 2>' .. options.stderr, "sh", unpack(argv) } end
  local self = setmetatable({ child = process.start(argv, { env = env }), path = path, folder = folder, env = env },
    Program)
  if not options.silent then self.address = assert(self:line():match "^listening on (.+)$") end
  return self
end

function Program:line() return assert(self.child:line()) end

--- One request on a connection of its own.
---@return string|nil body
---@return integer|string status or why there is no answer
function Program:get(path)
  local conn, err = net.dial(self.address, { timeout = PATIENCE })
  if not conn then return nil, err end
  conn:set_timeout(PATIENCE)
  conn:write(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):format(path))
  local text
  text, err = conn:read_all()
  conn:close()
  local head, body = (text or ""):match "^(.-\r\n)\r\n(.*)$"
  local length = head and tonumber(head:lower():match "\r\ncontent%-length: (%d+)")
  if not head or length and length ~= #body then return nil, err or "no answer" end -- it was cut
  return body, tonumber(head:match "^HTTP/1.1 (%d+)")
end

--- A command of moonpark's to its supervisor.
---@return string output
---@return integer status
function Program:ask(...)
  local r = process.run(process.moonpark(...), { env = self.env })
  return r.out .. r.err, r.status
end

--- Ends it by a signal; TERM by default.
---@return integer status
---@return string err
function Program:stop(signal)
  self.child:kill(signal or "TERM")
  local status, _, err = self.child:wait()
  return status, err
end

--- Asks until every one of `count` workers has answered -> {[number] = {generation, pid}}
function M.everybody(program, count)
  local seen, n = {}, 0
  while n < count do
    local number, generation, pid = assert(program:get "/"):match "^(%d+) (%d+) (%d+)$"
    if not seen[number] then n = n + 1 end
    seen[number] = { generation = tonumber(generation), pid = tonumber(pid) }
  end
  return seen
end

--- Asks until test(answer) holds.
function M.ask_until(program, test)
  repeat
    local body = program:get "/"
  until body and test(body)
end

--- Sends a signal.
function M.kill(pid, name)
  assert(os.execute(("kill -%s %d"):format(name, pid)) == 0) -- moonpark: ignore
end

--- Ends all programs, and removes their folders: for after_each.
function M.stop_all()
  process.stop_all()
  for i, folder in ipairs(folders) do
    os.execute("rm -rf " .. folder) -- moonpark: ignore
    folders[i] = nil
  end
end

return M
