-- SPDX-License-Identifier: MIT
-- log.lua - the log: levels, fields, text for people or JSON lines. Writing never makes the caller wait.

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local fields_of = require "moonpark.log.fields"
local levels = require "moonpark.log.levels"
local lines = require "moonpark.log.lines"
local options = require "moonpark.options"
local outputs = require "moonpark.log.output"
local spelling = require "moonpark.spelling"
local values = require "moonpark.log.values"

---@alias moonpark.log.level "trace"|"debug"|"info"|"warn"|"error"|"off"

---@class moonpark.log.settings
---@field level? string such as "info" or "debug,http=warn"; "info"
---@field format? "text"|"json" "text"
---@field output? string|fun(line: string, level: moonpark.log.level) "stderr", "stdout", the path of a file that is
--- appended to, or a function that must not wait; "stderr"
---@field color? boolean text with colours; by default at a terminal, unless NO_COLOR is set
---@field queue? integer how many bytes may wait to be written; 1 MiB
---@field fields? table<string, any> what all lines carry

---@class moonpark.logger
---@field trace fun(message: any, fields?: table<string, any>)
---@field debug fun(message: any, fields?: table<string, any>)
---@field info fun(message: any, fields?: table<string, any>)
---@field warn fun(message: any, fields?: table<string, any>)
---@field error fun(message: any, fields?: table<string, any>)
---@field enabled fun(level: moonpark.log.level): boolean would a line of that level be written
---@field with fun(fields: table<string, any>): moonpark.logger the same logger, whose lines carry these fields, too
---@field named fun(name: string): moonpark.logger "http"; of a logger with a name: a part of it, "http.client"

---@class moonpark.log: moonpark.logger
local M = {}

local TRACE, ERROR, OFF = levels.numbers.trace, levels.numbers.error, levels.numbers.off
local PATIENCE = 0.02 -- seconds that moonpark's own lines may wait for, see failures.lua
local get_fields = fields_of.get

local output = assert(outputs.open "stderr")
local render, format, chosen_format -- fn(level, name, message, fields, color) -> line; its name; MOONPARK_LOG_FORMAT
local color                         -- are there colours
local general                       -- fields of all lines

---------------------------------------------------------------------------------------------------
-- lines

-- Not compiled, as a finalizer may log: there LuaJIT goes round for ever in a compiled loop over a table that the loop
-- was not compiled for (docs/limits.md).
local function add(all, fields)
  for name, value in next, fields do all[name] = value end
end
jit.off(add)

-- The fields of a line; later ones win. A table that is passed in is never changed.
local function all_fields(bound, fields)
  local own = get_fields()
  if not (general or own or bound) then return fields end
  if not (general or own or fields) then return bound end
  local all = {}
  if general then add(all, general) end
  if own then add(all, own) end
  if bound then add(all, bound) end
  if fields then add(all, fields) end
  return all
end

-- An error that is logged and whose traceback is known carries it.
local function with_trace(err, fields)
  local trace = failures.trace_of(err)
  if not trace or fields and fields.traceback then return fields end
  local all = { traceback = trace }
  add(all, fields or {})
  return all
end

local function make_line(level, name, message, bound, fields)
  local all = all_fields(bound, fields)
  if level == ERROR then all = with_trace(all and all.error or message, all) end
  if type(message) ~= "string" then message = values.message(message) end
  return render(level, name, message, all, color)
end

local function write(level, name, message, bound, fields, patience)
  local ok, line = pcall(make_line, level, name, message, bound, fields)
  if not ok then line = render(level, name, "a line that cannot be written: " .. failures.text(line), nil, color) end
  output.put(line, levels.names[level], patience)
end

local function wrong_fields(what, fields)
  error(("bad argument #2 to '%s' (table of fields expected, such as { error = err }, got %s)"):format(what,
    type(fields)), 3)
end

local loggers = {} -- [name] = logger without fields of its own

-- fn(message, fields) of one level. A level that is off costs a comparison.
local function writer_of(level, state, name, bound)
  local what = levels.names[level]
  return function(message, fields)
    if fields ~= nil and type(fields) ~= "table" then wrong_fields(what, fields) end
    if level < state.level then return end
    write(level, name, message, bound, fields)
  end
end

local function check_name(name)
  if type(name) ~= "string" or not name:find "^[%w_%-][%w_.%-]*$" then
    error(("bad argument #1 to 'named' (a name expected, such as http or http.client, got %s)"):format(
      type(name) == "string" and ("%q"):format(name) or type(name)), 3)
  end
end

local function check_level(level)
  local number = type(level) == "string" and levels.numbers[level]
  if number then return number end
  local meant = type(level) == "string" and spelling.nearest(level, levels.names)
  error(("bad argument #1 to 'enabled' (a level expected, got %s%s)"):format(
    type(level) == "string" and ("%q"):format(level) or type(level),
    meant and ("; did you mean '%s'?"):format(meant) or ""), 3)
end

local function check_fields(fields)
  if type(fields) ~= "table" then
    error(("bad argument #1 to 'with' (table of fields expected, got %s)"):format(type(fields)), 3)
  end
end

-- Makes `logger` a logger of that name, nil for the one without, whose lines carry the fields `bound`.
local function make(logger, name, bound)
  local state = levels.state(name or "")
  for level = TRACE, ERROR do logger[levels.names[level]] = writer_of(level, state, name, bound) end

  function logger.enabled(level)
    local number = check_level(level)
    return number < OFF and number >= state.level
  end

  function logger.with(fields)
    check_fields(fields)
    local both = {}
    add(both, bound or {})
    add(both, fields)
    return make({}, name, both)
  end

  function logger.named(part)
    check_name(part)
    local full = name and name .. "." .. part or part
    if bound then return make({}, full, bound) end
    loggers[full] = loggers[full] or make({}, full)
    return loggers[full]
  end
  return logger
end

make(M)

---------------------------------------------------------------------------------------------------
-- settings

local formats = { text = lines.text, json = lines.json }

-- What the core writes about lines that were lost; it fills in the time, their number and why.
local function notice(where)
  if format == "json" then
    return ('{"time":"%%t","level":"warn","logger":"log","message":"lines were lost","lines":%%n,"output":%s,'
      .. '"reason":"%%r"}\n'):format((values.string(where):gsub("%%", "_")))
  end
  return ('%%t WARN  log: lines were lost lines=%%n output=%s reason="%%r"\n'):format(
    (values.quoted(where):gsub("%%", "_")))
end

local function tell_of_losses()
  local stderr = core.writer_standard(2)
  stderr:tell(notice "stderr")
  core.writer_standard(1):tell(notice "stdout", stderr)
  if output.writer then output.writer:tell(notice(output.where), output.where == "stdout" and stderr or nil) end
end

local function set_format(name, colored)
  format, render = name, formats[name]
  color = colored
  if color == nil then color = output.color end
  color = color and name == "text"
  tell_of_losses()
end

local known = {
  level = "string", format = options.one_of("text", "json"), color = "boolean", queue = "positive", fields = "table",
  output = { function(value) return type(value) == "function" or type(value) == "string" and value ~= "" end,
    'must be "stderr", "stdout", the path of a file or a function' },
}

local function levels_of(what, text)
  local read, wrong = levels.read(text)
  if wrong then error(("%s: %s"):format(what, wrong), 3) end
  return read
end

--- Sets up the log of this process. What is not given stays as it is; at first: level "info", text, standard error.
--- The environment variables MOONPARK_LOG and MOONPARK_LOG_FORMAT, and --log, win over `level` and `format`.
--- Raises for wrong options.
---@param settings moonpark.log.settings
---@return true|nil
---@return string? err why the file cannot be opened; then nothing has changed
---@return integer? errno
function M.configure(settings)
  settings = options.check("configure", settings, known, 2, 1)
  local asked = settings.level and levels_of("configure", settings.level)
  if settings.output then
    local opened, err, errno = outputs.open(settings.output)
    if not opened then return nil, err, errno end
    local before = output
    output = opened
    if before.writer then before.writer:flush(0) end
  end
  if settings.queue and output.writer then output.writer:limit(settings.queue) end
  if asked then levels.set(1, asked) end
  if settings.fields then general = next(settings.fields) ~= nil and settings.fields or nil end
  set_format(chosen_format or settings.format or format, settings.color)
  return true
end

--- Changes levels while the program runs, over all that was set before: "debug", "http=debug", "info,http=warn".
--- Without an argument all is again as it was set at the start. Raises for what is no such text.
---@param text? string
function M.set_level(text)
  if text ~= nil and type(text) ~= "string" then
    error(("bad argument #1 to 'set_level' (string expected, got %s)"):format(type(text)), 2)
  end
  levels.set(4, text and levels_of("set_level", text))
end

--- Sets what --log asks for.
---@package
---@param text string
---@return string|nil wrong
function M.ask(text)
  local asked, wrong = levels.read(text)
  if wrong then return wrong end
  levels.set(3, asked)
end

M.set = fields_of.set
M.clear = fields_of.clear
M.context = fields_of.context

--- The calling task's own fields, as a copy.
---@return table<string, any>
function M.fields()
  local copy = {}
  add(copy, get_fields() or {})
  return copy
end

--- Waits, without letting other tasks run, until all lines are written.
---@param seconds? number at most; 2
---@return boolean # are they
function M.flush(seconds)
  local done = core.writer_flush(seconds or 2)
  return (not output.writer or output.writer:flush(seconds or 2)) and done
end

--- What became of the lines of the log.
---@return {written: integer, lost: integer, pending: integer, error: string|nil} bytes that were written; lines that
--- were lost; bytes that wait; why the last write failed
function M.stats()
  if not output.writer then return { written = 0, lost = 0, pending = 0 } end
  local written, lost, pending, err = output.writer:counts()
  return { written = written, lost = lost, pending = pending, error = err }
end

--- Opens a file for lines of another kind, such as an access log. The file is appended to; if it is renamed or removed,
--- the next line goes to a new one.
---@param path string
---@return fun(line: string)|nil
---@return string? err
---@return integer? errno
function M.file(path)
  if type(path) ~= "string" or path == "" then
    error(("bad argument #1 to 'file' (path expected, got %s)"):format(type(path)), 2)
  end
  local opened, err, errno = outputs.open(path:find "/" and path or "./" .. path)
  if not opened then return nil, err, errno end
  opened.writer:tell(notice(path), core.writer_standard(2))
  return opened.put
end

---------------------------------------------------------------------------------------------------
-- what moonpark itself says

-- Its text may have a traceback, or where a task was started.
local function say(text, level, name)
  level, name = levels.numbers[level or "error"], name or "moonpark"
  if level < levels.state(name).level then return end
  local at = text:find("\nstack traceback:", 1, true) or text:find("\nstarted at:", 1, true)
  local fields = at and { traceback = text:sub(at + 1) } or nil
  write(level, name, at and text:sub(1, at - 1) or text, nil, fields, PATIENCE)
end

local function read_environment()
  local level, wanted = os.getenv "MOONPARK_LOG" or "", os.getenv "MOONPARK_LOG_FORMAT" or ""
  if formats[wanted] then chosen_format = wanted end
  set_format(chosen_format or "text")
  if wanted ~= "" and not formats[wanted] then
    say(("MOONPARK_LOG_FORMAT: text or json expected, got '%s'"):format(wanted), "warn", "log")
  end
  if level == "" then return end
  local asked, wrong = levels.read(level)
  levels.set(2, asked)
  if wrong then say("MOONPARK_LOG: " .. wrong, "warn", "log") end
end

read_environment()
failures.log_with(say)

return M
