-- SPDX-License-Identifier: MIT
-- fs.lua - files: read, write, list, watch. Blocking calls run on a few helper threads: a slow disk parks a task, not
-- the loop.
--
-- The core does the work; here the arguments are checked. Calls end in `return core...`, so that errors raised by the
-- core name our caller's line.

local core = require "moonpark.core"
local option = require "moonpark.options"

---@class moonpark.fs
local M = {}

--- Failures return nil, a message, and errno if the system gave one; see docs/fs.md.
---@class moonpark.file
---@field read fun(self, n?: integer): string|nil, string?, integer? 1..n bytes; "eof" at the end; n 65536
---@field read_at fun(self, offset: integer, n: integer): string|nil, string?, integer? fewer only at the end; "eof"
---@field write fun(self, data: string|number): integer|nil, string?, integer?, integer? bytes; 4th: before a failure
---@field write_at fun(self, offset: integer, data: string|number): integer|nil, string?, integer?, integer?
---@field size fun(self): integer|nil, string?, integer?
---@field seek fun(self, whence?: "set"|"cur"|"end", offset?: integer): integer|nil, string?, integer? from the start
---@field sync fun(self): true|nil, string?, integer? fsync(2): what was written is on the disk
---@field close fun(self): true|nil, string?, integer? harmless twice; running operations finish first
---@field is_closed fun(self): boolean
---@field fd fun(self): integer|nil, string?

---------------------------------------------------------------------------------------------------
-- arguments

-- Level 4: the caller of the public function that called check_*.
local function bad(position, name, text)
  error(("bad argument #%d to '%s' (%s)"):format(position, name, text), 4)
end

local function check_path(path, position, name)
  if type(path) ~= "string" then bad(position, name, "path expected, got " .. type(path)) end
  if path:find("\0", 1, true) then bad(position, name, "path contains a zero byte") end
end

local function check_data(data, name)
  if type(data) ~= "string" and type(data) ~= "number" then
    bad(2, name, "string expected, got " .. type(data))
  end
end

---------------------------------------------------------------------------------------------------
-- whole files

--- Reads a whole file.
---@param path string
---@param max? integer bytes; "too long" where there are more; 64 MiB
---@return string|nil data
---@return string? err "no such file or directory", "is a directory", "permission denied", "too long", ...
---@return integer? errno
function M.read(path, max)
  check_path(path, 1, "read")
  return core.fs_read(path, max)
end

---@class moonpark.fs.write.options
---@field mode? integer|string permission bits of a new file, less the umask; "644"
---@field atomic? boolean readers that open the path find the old bytes or the new ones; false

local write_options = { mode = "mode", atomic = "boolean" }

--- Replaces the content of a file. atomic: writes another file next to it, syncs and renames it, so that a reader that
--- opens the path finds either the old bytes or the new ones; on failure the old ones stay.
---@param path string
---@param data string|number
---@param options? moonpark.fs.write.options
---@return true|nil
---@return string? err "no space left on device", "is a directory", "permission denied", ...
---@return integer? errno
function M.write(path, data, options)
  check_path(path, 1, "write")
  check_data(data, "write")
  options = option.check("write", options, write_options, 2, 3)
  local mode = option.bits(options.mode)
  return core.fs_write(path, data, mode, options.atomic)
end

---@class moonpark.fs.append.options
---@field mode? integer|string permission bits of a new file, less the umask; "644"

local append_options = { mode = "mode" }

--- Adds the bytes at the end of the file, which is made where it is not there.
---@param path string
---@param data string|number
---@param options? moonpark.fs.append.options
---@return true|nil
---@return string? err
---@return integer? errno
function M.append(path, data, options)
  check_path(path, 1, "append")
  check_data(data, "append")
  options = option.check("append", options, append_options, 2, 3)
  local mode = option.bits(options.mode)
  return core.fs_append(path, data, mode)
end

---------------------------------------------------------------------------------------------------
-- names

---@class moonpark.fs.stat
---@field type "file"|"directory"|"link"|"socket"|"fifo"|"device"
---@field size number bytes
---@field mtime number seconds since 1970-01-01 UTC
---@field mode integer permission bits
---@field inode number
---@field uid number
---@field gid number

---@class moonpark.fs.stat.options
---@field follow? boolean what a link leads to; true; false: the link itself

local stat_options = { follow = "boolean" }

--- What the path leads to; with follow = false the link itself, where it is one.
---@param path string
---@param options? moonpark.fs.stat.options
---@return moonpark.fs.stat|nil
---@return string? err
---@return integer? errno
function M.stat(path, options)
  check_path(path, 1, "stat")
  options = option.check("stat", options, stat_options, 2, 2)
  return core.fs_stat(path, options.follow ~= false)
end

---@class moonpark.fs.list.options
---@field types? boolean an array of {name =, type =}; false
---@field sizes? boolean of {name =, type =, size =, mtime =}; false

---@class moonpark.fs.listed
---@field name string
---@field type string|nil as of stat; nil: the file system does not say
---@field size number|nil bytes, with sizes = true
---@field mtime number|nil seconds since 1970-01-01 UTC, with sizes = true

local list_options = { types = "boolean", sizes = "boolean" }

--- The names in a directory, without "." and "..", in the order of their bytes; with types = true an array of
--- {name =, type =}, with sizes = true of {name =, type =, size =, mtime =}, links not followed.
---@overload fun(path: string, options: moonpark.fs.list.options): moonpark.fs.listed[]|nil, string?, integer?
---@param path string
---@param options? moonpark.fs.list.options
---@return string[]|nil names
---@return string? err "not a directory", ...
---@return integer? errno
function M.list(path, options)
  check_path(path, 1, "list")
  options = option.check("list", options, list_options, 2, 2)
  return core.fs_list(path, options.types, options.sizes)
end

--- Gives a file or directory another name in the same file system; a file that has it is replaced.
---@param from string
---@param to string
---@return true|nil
---@return string? err "invalid cross-device link", ...
---@return integer? errno
function M.rename(from, to)
  check_path(from, 1, "rename")
  check_path(to, 2, "rename")
  return core.fs_rename(from, to)
end

---@class moonpark.fs.remove.options
---@field recursive? boolean what is in a directory, too; false

local remove_options = { recursive = "boolean" }

--- Removes a file, a link (not what it leads to) or an empty directory; with recursive = true also what is in it.
---@param path string
---@param options? moonpark.fs.remove.options
---@return true|nil
---@return string? err "directory not empty", "no such file or directory", ...
---@return integer? errno
function M.remove(path, options)
  check_path(path, 1, "remove")
  options = option.check("remove", options, remove_options, 2, 2)
  return core.fs_remove(path, options.recursive)
end

---@class moonpark.fs.mkdir.options
---@field parents? boolean those above it, too, and it may be there already; false
---@field mode? integer|string permission bits, less the umask; "755"

local mkdir_options = { parents = "boolean", mode = "mode" }

--- Makes a directory; with parents = true also those above it, and then it is no error that it is there.
---@param path string
---@param options? moonpark.fs.mkdir.options
---@return true|nil
---@return string? err "file exists", "no such file or directory", ...
---@return integer? errno
function M.mkdir(path, options)
  check_path(path, 1, "mkdir")
  options = option.check("mkdir", options, mkdir_options, 2, 2)
  local mode = option.bits(options.mode)
  return core.fs_mkdir(path, mode, options.parents)
end

---------------------------------------------------------------------------------------------------
-- open files

---@class moonpark.fs.open.options
---@field mode? integer|string permission bits of a new file, less the umask; "644"

local open_modes = {}
for _, how in ipairs { "r", "r+", "w", "w+", "a", "a+", "wx", "w+x" } do open_modes[how] = true end
local open_options = { mode = "mode" }

--- Opens a file for what is too big for read and write. how: as io.open's; with "x" the file must not be there yet.
---@param path string
---@param how? "r"|"r+"|"w"|"w+"|"a"|"a+"|"wx"|"w+x" "r"
---@param options? moonpark.fs.open.options
---@return moonpark.file|nil
---@return string? err
---@return integer? errno
function M.open(path, how, options)
  check_path(path, 1, "open")
  if how ~= nil and not open_modes[how] then
    local text = "bad argument #2 to 'open' (unknown mode '%s'; there are r, r+, w, w+, a, a+, wx, w+x)"
    error(text:format(tostring(how)), 2)
  end
  options = option.check("open", options, open_options, 2, 3)
  local mode = option.bits(options.mode)
  return core.fs_open(path, how, mode)
end

---------------------------------------------------------------------------------------------------
-- watching

---@class moonpark.fs.event
---@field event "created"|"modified"|"removed"|"moved"|"attributes"|"overflow"
---@field name string|nil in the directory that is watched; nil: it happened to what is watched itself
---@field direction "from"|"to"|"self"|nil of "moved": name was or is now its name; self: what is watched was moved
---@field cookie number|nil of "moved": both halves of one have the same
---@field directory boolean it happened to a directory

---@class moonpark.watcher
---@overload fun(): moonpark.fs.event|nil
local Watcher = {}
Watcher.__index = Watcher

local kinds = { "created", "modified", "removed", "moved", "attributes" }
local is_kind = {}
for _, kind in ipairs(kinds) do is_kind[kind] = true end

local function check_watcher(self, name)
  if getmetatable(self) ~= Watcher then
    error(("bad argument #1 to '%s' (watcher expected, got %s)"):format(name, type(self)), 3)
  end
end

local AT_ONCE = 1 -- seconds: reading what is there takes none of it, but other tasks may run meanwhile

local function event_of(record, ...)
  if not record then return nil, ... end
  return core.watch_event(record)
end

--- The next event. Several tasks may wait; each event goes to one of them.
---@param timeout? number seconds; 0: what has come already
---@return moonpark.fs.event|nil
---@return string? err "eof" once what is watched is gone, "timeout", "closed", "canceled"
---@return integer? errno
function Watcher:next(timeout)
  check_watcher(self, "next")
  local conn = self.conn
  if timeout ~= nil and (type(timeout) ~= "number" or timeout ~= timeout) then
    error(("bad argument #1 to 'next' (number of seconds expected, got %s)"):format(tostring(timeout)), 2)
  end
  if timeout and timeout <= 0 then
    local ready, err, errno = core.select { { conn, "r" }, timeout = 0 }
    if not ready then return nil, err, errno end
    timeout = AT_ONCE
  end
  conn:set_timeout(timeout)
  return event_of(conn:read_exactly(core.watch_record))
end

--- for event in watcher do ... end; ends where next gives none.
function Watcher:__call() return (self:next()) end

--- Who waits gets nil, "closed".
---@return true
function Watcher:close()
  check_watcher(self, "close")
  return self.conn:close()
end

function Watcher:__tostring() return tostring(self.conn) end

local function check_events(events)
  if type(events) ~= "table" then return false, "must be a table, not a " .. type(events) end
  for _, kind in ipairs(events) do
    if not is_kind[kind] then return false, ("has an unknown event '%s'"):format(tostring(kind)) end
  end
  return #events > 0, "is empty"
end

---@class moonpark.fs.watch.options
---@field events? ("created"|"modified"|"removed"|"moved"|"attributes")[] which ones; all

local watch_options = { events = { check_events } }

--- Watches a file, or a directory and what is directly in it. events: which ones; all.
---@param path string
---@param options? moonpark.fs.watch.options
---@return moonpark.watcher|nil
---@return string? err "no such file or directory", "no space left on device" (too many watches), "too many open files"
---@return integer? errno
function M.watch(path, options)
  check_path(path, 1, "watch")
  options = option.check("watch", options, watch_options, 2, 2)
  local conn, err, errno = core.watch_open(path, unpack(options.events or kinds))
  if not conn then return nil, err, errno end
  return setmetatable({ conn = conn }, Watcher)
end

return M
