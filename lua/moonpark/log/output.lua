-- SPDX-License-Identifier: MIT
-- output.lua - where lines go: the standard error or output, a file, a function. None of them lets the caller wait.

local core = require "moonpark.core"
local failures = require "moonpark.failures"

local M = {}

---@class moonpark.log.output
---@field put fun(line: string, level: string, patience?: number)
---@field writer userdata|nil the core's; nil for a function
---@field color boolean is it a terminal that may have colours
---@field where string for the notice of lost lines

local numbers = { stdout = 1, stderr = 2 }

local function wants_color() return (os.getenv "NO_COLOR" or "") == "" and os.getenv "TERM" ~= "dumb" end

local interject -- fn(line), while a prompt has the terminal

--- From now on fn(line) writes what goes to a terminal, where a line is being typed; nil: nobody types.
---@param fn fun(line: string)|nil
function M.interject_with(fn) interject = fn end

local function of_writer(writer, number, where)
  local terminal = number ~= nil and core.writer_is_terminal(number)
  local function put(line, _, patience)
    if terminal and interject then return interject(line) end
    writer:put(line, patience)
  end
  return { put = put, writer = writer, color = terminal and wants_color(), where = where }
end

-- What the function raises is written to the standard error; what it logs itself, while it is called, too.
local function of_function(fn)
  local stderr, inside = core.writer_standard(2), false
  local function put(line, level)
    if inside then return stderr:put(line) end
    inside = true
    local ok, err = pcall(fn, line, level)
    inside = false
    if not ok then stderr:put("moonpark: error in the log's output: " .. failures.text(err) .. "\n" .. line) end
  end
  return { put = put, color = false, where = "a function" }
end

--- Opens an output: "stderr", "stdout", a function, or the path of a file, which is appended to.
---@param output string|fun(line: string, level: string)
---@return moonpark.log.output|nil
---@return string? err
---@return integer? errno
function M.open(output)
  if type(output) == "function" then return of_function(output) end
  local number = numbers[output]
  if number then return of_writer(core.writer_standard(number), number, output) end
  local writer, err, errno = core.writer_file(output)
  if not writer then return nil, ("cannot open %s: %s"):format(output, err), errno end
  return of_writer(writer, nil, output)
end

return M
