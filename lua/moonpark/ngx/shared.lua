-- SPDX-License-Identifier: MIT
-- shared.lua - ngx.shared over moonpark.shared: the same dict in all workers. A value that it does not know, a list or
-- one with flags, is a string that begins with a mark.

local shared = require "moonpark.shared"
local words = require "moonpark.ngx.words"

local M = {}

local SIZE = 1048576 -- bytes of a dict that was not declared
local MARK = "\0ngx\0"

local byte = string.byte

local Dict = {}
Dict.__index = Dict
M.class = Dict

-- What is stored of a value and its flags.
local function packed(value, flags)
  if flags == 0 and (type(value) ~= "string" or value:sub(1, #MARK) ~= MARK) then return value end
  local kind = type(value):sub(1, 1)
  return ("%s%s%d:%s"):format(MARK, kind, flags, type(value) == "number" and ("%.17g"):format(value) or tostring(value))
end

local readers = { s = function(text) return text end, n = tonumber, b = function(text) return text == "true" end }

-- value, flags | list: {items}
local function unpacked(stored)
  if type(stored) ~= "string" or byte(stored, 1) ~= 0 or stored:sub(1, #MARK) ~= MARK then return stored, 0 end
  local kind, flags, text = stored:match("^(%l)(%-?%d+):(.*)$", #MARK + 1)
  if kind then return readers[kind](text), tonumber(flags) end
  return nil, nil, stored:sub(#MARK + 2)
end

-- A list is "L", then each item: its kind, its length, ":", its text.
local function read_list(text)
  local items, at = {}, 1
  while at <= #text do
    local kind, length, behind = text:match("^(%l)(%d+):()", at)
    items[#items + 1] = readers[kind](text:sub(behind, behind + length - 1))
    at = behind + tonumber(length)
  end
  return items
end

local function write_list(items)
  local parts = { MARK, "L" }
  for _, item in ipairs(items) do
    local text = type(item) == "number" and ("%.17g"):format(item) or item
    parts[#parts + 1] = ("%s%d:%s"):format(type(item):sub(1, 1), #text, text)
  end
  return table.concat(parts)
end

local function check_self(self)
  if getmetatable(self) ~= Dict then words.misuse 'bad "zone" argument' end
  return self.dict
end

-- -> key | nil, err
local function check_key(key)
  if key == nil then return nil, "nil key" end
  key = tostring(key)
  if key == "" then return nil, "empty key" end
  if #key > 65535 then return nil, "key too long" end
  return key
end

local kinds = { string = true, number = true, boolean = true }

-- Of an option that must be a number, if it is there.
local function check_number(value, what)
  if value == nil or type(value) == "number" then return value end
  words.misuse(("%s (number expected, got %s)"):format(what, type(value)))
end

-- nil: no end
local function ttl_of(seconds, what)
  seconds = check_number(seconds, ('bad "%s" argument'):format(what)) or 0
  if seconds < 0 then words.misuse(('bad "%s" argument'):format(what)) end
  return seconds > 0 and seconds or nil
end

-- Flags are 32 bits: others are the least of them.
local function flags_of(flags)
  if flags == nil or flags == false then return 0 end
  if flags == true then return 1 end
  flags = check_number(flags, "bad flags")
  if not (flags > -2^31 and flags < 2^31) then return -2^31 end
  return flags > 0 and math.floor(flags) or math.ceil(flags)
end

-- What a stored value is for the script, and its flags if there are any.
local function shown(stored)
  local value, flags, list = unpacked(stored)
  if list then return nil, "value is a list" end
  if flags ~= 0 then return value, flags end
  return value
end

function Dict:get(key)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  local stored = dict:get(name)
  if stored == nil then return nil end
  return shown(stored)
end

--- get_stale(key) -> value, flags, whether it is over
function Dict:get_stale(key)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  local stored, stale = dict:get_stale(name)
  if stored == nil then return nil end
  local value, flags = shown(stored)
  if value == nil then return nil, flags end
  return value, flags, stale
end

-- how: the dict's method
local function store(self, how, key, value, ttl, flags)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  if value == nil then
    if not how:find "set" then return false, "attempt to add or replace nil values", false end
    dict:delete(name)
    return true, nil, false
  end
  if not kinds[type(value)] then return nil, "bad value type" end
  local ok, evicted = dict[how](dict, name, packed(value, flags_of(flags)), ttl_of(ttl, "exptime"))
  if ok then return true, nil, evicted end
  return false, evicted, false
end

function Dict:set(...) return store(self, "set", ...) end
function Dict:add(...) return store(self, "add", ...) end
function Dict:replace(...) return store(self, "replace", ...) end
function Dict:safe_set(...) return store(self, "safe_set", ...) end
function Dict:safe_add(...) return store(self, "safe_add", ...) end
function Dict:delete(key) return store(self, "set", key) end

-- Adds to a number with flags, as one step whoever else is at it. Its end stays: what is left of it is set anew.
local function add_to_flagged(dict, name, by)
  while true do
    local stored = dict:get(name)
    if stored == nil or type(stored) == "number" then return nil end
    local value, flags = unpacked(stored)
    if type(value) ~= "number" then return nil, "not a number" end
    local left = dict:ttl(name)
    if left and left > 0 and dict:compare_and_set(name, stored, packed(value + by, flags), left) then
      return value + by
    end
  end
end

--- incr(key, value[, init[, init_ttl]]) -> the sum, err, forcible
function Dict:incr(key, by, init, ttl)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  by = tonumber(by) or words.misuse "bad argument #3 to 'incr' (number expected)"
  if init ~= nil then
    init = tonumber(init) or words.misuse(("bad init arg (bad init arg: number expected, got %s)"):format(type(init)))
  end
  if ttl ~= nil then
    local seconds = tonumber(ttl)
    if not seconds then
      words.misuse(("bad init_ttl arg (bad init_ttl arg: number expected, got %s)"):format(type(ttl)))
    end
    ttl = ttl_of(seconds, "init_ttl")
    if not init then words.misuse 'must provide "init" when providing "init_ttl"' end
  end
  local sum, why = dict:incr(name, by, init, ttl)
  if sum then
    if init then return sum, nil, why end
    return sum
  end
  if why ~= "not a number" then return nil, why end
  sum, why = add_to_flagged(dict, name, by)
  if sum then return sum end
  if why then return nil, why end
  return self:incr(key, by, init, ttl) -- it went, or was changed, in between
end

---------------------------------------------------------------------------------------------------
-- lists

-- Seconds that the value has left; nil: it has no end.
local function left_of(dict, name)
  local left = dict:ttl(name)
  return left and left > 0 and left or nil
end

-- change(items) -> result: on the list of that name, as one step whoever else is at it.
local function change_list(self, key, make, change)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  while true do
    local stored = dict:get(name)
    local _, _, text = unpacked(stored)
    if stored ~= nil and not text then return nil, "value not a list" end
    if stored == nil and not make then return nil end
    local items = text and read_list(text) or {}
    local result = change(items)
    local ok, why
    if stored == nil then ok, why = dict:safe_add(name, write_list(items))
    elseif #items == 0 then ok, why = dict:compare_and_delete(name, stored)
    else ok, why = dict:safe_compare_and_set(name, stored, write_list(items), left_of(dict, name)) end
    if ok then return result end
    if why == "no memory" then return nil, why end
  end
end

local function push(self, key, value, first)
  check_self(self)
  if type(value) ~= "string" and type(value) ~= "number" then return nil, "bad value type" end
  return change_list(self, key, true, function(items)
    table.insert(items, first and 1 or #items + 1, value)
    return #items
  end)
end

function Dict:lpush(key, value) return push(self, key, value, true) end
function Dict:rpush(key, value) return push(self, key, value, false) end

function Dict:lpop(key)
  return change_list(self, key, false, function(items) return table.remove(items, 1) end)
end

function Dict:rpop(key)
  return change_list(self, key, false, function(items) return table.remove(items) end)
end

function Dict:llen(key)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  local stored = dict:get(name)
  if stored == nil then return 0 end
  local _, _, text = unpacked(stored)
  if not text then return nil, "value not a list" end
  return #read_list(text)
end

---------------------------------------------------------------------------------------------------
-- the rest

--- ttl(key) -> seconds, 0: it has no end; negative: it is over
function Dict:ttl(key)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  local seconds, why = dict:ttl(name)
  if not seconds then return nil, why end
  return seconds == math.huge and 0 or seconds
end

--- expire(key, seconds): one that is over begins anew. 0 and less: no end.
function Dict:expire(key, seconds)
  local dict, name, err = check_self(self), check_key(key)
  if seconds == nil then words.misuse 'bad "exptime" argument' end
  if not name then return nil, err end
  seconds = tonumber(seconds)
    or words.misuse(('bad "exptime" argument (number expected, got %s)'):format(type(seconds)))
  local ok, why = dict:expire(name, seconds > 0 and seconds or nil)
  if not ok then return nil, why end
  return true
end

--- All values are over: flush_expired frees their room.
function Dict:flush_all() check_self(self):expire_all() end

local function count_of(most, name)
  if most ~= nil and not tonumber(most) then
    words.misuse(("bad argument #1 to '%s' (number expected, got %s)"):format(name, type(most)))
  end
  most = tonumber(most)
  return most and most > 0 and math.floor(most)
end

--- flush_expired([most]) -> how many were over
function Dict:flush_expired(most)
  local dict = check_self(self)
  return dict:flush_expired(count_of(most, "flush_expired") or 0)
end

--- get_keys([most]): 1024 by default, 0: all. The most recently used first.
function Dict:get_keys(most)
  local dict = check_self(self)
  return dict:keys(most == nil and 1024 or count_of(most, "get_keys") or math.huge)
end

function Dict:capacity() return check_self(self):stats().size end

function Dict:free_space()
  local stats = check_self(self):stats()
  return math.max(0, stats.size - stats.bytes)
end

local dicts = {}

--- Declares a dict of that size, before it is used.
---@param name string
---@param size integer|string
function M.declare(name, size)
  local dict, err = shared.dict("ngx:" .. name, { size = size, keep_expired = true })
  if not dict then error(("ngx.shared.%s: %s"):format(name, err), 3) end
  dicts[name] = setmetatable({ dict = dict }, Dict)
end

--- ngx.shared: each name is a dict.
M.shared = setmetatable({}, { __index = function(_, name)
  if type(name) ~= "string" then return nil end
  if not dicts[name] then M.declare(name, SIZE) end
  return dicts[name]
end, __metatable = false })

return M
