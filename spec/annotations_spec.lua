-- SPDX-License-Identifier: MIT
-- annotations_spec.lua - sources become annotations for editors: what is public of them, and nothing else.
-- spec/tree/annotations_spec.lua compares those of moonpark itself with the library.

local annotations = require "moonpark.annotations"

local folder

-- The addon's files for sources, path = text.
local function files_of(sources)
  local paths = {}
  for path, text in pairs(sources) do
    paths[#paths + 1] = "lua/" .. path
    assert(os.execute(("mkdir -p '%s/%s'"):format(folder, path:match "^(.*)/")) == 0)
    local file = assert(io.open(folder .. "/" .. path, "w"))
    file:write(text)
    file:close()
  end
  return annotations.files(annotations.read(folder, annotations.names(paths)))
end

before_each(function()
  local pipe = assert(io.popen "mktemp -d")
  folder = pipe:read "*l"
  pipe:close()
end)

after_each(function() os.execute("rm -rf '" .. folder .. "'") end)

describe("a module's annotations", function()
  it("are its functions with their comments, without their bodies", function()
    local files = files_of { ["moonpark/net.lua"] = [[
---@class moonpark.net
local M = {}

local function hidden() end

--- Says it.
---@param text string
function M.say(text) return hidden(text) end

function M.without() end

return M
]] }
    assert.equal([[
---@meta moonpark.net

---@class moonpark.net
local M = {}

--- Says it.
---@param text string
function M.say(text) end

return M
]], files["library/moonpark/net.lua"])
  end)

  it("have those of the function that a field is set to, wherever that is", function()
    local files = files_of { ["moonpark/net.lua"] = [[
local inner = require "moonpark.net.inner"
---@class moonpark.net
local M = {}
M.first = inner.first
M.second = require("moonpark.net.second")
return M
]], ["moonpark/net/inner.lua"] = [[
local M = {}
--- First.
---@param a integer
function M.first(a) return a end
return M
]], ["moonpark/net/second.lua"] = [[
--- Second.
---@param ... string
return function(...) return ... end
]] }
    local text = files["library/moonpark/net.lua"]
    assert.truthy(text:find("--- First.\n---@param a integer\nfunction M.first(a) end", 1, true))
    assert.truthy(text:find("--- Second.\n---@param ... string\nfunction M.second(...) end", 1, true))
    assert.is_nil(files["library/moonpark/net/inner.lua"])
  end)

  it("unfold a function that has its type alone, and types that go on in the next line", function()
    local files = files_of { ["moonpark/net.lua"] = [[
---@class moonpark.net
local M = {}
--- From C.
---@type fun(fd: integer,
--- kind?: "a"|"b"|
--- "c"): table|nil, string? why not
M.from = core.from
return M
]] }
    assert.truthy(files["library/moonpark/net.lua"]:find([[
--- From C.
---@param fd integer
---@param kind? "a"|"b"| "c"
---@return table|nil
---@return string? # why not
function M.from(fd, kind) end]], 1, true))
  end)
end)

describe("classes", function()
  local files

  before_each(function()
    files = files_of { ["moonpark/net.lua"] = [[
---@class moonpark.net
local M = {}
---@return moonpark.door
function M.door() end
return M
]], ["moonpark/door.lua"] = [[
---@class moonpark.door
---@field private count integer
---@field package knob table
---@field width number metres
local Door = {}

--- Opens it.
---@param key moonpark.key
function Door:open(key) end

--- For others of ours.
---@package
function Door:unhinge() end

---@class moonpark.key
---@field teeth integer

---@class moonpark.hinge
local Hinge = {}
---@return moonpark.hinge
function Hinge:oil() end
]] }
  end)

  it("are those that annotations lead to", function()
    local text = files["library/moonpark/door.lua"]
    assert.truthy(text:find("---@meta _\n", 1, true))
    assert.truthy(text:find("---@class moonpark.door\n---@field width number metres\nlocal Door = {}", 1, true))
    assert.truthy(text:find("function Door:open(key) end", 1, true))
    assert.truthy(text:find("---@class moonpark.key\n---@field teeth integer\n", 1, true))
    assert.is_nil(text:find("hinge", 1, true))
  end)

  it("leave out what is private", function()
    local text = files["library/moonpark/door.lua"]
    for _, word in ipairs { "count", "knob", "unhinge" } do assert.is_nil(text:find(word, 1, true), word) end
  end)
end)
