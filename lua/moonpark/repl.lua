-- SPDX-License-Identifier: MIT
-- repl.lua - the prompt of `moonpark -i`: reads lines, runs each as a task of its own, and prints what it returns.
--
-- The prompt's task waits either for a line that is typed or for the line that runs. It does so in a scope of its
-- own, which Ctrl-C cancels; so the signal never cancels the prompt itself.

local core = require "moonpark.core"
local Input = require "moonpark.repl.input"
local complete = require "moonpark.repl.complete"
local editor = require "moonpark.repl.editor"
local lend = require "moonpark.repl.lend"
local show = require "moonpark.repl.show"
require "moonpark.task" -- for join

local M = {}

local PATIENCE = 1e9 -- seconds; at a terminal one can always press Ctrl-C, so nothing there is a deadlock

---@class moonpark.repl
---@field input moonpark.repl.input
---@field editor? moonpark.repl.editor
---@field remote? moonpark.repl.remote where lines run
---@field terminal boolean input comes from a terminal
---@field describe fun(task: moonpark.task): string a failed task
---@field line? moonpark.task what runs
---@field asked? boolean it was canceled
---@field listening? boolean Ctrl-C is the prompt's
---@field interrupted? boolean the last wait was
---@field closed? boolean
---@field leaving? boolean exit() was called
---@field scope? moonpark.scope in which the prompt waits
local Repl = {}
Repl.__index = Repl

-- Errors are printed like lua's own prompt prints them.
local function say(text) io.stderr:write(text, "\n") end

---------------------------------------------------------------------------------------------------
-- waiting, and Ctrl-C

-- fn(...) in a scope that Ctrl-C cancels. -> fn's results
local function interruptible(self, fn, ...)
  self.scope = core.scope_open(false)
  local result, err = fn(...)
  self.interrupted = self.scope:is_canceled()
  self.scope:close()
  self.scope = nil
  return result, err
end

-- The second Ctrl-C while something computes raises an error in it. Once the loop runs again that is over.
local function listen(self)
  self.listening = true
  core.interrupts()
end

--- Ctrl-C, on the loop's own stack: cancels the line that runs; one that continues all the same is left alone the
--- second time. If none is running, the typed text is discarded.
---@return boolean done is there a prompt that takes it?
function Repl:interrupt()
  if self.closed then return false end
  listen(self)
  if not self.scope then return true end -- between two lines
  if self.line and not self.asked then
    self.asked = true
    self.line:cancel "Ctrl-C"
  else
    self.scope:cancel()
  end
  return true
end

---------------------------------------------------------------------------------------------------
-- reading

local function prompt_of(name, default)
  local prompt = rawget(_G, name)
  if prompt == nil then return default end
  local ok, text = pcall(tostring, prompt)
  return ok and text or default
end

local function read_plainly(self, prompt)
  if self.terminal then
    io.stdout:write(prompt)
    io.stdout:flush()
  end
  return self.input:read_line()
end

-- -> a line | nil, "eof" | nil, "interrupted" | nil, "canceled": the program ends
local function read_line(self, prompt)
  local line, err
  if self.editor then
    line, err = interruptible(self, self.editor.read_line, self.editor, prompt)
  else
    line, err = interruptible(self, read_plainly, self, prompt)
  end
  if line then return line end
  if core.current():is_canceled() then return nil, "canceled" end
  if self.interrupted then return nil, "interrupted" end
  return nil, err
end

local function is_cut_off(err) return err ~= nil and err:find "'<eof>'$" ~= nil end

-- An expression's value is what is wanted; the nil before it keeps a call from being a tail call, which no traceback
-- would show.
---@return function|nil chunk
---@return integer|string first number of the first result that counts; or what is wrong
---@return boolean? more lines may make it whole
local function compile(text)
  local expression, explicit = text:gsub("^%s*=", "", 1)
  local chunk, wrong = loadstring("return nil," .. expression, "=stdin", "t")
  if chunk then return chunk, 2 end
  if explicit > 0 then return nil, wrong, is_cut_off(wrong) end
  local err
  chunk, err = loadstring(text, "=stdin", "t")
  if chunk then return chunk, 1 end
  return nil, err, is_cut_off(err) or is_cut_off(wrong)
end

-- The line runs in another process.
local function there(remote, text)
  return function()
    local shown, err = remote:evaluate(text)
    if err then say(err) end
    if shown then return shown end
  end
end

-- exit and quit, alone on their line; a global of the script's comes first.
local function asks_to_leave(text)
  local word = text:match "^%s*(%a+)%s*$"
  return (word == "exit" or word == "quit") and rawget(_G, word) == nil
end

-- Reads until the chunk is whole. -> chunk, its first result | false: nothing to run | nil, why
local function read_chunk(self)
  local text, err = read_line(self, prompt_of("_PROMPT", "> "))
  if not text then return nil, err end
  if not text:find "%S" then return false end
  if asks_to_leave(text) then
    self.leaving = true
    return false
  end
  local chunk, first, more = compile(text)
  while more do
    local line = read_line(self, prompt_of("_PROMPT2", ">> "))
    if not line then break end
    text = text .. "\n" .. line
    chunk, first, more = compile(text)
  end
  if chunk then return self.remote and there(self.remote, text) or chunk, self.remote and 1 or first end
  if self.interrupted then return nil, "interrupted" end
  say(first)
  return false
end

---------------------------------------------------------------------------------------------------
-- running

local function print_results(first, ...)
  if select("#", ...) >= first then io.stdout:write(show.results(select(first, ...)), "\n") end
end

local function report(self, line, first)
  if line:status() == "failed" then
    say(self.describe(line))
    return line:join() -- no one else must report it
  end
  print_results(first, select(2, line:join()))
end

local function ended(line) return line:status() == "done" or line:status() == "failed" end

local function run(self, chunk, first)
  jit.off(chunk, true)
  self.line, self.asked = core.go(chunk), false
  self.line:name "stdin"
  interruptible(self, self.line.await, self.line, self.terminal and PATIENCE or nil)
  local line = self.line
  self.line = nil
  if ended(line) then return report(self, line, first) end
  if self.interrupted then say(("%s continues"):format(tostring(line))) end
end

local function fresh_line(self)
  self.input:drop()
  if self.terminal then io.stdout:write "\n" end
end

--- From now on Ctrl-C belongs to the prompt: the signal's handler calls interrupt().
function Repl:take_interrupts() listen(self) end

--- The other process has ended.
function Repl:lose()
  if self.closed or self.leaving then return end
  self:interject "moonpark: the program has ended"
  self.leaving = true
  if self.scope and not self.line then self.scope:cancel() end
end

--- Reads and runs until there are no more lines.
---@return string why "eof", or "canceled"
function Repl:run()
  while not core.current():is_canceled() do
    if self.leaving then return "eof" end
    local chunk, why = read_chunk(self)
    if chunk then
      run(self, chunk, why)
    elseif why == "interrupted" then
      fresh_line(self)
    elseif chunk == nil then
      if why == "eof" and self.terminal then io.stdout:write "\n" end
      return why
    end
  end
  return "canceled"
end

--- Prints something while a line is being typed.
---@param text string
function Repl:interject(text)
  if self.editor then return self.editor:interject(text) end
  say(text)
end

--- The window has another size.
function Repl:resize()
  if self.editor then self.editor:resize() end
end

--- The process was stopped and continues.
function Repl:continue()
  if self.editor then self.editor:continue() end
end

--- Puts the terminal back; for the loop's own stack too.
function Repl:restore()
  if self.editor then self.editor:restore() end
end

function Repl:close()
  self.closed = true
  if self.remote then self.remote:close() end
  if self.listening then core.watchdog_end() end
  if self.editor then self.editor:close() end
  self.input:close()
end

--- To be called in a task: standard input becomes a prompt. At a terminal it is visible, and Ctrl-C belongs to it.
---@param options {describe: (fun(task: moonpark.task): string), remote?: moonpark.repl.remote} remote: lines run there
---@return moonpark.repl
function M.open(options)
  local terminal = Input.is_terminal(0) and Input.is_terminal(1)
  local self = setmetatable({ input = Input.open(), terminal = terminal,
    describe = options.describe, remote = options.remote }, Repl)
  io.stdin:setvbuf "no" -- what the code itself reads begins after its line
  if self.remote then
    self.remote.on_end = function() self:lose() end
  else
    lend.to_globals(function() self.leaving = true end)
  end
  if not terminal then return self end
  local why
  self.editor, why = editor.open(self.input, function(text)
    if self.remote then return self.remote:candidates(text) end
    return complete.candidates(text, lend)
  end)
  if why then say("moonpark: " .. why) end
  return self
end

return M
