-- SPDX-License-Identifier: MIT
-- control.lua - the control socket: `moonpark status`, reload, stop, dump, eval ask the supervisor through it. Only the
-- user whom the supervisor runs as, and root, may.
--
-- It is a unix socket in a folder of that user alone: $XDG_RUNTIME_DIR/moonpark, /run/moonpark for root, or
-- /tmp/moonpark-UID; its name is the supervisor's pid.

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local fs = require "moonpark.fs"
local links = require "moonpark.link"
local net = require "moonpark.net"
local task = require "moonpark.task"

local M = {}

local PATIENCE = 10 -- seconds for a client to say what it wants

--- The folder of the control sockets of this user.
---@return string
function M.folder()
  local given = os.getenv "MOONPARK_RUN_DIR"
  if given and given ~= "" then return given end
  local runtime = os.getenv "XDG_RUNTIME_DIR"
  if runtime and runtime:sub(1, 1) == "/" then return runtime .. "/moonpark" end
  return core.uid() == 0 and "/run/moonpark" or ("/tmp/moonpark-%d"):format(core.uid())
end

---@class moonpark.workers.control
local Gate = {}
Gate.__index = Gate

-- Ours alone, or made so now.
local function prepare(folder)
  local made, err, errno = fs.mkdir(folder, { mode = "0700" })
  if made then return true end
  local stat = fs.stat(folder)
  if not stat then return nil, ("%s: %s"):format(folder, err), errno end
  if stat.type ~= "directory" then return nil, folder .. ": not a folder" end
  if stat.uid ~= core.uid() then return nil, folder .. ": it belongs to another user" end
  return true
end

--- Listens. path: of the socket, or nil for one in the folder.
---@param path? string
---@return moonpark.workers.control|nil
---@return string? err
function M.open(path)
  if not path then
    local ok, err = prepare(M.folder())
    if not ok then return nil, "control socket: " .. err end
    path = ("%s/%d.sock"):format(M.folder(), core.pid())
  end
  local listener, err = net.listen("unix:" .. path, { mode = "0600" })
  if not listener then return nil, ("control socket %s: %s"):format(path, err) end
  return setmetatable({ listener = listener, path = path }, Gate)
end

local commands = {}

function commands.status(supervisor)
  if supervisor.status_of_program then return supervisor:status_of_program() end
  return { pid = core.pid(), generation = supervisor.generation, count = supervisor.options.count,
    words = supervisor.options.words, workers = supervisor:state() }
end

function commands.reload(supervisor)
  local ok, err = supervisor:reload()
  return ok and { generation = supervisor.generation } or { err = err }
end

function commands.stop(supervisor)
  supervisor:stop()
  supervisor.ended:wait()
  return { stopped = true }
end

function commands.dump(supervisor) return { text = supervisor:dump() } end

function commands.eval(supervisor, message)
  local text, err = supervisor:eval(message.code, message.number)
  return { text = text, err = err }
end

local function allowed(conn)
  local peer = conn:peer_credentials()
  return peer and (peer.uid == core.uid() or peer.uid == 0)
end

local function perform(supervisor, message)
  local command = commands[message.command]
  if not command then return { err = "unknown command" } end
  local ok, answer = xpcall(command, failures.remember, supervisor, message)
  if not ok then return { err = failures.traced(answer) } end
  return answer
end

-- A prompt talks to the process that runs the script: the connection is passed on to it.
local function attach(supervisor, conn, link, message)
  local ok, err = supervisor:attach(conn, message.number)
  if ok then return end
  link:post { op = "refused", err = err }
  link:finish()
  task.timeout(PATIENCE, link.flush, link)
end

local function serve(supervisor, conn)
  if not allowed(conn) then return end
  local link = links.new(conn)
  local message = task.timeout(PATIENCE, link.receive, link)
  if not message then return end
  if message.command == "attach" then return attach(supervisor, conn, link, message) end
  task.shield(function() -- an answer comes even where what was asked for is the end
    link:post(perform(supervisor, message))
    link:finish()
    return task.timeout(PATIENCE, link.flush, link)
  end)
end

--- Serves one connection.
---@type fun(supervisor: table, conn: moonpark.connection)
M.serve_one = serve

---@param supervisor table
function Gate:serve(supervisor)
  return self.listener:serve(function(conn) return serve(supervisor, conn) end)
end

function Gate:close() self.listener:close() end

--- Asks a supervisor. In a task.
---@param path string
---@param message table
---@return table|nil answer
---@return string? err
function M.ask(path, message)
  local conn, err = net.dial("unix:" .. path)
  if not conn then return nil, err end
  local link = links.new(conn)
  link:post(message)
  link:finish()
  link:flush()
  local answer
  answer, err = link:receive()
  conn:close()
  return answer, err == "eof" and "the supervisor has ended" or err
end

return M
