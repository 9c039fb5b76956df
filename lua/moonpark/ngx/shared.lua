-- SPDX-License-Identifier: MIT
-- shared.lua - ngx.shared over moonpark.shared: the same dict in all workers. A value that it does not know, a list or
-- one with flags, is a string that begins with a mark.

local shared = require "moonpark.shared"
local words = require "moonpark.ngx.words"

local M = {}

local SIZE = 1048576 -- bytes of a dict that was not declared
local MARK = "\0ngx\0"

local Dict = {}
Dict.__index = Dict
M.class = Dict

-- What is stored of a value and its flags.
local function packed(value, flags)
  if flags == 0 and (type(value) ~= "string" or value:sub(1, #MARK) ~= MARK) then return value end
  local kind = type(value):sub(1, 1)
  return ("%s%s%d:%s"):format(MARK, kind, flags, tostring(value))
end

local readers = { s = function(text) return text end, n = tonumber, b = function(text) return text == "true" end }

-- value, flags | list: {items}
local function unpacked(stored)
  if type(stored) ~= "string" or stored:sub(1, #MARK) ~= MARK then return stored, 0 end
  local kind, flags, text = stored:match("^(%l)(%d+):(.*)$", #MARK + 1)
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
    local text = tostring(item)
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

local function ttl_of(seconds)
  seconds = tonumber(seconds) or 0
  if seconds < 0 then words.misuse "bad \"exptime\" argument" end
  return seconds > 0 and seconds or nil
end

function Dict:get(key)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  local stored = dict:get(name)
  if stored == nil then return nil end
  local value, flags, list = unpacked(stored)
  if list then return nil, "value is a list" end
  if flags ~= 0 then return value, flags end
  return value
end

--- Values that are over are gone at once here, so what is found is never stale.
function Dict:get_stale(key)
  local value, flags = self:get(key)
  if value == nil then return nil end
  return value, flags, false
end

local function store(self, how, key, value, ttl, flags)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  if value == nil and how == "set" then
    dict:delete(name)
    return true, nil, false
  end
  if not kinds[type(value)] then return nil, "bad value type" end
  local ok, evicted = dict[how](dict, name, packed(value, tonumber(flags) or 0), ttl_of(ttl))
  if ok then return true, nil, evicted == true end
  return false, evicted, false
end

function Dict:set(...) return store(self, "set", ...) end
function Dict:add(...) return store(self, "add", ...) end
function Dict:replace(...) return store(self, "replace", ...) end

-- What does not fit evicts nothing; a dict of ours cannot be asked for that, so only what never fits is refused.
local function safely(self, how, ...)
  local ok, err = store(self, how, ...)
  if ok then return true end
  if ok == nil then return nil, err end
  return false, err, false
end

function Dict:safe_set(...) return safely(self, "set", ...) end
function Dict:safe_add(...) return safely(self, "add", ...) end

function Dict:delete(key)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  dict:delete(name)
  return true
end

--- incr(key, value[, init[, init_ttl]]) -> the sum, err, forcible
function Dict:incr(key, by, init, ttl)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  by = tonumber(by) or words.misuse "bad argument #3 to 'incr' (number expected)"
  if init ~= nil then init = tonumber(init) or words.misuse "bad argument #4 to 'incr' (number expected)" end
  local stored = dict:get(name)
  if stored ~= nil and type(stored) ~= "number" then
    local value, flags = unpacked(stored)
    if type(value) ~= "number" then return nil, "not a number" end
    dict:compare_and_set(name, stored, packed(value + by, flags))
    return value + by
  end
  local sum, why = dict:incr(name, by, init, init and ttl_of(ttl) or nil)
  if not sum then return nil, why end
  if init then return sum, nil, false end
  return sum
end

---------------------------------------------------------------------------------------------------
-- lists

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
    if stored == nil then ok, why = dict:add(name, write_list(items))
    elseif #items == 0 then
      ok, why = dict:compare_and_set(name, stored, write_list(items))
      if ok then dict:delete(name) end
    else ok, why = dict:compare_and_set(name, stored, write_list(items)) end
    if ok then return result end
    if why == "no memory" then return nil, why end
  end
end

local function pushed(value)
  if type(value) ~= "string" and type(value) ~= "number" then words.misuse "bad value type" end
end

function Dict:lpush(key, value)
  pushed(value)
  return change_list(self, key, true, function(items)
    table.insert(items, 1, value)
    return #items
  end)
end

function Dict:rpush(key, value)
  pushed(value)
  return change_list(self, key, true, function(items)
    items[#items + 1] = value
    return #items
  end)
end

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

function Dict:ttl(key)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  local seconds, why = dict:ttl(name)
  if not seconds then return nil, why end
  return seconds == math.huge and 0 or seconds
end

function Dict:expire(key, seconds)
  local dict, name, err = check_self(self), check_key(key)
  if not name then return nil, err end
  local ok, why = dict:expire(name, ttl_of(seconds))
  if not ok then return nil, why end
  return true
end

function Dict:flush_all() check_self(self):flush() end

--- Values that are over take no room that a new one would need: there is nothing to flush.
function Dict:flush_expired()
  check_self(self)
  return 0
end

function Dict:get_keys(most)
  most = tonumber(most) or 1024
  return check_self(self):keys(most > 0 and most or math.huge)
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
  local dict, err = shared.dict("ngx:" .. name, { size = size })
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
