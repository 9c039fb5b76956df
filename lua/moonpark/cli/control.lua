-- SPDX-License-Identifier: MIT
-- control.lua - moonpark status, reload, stop, dump, eval: asks the supervisor that runs here.

local control = require "moonpark.workers.control"
local fs = require "moonpark.fs"
local task = require "moonpark.task"

local M = {}

-- The control sockets in this user's folder on which somebody answers.
local function find()
  local folder, found = control.folder(), {}
  for _, name in ipairs(fs.list(folder) or {}) do
    local path = folder .. "/" .. (type(name) == "table" and name.name or name)
    if path:find "%.sock$" then
      local state = control.ask(path, { command = "status" })
      if state and state.pid then found[#found + 1] = { path = path, state = state } end
    end
  end
  return found
end

local function script_of(state) return table.concat(state.words, " ") end

-- Is the program's script called so? "server" and "server.lua" are the same.
local function is_called(state, name)
  for _, word in ipairs(state.words) do
    local base = word:match "[^/]*$"
    if word == name or base == name or base == name .. ".lua" then return true end
  end
  return false
end

local function called(found, name)
  local list = {}
  for _, each in ipairs(found) do
    if is_called(each.state, name) then list[#list + 1] = each end
  end
  return list
end

local HOW = ": a program must be started with --attachable or --workers"

-- The control socket of a process; or why it has none.
local function socket_of(pid)
  local path = ("%s/%s.sock"):format(control.folder(), pid)
  if fs.stat(path) then return path end
  if fs.stat "/proc/self" and not fs.stat("/proc/" .. pid) then return nil, ("no process %s is running"):format(pid) end
  return nil, ("process %s has no control socket of this user (%s)%s"):format(pid, path, HOW)
end

-- The supervisor that is meant: by --pid, --control, its script's name, or the only one.
local function choose(options, name)
  if name and name:find "^%d+$" then options = { pid = name } end
  if options.control then return options.control end
  if options.pid then return socket_of(options.pid) end
  local found = find()
  if name and not options.pid then
    found = called(found, name)
    if #found == 0 then return nil, ("no program '%s' of this user takes prompts%s"):format(name, HOW) end
  end
  if #found == 1 then return found[1].path end
  if #found == 0 then return nil, "no supervisor of this user is running" .. HOW end
  local lines = { "several supervisors are running; which one, --pid says:" }
  for _, each in ipairs(found) do lines[#lines + 1] = ("  %d  %s"):format(each.state.pid, script_of(each.state)) end
  return nil, table.concat(lines, "\n")
end

local function span(seconds)
  if seconds < 60 then return ("%d s"):format(seconds) end
  if seconds < 3600 then return ("%d min"):format(seconds / 60) end
  if seconds < 172800 then return ("%d h"):format(seconds / 3600) end
  return ("%d d"):format(seconds / 86400)
end

local function cell(value) return value == nil and "?" or tostring(value) end

local function table_of(rows)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, text in ipairs(row) do widths[i] = math.max(widths[i] or 0, #text) end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for i, text in ipairs(row) do cells[i] = text .. (" "):rep(widths[i] - #text) end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end

local show = {}

function show.status(answer)
  if #answer.workers == 0 then return ("process %d: %s\nno workers\n"):format(answer.pid, script_of(answer)) end
  local rows = { { "worker", "pid", "generation", "state", "for", "connections", "accepted", "requests",
    "memory", "" } }
  for _, each in ipairs(answer.workers) do
    rows[#rows + 1] = { tostring(each.number), tostring(each.pid), tostring(each.generation),
      each.silent and each.state .. ", does not answer" or each.state, span(each.seconds), cell(each.connections),
      cell(each.accepted), cell(each.requests),
      each.memory and ("%.1f MiB"):format(each.memory / 2 ^ 20) or "?", each.leads and "leads" or "" }
  end
  return ("supervisor %d: %s\n%s\n"):format(answer.pid, script_of(answer), table_of(rows))
end

function show.reload(answer) return ("generation %d serves\n"):format(answer.generation) end

function show.stop() return "stopped\n" end

function show.dump(answer) return answer.text end

function show.eval(answer) return (answer.text or "") .. "\n" end

--- The control socket of the program that is meant. In a task.
---@param options table<string, string|true>
---@param name? string its script, or its pid
---@return string|nil
---@return string? err
function M.path(options, name) return choose(options, name) end

--- Asks, and returns what is to be printed.
---@param command string
---@param options table<string, string|true>
---@param code? string of eval
---@return string|nil
---@return string? err
function M.perform(command, options, code)
  return task.run(function()
    local path, wrong = choose(options)
    if not path then return nil, wrong end
    local answer, err = control.ask(path, { command = command, code = code, number = tonumber(options.worker) })
    if not answer then return nil, ("%s: %s"):format(path, err) end
    if answer.err then return nil, answer.err end
    return show[command](answer)
  end)
end

return M
