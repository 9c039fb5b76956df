-- SPDX-License-Identifier: MIT
-- dnswire.lua - DNS messages (RFC 1035, 4.1) as far as a cache needs them: where the question ends, and the times to
-- live with their places. Reads untrusted bytes: for anything that is not a message it returns nil.

local M = {}

M.NOERROR, M.SERVFAIL, M.NXDOMAIN = 0, 2, 3
local OPT, SOA, RRSIG_WANTED = 41, 6, 0x8000
local HEADER = 12

local function u16(bytes, at) return bytes:byte(at) * 256 + bytes:byte(at + 1) end
local function u32(bytes, at) return u16(bytes, at) * 65536 + u16(bytes, at + 2) end
local function put16(n) return string.char(math.floor(n / 256) % 256, n % 256) end
local function put32(n) return put16(math.floor(n / 65536)) .. put16(n % 65536) end

M.u16, M.put16 = u16, put16

-- Where the name at `at` ends; nil if the message ends first. A pointer is the last part of a name (4.1.4).
local function skip_name(bytes, at)
  while true do
    local length = bytes:byte(at)
    if not length then return nil end
    if length == 0 then return at + 1 end
    if length >= 192 then return at + 2 end
    if length > 63 then return nil end
    at = at + 1 + length
  end
end

-- A record: its type, its time to live and the place of that, its data, and where the next record begins.
local function record(bytes, at)
  local fixed = skip_name(bytes, at)
  if not fixed or fixed + 9 > #bytes then return nil end
  local data, length = fixed + 10, u16(bytes, fixed + 8)
  if data + length - 1 > #bytes then return nil end
  local ttl_at = fixed + 4
  return { type = u16(bytes, fixed), ttl_at = ttl_at, ttl = u32(bytes, ttl_at), data = data, next = data + length }
end

-- How long a negative answer may be kept (RFC 2308, 5): the last field of the zone's SOA, at most its time to live.
local function negative_ttl(bytes, rr)
  if rr.next - rr.data < 22 then return 0 end
  return math.min(rr.ttl, u32(bytes, rr.next - 4))
end

-- Goes through all records and sets message.ttls, .ttl (the shortest of the answers), .negative, .opt, .signed.
local function read_records(message, bytes, at)
  local answers, authorities = u16(bytes, 7), u16(bytes, 9)
  for i = 1, answers + authorities + u16(bytes, 11) do
    local rr = record(bytes, at)
    if not rr then return nil end
    if rr.type == OPT then
      message.opt, message.signed = true, u16(bytes, rr.ttl_at + 2) >= RRSIG_WANTED
    else
      message.ttls[#message.ttls + 1] = rr
      if i <= answers then message.ttl = math.min(message.ttl or rr.ttl, rr.ttl) end
      local authority = i > answers and i <= answers + authorities
      if authority and rr.type == SOA then message.negative = negative_ttl(bytes, rr) end
    end
    at = rr.next
  end
  return message
end

--- Reads a message. Returns nil if it is malformed, or does not have exactly one question.
---@param bytes string
---@return table|nil message id, response, opcode, truncated, flags, rcode, question, question_end, answers, ttls, ttl,
---negative, opt, signed
function M.read(bytes)
  if #bytes < HEADER or u16(bytes, 5) ~= 1 then return nil end
  local name_end = skip_name(bytes, HEADER + 1)
  if not name_end or name_end + 3 > #bytes then return nil end
  local high, low = bytes:byte(3), bytes:byte(4)
  local message = {
    id = bytes:sub(1, 2), response = high >= 128, opcode = math.floor(high / 8) % 16,
    truncated = math.floor(high / 2) % 2 == 1, recursion = high % 2, checking_disabled = math.floor(low / 16) % 2,
    rcode = low % 16, question = bytes:sub(HEADER + 1, name_end + 3), question_end = name_end + 3,
    answers = u16(bytes, 7), ttls = {},
  }
  return read_records(message, bytes, name_end + 4)
end

--- What is asked, the same for every spelling of the name.
function M.key(message)
  return message.recursion .. message.checking_disabled .. message.question:sub(1, -5):lower()
    .. message.question:sub(-4)
end

--- The bare query, without what its sender may have added.
function M.plain_query(message, id)
  return id .. string.char(message.recursion, message.checking_disabled * 16) .. "\0\1\0\0\0\0\0\0" .. message.question
end

--- An answer without records to that query.
function M.bare_answer(query, rcode, truncated)
  local flags = string.char(128 + (truncated and 2 or 0) + query.recursion, 128 + rcode)
  return query.id .. flags .. "\0\1\0\0\0\0\0\0" .. query.question
end

--- The bytes of an answer for another query of the same key, `age` seconds later.
function M.aged(bytes, message, query, age)
  local parts, at = { query.id, bytes:sub(3, 12), query.question }, message.question_end + 1
  for _, rr in ipairs(message.ttls) do
    parts[#parts + 1] = bytes:sub(at, rr.ttl_at - 1)
    parts[#parts + 1] = put32(math.max(rr.ttl - age, 0))
    at = rr.ttl_at + 4
  end
  parts[#parts + 1] = bytes:sub(at)
  return table.concat(parts)
end

return M
