-- SPDX-License-Identifier: MIT
-- websocket_extensions.lua - what two ends agree on: permessage-deflate and its parameters (RFC 7692 7).
--
-- An agreement is a table for core.websocket: out_bits and in_bits (windows of what is sent and received), out_fresh
-- and in_fresh (no context takeover), level, memory, threshold.

local option = require "moonpark.options"

local M = {}

local LEAST_BITS, MOST_BITS = 9, 15 -- zlib cannot make a window of 8
local NEVER = 2 ^ 32 - 1            -- a threshold that no message reaches

local known = {
  level = option.whole(1, 9), memory = option.whole(1, 9), window_bits = option.whole(LEAST_BITS, MOST_BITS),
  peer_window_bits = option.whole(LEAST_BITS, MOST_BITS), takeover = "boolean", peer_takeover = "boolean",
  threshold = "count",
}

---@class moonpark.websocket.compress
---@field level? integer 1 to 9; 6
---@field memory? integer 1 to 9: what compressing holds, about 2^(memory + 9) bytes beside its window; 8
---@field window_bits? integer 9 to 15: of what is sent; 15
---@field peer_window_bits? integer 9 to 15: of what is received; 15
---@field takeover? boolean messages that are sent may refer to earlier ones, and the state is kept; true
---@field peer_takeover? boolean the same of those that are received; true
---@field threshold? integer bytes; shorter messages are sent as they are; 64

--- Checks the option `compress`; nil: it is off.
---@param what string
---@param value boolean|moonpark.websocket.compress|nil
---@param level integer as of option.check
---@return table|nil
function M.wanted(what, value, level)
  if not value then return nil end
  local given = option.check(what .. ": compress", value ~= true and value or nil, known, level + 1)
  return {
    level = given.level or 6, memory = given.memory or 8, threshold = given.threshold or 64,
    out_bits = given.window_bits or MOST_BITS, in_bits = given.peer_window_bits or MOST_BITS,
    out_fresh = given.takeover == false, in_fresh = given.peer_takeover == false,
  }
end

-- One parameter: its name in lower case, and its value, "" for none; nil if it is malformed.
local function parameter(text)
  local name, rest = text:match "^%s*([%w_%-]+)%s*(.-)%s*$"
  if not name then return nil end
  if rest == "" then return name:lower(), "" end
  local value = rest:match '^=%s*"([%w_%-]+)"$' or rest:match "^=%s*([%w_%-]+)$"
  if not value then return nil end
  return name:lower(), value
end

-- Each offer or answer of a field: {name =, valid =, parameters = {name = value}}.
local function parse(text)
  local list = {}
  for item in (text or ""):gmatch "[^,]+" do
    local offer = { parameters = {}, valid = true }
    for part in item:gmatch "[^;]+" do
      local name, value = parameter(part)
      if not name or offer.parameters[name] then offer.valid = false
      elseif not offer.name then offer.name = name
        offer.valid = offer.valid and value == ""
      else offer.parameters[name] = value end
    end
    list[#list + 1] = offer
  end
  return list
end

-- A window's size: a whole number from 8 to 15, as it is written shortest.
local function bits(text)
  if not text:find "^[89]$" and not text:find "^1[0-5]$" then return nil end
  return tonumber(text)
end

local switches = { server_no_context_takeover = true, client_no_context_takeover = true }
local windows = { server_max_window_bits = true, client_max_window_bits = true }

-- Are all parameters ones that exist, with values they can have? The windows become numbers; true for none.
local function read_parameters(offer, bare)
  if not offer.valid or offer.name ~= "permessage-deflate" then return nil end
  local read = {}
  for name, value in pairs(offer.parameters) do
    if switches[name] then
      if value ~= "" then return nil end
      read[name] = true
    elseif windows[name] then
      read[name] = value == "" and name == bare or bits(value)
      if not read[name] then return nil end
    else
      return nil
    end
  end
  return read
end

local function answer_to(p, wanted)
  local agreed = {}
  for name, value in pairs(wanted) do agreed[name] = value end
  local server = p.server_max_window_bits
  if server and server < LEAST_BITS then return nil end
  agreed.out_bits = math.min(wanted.out_bits, server or MOST_BITS)
  agreed.out_fresh = wanted.out_fresh or p.server_no_context_takeover == true
  agreed.in_fresh = wanted.in_fresh or p.client_no_context_takeover == true
  local client = p.client_max_window_bits
  if not client then agreed.in_bits = MOST_BITS -- it does not know that it could be asked for less
  elseif client ~= true then agreed.in_bits = math.min(wanted.in_bits, client) end
  local parts = { "permessage-deflate" }
  if agreed.out_fresh then parts[#parts + 1] = "server_no_context_takeover" end
  if agreed.in_fresh then parts[#parts + 1] = "client_no_context_takeover" end
  if agreed.out_bits < MOST_BITS then parts[#parts + 1] = "server_max_window_bits=" .. agreed.out_bits end
  if agreed.in_bits < MOST_BITS then parts[#parts + 1] = "client_max_window_bits=" .. agreed.in_bits end
  agreed.in_bits = math.max(LEAST_BITS, agreed.in_bits) -- what fits into 8 is inflated with 9
  return agreed, table.concat(parts, "; ")
end

--- The server's side: the first offer that can be met, and what is answered; nil: none.
---@param text string|nil the client's Sec-WebSocket-Extensions
---@param wanted table|nil
---@return table|nil agreed
---@return string|nil answer
function M.accept(text, wanted)
  if not wanted then return nil end
  for _, offer in ipairs(parse(text)) do
    local p = read_parameters(offer, "client_max_window_bits")
    local agreed, answer
    if p then agreed, answer = answer_to(p, wanted) end
    if agreed then return agreed, answer end
  end
  return nil
end

--- The client's side: what it offers.
---@param wanted table
---@return string
function M.offer(wanted)
  local parts = { "permessage-deflate" }
  if wanted.out_bits < MOST_BITS then parts[#parts + 1] = "client_max_window_bits=" .. wanted.out_bits
  else parts[#parts + 1] = "client_max_window_bits" end
  if wanted.in_bits < MOST_BITS then parts[#parts + 1] = "server_max_window_bits=" .. wanted.in_bits end
  if wanted.out_fresh then parts[#parts + 1] = "client_no_context_takeover" end
  if wanted.in_fresh then parts[#parts + 1] = "server_no_context_takeover" end
  return table.concat(parts, "; ")
end

--- What the server has answered to that; nil: no compression; false: what was not offered.
---@param text string|nil its Sec-WebSocket-Extensions
---@param wanted table|nil
---@return table|nil|false agreed
function M.agreed(text, wanted)
  local answers = parse(text)
  if #answers == 0 then return nil end
  local p = wanted and #answers == 1 and read_parameters(answers[1], nil)
  if not p then return false end
  local agreed = {}
  for name, value in pairs(wanted) do agreed[name] = value end
  local server, client = p.server_max_window_bits or MOST_BITS, p.client_max_window_bits or MOST_BITS
  if server > wanted.in_bits or wanted.in_fresh and not p.server_no_context_takeover then return false end
  agreed.in_bits = math.max(LEAST_BITS, server)
  agreed.out_bits = math.min(wanted.out_bits, client)
  agreed.out_fresh = wanted.out_fresh or p.client_no_context_takeover == true
  agreed.in_fresh = p.server_no_context_takeover == true
  if agreed.out_bits < LEAST_BITS then agreed.out_bits, agreed.threshold = LEAST_BITS, NEVER end
  return agreed
end

return M
