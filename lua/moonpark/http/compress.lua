-- SPDX-License-Identifier: MIT
-- compress.lua - middleware: brotli or gzip bodies for clients that accept them (RFC 9110 12.5.3). It is a `transform`
-- of responses; see http/response.lua.

local http_fields = require "moonpark.http.fields"
local before = require("moonpark.http.middleware").before
local check_options = require("moonpark.options").check
local http_types = require "moonpark.http.types"

local M = {}

local SMALLEST = 1024 -- bytes: below, a packet is a packet
local CACHED = 256    -- Accept-Encoding fields whose meaning is kept: browsers send few different ones

-- What we like best comes first. Optional: a library that is not installed is not offered.
local preferred = { "br", "gzip" }
local modules = { br = "moonpark.http.brotli", gzip = "moonpark.http.gzip" }
local levels = { br = { 4, 0, 11 }, gzip = { 5, 1, 9 } } -- chosen, least, most

--- Which of the offered codings a client gets: the one that it likes best, of those the first; nil: none.
---@param accept string|nil the Accept-Encoding field
---@param offered string[]
---@return string|nil
function M.negotiate(accept, offered)
  local weights = http_fields.weights(accept)
  local best, best_weight = nil, 0
  for _, name in ipairs(offered) do
    local weight = http_fields.coding_weight(weights, name)
    if weight > best_weight then best, best_weight = name, weight end
  end
  if best and (weights.identity or 0) > best_weight then return nil end
  return best
end

local none = {}

---@class moonpark.http.compressor
local Compressor = {}
Compressor.__index = Compressor

local function coding_for(self, accept)
  if not accept then return nil end
  local known = self.known[accept]
  if known == nil then
    known = M.negotiate(accept, self.offered) or false
    if self.count >= CACHED then self.known, self.count = {}, 0 end
    self.known[accept] = known
    self.count = self.count + 1
  end
  return known or nil
end

-- Is a body of that length (nil: unknown) and type one to compress, if the client takes it?
local function is_worth(self, res, length, content_type)
  if length and length < self.min or not self.types(content_type) or res:get("Content-Encoding") then return false end
  local control = http_fields.joined(res.fields or none, "Cache-Control")
  return not (control and http_fields.lists(control, "no-transform"))
end

-- The coding that the client gets. Sets the fields that a 304 has too: the tag names other bytes of the same meaning.
local function settle(self, res)
  res:vary("Accept-Encoding")
  local coding = coding_for(self, res.request:header("accept-encoding"))
  local tag = coding and res:get("ETag")
  if tag and not tag:find("^W/") then res:set("ETag", "W/" .. tag) end
  return coding
end

-- The coding of this response; nil: it stays as it is. Fields are set as that needs it.
local function choose(self, res, length, content_type)
  if not is_worth(self, res, length, content_type) then return nil end
  local coding = settle(self, res)
  if not coding then return nil end
  res:set("Content-Encoding", coding)
  res:set("Accept-Ranges", nil)
  return coding
end

-- Where nobody knows how long the 200 would be, it would be long enough: a weak tag and Vary are never wrong.
function Compressor:unchanged(res, length, content_type)
  if is_worth(self, res, length, content_type) then settle(self, res) end
end

function Compressor:whole(res, body, content_type)
  body = tostring(body)
  local coding = choose(self, res, #body, content_type)
  if not coding then return body end
  return self.codecs[coding].whole(body, self.levels[coding])
end

function Compressor:begin(res, length, content_type)
  local coding = choose(self, res, length, content_type)
  if not coding then return length, nil end
  return nil, self.codecs[coding].stream(self.levels[coding])
end

local function level_of(options, name)
  local level = options[name]
  if level == nil or level == true then return levels[name][1] end
  return level
end

---@param options moonpark.http.compress.options
local function new_compressor(options)
  local self = { min = options.min or SMALLEST, types = options.types or http_types.is_compressible, offered = {},
    codecs = {}, levels = {}, known = {}, count = 0 }
  for _, name in ipairs(preferred) do
    if options[name] ~= false then
      self.levels[name] = level_of(options, name)
      local codec = require(modules[name]) -- no table where its library is not installed
      if type(codec) == "table" then
        self.codecs[name] = codec
        table.insert(self.offered, name)
      end
    end
  end
  return setmetatable(self, Compressor)
end

local function level_kind(name)
  local _, least, most = unpack(levels[name])
  return { function(level)
    return type(level) == "boolean" or type(level) == "number" and level % 1 == 0 and level >= least and level <= most
  end, ("must be a level from %d to %d, or false"):format(least, most) }
end

---@class moonpark.http.compress.options
---@field min? integer bytes of the smallest body that is compressed; 1024
---@field br? integer|boolean Brotli's quality, 0 to 11; 4; false: never
---@field gzip? integer|boolean the level, 1 to 9; 5; false: never
---@field types? fun(content_type: string): boolean which are worth it; text, JSON, XML, SVG, ...

local known = { min = "count", br = level_kind "br", gzip = level_kind "gzip", types = "function" }

--- Compresses what is worth it: whole bodies from `min` bytes on, and streams, of which each write can be read when it
--- arrives. Not what has a Content-Encoding, 206, or Cache-Control: no-transform.
---@param options? moonpark.http.compress.options
---@return moonpark.http.middleware
function M.new(options)
  local compressor = new_compressor(check_options("compress", options, known))
  return before(function(_, res) res.transform = compressor end)
end

return M
