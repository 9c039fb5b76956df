-- SPDX-License-Identifier: MIT
-- check.lua - `moonpark check`: mistakes that can be seen without running a script. It reports only what is certain.

local calls = require "moonpark.check.calls"
local facades = require "moonpark.check.facades"
local globals = require "moonpark.check.globals"
local tokens_of = require "moonpark.check.tokens"

local M = {}

---@class moonpark.check.script
---@field path string
---@field tokens moonpark.check.token[]
---@field comments table<integer, string>
---@field globals? moonpark.check.globals nil if it has a syntax error
---@field findings {line: integer, column: integer, text: string, place: integer}[]

-- -> text | nil, why not
local function read(path)
  local file, err
  if path == "-" then file = io.stdin else file, err = io.open(path, "rb") end
  if not file then return nil, err end
  local text, why = file:read "*a"
  if file ~= io.stdin then file:close() end
  return text, why and ("%s: %s"):format(path, why)
end

-- The column of the first token of that line; with a word, of that one.
local function column_of(tokens, line, word)
  for _, token in ipairs(tokens) do
    if token.line == line and (not word or token.text == word) then return token.column end
  end
  return 1
end

-- LuaJIT has read up to there: what it names is the last of that line.
local function column_of_error(text, line, message)
  local word, column = message:match "near '(.-)'$", 1
  for _, token in ipairs((tokens_of.read(text))) do
    if token.line == line and token.text == word then column = token.column end
  end
  return column
end

-- fn(line, text, column or a word in that line)
local function add_to(script)
  return function(line, text, column)
    local comment = script.comments[line]
    if comment and comment:find("moonpark: ignore", 1, true) then return end
    if type(column) ~= "number" then column = column_of(script.tokens, line, column) end
    table.insert(script.findings, { line = line, column = column, text = text, place = #script.findings })
  end
end

local function parse(path, text)
  local script = { path = path == "-" and "stdin" or path, findings = {} }
  text = text:gsub("^#[^\n]*", "")
  local chunk, err = loadstring(text, "=check")
  if not chunk then
    local line, message = err:match "^check:(%d+): (.*)$"
    line, message = tonumber(line) or 1, message or err
    script.findings[1] = { line = line, column = column_of_error(text, line, message), text = message, place = 0 }
    return script
  end
  script.tokens, script.comments = tokens_of.read(text)
  script.globals = globals.collect(chunk)
  script.certain = globals.is_certain(script.globals, script.tokens)
  if facades.may_be_used(script.tokens) then script.globals.tested.ngx = true end
  return script
end

local function in_order(a, b)
  if a.line ~= b.line then return a.line < b.line end
  if a.column ~= b.column then return a.column < b.column end
  return a.place < b.place
end

-- Scripts that are checked together may use each other's globals.
local function judge(scripts)
  local all = { defined = {}, outer = {} }
  for _, script in ipairs(scripts) do
    for name in pairs(script.globals and script.globals.defined or {}) do all.defined[name] = true end
    for name in pairs(script.globals and script.globals.outer or {}) do all.outer[name] = true end
  end
  for _, script in ipairs(scripts) do
    if script.globals then
      if script.certain then globals.judge(script.globals, all, script.path, add_to(script)) end
      calls.judge(script.tokens, script.path, add_to(script))
    end
    table.sort(script.findings, in_order)
  end
end

---@class moonpark.check.finding
---@field file string
---@field line integer
---@field column integer bytes from the line's start, the first is 1
---@field severity "error"|"warning"
---@field message string

--- Checks scripts together.
---@param paths string[] "-" is the standard input
---@return moonpark.check.finding[]
---@return string[] unreadable why a file could not be read
function M.check(paths)
  local scripts, unreadable, found = {}, {}, {}
  for _, path in ipairs(paths) do
    local text, err = read(path)
    if text then table.insert(scripts, parse(path, text)) else table.insert(unreadable, err) end
  end
  judge(scripts)
  for _, script in ipairs(scripts) do
    for _, finding in ipairs(script.findings) do
      local warning = finding.text:match "^warning: (.*)$"
      table.insert(found, { file = script.path, line = finding.line, column = finding.column,
        severity = warning and "warning" or "error", message = warning or finding.text })
    end
  end
  return found, unreadable
end

--- "file:line:column: message", as compilers print it.
---@param finding moonpark.check.finding
---@return string
function M.text(finding)
  return ("%s:%d:%d: %s%s"):format(finding.file, finding.line, finding.column,
    finding.severity == "warning" and "warning: " or "", finding.message)
end

return M
