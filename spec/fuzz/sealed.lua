-- SPDX-License-Identifier: MIT
-- sealed.lua - the bytes are a cookie of a session, which no key has sealed, and a text to be sealed.

local base64url = require "moonpark.base64url"
local sealed = require "moonpark.http.sealed"

local SECRET, OTHER = ("s"):rep(32), ("o"):rep(32)

local function check_forged(bytes)
  assert(sealed.open(SECRET, "name", bytes) == nil and sealed.verify(SECRET, "name", bytes) == nil, "a forged one")
  local decoded = base64url.decode(bytes)
  assert(not decoded or base64url.encode(decoded) == bytes, "two texts for the same bytes")
end

local function check_both_ways(bytes, seal, open)
  local text = seal(SECRET, "name", bytes)
  assert(not text:find "[^%w_.-]", "what no cookie can hold")
  assert(open(SECRET, "name", text) == bytes, "another text")
  assert(open(OTHER, "name", text) == nil and open(SECRET, "other", text) == nil, "for another key or name")
  local at = #bytes % #text + 1
  local changed = text:sub(1, at - 1) .. (text:sub(at, at) == "A" and "B" or "A") .. text:sub(at + 1)
  assert(open(SECRET, "name", changed) == nil, "a changed one")
end

return function(bytes)
  check_forged(bytes)
  check_both_ways(bytes, sealed.seal, sealed.open)
  check_both_ways(bytes, sealed.sign, sealed.verify)
end
