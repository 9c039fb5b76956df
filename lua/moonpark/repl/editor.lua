-- SPDX-License-Identifier: MIT
-- editor.lua - line editing and history at a terminal, with GNU readline or libedit if one of them is installed.
--
-- Both have readline's callback interface: they are handed one byte at a time when there is one, and call back with
-- the line. So the loop continues while a line is typed. Nothing that calls into them may be compiled: LuaJIT cannot
-- enter a callback from compiled code.

local ffi = require "ffi"
local complete = require "moonpark.repl.complete"
local history = require "moonpark.repl.history"

ffi.cdef [[
typedef void moonpark_line_fn(char *line);
void rl_callback_handler_install(const char *prompt, moonpark_line_fn *fn);
void rl_callback_read_char(void);
void rl_callback_handler_remove(void);
void rl_callback_sigcleanup(void);
void rl_resize_terminal(void);
int rl_forced_update_display(void);
void rl_prep_terminal(int meta);
void using_history(void);
void stifle_history(int n);
int add_history(const char *line);
typedef int moonpark_key_fn(int count, int key);
int rl_add_defun(const char *name, moonpark_key_fn *fn, int key);
int rl_insert_text(const char *text);
extern char *rl_line_buffer;
extern int rl_point;
extern int rl_catch_signals, rl_catch_sigwinch;
extern const char *rl_readline_name;
void moonpark_free(void *block) __asm__("free");
]]

jit.off(true, true)

local M = {}

local KEPT = 1000 -- lines of history
local libraries = { readline = { "libreadline.so.8" }, edit = { "libedit.so.2" },
  any = { "libreadline.so.8", "libedit.so.2" }, off = {} }
local last -- the line that was added last

-- -> the library, its name | nil, why not
local function load_library()
  local wanted = os.getenv "MOONPARK_EDITING" or "any"
  local names = libraries[wanted] or libraries.any
  for _, name in ipairs(names) do
    local ok, library = pcall(ffi.load, name)
    if ok and pcall(function() return library.rl_callback_handler_install end) then return library, name end
  end
  if wanted == "off" then return nil end
  return nil, ("no line editing: %s not found"):format(table.concat(names, " and "))
end

-- Some functions are readline's alone.
local function optional(library, name)
  local ok, fn = pcall(function() return library[name] end)
  return ok and fn or function() end
end

---@class moonpark.repl.editor
local Editor = {}
Editor.__index = Editor

local function remember(self, line)
  if line == last then return end
  last = line
  self.library.add_history(line)
  if self.path then history.add(self.path, line) end
end

local function load_history(self)
  self.library.using_history()
  self.library.stifle_history(KEPT)
  for _, line in ipairs(self.path and history.load(self.path) or {}) do
    self.library.add_history(line)
    last = line
  end
end

local function set(library, name, value)
  pcall(function() library[name] = value end)
end

local WIDTH = 78      -- of the columns of candidates
local SHOWN = 200     -- candidates

-- Names in columns, as a shell lists them.
local function in_columns(names)
  local width, lines = 0, {}
  local count = math.min(#names, SHOWN)
  for i = 1, count do width = math.max(width, #names[i] + 2) end
  local columns = math.max(1, math.floor(WIDTH / width))
  for first = 1, count, columns do
    local cells = {}
    for i = first, math.min(first + columns - 1, count) do
      cells[#cells + 1] = names[i] .. (" "):rep(width - #names[i])
    end
    lines[#lines + 1] = (table.concat(cells):gsub(" +$", ""))
  end
  if #names > count then lines[#lines + 1] = ("... and %d more"):format(#names - count) end
  return table.concat(lines, "\r\n")
end

-- Tab: completes the word before the cursor, or lists what it may become. Not in the library's callback, because what
-- there is may be another process's.
local function complete_word(self)
  local library = self.library
  local text = ffi.string(library.rl_line_buffer):sub(1, library.rl_point)
  if not text:find "%S" then
    library.rl_insert_text "  "
  else
    local word, candidates = self.candidates(text)
    local common = complete.common(candidates)
    if #common > #word then
      library.rl_insert_text(common:sub(#word + 1))
    elseif #candidates > 1 then
      io.stdout:write("\r\n", in_columns(candidates), "\r\n")
      io.stdout:flush()
    end
  end
  library.rl_forced_update_display()
end

local function bind_tab(self)
  self.on_tab = ffi.cast("moonpark_key_fn *", function()
    self.tabbed = true
    return 0
  end)
  local ok = pcall(function() self.library.rl_add_defun("moonpark-complete", self.on_tab, 9) end)
  if ok then return end
  self.on_tab:free()
  self.on_tab = false
end

--- Editing on this input, which is a terminal.
---@param input moonpark.repl.input
---@param candidates fun(text: string): string, string[] what may stand for the last word; it may wait
---@return moonpark.repl.editor|nil
---@return string? why not
function M.open(input, candidates)
  local library, why = load_library()
  if not library then return nil, why end
  local self = { library = library, input = input, path = history.path(), candidates = candidates }
  setmetatable(self, Editor)
  set(library, "rl_catch_signals", 0) -- the loop handles them
  set(library, "rl_catch_sigwinch", 0)
  self.name = ffi.new("char[9]", "moonpark")
  set(library, "rl_readline_name", self.name)
  self.on_line = ffi.cast("moonpark_line_fn *", function(text)
    library.rl_callback_handler_remove() -- or it would prompt again at once; the terminal is as before now
    self.active = false
    if text == nil then return end
    self.line = ffi.string(text)
    ffi.C.moonpark_free(text)
  end)
  load_history(self)
  return self
end

-- Hands over what has been typed so far.
local function feed(self)
  repeat
    self.library.rl_callback_read_char()
    if self.tabbed then
      self.tabbed = false
      complete_word(self)
    end
  until not self.active or not self.input:is_ready()
end

local function install(self, prompt)
  self.line, self.active = nil, true
  self.library.rl_callback_handler_install(prompt, self.on_line)
  if self.on_tab == nil then bind_tab(self) end -- libedit takes keys once it has begun
end

--- The line that is typed.
---@param prompt string
---@return string|nil
---@return string? err "eof", "canceled"
function Editor:read_line(prompt)
  install(self, prompt)
  while self.active do
    local ok, err = self.input:wait()
    if not ok then
      self:restore()
      return nil, err
    end
    feed(self)
  end
  if not self.line then return nil, "eof" end
  if self.line:find "%S" then remember(self, self.line) end
  return self.line
end

--- The terminal is as before; what was typed is forgotten. For the loop's own stack too.
function Editor:restore()
  if not self.active then return end
  self.active = false
  optional(self.library, "rl_callback_sigcleanup")()
  self.library.rl_callback_handler_remove()
end

--- Prints something, then the line that is being typed again.
---@param text string
function Editor:interject(text)
  io.stderr:write(self.active and "\n" or "", text, "\n")
  if self.active then optional(self.library, "rl_forced_update_display")() end
end

--- The window has another size.
function Editor:resize()
  if self.active then optional(self.library, "rl_resize_terminal")() end
end

--- The process continues after it was stopped: the shell has changed the terminal.
function Editor:continue()
  if not self.active then return end
  self.library.rl_prep_terminal(1)
  optional(self.library, "rl_forced_update_display")()
end

function Editor:close()
  self:restore()
  self.on_line:free()
  if self.on_tab then self.on_tab:free() end
end

return M
