-- SPDX-License-Identifier: MIT
-- template_parse.lua - the text of a template becomes the text of a Lua function, with each piece on the line where the
-- template has it: so what Lua says about it names the template's line.

local context = require "moonpark.http.template_context"

local M = {}

local function line_at(text, at) return select(2, text:sub(1, at - 1):gsub("\n", "\n")) + 1 end

local function fail(self, at, ...)
  error({ ("%s:%d: %s"):format(self.name, line_at(self.text, at), (...):format(select(2, ...))) }, 0)
end

local function newlines(text) return ("\n"):rep(select(2, text:gsub("\n", "\n"))) end

-- ("%q" writes the end of a line as a backslash and the end of a line.)
local function add_text(self, text)
  if text == "" then return end
  context.read(self.state, text)
  table.insert(self.parts, (" _o[#_o+1]=%q "):format(text))
end

-- What Lua says about the expression alone: of the whole it would speak of what is around it.
local function check_expression(self, at, code)
  if not code:find "%S" then fail(self, at, "there is no expression between the marks") end
  local ok, wrong = loadstring("return (" .. code .. ")")
  if ok then return end
  fail(self, at, "%s", (wrong:gsub("^.-:%d+: ", ""):gsub("near '?[)<][eof]*>?'?$", "at the end of the expression")))
end

local writers = { html = "_h", url = "_u", json = "_j" }

local function add_expression(self, at, code)
  check_expression(self, at, code)
  local way, why = context.expression(self.state)
  if not way then fail(self, at, "<%%= %%> cannot be escaped %s", why) end
  table.insert(self.parts, (" _o[#_o+1]=%s((%s)) "):format(writers[way], code))
end

local function add_raw(self, at, code)
  check_expression(self, at, code)
  context.expression(self.state)
  table.insert(self.parts, (" _o[#_o+1]=_r((%s)) "):format(code))
end

local function add_code(self, _, code) table.insert(self.parts, " " .. code .. " ") end
local function add_comment(self, _, code) table.insert(self.parts, newlines(code)) end

local marks = { ["="] = add_expression, ["-"] = add_raw, ["#"] = add_comment }

-- A line that has only a mark of code or a comment is not in the page.
local function is_alone(text, from, after)
  local before = text:sub(1, from - 1):match "[^\n]*$"
  return not before:find "%S" and text:match("^[ \t]*\r?\n()", after), #before
end

-- One mark, which begins at `from`. -> where the text goes on
local function add_mark(self, from, text)
  local kind = text:match("^[=%-#]", from + 2) or ""
  local last, to = text:find("%>", from + 2, true)
  if not last then fail(self, from, "'<%%' without its '%%>'") end
  local add = marks[kind] or add_code
  local code = text:sub(from + 2 + #kind, last - 1)
  local line_end, indent = nil, 0
  if add == add_code or add == add_comment then line_end, indent = is_alone(text, from, to + 1) end
  local before = text:sub(self.at, from - 1 - (line_end and math.min(indent, from - self.at) or 0))
  add_text(self, before)
  add(self, from, code)
  if line_end then table.insert(self.parts, "\n") end
  self.at = line_end or to + 1
end

--- The text of a Lua chunk, which is called with the functions that escape, and returns function(output, environment).
---@param text string
---@param name string for messages
---@return string|nil
---@return string? wrong "name:line: ..."
function M.lua_of(text, name)
  local self = { text = text, name = name, at = 1, state = context.new(),
    parts = { "local _h,_u,_j,_r=... return function() return function(_o)" } }
  local ok, err = pcall(function()
    local from = text:find("<%", 1, true)
    while from do
      if text:find("^<%%%%", from) then
        add_text(self, text:sub(self.at, from + 1))
        self.at = from + 3
      else
        add_mark(self, from, text)
      end
      from = text:find("<%", self.at, true)
    end
    add_text(self, text:sub(self.at))
  end)
  if not ok then
    if type(err) == "table" then return nil, err[1] end
    error(err, 0)
  end
  table.insert(self.parts, " end end")
  return table.concat(self.parts)
end

return M
