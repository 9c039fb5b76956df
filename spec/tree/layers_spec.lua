-- SPDX-License-Identifier: MIT
-- layers_spec.lua - a folder uses only the folders in its row: docs/architecture.md beside what the linker, the
-- includes and the requires say. Inside a folder, and in all, no file depends on itself in a circle.
--
-- In C a file is `net/conn.c`, and it depends on what it includes and on who defines the symbols that it calls. In Lua
-- a file is `http/router.lua`, `X.lua` belongs to the folder `X/`, and the other files at the top are the folder `top`.

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

local section = (read("docs/architecture.md") .. "\n## "):match("\n## Layers\n(.-)\n## ")
  or error("docs/architecture.md has no section called Layers")

local function words(text)
  local set = {}
  for word in text:gmatch("[%w_]+") do set[word] = true end
  return set
end

-- The rows that begin with `root`: [folder] = { may = set, late = set }.
local function read_rows(root)
  local rows = {}
  for name, _, may, late in section:gmatch("\n| `" .. root .. "/([%w_]*)/?` |([^|\n]*)|([^|\n]*)|?([^|\n]*)") do
    name = name == "" and "top" or name
    assert(not rows[name], name .. " has two rows")
    rows[name] = { may = words(may), late = words(late) }
  end
  assert(next(rows), "no rows were found for " .. root)
  return rows
end

-- What is wrong with `from` depending on `to`, both { file =, folder = }; or nil.
local function complaint(rows, from, to, what)
  if from.folder == to.folder then return nil end
  local row = rows[from.folder]
  if not row then return from.folder .. " has no row: " .. from.file end
  if row.may[to.folder] or row.may.all then return nil end
  return ("%s uses %s, which is not in the row of %s: %s"):format(from.file, to.file, from.folder, what)
end

-- A circle in edges[file] = { [file] = true }, as text; or nil.
local function find_circle(edges)
  local state, path = {}, {}
  local function visit(file)
    state[file] = "open"
    path[#path + 1] = file
    for to in pairs(edges[file] or {}) do
      if state[to] == "open" then
        path[#path + 1] = to
        return table.concat(path, " → ")
      end
      local circle = not state[to] and visit(to)
      if circle then return circle end
    end
    path[#path] = nil
    state[file] = "done"
    return nil
  end
  for file in pairs(edges) do
    local circle = not state[file] and visit(file)
    if circle then return circle end
  end
  return nil
end

-- Files and what they depend on, gathered one by one.
local function new_graph(rows, place)
  local graph = { edges = {}, complaints = {}, count = 0 }
  function graph.add(from, to, what)
    if from == to then return end
    graph.count = graph.count + 1
    graph.edges[from] = graph.edges[from] or {}
    graph.edges[from][to] = true
    table.insert(graph.complaints, complaint(rows, place(from), place(to), what))
  end
  return graph
end

---------------------------------------------------------------------------------------------------
-- C

local c_rows = read_rows "runtime"
local c_files = output_lines("find runtime -name '*.[ch]' | sort")

local function c_place(file) return { file = file, folder = file:match("^([%w_]+)/") } end

-- Which symbols an object defines for others, and which it wants.
local function symbols_of(name)
  local defined, wanted = {}, {}
  for _, line in ipairs(output_lines(("nm -g build/release/obj/%s.o"):format(name))) do
    local kind, symbol = line:match("(%a) ([%w_.]+)$")
    if kind then table.insert(kind == "U" and wanted or defined, symbol) end
  end
  return defined, wanted
end

local function called()
  local owner, wants, graph = {}, {}, new_graph(c_rows, c_place)
  for _, path in ipairs(c_files) do
    local name = path:match("^runtime/(.*)%.c$")
    if name and name ~= "base/hard_on" then -- of another build, in the place of hard_off.c
      local defined, wanted = symbols_of(name)
      for _, symbol in ipairs(defined) do owner[symbol] = name end
      wants[name] = wanted
    end
  end
  for name, wanted in pairs(wants) do
    for _, symbol in ipairs(wanted) do
      if owner[symbol] then graph.add(name, owner[symbol], symbol) end
    end
  end
  return graph
end

local function add_includes(graph, file, text)
  for header in text:gmatch('\n#include "([^"]+)"') do graph.add(file, header, "#include") end
end

local function included()
  local graph = new_graph(c_rows, c_place)
  for _, path in ipairs(c_files) do add_includes(graph, path:match("^runtime/(.*)$"), read(path)) end
  return graph
end

-- The folders of a root that have files, as a set.
local function folders_of(files, pattern)
  local found = {}
  for _, path in ipairs(files) do
    local folder = path:match(pattern)
    if folder then found[folder] = true end
  end
  return found
end

local function names_of(rows)
  local names = {}
  for name in pairs(rows) do names[name] = true end
  return names
end

describe("a folder of runtime/", function()
  it("has a row, and each row has a folder", function()
    assert.same(folders_of(c_files, "^runtime/([%w_]+)/"), names_of(c_rows))
  end)

  it("calls only what the folders in its row define, and no files call each other in a circle", function()
    local graph = called()
    assert.same({}, graph.complaints)
    assert.is_nil(find_circle(graph.edges))
    assert.is_true(graph.count > 100, "nm shows hardly any calls: are these the objects?")
  end)

  it("includes only headers of the folders in its row, and none in a circle", function()
    local graph = included()
    assert.same({}, graph.complaints)
    assert.is_nil(find_circle(graph.edges))
    assert.is_true(graph.count > 100, "hardly any includes were found")
  end)

  it("is caught when it includes what is not in its row, or in a circle", function()
    local graph = new_graph(c_rows, c_place)
    add_includes(graph, "net/conn.c", '\n#include "base/buf.h"\n#include "http/http_conn.h"\n')
    assert.equal(1, #graph.complaints)
    assert.truthy(graph.complaints[1]:find("net/conn.c uses http/http_conn.h", 1, true))
    assert.is_nil(find_circle(graph.edges))
    add_includes(graph, "base/buf.h", '\n#include "net/conn.c"\n')
    assert.truthy(find_circle(graph.edges))
  end)

  it("knows Lua only where its row may use all", function()
    local knowing = {}
    for _, path in ipairs(c_files) do
      if read(path):find("#include <l[ua][uj]") and not path:find "^runtime/lua/" then table.insert(knowing, path) end
    end
    assert.same({}, knowing)
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

local lua_rows = read_rows "lua/moonpark"
local libraries = output_lines("find lua/moonpark -name '*.lua' | sort")

local function lua_place(file)
  local face = file:match("^([%w_]+)%.lua$")
  local folder = file:match("^([%w_]+)/") or lua_rows[face] and face or "top"
  return { file = file, folder = folder }
end

local function file_of(module)
  return module == "moonpark" and "init.lua" or module:gsub("^moonpark%.", ""):gsub("%.", "/") .. ".lua"
end

-- The modules at the top named in quotes somewhere in the text: what `require("moonpark." .. name)` may load.
local function named_in(text)
  local names = {}
  for _, path in ipairs(libraries) do
    local name = path:match "^lua/moonpark/([%w_]+)%.lua$"
    if name and text:find('"' .. name .. '"', 1, true) then names[#names + 1] = "moonpark." .. name end
  end
  return names
end

-- Calls visit(file, late, line) for each require of ours; late: it stands inside a function.
local function each_require(text, visit)
  for line in text:gmatch("[^\n]+") do
    local code = line:gsub("%-%-.*$", "")
    local module, more = code:match("require[%s(,]+[\"'](moonpark[%w_.]*)[\"']%s*(%.*)")
    local modules = not module and {} or more == ".." and named_in(text) or { module }
    for _, one in ipairs(modules) do
      if one ~= "moonpark.core" then visit(file_of(one), line:find("^%s") ~= nil, line) end
    end
  end
end

-- The graph of what is loaded at once; late[folder]: what is loaded at first use, from folders that are not in its row.
local function required()
  local graph, late = new_graph(lua_rows, lua_place), {}
  for _, path in ipairs(libraries) do
    local from = path:match "^lua/moonpark/(.*)$"
    each_require(read(path), function(to, is_late, line)
      if not is_late then return graph.add(from, to, line) end
      local wrong = complaint(lua_rows, lua_place(from), lua_place(to), line)
      local folder = lua_place(from).folder
      if wrong then
        late[folder] = late[folder] or {}
        late[folder][lua_place(to).folder] = true
      end
      return nil
    end)
  end
  return graph, late
end

describe("a folder of lua/moonpark/", function()
  it("has a row, and each row has files", function()
    local found = { top = true }
    for _, path in ipairs(libraries) do found[lua_place(path:match "^lua/moonpark/(.*)$").folder] = true end
    assert.same(found, names_of(lua_rows))
  end)

  it("requires only the folders in its row, and no files require each other in a circle", function()
    local graph = required()
    assert.same({}, graph.complaints)
    assert.is_nil(find_circle(graph.edges))
    assert.is_true(graph.count > 50, "hardly any require was found")
  end)

  it("loads at first use what its row says, and all of that", function()
    local _, late = required()
    for name, row in pairs(lua_rows) do assert.same(row.late, late[name] or {}, name) end
  end)

  it("has a face beside it, which none of its files requires", function()
    local wrong = {}
    for _, path in ipairs(libraries) do
      local folder = path:match "^lua/moonpark/([%w_]+)/"
      if folder then
        read("lua/moonpark/" .. folder .. ".lua")
        if read(path):find("[\"']moonpark%." .. folder .. "[\"']") then table.insert(wrong, path) end
      end
    end
    assert.same({}, wrong)
  end)
end)
