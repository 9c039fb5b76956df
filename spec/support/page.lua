-- SPDX-License-Identifier: MIT
-- support/page.lua - does what a page tells its reader to do, and compares what the page shows with what happens.
--
--   for _, section in ipairs(page.sections "docs/tutorial.md") do ... section.title, section.blocks ... end
--   local reader = page.reader(folder)     has a folder and a terminal; its server is on an address of its own
--   reader:follow(section)                 raises with the page's line where something else happens than is shown
--   reader:stop()                          ends what still runs
--
-- What a reader does with a block of a page:
--
--   lua, html, ...        its first line is a comment with a path: the block is that file. If an HTML comment stands
--                         before it, <!-- before: text -->, the block goes into that file, before the line with the
--                         text; <!-- in place of: text -->: in place of that line.
--   console               lines after "$ " are commands, the others are what they print. A line "..." stands for any
--                         lines, and "..." in a line for any characters.
--   console in the background   the command keeps running. "^C" is what it says; then come the lines up to the end.
--   console from the background   what the program has printed since
--
-- Times, ports, process numbers and numbers with a point are those of the page's author, and any others match them.

local cjson = require "cjson"
local process = require "support.process"
local support = require "support.net"

local M = {}

local function read(path)
  local file, err = io.open(path)
  if not file then error(err, 0) end
  local text = file:read "*a"
  file:close()
  return text
end

---------------------------------------------------------------------------------------------------
-- the page

--- The sections of a page that have blocks: {title =, line =, blocks = {{info =, line =, lines =, edit =}}}.
---@param path string from the top of the tree
---@param text? string the page, if it is no file
---@return table[]
function M.sections(path, text)
  local sections, section, block = {}, { title = path, blocks = {} }, nil
  local number, before = 0, ""
  for line in (text or read(process.root .. "/" .. path)):gmatch "([^\n]*)\n" do
    number = number + 1
    if block and line == "```" then block = nil
    elseif block then table.insert(block.lines, line)
    elseif line:find "^```" then
      block = { info = line:sub(4), line = number, lines = {}, edit = before:match "^<!%-%- (.-) %-%->$", page = path }
      table.insert(section.blocks, block)
    elseif line:find "^## " then
      section = { title = line:sub(4), blocks = {} }
      table.insert(sections, section)
    end
    if line ~= "" then before = line end
  end
  for i = #sections, 1, -1 do
    if #sections[i].blocks == 0 then table.remove(sections, i) end
  end
  return sections
end

local function complain(block, line, ...)
  error(("%s:%d: %s"):format(block.page, block.line + line, string.format(...)), 0)
end

---------------------------------------------------------------------------------------------------
-- what is shown, and what is there

-- What differs from run to run, and from machine to machine.
local function mask(line)
  line = line:gsub("%d%d%d%d%-%d%d%-%d%d[T ]%d%d:%d%d:%d%d[%d.]*Z?", "TIME"):gsub("%d+%.%d+%.%d+%.%d+", "HOST")
  line = line:gsub("HOST:%d%d%d%d%d+", "HOST:PORT"):gsub("%f[%w]%d+%.%d+%f[^%d]", "NUMBER")
  line = line:gsub("%f[%w]%d+e%-%d+", "NUMBER"):gsub("%f[%w]%d%d%d%d+%f[%W]", "NUMBER")
  return (line:gsub("  +", "  "):gsub("%s+$", ""))
end

-- Are they alike, but for numbers that are not whole?
local function is_alike(a, b)
  if type(a) ~= type(b) then return false end
  if type(a) == "number" then return a == b or (a % 1 ~= 0 and b % 1 ~= 0) end
  if type(a) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not is_alike(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function decode(line)
  local ok, value = pcall(cjson.decode, line:match "^data: (.*)$" or line)
  return ok and type(value) == "table" and value or nil
end

-- Objects of JSON have no order.
local function is_same(shown, there)
  local a, b = decode(shown), decode(there)
  if a and b and is_alike(a, b) then return true end
  shown, there = mask(shown), mask(there)
  if not shown:find("...", 1, true) then return shown == there end
  local pattern = shown:gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.", ".*")
  return there:find("^" .. pattern .. "$") ~= nil
end

-- Do the lines from i on look as those shown from k on? next(i) -> the i-th line, or nil after the last.
-- -> true; or nil, the line that is shown and not there
local function matches(shown, k, next, i)
  while k <= #shown do
    if shown[k] == "..." then
      if k == #shown then return true end
      while next(i) do
        if matches(shown, k + 1, next, i) then return true end
        i = i + 1
      end
      return nil, k + 1
    end
    local line = next(i)
    if not line or not is_same(shown[k], line) then return nil, k end
    k, i = k + 1, i + 1
  end
  if next(i) then return nil, k end
  return true
end

-- The lines of a text.
local function lines_of(text)
  local lines = {}
  for line in (text:find "\n$" and text or text .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  if text == "" then return {} end
  return lines
end

-- Raises if the text is not what the block's lines from `first` to `last` show.
local function compare(block, first, last, text, reader)
  local shown = {}
  for i = first, last do shown[#shown + 1] = reader:here(block.lines[i]) end
  local lines = lines_of(text)
  local ok, at = matches(shown, 1, function(i) return lines[i] end, 1)
  if ok then return end
  complain(block, first + at - 1, "the page shows\n  %s\nbut this is what was printed:\n%s", shown[at] or "(no more)",
    text)
end

---------------------------------------------------------------------------------------------------
-- the reader

local Reader = {}
Reader.__index = Reader

-- The programs that pages use, as the specs run them.
local function write_programs(folder)
  local command = ("exec '%s' '%s/lua/bin/moonpark' \"$@\""):format(process.interpreter, process.root)
  local programs = {
    moonpark = command,
    busted = ("exec '%s' /usr/bin/busted --ignore-lua \"$@\""):format(process.interpreter),
    luajit = ("exec '%s' \"$@\""):format(process.interpreter),
    -- It hangs under sanitizers.
    curl = "unset LD_PRELOAD\nexec /usr/bin/curl -q -sS --noproxy '*' --max-time 60 \"$@\"",
  }
  for name, text in pairs(programs) do
    local path = folder .. "/" .. name
    local file = assert(io.open(path, "w"))
    file:write("#!/bin/sh\n", text, "\n")
    file:close()
    assert(process.run({ "chmod", "+x", path }).status == 0)
  end
end

--- A reader with an empty folder. `host` of the pages, 127.0.0.1, is another address of this machine for it.
---@param folder string where it works, and where `.programs` is made
function M.reader(folder)
  local programs = folder .. "/.programs"
  assert(process.run({ "mkdir", "-p", programs }).status == 0)
  write_programs(programs)
  local env = { PATH = programs .. ":" .. os.getenv "PATH", HOME = folder,
    MOONPARK_RUN_DIR = programs .. "/run", MOONPARK_SLOW = "0", NO_COLOR = "1",
    http_proxy = false, MOONPARK_LOG = false, MOONPARK_LOG_FORMAT = false, NOTIFY_SOCKET = false }
  return setmetatable({ folder = folder, host = support.own_host(), env = env, running = {} }, Reader)
end

-- The page's text for this reader.
function Reader:here(text) return (text:gsub("127%.0%.0%.1", self.host)) end

-- The files that `moonpark init` has written, for this reader.
function Reader:move()
  local script = "grep -rl --exclude-dir=.programs --fixed-strings 127.0.0.1 . | "
    .. "xargs -r sed -i 's/127\\.0\\.0\\.1/%s/'"
  assert(process.run(script:format(self.host), { cwd = self.folder }).status == 0)
end

function Reader:write(block)
  local path = block.lines[1]:match "^%S+ (%S+%.%w+)%f[%s%z]" or block.lines[1]:match "^# (%S+)$"
  if not path then complain(block, 1, "no path in the first line") end
  local full = self.folder .. "/" .. path
  local text = self:here(table.concat(block.lines, "\n", block.edit and 2 or 1)) .. "\n"
  if block.edit then
    local how, mark = block.edit:match "^(.-): (.*)$"
    local there, found = {}, 0
    for _, line in ipairs(lines_of(read(full))) do
      local is_it = line:find(mark, 1, true)
      if is_it then
        found = found + 1
        there[#there + 1] = text:gsub("\n$", "")
      end
      if not is_it or how == "before" then there[#there + 1] = line end
    end
    if found ~= 1 then complain(block, 0, "%d lines of %s have '%s'", found, path, mark) end
    text = table.concat(there, "\n") .. "\n"
  end
  local parent = full:match "^(.*)/"
  assert(process.run({ "mkdir", "-p", parent }).status == 0)
  local file = assert(io.open(full, "w"))
  file:write(text)
  file:close()
end

-- The lines after `from` up to the next command.
local function shown_after(block, from)
  local last = from
  while block.lines[last + 1] and not block.lines[last + 1]:find "^%$ " do last = last + 1 end
  return last
end

function Reader:run(block)
  local i = 1
  while i <= #block.lines do
    local command = block.lines[i]:match "^%$ (.*)$"
    if not command then complain(block, i, "no command") end
    local last = shown_after(block, i)
    local folder = command:match "^cd (%S+)$"
    if folder then self.folder = self.folder .. "/" .. folder
    else
      local child = process.start("exec 2>&1\n" .. self:here(command), { cwd = self.folder, env = self.env })
      local _, out = child:wait()
      compare(block, i + 1, last, out, self)
      if command:find "^moonpark init" then self:move() end
    end
    i = last + 1
  end
end

-- Waits until the program has printed what the block's lines show, from `first` to `last`.
function Reader:wait_for(program, block, first, last)
  local any = false -- may other lines come before the next that is shown?
  for i = first, last do
    local shown = self:here(block.lines[i])
    if shown ~= "..." then
      local line
      repeat line = program:line() until not any or not line or is_same(shown, line)
      if not line or not is_same(shown, line) then
        complain(block, i, "the page shows\n  %s\nbut this was printed:\n%s", shown, line or program.text.out)
      end
    end
    any = shown == "..."
  end
end

function Reader:start(block)
  local command = block.lines[1]:match "^%$ (.*)$"
  local last, rest = #block.lines, nil
  for i, line in ipairs(block.lines) do
    if line == "^C" then last, rest = i - 1, i + 1 end
  end
  local program = process.start("exec 2>&1\nexec " .. self:here(command), { cwd = self.folder, env = self.env })
  self:wait_for(program, block, 2, last)
  if not rest then
    if self.program then complain(block, 1, "another program still runs") end
    self.program = program
    return
  end
  self:interrupt(program, block, rest)
end

-- Control and C; then the program ends, after it has printed the block's lines from `first` on.
function Reader:interrupt(program, block, first)
  program:kill "INT"
  local from = program.from.out
  local _, out = program:wait()
  compare(block, first, #block.lines, out:sub(from), self)
end

function Reader:look(block)
  if not self.program then complain(block, 1, "nothing runs") end
  local last = #block.lines
  for i, line in ipairs(block.lines) do
    if line == "^C" then last = i - 1 end
  end
  self:wait_for(self.program, block, 1, last)
  if last == #block.lines then return end
  local program = self.program
  self.program = nil
  self:interrupt(program, block, last + 2)
end

function Reader:follow(section)
  for _, block in ipairs(section.blocks) do
    if block.info == "console" then self:run(block)
    elseif block.info == "console in the background" then self:start(block)
    elseif block.info == "console from the background" then self:look(block)
    elseif block.info ~= "text" then self:write(block) end
  end
end

function Reader:stop()
  if self.program then self.program:stop() end
  self.program = nil
end

return M
