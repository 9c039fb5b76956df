-- SPDX-License-Identifier: MIT
-- misuse.lua - mistakes in calls of the objects of HTTP: a dot for a colon, names that there are not. What is certainly
-- wrong raises at the script's line; what only looks like a slip is logged, once.
--
-- Methods are guarded by a function of their own arity in front of each, which calls them as a tail call: errors that
-- count levels still name the script's line.

local failures = require "moonpark.failures"
local field_hint = require "moonpark.field_hint"
local spelling = require "moonpark.spelling"

local M = {}

local library = debug.getinfo(1, "S").source:match "^@(.*)http/misuse%.lua$"

---------------------------------------------------------------------------------------------------
-- where

-- Files of this library are passed over: the script's line is wanted.
local function is_ours(frame)
  return frame.what == "C" or library ~= nil and frame.source:sub(2, #library + 1) == library
end

--- The script's line that is running: "app.lua:12".
---@return string
function M.line()
  local level = 2
  local frame = debug.getinfo(level, "Sl")
  while frame and is_ours(frame) do
    level = level + 1
    frame = debug.getinfo(level, "Sl")
  end
  return frame and ("%s:%d"):format(frame.short_src, frame.currentline) or "?"
end

--- Where a function is defined: "app.lua:12".
---@param fn any
---@return string
function M.place_of(fn)
  local info = type(fn) == "function" and debug.getinfo(fn, "S")
  if not info or info.linedefined < 0 then return "?" end
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

local told, count = {}, 0
local MOST = 1000 -- texts that are remembered; then nothing is said any more

--- Logs a text with the script's line before it, once for each line.
---@param text string
---@param log? fun(text: string)
---@param place? string in place of that line
function M.warn(text, log, place)
  text = (place or M.line()) .. ": " .. text
  if told[text] or count >= MOST then return end
  told[text], count = true, count + 1
  local write = log or failures.log
  write(text)
end

---------------------------------------------------------------------------------------------------
-- a dot for a colon

local PARAMETERS = { "a", "b", "c", "d", "e" }

-- Varargs would cost more than the call that they are passed on by.
local GUARD = [[
local fn, class, fits, wrong = ...
local getmetatable = getmetatable
return function(%s)
  if getmetatable(self) ~= class and not fits(self) then wrong(self) end
  return fn(%s)
end]]

-- Of this folder, so that guards are moonpark's own to reports and limits; known by its end, as they stand for others.
local PLACE = debug.getinfo(1, "S").source .. ":guard"

local function parameters_of(fn)
  local info = debug.getinfo(fn, "u")
  local names = { "self", unpack(PARAMETERS, 1, info.nparams - 1) }
  if info.isvararg then names[#names + 1] = "..." end
  return table.concat(names, ", ")
end

local function guarded(class, what, example, name, fn, mark)
  local function fits(self) -- a table in front of such an object
    return type(self) == "table" and getmetatable(self) ~= nil and self[mark] ~= nil
  end
  local function wrong(self)
    error(("%s expected, got %s: use %s:%s(...)"):format(what, type(self), example, name), 3)
  end
  local names = parameters_of(fn)
  return loadstring(GUARD:format(names, names), PLACE)(fn, class, fits, wrong)
end

--- Has the methods of a class check what they are called with.
---@param class table
---@param what string "response"
---@param example string what the documentation calls it: "res"
---@param mark string|integer a field that each object has
function M.guard(class, what, example, mark)
  for name, fn in pairs(class) do
    if type(fn) == "function" and type(name) == "string" and not name:find "^__" then
      class[name] = guarded(class, what, example, name, fn, mark)
    end
  end
end

---------------------------------------------------------------------------------------------------
-- names that there are not

--- The name that was meant, or nil.
---@param name any
---@param names string[]
---@param foreign? table<string, string> what other libraries call them
---@return string|nil
function M.meant(name, names, foreign)
  if type(name) ~= "string" then return nil end
  if foreign and foreign[name] then return foreign[name] end
  local near = spelling.nearest(name, names)
  if near and spelling.is_slip(name:lower(), near:lower()) then return near end
  for _, other in ipairs(names) do
    if spelling.is_slip(name, other) then return other end
  end
end

local function names_of(class, fields)
  local names = { unpack(fields) }
  for name in pairs(class) do
    if type(name) == "string" and not name:find "^__" then names[#names + 1] = name end
  end
  return names
end

--- Names that objects of a class have, and what to say of others.
---@class moonpark.http.misuse.names
---@field seen table<any, boolean> those that need no second look
local Names = {}
Names.__index = Names

---@param class table its methods
---@param what string "requests"
---@param fields string[] what else they have
---@param foreign? table<string, string> [what other libraries call it] = what it is called here
---@return moonpark.http.misuse.names
function M.names(class, what, fields, foreign)
  local seen = {}
  for _, name in ipairs(fields) do seen[name] = true end
  return setmetatable({ class = class, what = what, fields = fields, foreign = foreign, seen = seen, count = 0 }, Names)
end

--- Such a name is the script's own from now on.
---@param name any
function Names:own(name)
  if self.seen[name] or self.count >= MOST then return end
  self.seen[name], self.count = true, self.count + 1
end

--- A name that an object does not have was read, or set: warns if another one was probably meant.
---@param name any
---@param log? fun(text: string)
function Names:check(name, log)
  if self.seen[name] or self.count >= MOST then return end
  self:own(name)
  local meant = M.meant(name, names_of(self.class, self.fields), self.foreign)
  if meant then M.warn(("%s have no '%s'; did you mean '%s'?"):format(self.what, name, meant), log) end
end

--- Has objects of a class check names that they do not have. Those that they have cost nothing more.
---@param class table whose __index is the class itself
---@param what string
---@param fields string[]
---@param foreign? table<string, string>
function M.check_names(class, what, fields, foreign)
  local names = M.names(class, what, fields, foreign)
  setmetatable(class, { __index = function(_, name)
    if not names.seen[name] then names:check(name) end
  end })
end

---------------------------------------------------------------------------------------------------
-- errors that LuaJIT words

-- What makes of an error of LuaJIT's one that names what is wrong; nil: it does so already.
local function hint_of(text, methods, fields)
  local name = text:match "attempt to call %l+ '([%w_]+)' %(an? %l+ value%)"
  if name and fields[name] then return field_hint.text(name) end
  name = text:match "field '([%w_]+)' %(a function value%)" or text:match "attempt to index %l+ '([%w_]+)' %(a function"
  local owner = name and methods[name]
  return owner and ("'%s' is a method: call it, as in %s:%s()"):format(name, owner, name) or nil
end

--- The hint for a handler's error, as a line of its own; "" if there is none.
---@param err any
---@param methods table<string, string> [name] = "req" or "res"
---@param fields table<string, any>
---@return string
function M.hint(err, methods, fields)
  local hint
  if type(err) == "string" then hint = hint_of(err:match "^[^\n]*", methods, fields)
  elseif type(err) == "table" and getmetatable(err) == nil then
    local code = rawget(err, "status") or rawget(err, "code")
    if type(code) == "number" and code >= 400 and code <= 599 then
      hint = ("an error is answered with 500; res:fail(%d) answers with that status"):format(code)
    end
  end
  return hint and "\nhint: " .. hint or ""
end

return M
