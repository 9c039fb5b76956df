-- SPDX-License-Identifier: MIT
-- http_router_spec.lua - the tree of all routes, alone, compared with one that tries each pattern
-- (support/router_model.lua). What a router answers is in router_spec.lua.

local core = require "moonpark.core"
local router_model = require "support.router_model"
local units = require "support.units"

-- The route that "METHOD /pattern" makes, or nil; literals are as they are.
local function add(tree, method, pattern)
  local node = 0
  for segment in (pattern:sub(2) .. "/"):gmatch "([^/]*)/" do
    local mark = segment:match "^[:*]"
    node = tree:node(node, mark == ":" and "parameter" or mark == "*" and "catch_all" or "literal", segment)
  end
  return tree:add(node, method)
end

local function tree_of(...)
  local tree = core.http_router()
  for i, line in ipairs { ... } do assert.equal(i, add(tree, line:match "^(%S+) (.*)$")) end
  return tree
end

describe("the tree of routes", function()
  it("leads nowhere as long as it has none", function()
    local tree = core.http_router()
    assert.is_nil(tree:match("GET", "/"))
    assert.same({}, tree:fitting "/")
    assert.is_false(tree:match("GET", "/.."))
  end)

  it("has one route for each way and method", function()
    local tree = tree_of("GET /a/:b", "POST /a/:b", "* /a/:b", "GET /a/*b")
    assert.is_nil(add(tree, "GET", "/a/:other"))
    assert.same({ 1, 2, 3, 1 }, { tree:match("GET", "/a/x"), tree:match("POST", "/a/x"), tree:match("PUT", "/a/x"),
      (tree:match("HEAD", "/a/x")) })
    assert.equal(4, tree:match("GET", "/a/x/y"))
    assert.is_nil(tree:match("PUT", "/a/x/y"))
    local fitting = tree:fitting "/a/x"
    table.sort(fitting)
    assert.same({ 1, 2, 3, 4 }, fitting)
  end)

  it("gives the values of a path's parameters, decoded one by one", function()
    local tree = tree_of("GET /:a/b/:c", "GET /f/*", "GET /")
    assert.same({ x = "1", y = "2/3%" }, tree:params(1, { "x", "y" }, "/1/b/2%2F3%25"))
    assert.same({ all = "a//b/c" }, tree:params(2, { "all" }, "/f/a//b%2Fc"))
    assert.same({ all = "" }, tree:params(2, { "all" }, "/f/"))
    assert.same({}, tree:params(3, {}, "/"))
  end)

  it("gives them with the match if there are one or two, and nothing in the path is encoded", function()
    local tree = tree_of("GET /one/:a", "GET /two/:a/*b", "GET /three/:a/:b/:c", "GET /none")
    assert.same({ 1, "x" }, { tree:match("GET", "/one/x") })
    assert.same({ 1 }, { tree:match("GET", "/one/%78") })
    assert.same({ 2, "x", "y/z" }, { tree:match("GET", "/two/x/y/z") })
    assert.same({ 2, "x", "" }, { tree:match("GET", "/two/x/") })
    assert.same({ 3 }, { tree:match("GET", "/three/x/y/z") })
    assert.same({ 4 }, { tree:match("GET", "/none") })
  end)

  it("gives none of a path that has not led to the route", function()
    local tree = tree_of("GET /a/:b")
    assert.same({}, tree:params(1, { "b" }, "/a"))
    assert.same({}, tree:params(1, { "b" }, "/a/%zz"))
  end)

  it("has room for many parameters, literals and methods", function()
    local tree, names, parts, path = core.http_router(), {}, {}, {}
    for i = 1, 100 do names[i], parts[i], path[i] = i, ":" .. i, "v" .. i end
    assert.equal(1, add(tree, "GET", "/" .. table.concat(parts, "/")))
    local found = tree:params(1, names, "/" .. table.concat(path, "/"))
    for i = 1, 100 do assert.equal("v" .. i, found[i]) end
    for i = 1, 5000 do assert.equal(i + 1, add(tree, "M" .. i % 7, "/same/" .. i)) end
    for i = 1, 5000 do assert.equal(i + 1, tree:match("M" .. i % 7, "/same/" .. i)) end
    assert.is_nil(tree:match("M1", "/same/5001"))
  end)

  it("takes a long path, and a finalizer that uses it meanwhile", function()
    local tree = tree_of("GET /f/*path", "GET /:a/:b")
    local long = ("%61/"):rep(5000)
    assert.equal(1, tree:match("GET", "/f/" .. long))
    for _ = 1, 200 do
      getmetatable(newproxy(true)).__gc = function() tree:match("GET", "/" .. ("%62"):rep(20000) .. "/c") end
      assert.same({ path = ("a/"):rep(50) }, tree:params(1, { "path" }, "/f/" .. ("%61/"):rep(50)))
    end
    collectgarbage()
  end)

  it("refuses wrong arguments", function()
    local tree = tree_of("GET /a")
    for _, wrong in ipairs {
      function() tree:node(9, "literal", "x") end, function() tree:node(-1, "literal", "x") end,
      function() tree:node(0, "x", "x") end, function() tree:add(9, "GET") end, function() tree:params(2, {}, "/a") end,
      function() tree:params(0, {}, "/a") end, function() tree:match("GET") end,
      function() tree.match({}, "GET", "/") end,
    } do assert.is_false((pcall(wrong))) end
  end)
end)

describe("a long random run of routes and paths", function()
  local random = units.random(7)
  local pieces = { "a", "b", "", "ab", ":x", ":y" }
  local asked = { "a", "b", "", "ab", "%61", "c", "%2f", "%zz", ".", "..", "%2e", "...", "%00", "a%20b" }
  local methods = { "GET", "HEAD", "POST", "*", "PUT" }

  local function path_of(list, most, last)
    local parts = {}
    for i = 1, random(most) do parts[i] = list[random(#list)] end
    if last and random(4) == 1 then parts[#parts + 1] = "*" end
    return "/" .. table.concat(parts, "/")
  end

  local function check(tree, model, method, path)
    local number, values = model:match(method, path)
    assert.equal(number, tree:match(method, path), method .. " " .. path)
    if number then
      local names = {}
      for i = 1, #values do names[i] = i end
      assert.same(values, tree:params(number, names, path))
    end
    local set, count = model:fitting(path), 0
    for _, found in ipairs(tree:fitting(path)) do
      assert.is_true(set[found])
      count = count + 1
    end
    for _ in pairs(set) do count = count - 1 end
    assert.equal(0, count)
  end

  it("leads where a router without a tree does", function()
    for _ = 1, 150 do
      local tree, model = core.http_router(), router_model.new()
      for _ = 1, random(12) do
        local method, pattern = methods[random(#methods)], path_of(pieces, 4, true)
        assert.equal(model:add(method, pattern), add(tree, method, pattern), pattern)
      end
      for _ = 1, 60 do check(tree, model, methods[random(#methods)], path_of(asked, 5)) end
    end
  end)
end)
