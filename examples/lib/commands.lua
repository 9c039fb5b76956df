-- SPDX-License-Identifier: MIT
-- commands.lua - what each command of kv.lua does.
--
-- A command reads its words and adds one answer. It never waits, so it is atomic.

local moonpark = require "moonpark"
local glob = require "glob"
local integer = require "integer"
local store = require "store"

local M = {}

local NO_INTEGER = "value is not an integer or out of range"
local LONGEST_EXPIRY = 2 ^ 63 / 1000 -- seconds

local started = moonpark.now()
local stats = { clients = 0, commands = 0 }
local settings = { appendonly = "no", databases = "1", maxmemory = "0", save = "" } -- CONFIG GET

--- Counters for INFO; kv.lua counts `clients`.
M.stats = stats

local commands = {} -- [NAME] = {name =, arity =, run = function(answers, args, count)}

-- arity: how many words, the name included; negative: at least so many.
local function define(name, arity, run)
  commands[name] = { name = name:lower(), arity = arity, run = run }
end

local function wrong_number(answers, name)
  answers:error("wrong number of arguments for '" .. name .. "' command")
end

---------------------------------------------------------------------------------------------------
-- strings

define("PING", -1, function(answers, args, count)
  if count > 2 then return wrong_number(answers, "ping") end
  if count == 2 then return answers:bulk(args[2]) end
  answers:put "+PONG\r\n"
end)

define("ECHO", 2, function(answers, args) answers:bulk(args[2]) end)

define("GET", 2, function(answers, args) answers:bulk(store.get(args[2])) end)

define("MGET", -2, function(answers, args, count)
  answers:array(count - 1)
  for i = 2, count do answers:bulk(store.get(args[i])) end
end)

define("MSET", -3, function(answers, args, count)
  if count % 2 == 0 then return wrong_number(answers, "mset") end
  for i = 2, count, 2 do store.set(args[i], args[i + 1]) end
  answers:put "+OK\r\n"
end)

-- The options after SET key value: a table; nil if they are invalid.
local function set_options(args, count)
  local options, i = {}, 4
  while i <= count do
    local word = args[i]:upper()
    if word == "EX" or word == "PX" then
      local unit = word == "EX" and 1 or 0.001
      if options.KEEPTTL or i == count or (options.unit or unit) ~= unit then return nil end
      i = i + 1
      options.time, options.unit = args[i], unit
    elseif word == "NX" or word == "XX" or word == "GET" or (word == "KEEPTTL" and not options.time) then
      options[word] = true
    else
      return nil
    end
    i = i + 1
  end
  if options.NX and options.XX then return nil end
  return options
end

local function set_with_options(answers, args, count)
  local key, options = args[2], set_options(args, count)
  if not options then return answers:error "syntax error" end
  local n = options.time and integer.parse(options.time)
  if options.time and not n then return answers:error(NO_INTEGER) end
  local seconds = n and tonumber(n) * options.unit
  if seconds and (seconds <= 0 or seconds >= LONGEST_EXPIRY) then
    return answers:error "invalid expire time in 'set' command"
  end
  local old = store.get(key)
  local refused = (options.NX and old) or (options.XX and not old)
  if not refused then
    local put = options.KEEPTTL and store.replace or store.set
    put(key, args[3])
    if seconds then store.expire(key, seconds) end
  end
  if options.GET or refused then return answers:bulk(options.GET and old) end
  answers:put "+OK\r\n"
end

define("SET", -3, function(answers, args, count)
  if count > 3 then return set_with_options(answers, args, count) end
  store.set(args[2], args[3])
  answers:put "+OK\r\n"
end)

define("DEL", -2, function(answers, args, count)
  local removed = 0
  for i = 2, count do
    if store.delete(args[i]) then removed = removed + 1 end
  end
  answers:integer(removed)
end)

define("EXISTS", -2, function(answers, args, count)
  local found = 0
  for i = 2, count do
    if store.get(args[i]) then found = found + 1 end
  end
  answers:integer(found)
end)

local function increment(answers, key, by)
  local value = integer.parse(store.get(key) or "0")
  if not value or not by then return answers:error(NO_INTEGER) end
  local sum = integer.add(value, by)
  if not sum then return answers:error "increment or decrement would overflow" end
  store.replace(key, sum)
  answers:integer(sum)
end

define("INCR", 2, function(answers, args) increment(answers, args[2], 1) end)

define("INCRBY", 3, function(answers, args) increment(answers, args[2], integer.parse(args[3])) end)

---------------------------------------------------------------------------------------------------
-- keys

define("EXPIRE", -3, function(answers, args, count)
  local key, seconds = args[2], integer.parse(args[3])
  if count > 3 then return answers:error("Unsupported option " .. args[4]) end
  if not seconds then return answers:error(NO_INTEGER) end
  if math.abs(tonumber(seconds)) >= LONGEST_EXPIRY then
    return answers:error "invalid expire time in 'expire' command"
  end
  if not store.get(key) then return answers:integer(0) end
  store.expire(key, tonumber(seconds))
  answers:integer(1)
end)

define("TTL", 2, function(answers, args)
  if not store.get(args[2]) then return answers:integer(-2) end
  local left = store.time_left(args[2])
  answers:integer(left and ("%.0f"):format(left) or -1)
end)

define("KEYS", 2, function(answers, args)
  local keys = store.keys(glob.matcher(args[2]))
  answers:array(#keys)
  for _, key in ipairs(keys) do answers:bulk(key) end
end)

define("DBSIZE", 1, function(answers) answers:integer((store.size())) end)

define("FLUSHALL", -1, function(answers, args, count)
  local how = count > 1 and args[2]:upper() or "SYNC"
  if count > 2 or (how ~= "SYNC" and how ~= "ASYNC") then return answers:error "syntax error" end
  store.clear()
  answers:put "+OK\r\n"
end)

---------------------------------------------------------------------------------------------------
-- the server

define("INFO", -1, function(answers)
  local keys, expiring = store.size()
  answers:bulk(table.concat({
    "# Server", "server:moonpark " .. moonpark._VERSION, "lua:" .. jit.version,
    ("uptime_in_seconds:%d"):format(moonpark.now() - started), "",
    "# Clients", "connected_clients:" .. stats.clients, "",
    "# Memory", ("used_memory:%d"):format(collectgarbage "count" * 1024), "",
    "# Stats", "total_commands_processed:" .. stats.commands, "",
    "# Keyspace", keys > 0 and ("db0:keys=%d,expires=%d\r\n"):format(keys, expiring) or "",
  }, "\r\n"))
end)

local function describe_commands(answers)
  local names = {}
  for name in pairs(commands) do names[#names + 1] = name end
  answers:array(#names)
  for _, name in ipairs(names) do
    local command = commands[name]
    answers:array(6) -- name, words, flags, first key, last key, step: what we do not say is empty
    answers:bulk(command.name)
    answers:integer(command.arity)
    answers:array(0)
    for _ = 1, 3 do answers:integer(0) end
  end
end

define("COMMAND", -1, function(answers, args, count)
  local what = count > 1 and args[2]:upper() or nil
  if not what then return describe_commands(answers) end
  if what == "DOCS" then return answers:array(0) end -- redis-cli asks when it starts
  answers:error("unknown subcommand '" .. args[2] .. "'")
end)

define("CONFIG", -2, function(answers, args, count)
  if args[2]:upper() ~= "GET" then return answers:error("unknown subcommand '" .. args[2] .. "'") end
  if count < 3 then return wrong_number(answers, "config|get") end
  local found = {}
  for i = 3, count do
    local matches = glob.matcher(args[i]:lower())
    for name in pairs(settings) do
      if matches(name) then found[#found + 1] = name end
    end
  end
  answers:array(2 * #found)
  for _, name in ipairs(found) do
    answers:bulk(name)
    answers:bulk(settings[name])
  end
end)

---------------------------------------------------------------------------------------------------
-- running them

local function unknown(answers, args, count)
  local text = "unknown command '" .. args[1]:sub(1, 128) .. "', with args beginning with: "
  local room = #text + 128
  for i = 2, count do
    if #text >= room then break end
    text = text .. "'" .. args[i]:sub(1, room - #text) .. "' "
  end
  answers:error(text)
end

--- Runs a request and adds its answer, which may be an error, to the others.
---@param answers resp.answers
---@param args string[] the command's name and its arguments
---@param count integer how many
function M.execute(answers, args, count)
  local command = commands[args[1]] or commands[args[1]:upper()]
  if not command then return unknown(answers, args, count) end
  local arity = command.arity
  if (arity >= 0 and count ~= arity) or count < -arity then return wrong_number(answers, command.name) end
  stats.commands = stats.commands + 1
  command.run(answers, args, count)
end

return M
