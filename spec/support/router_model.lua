-- SPDX-License-Identifier: MIT
-- support/router_model.lua - a router without a tree: it tries each pattern, and takes the best that fits. The C core
-- is compared with it.

local decode = require("support.form_model").decode

local M = {}
M.__index = M

function M.new() return setmetatable({ routes = {} }, M) end

local function split(path)
  local segments = {}
  for segment in path:sub(2):gmatch("([^/]*)/?") do segments[#segments + 1] = segment end
  if path:sub(-1) ~= "/" or path == "/" then segments[#segments] = nil end -- gmatch sees an empty one at the end
  if path == "/" then segments = { "" } end
  return segments
end

-- {{kind, text}, ...}
local function steps_of(pattern)
  local steps = {}
  for i, segment in ipairs(split(pattern)) do
    local mark = segment:match("^[:*]")
    steps[i] = { mark == ":" and "parameter" or mark == "*" and "catch_all" or "literal", decode(segment) or segment }
  end
  return steps
end

--- Adds a route, and returns its number; nil if that way with that method is there already.
function M:add(method, pattern)
  local steps, way = steps_of(pattern), { method }
  for i, step in ipairs(steps) do way[i + 1] = step[1] .. (step[1] == "literal" and step[2] or "") end
  local key = table.concat(way, "\0")
  if self[key] then return nil end
  self[key] = true
  self.routes[#self.routes + 1] = { method = method, steps = steps }
  return #self.routes
end

-- The path's segments, decoded; nil: none that all readers understand in the same way.
local function segments_of(path)
  local segments = split(path)
  for i, segment in ipairs(segments) do
    segment = decode(segment)
    if not segment or segment == "." or segment == ".." or segment:find("%z") then return nil end
    segments[i] = segment
  end
  return segments
end

-- The values of a route that the path fits, and its rank: a digit for each segment, less is better; or nil.
local function fit(route, segments)
  local values, rank = {}, {}
  for i, step in ipairs(route.steps) do
    local kind, segment = step[1], segments[i]
    if not segment then return nil end
    if kind == "catch_all" then
      values[#values + 1] = table.concat(segments, "/", i)
      return values, table.concat(rank) .. "3"
    end
    if kind == "literal" and segment ~= step[2] or kind == "parameter" and segment == "" then return nil end
    if kind == "parameter" then values[#values + 1] = segment end
    rank[i] = kind == "literal" and "1" or "2"
  end
  return #route.steps == #segments and values or nil, table.concat(rank)
end

local function suits(method, of)
  return of == method and "1" or method == "HEAD" and of == "GET" and "2" or of == "*" and "3" or nil
end

--- The route's number and the values of its parameters; nil; false: the path is none.
function M:match(method, path)
  local segments, best, best_rank, best_values = segments_of(path), nil, nil, nil
  if not segments then return false end
  for number, route in ipairs(self.routes) do
    local values, rank = fit(route, segments)
    local suit = values and suits(method, route.method)
    if suit and (not best or rank .. suit < best_rank) then
      best, best_rank, best_values = number, rank .. suit, values
    end
  end
  return best, best_values
end

--- The numbers of all routes that the path fits, as a set.
function M:fitting(path)
  local segments, set = segments_of(path), {}
  for number, route in ipairs(segments and self.routes or {}) do
    if fit(route, segments) then set[number] = true end
  end
  return set
end

return M
