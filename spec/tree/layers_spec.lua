-- SPDX-License-Identifier: MIT
-- layers_spec.lua - a file calls lower floors only: docs/architecture.md beside what the linker sees.
--
-- `sys` in the table of floors is runtime/sys.c and sys.h, unless a header has a place of its own; `net.lua` is
-- lua/moonpark/net.lua. The list below the table has what may be loaded late from a floor above. Both are checked
-- for what they say too much, as well as for what they lack.

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

local function output_lines(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  assert(#lines > 0, "nothing came from: " .. command)
  return lines
end

local function name_of(path) return path:match("([^/]+)$") end

local section = (read("docs/architecture.md") .. "\n## "):match("\n## Floors\n(.-)\n## ")
  or error("docs/architecture.md has no section called Floors")

-- The names in a cell of the table, as file names.
local function each_file(names, visit)
  for name in names:gmatch("`([^`]+)`") do
    if name:find(".", 1, true) then visit(name)
    else
      visit(name .. ".c")
      if not section:find("`" .. name .. ".h`", 1, true) then visit(name .. ".h") end
    end
  end
end

local function read_floors()
  local floors = {}
  for floor, names in section:gmatch("\n| *(%-?%d+) *|([^|\n]*)|") do
    each_file(names, function(name)
      assert(not floors[name], name .. " has two floors")
      floors[name] = tonumber(floor)
    end)
  end
  assert(next(floors), "no floors were found in docs/architecture.md")
  return floors
end

local function read_upward()
  local upward = {}
  for from, to in section:gmatch("\n%- `([^`]+)` → `([^`]+)`") do upward[from .. " " .. to] = true end
  return upward
end

local floors, upward = read_floors(), read_upward()

-- What is wrong with `from` using `to`, or nil.
local function complaint(from, to, what)
  local high, low = floors[from], floors[to]
  if not high or not low then
    return ("%s has no floor (%s uses %s: %s)"):format(high and to or from, from, to, what)
  end
  if low < high then return nil end
  return ("%s, floor %d, uses %s, floor %d: %s"):format(from, high, to, low, what)
end

local sources = output_lines("ls runtime/*.c")
local headers = output_lines("ls runtime/*.h")
local libraries = output_lines("ls lua/moonpark/*.lua")

---------------------------------------------------------------------------------------------------
-- the table

local function each_name(visit)
  for _, list in ipairs { sources, headers, libraries } do
    for _, path in ipairs(list) do visit(name_of(path), path) end
  end
end

describe("the table of floors", function()
  it("has a place for every file of runtime/ and lua/moonpark/", function()
    local missing = {}
    each_name(function(name, path)
      if not floors[name] then table.insert(missing, path) end
    end)
    assert.same({}, missing)
  end)

  it("names no file that does not exist", function()
    local there, gone = {}, {}
    each_name(function(name) there[name] = true end)
    for name in pairs(floors) do
      local source = name:gsub("%.h$", ".c") -- not every file has a header
      if not there[name] and not there[source] then table.insert(gone, name) end
    end
    assert.same({}, gone)
  end)

  it("agrees with what each header says of itself", function()
    local wrong = {}
    for _, path in ipairs(headers) do
      local said = read(path):match("%f[%a]Floor (%-?%d+)%f[%D]")
      if tonumber(said) ~= floors[name_of(path)] then
        table.insert(wrong, ("%s says %s, the table %s"):format(path, said or "nothing", floors[name_of(path)]))
      end
    end
    assert.same({}, wrong)
  end)
end)

---------------------------------------------------------------------------------------------------
-- C

-- Which symbols an object defines for others, and which it wants.
local function symbols_of(name)
  local defined, wanted = {}, {}
  for _, line in ipairs(output_lines(("nm -g build/release/obj/%s.o"):format(name))) do
    local kind, symbol = line:match("(%a) ([%w_.]+)$")
    if kind then table.insert(kind == "U" and wanted or defined, symbol) end
  end
  return defined, wanted
end

local function read_objects()
  local owner, wants = {}, {}
  for _, path in ipairs(sources) do
    local name = name_of(path)
    if name ~= "hard_on.c" then -- of another build, in the place of hard_off.c
      local defined, wanted = symbols_of((name:gsub("%.c$", "")))
      for _, symbol in ipairs(defined) do owner[symbol] = name end
      wants[name] = wanted
    end
  end
  return owner, wants
end

describe("a C file", function()
  it("calls only what files of lower floors define", function()
    local owner, wants = read_objects()
    local complaints, calls = {}, 0
    for name, wanted in pairs(wants) do
      for _, symbol in ipairs(wanted) do
        if owner[symbol] then
          calls = calls + 1
          complaints[#complaints + 1] = complaint(name, owner[symbol], symbol)
        end
      end
    end
    assert.same({}, complaints)
    assert.is_true(calls > 100, "nm shows hardly any calls: are these the objects?")
  end)

  it("includes no header of a higher floor", function()
    local complaints = {}
    for _, list in ipairs { sources, headers } do
      for _, path in ipairs(list) do
        for header in read(path):gmatch('\n#include "([^"]+)"') do
          local high, low = floors[name_of(path)], floors[name_of(header)]
          if not high or not low or low > high then
            table.insert(complaints, path .. ": " .. header)
          end
        end
      end
    end
    assert.same({}, complaints)
  end)

  it("exports luaopen_moonpark_core and nothing else", function()
    local exported = {}
    for _, line in ipairs(output_lines("nm -D --defined-only build/release/moonpark/core.so")) do
      table.insert(exported, line:match("([%w_.]+)$"))
    end
    assert.same({ "luaopen_moonpark_core" }, exported)
  end)
end)

---------------------------------------------------------------------------------------------------
-- Lua

local function file_of(module)
  if module == "moonpark" then return "init.lua" end
  if module == "moonpark.core" then return "core.c" end
  return module:gsub("^moonpark%.", "") .. ".lua"
end

-- The modules named in quotes somewhere in the text: what `require("moonpark." .. name)` may load.
local function named_in(text)
  local names = {}
  for _, path in ipairs(libraries) do
    local name = name_of(path):gsub("%.lua$", "")
    if text:find('"' .. name .. '"', 1, true) then names[#names + 1] = "moonpark." .. name end
  end
  return names
end

-- Calls visit(file, late, line) for each require of ours; late: it stands inside a function.
local function each_require(text, visit)
  for line in text:gmatch("[^\n]+") do
    local code = line:gsub("%-%-.*$", "")
    local module, more = code:match("require[%s(,]+[\"'](moonpark[%w_.]*)[\"']%s*(%.*)")
    local modules = not module and {} or more == ".." and named_in(text) or { module }
    for _, one in ipairs(modules) do visit(file_of(one), line:find("^%s") ~= nil, line) end
  end
end

describe("a Lua file", function()
  local met = {} -- what was loaded late from above

  local function problem(from, to, late, line)
    local pair = from .. " " .. to
    if not (late and upward[pair] and floors[to] >= floors[from]) then return complaint(from, to, line) end
    met[pair] = true
    return nil
  end

  it("requires only files of lower floors; inside a function, also what is listed as loaded late", function()
    local complaints, seen = {}, 0
    for _, path in ipairs(libraries) do
      local from = name_of(path)
      each_require(read(path), function(to, late, line)
        seen = seen + 1
        complaints[#complaints + 1] = problem(from, to, late, line)
      end)
    end
    assert.same({}, complaints)
    assert.is_true(seen > 10, "hardly any require was found")
  end)

  it("that is listed as loading late from above does", function()
    assert.same(upward, met)
  end)
end)
