-- SPDX-License-Identifier: MIT
-- router.lua - the bytes are lines: up to an empty line, "METHOD /pattern" makes a route; after it, "METHOD /path" is
-- looked for. What comes out is what a router without a tree says.

local core = require "moonpark.core"
local router_model = require "support.router_model"
local url = require "moonpark.url"

local MOST = 24 -- routes: the model tries each of them

local function kind_of(segment)
  local mark = segment:match "^[:*]"
  return mark == ":" and "parameter" or mark == "*" and "catch_all" or "literal"
end

-- As http/router.lua adds one; nil: it would refuse it.
local function add(tree, method, pattern)
  local node, names = 0, {}
  for segment, slash in (pattern:sub(2) .. "/"):gmatch "([^/]*)(/)" do
    if names.ended then return nil end
    local kind = kind_of(segment)
    if kind ~= "literal" then names[#names + 1] = #names + 1 end
    node = tree:node(node, kind, slash and url.decode(segment) or segment)
    names.ended = kind == "catch_all"
  end
  return tree:add(node, method), names
end

local function check_found(tree, model, names, method, path)
  local route, values = model:match(method, path)
  local found = { tree:match(method, path) }
  assert(found[1] == route, "another route")
  if route then
    local given = #values <= 2 and not path:find("%", 1, true) and #values or 0
    assert(#found == 1 + given, "another number of values with the match")
    for i = 1, given do assert(found[1 + i] == values[i], "another value with the match") end
    local params = tree:params(route, names[route], path)
    assert(#params == #values, "another number of parameters")
    for i, value in ipairs(values) do assert(params[i] == value, "another value") end
  end
  local set = model:fitting(path)
  for _, number in ipairs(tree:fitting(path)) do
    assert(set[number], "a route that does not fit, or twice")
    set[number] = nil
  end
  assert(not next(set), "a route that fits is missing")
end

return function(bytes)
  local tree, model, names, looking = core.http_router(), router_model.new(), {}, false
  for line in bytes:gmatch "([^\n]*)\n?" do
    local method, path = line:match "^(%S+) (/.*)$"
    if line == "" then
      looking = true
    elseif path and looking then
      check_found(tree, model, names, method, path)
    elseif path and #names < MOST and not path:find "%*[^/]*/" then
      local route, its_names = add(tree, method, path)
      assert(route == model:add(method, path), "another number, or a route that is there already")
      if route then names[route] = its_names end
    end
  end
end
