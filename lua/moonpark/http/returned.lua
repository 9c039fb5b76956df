-- SPDX-License-Identifier: MIT
-- returned.lua - what the values mean that a handler returns, and what was wrong with one that has not answered.
--
-- A handler answers through `res`. If it returns without an answer, but with a text or a table, that is the answer.
-- Every other value is a mistake, and raises: see docs/http.md. Nothing here asks the core about a request that was
-- answered and whose handler returned nothing, or `true`, as res:send does.
--
-- What a handler calls last, as in `return res:fail("x")`, has taken its frame: an error then finds our own line as the
-- caller's. blamed() puts the handler's place there.

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local place_of = require("moonpark.http.misuse").place_of

local M = {}

local OF_HANDLER = 6 -- where a response holds who has returned first without an answer: see http/response.lua

---@class moonpark.http.returned.about
---@field fn function|table the handler
---@field kind "handler"|"middleware"

local function named(about) return ("%s: %s"):format(place_of(about.fn), about.kind) end

-- Is the client still without an answer, and waits for one? The server answers what was late, or whose body is broken.
local function is_open(res)
  local x, serial, req = res.x, res.serial, res.request
  if rawget(req, "hijacked") or rawget(req, "body_error") then return false end
  if x:phase(serial) ~= "unsent" or x:failure(serial) then return false end
  local _, curtailed = x:was_late(serial)
  return not curtailed
end

local function of_number(number)
  local known = number >= 200 and number <= 999 and number % 1 == 0
  if known and number >= 400 then return ("use res:fail(%d)"):format(number) end
  if known then return ("set res.status = %d, and send"):format(number) end
  return "send it as text: res:send(tostring(n))"
end

local function complaint(value, second)
  local kind = type(value)
  if value == nil then return ("returned nil, %q"):format(tostring(second)) end
  if kind == "number" then return ("returned the number %s: %s"):format(value, of_number(value)) end
  if kind == "function" then
    return "returned a function: if it makes middleware or handlers, call it where it is added, as in app:use(make())"
  end
  if kind == "table" then return "returned an object, which is no text and no plain table" end
  return ("returned a %s"):format(kind)
end

local function raise(about, text) error(("%s %s; nothing was sent"):format(named(about), text), 0) end

local function conclude(about, res, value, second, third)
  local open, is_unanswered = pcall(is_open, res)
  if not open or not is_unanswered or rawequal(value, res) then return value, second, third end
  local kind = type(value)
  if kind ~= "string" and (kind ~= "table" or getmetatable(value) ~= nil) then
    return raise(about, complaint(value, second))
  end
  if second ~= nil then
    raise(about, ("returned a %s and %s: only one value can be the answer; set res.status for a status, and put a call "
      .. "that returns more, as text:gsub(...), in parentheses"):format(kind, tostring(second)))
  end
  if kind == "string" then return res:send(value) end
  return res:json(value)
end

--- What follows a handler: pass it all that it has returned.
---@param about moonpark.http.returned.about
---@param res moonpark.http.response
function M.after(about, res, value, second, third)
  if rawget(res, OF_HANDLER) == false then res[OF_HANDLER] = about end
  if value == true or (value == nil or value == false) and second == nil then return value, second, third end
  return conclude(about, res, value, second, third)
end
local after = M.after

local abouts = setmetatable({}, { __mode = "k" }) -- [what M.handler and M.middleware have made] = about

--- A handler whose values are looked at.
---@param handler function|table what can be called
---@return fun(req: table, res: table): any
function M.handler(handler)
  local about = { fn = handler, kind = "handler" }
  local function called(req, res) return after(about, res, handler(req, res)) end
  abouts[called] = about
  return called
end

--- The same of middleware, as a chain calls it.
---@param middleware function|table
---@return fun(req: table, res: table, next: function): any
function M.middleware(middleware)
  local about = { fn = middleware, kind = "middleware" }
  local function called(req, res, next) return after(about, res, middleware(req, res, next)) end
  abouts[called] = about
  return called
end

---------------------------------------------------------------------------------------------------
-- errors whose position is a line of this file

local HERE = debug.getinfo(1, "S").short_src .. ":"

-- The handler that is called at that line. nil: some function of a script stands before it, and raises an error again
-- that another handler had.
local function about_at(line)
  local level = 4 -- of what has raised it
  local frame = debug.getinfo(level, "Slf")
  while frame and (frame.what == "C" or core.is_own(frame.source:sub(2))) do
    local about = frame.currentline == line and abouts[frame.func]
    if about then return about end
    level = level + 1
    frame = debug.getinfo(level, "Slf")
  end
end

-- The error, with the place of a handler for ours.
local function blamed(err)
  local line, text = err:match("^(%d+): (.*)$", #HERE + 1)
  local about = line and about_at(tonumber(line))
  local place = about and place_of(about.fn) or "?"
  if place == "?" then return err end
  return ("%s: in the %s that begins here: %s"):format(place, about.kind, text)
end

--- A message handler for xpcall around handlers: failures.remember, with the script's place in the error.
function M.remember(err)
  if type(err) == "string" and err:sub(1, #HERE) == HERE then err = blamed(err) end
  return failures.remember(err)
end

---------------------------------------------------------------------------------------------------
-- no answer, and no value

local told = setmetatable({}, { __mode = "k" }) -- [about] = true

--- Of a request that its handler has left without an answer: why that is a mistake, or a text to be logged, once for
--- each handler, or neither.
---@param req moonpark.http.request
---@param res moonpark.http.response
---@return string|nil mistake the client gets 500
---@return string|nil warning
function M.silence(req, res)
  local about = rawget(res, OF_HANDLER)
  if type(about) ~= "table" or rawget(res, "status") then return nil end -- a status alone is an answer
  if about.kind == "middleware" then
    return ("%s has neither answered %s %s nor called next()"):format(named(about), req.method, req.target)
  end
  if told[about] then return nil end
  told[about] = true
  return nil, ("%s has not answered %s %s: the client gets an empty 200; res:send() says so on purpose"):format(
    named(about), req.method, req.target)
end

return M
