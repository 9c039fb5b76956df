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
---@field findings {line: integer, text: string}[]

-- -> text | nil, why not
local function read(path)
  local file, err
  if path == "-" then file = io.stdin else file, err = io.open(path, "rb") end
  if not file then return nil, err end
  local text, why = file:read "*a"
  if file ~= io.stdin then file:close() end
  return text, why and ("%s: %s"):format(path, why)
end

local function add_to(script)
  return function(line, text)
    local comment = script.comments[line]
    if comment and comment:find("moonpark: ignore", 1, true) then return end
    table.insert(script.findings, { line = line, text = text, place = #script.findings })
  end
end

local function parse(path, text)
  local script = { path = path == "-" and "stdin" or path, findings = {} }
  text = text:gsub("^#[^\n]*", "")
  local chunk, err = loadstring(text, "=check")
  if not chunk then
    local line, message = err:match "^check:(%d+): (.*)$"
    script.findings[1] = { line = tonumber(line) or 1, text = message or err, place = 0 }
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

--- Checks scripts together.
---@param paths string[] "-" is the standard input
---@return string[] findings "file:line: message"
---@return string[] unreadable why a file could not be read
function M.check(paths)
  local scripts, unreadable, lines = {}, {}, {}
  for _, path in ipairs(paths) do
    local text, err = read(path)
    if text then table.insert(scripts, parse(path, text)) else table.insert(unreadable, err) end
  end
  judge(scripts)
  for _, script in ipairs(scripts) do
    for _, finding in ipairs(script.findings) do
      table.insert(lines, ("%s:%d: %s"):format(script.path, finding.line, finding.text))
    end
  end
  return lines, unreadable
end

return M
