-- SPDX-License-Identifier: MIT
-- source_spec.lua - reads the source as a careful reviewer would, and says where what was wrong.

local LINE = 120                               -- characters
local FILE = 600                               -- lines
local SPEC_FILE = 800                          -- lines of a spec: cases are read one by one
local FUNCTION = 60                            -- lines

-- Longer for a reason: how many lines it may have.
local long_files = {
  ["spec/loop/netpoll_spec.lua"] = 1600, -- every function of Go's table has its cases here
}
local long_functions = {
  ["spec/support/units.lua:M.world"] = 90, -- builds an object: the methods inside are short
}

local function output_lines(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
  if lines[#lines] == "" then lines[#lines] = nil end
  return lines
end

-- Everything a person wrote as text. What git ignores is in build/ and its like; a corpus is bytes.
local files = {} -- [i] = {path, text, lines, kind = "c", "h", "lua", "md", "go", "" ...}
for _, path in ipairs(output_lines("find . -type f -not -path './.git' -not -path './.git/*' -not -path './build/*' "
  .. "-not -path './spec/fuzz/corpus/*' -not -path './lua_modules/*' -not -path './.luarocks/*' | sort")) do
  path = path:sub(3)
  local text = read(path)
  files[#files + 1] = { path = path, text = text, lines = lines_of(text), kind = path:match("%.([%w]+)$") or "" }
end

-- The files whose kind is among those given.
local function of_kind(...)
  local wanted = {}
  for _, kind in ipairs { ... } do wanted[kind] = true end
  local found = {}
  for _, file in ipairs(files) do
    if wanted[file.kind] then found[#found + 1] = file end
  end
  assert(#found > 0, "no such files: is this the top of the tree?")
  return found
end

-- Asserts that check(line, file, number) is false for every line; it may say what is wrong.
local function no_line(list, check)
  local found = {}
  for _, file in ipairs(list) do
    for number, line in ipairs(file.lines) do
      local wrong = check(line, file, number)
      if wrong then found[#found + 1] = ("%s:%d: %s"):format(file.path, number, wrong == true and line or wrong) end
    end
  end
  assert.same({}, found)
end

local function characters(line) return select(2, line:gsub("[^\128-\191]", "")) end

describe("every file", function()
  it("has one SPDX line, at its top", function()
    local wrong, without = {}, { md = true, json = true, LICENSE = true, [".gitignore"] = true }
    for _, file in ipairs(files) do
      local top = table.concat(file.lines, "\n", 1, math.min(3, #file.lines))
      local licensed = top:find("SPDX-License-Identifier: MIT", 1, true)
      if not licensed and not without[file.kind] and not without[file.path] then wrong[#wrong + 1] = file.path end
    end
    assert.same({}, wrong)
  end)

  it("ends with a newline, and has no carriage returns", function()
    local wrong = {}
    for _, file in ipairs(files) do
      if file.text:find("\r", 1, true) or not file.text:find("[^\n]\n$") then wrong[#wrong + 1] = file.path end
    end
    assert.same({}, wrong)
  end)

  it("is free of tabs, save where make and Go want them, and in what pages quote", function()
    local tabs = { go = true, md = true }
    no_line(files, function(line, file)
      return line:find("\t", 1, true) and file.path ~= "Makefile" and not tabs[file.kind]
    end)
  end)

  it("is free of spaces at the end of a line", function()
    no_line(files, function(line) return line:find("%s$") ~= nil end)
  end)

  it("has no line over " .. LINE .. " characters, save pages and drawings", function()
    no_line(files, function(line, file)
      if file.kind == "md" or file.kind == "svg" or characters(line) <= LINE then return false end
      return ("%d characters"):format(characters(line))
    end)
  end)

  it("leaves nothing to be done later, and no name of the machine it was written on", function()
    local words = { "TO" .. "DO", "FIX" .. "ME", "XX" .. "X" }
    local places = { "/wo" .. "rk/", "/ro" .. "ot/", "/ho" .. "me/" }
    no_line(files, function(line)
      for _, word in ipairs(words) do
        if line:find("%f[%w]" .. word .. "%f[%W]") then return line end
      end
      for _, place in ipairs(places) do
        if line:find("%f[^%s\"'(=:]" .. place) then return line end
      end
    end)
  end)
end)

describe("a source file", function()
  it(("has at most %d lines, a spec %d"):format(FILE, SPEC_FILE), function()
    local long = {}
    for _, file in ipairs(of_kind("c", "h", "lua", "go")) do
      local most = long_files[file.path] or file.path:find("_spec%.lua$") and SPEC_FILE or FILE
      if #file.lines > most then long[#long + 1] = ("%s: %d"):format(file.path, #file.lines) end
    end
    assert.same({}, long)
  end)

  it("says after its SPDX line what it is for", function()
    local mute = {}
    for _, file in ipairs(of_kind("c", "h", "lua")) do
      local at = file.lines[1]:find("^#!") and 3 or 2
      local second = file.lines[at] or ""
      if not second:find("^/%*+ .") and not second:find("^%-%- .") then
        mute[#mute + 1] = file.path
      end
    end
    assert.same({}, mute)
  end)
end)

---------------------------------------------------------------------------------------------------
-- functions

-- Calls visit(name, lines, number) for each C function: from its name's line to the brace at the margin.
local function each_c_function(file, visit)
  local name, start
  for number, line in ipairs(file.lines) do
    if line:find("^[%a_]") and line:find("%(") and not line:find(";%s*$") then
      name, start = line:match("([%w_]+)%s*%("), number
    end
    if line == "}" and name then
      visit(name, number - start + 1, start)
      name = nil
    end
  end
end

-- The same for named Lua functions, by their indentation; a block of a spec is not one.
local function each_lua_function(file, visit)
  for start, line in ipairs(file.lines) do
    local indent, name = line:match("^(%s*)local function ([%w_]+)")
    if not name then indent, name = line:match("^(%s*)function ([%w_.:]+)") end
    if not name then indent, name = line:match("^(%s*)[%w_.%[%]\"]*([%w_\"]+)%]? = function%(") end
    if name and not line:find("%f[%w]end[,)]*%s*$") then
      for number = start + 1, #file.lines do
        if file.lines[number]:find("^" .. indent .. "end%f[^%w_]") then
          visit(name, number - start + 1, start)
          break
        end
      end
    end
  end
end

-- What visit was called with, over all files of the kinds.
local function each_function(visit)
  local seen = 0
  local function count(file)
    return function(...)
      seen = seen + 1
      visit(file, ...)
    end
  end
  for _, file in ipairs(of_kind("c", "h")) do each_c_function(file, count(file)) end
  for _, file in ipairs(of_kind("lua")) do each_lua_function(file, count(file)) end
  assert.is_true(seen > 400, "hardly any function was found")
end

describe("a function", function()
  it(("has at most %d lines, if no reason is given"):format(FUNCTION), function()
    local long = {}
    each_function(function(file, name, lines, number)
      if lines > (long_functions[file.path .. ":" .. name] or FUNCTION) then
        long[#long + 1] = ("%s:%d: %s has %d lines"):format(file.path, number, name, lines)
      end
    end)
    assert.same({}, long)
  end)

  it("is short as a rule: nine in ten have at most 30 lines", function()
    local lengths = {}
    each_function(function(_, _, lines) lengths[#lengths + 1] = lines end)
    table.sort(lengths)
    assert.is_true(lengths[math.ceil(#lengths * 0.9)] <= 30)
  end)
end)

---------------------------------------------------------------------------------------------------
-- C and Lua

describe("C of the runtime", function()
  local function runtime()
    local list = {}
    for _, file in ipairs(of_kind("c", "h")) do
      if file.path:find("^runtime/") then list[#list + 1] = file end
    end
    return list
  end

  it("begins with the file's name and what it is", function()
    local wrong = {}
    for _, file in ipairs(runtime()) do
      local head = "/* " .. file.path:match("([^/]+)$") .. " - "
      if file.lines[2]:sub(1, #head) ~= head then wrong[#wrong + 1] = file.path end
    end
    assert.same({}, wrong)
  end)

  it("guards each header by its own name", function()
    for _, file in ipairs(runtime()) do
      if file.kind == "h" then
        local guard = "MOONPARK_" .. file.path:match("([%w_]+)%.h$"):upper() .. "_H"
        assert.truthy(file.text:find("\n#ifndef " .. guard .. "\n#define " .. guard .. "\n", 1, true), file.path)
      end
    end
  end)

  it("chooses nothing by the preprocessor: a platform is a file that the Makefile picks", function()
    no_line(runtime(), function(line, file)
      local may = { ["#ifndef MOONPARK_VERSION"] = true, -- else it does not compile
        ["#ifndef POLLRDHUP"] = true }                   -- a flag that not every system has is 0 there
      local guard = file.kind == "h" and line:find("^#ifndef MOONPARK_[%w_]+_H$")
      return line:find("^%s*#%s*if") ~= nil and not guard and not may[line]
    end)
  end)

  it("asks the system for memory and time in one place each", function()
    local only = { malloc = "base/sys.c", calloc = "base/sys.c", realloc = "base/sys.c", free = "base/sys.c",
      clock_gettime = "base/clock.c" }
    no_line(runtime(), function(line, file)
      for word, place in pairs(only) do
        if line:find("%f[%w_]" .. word .. "%(") and file.path ~= "runtime/" .. place then return line end
      end
    end)
  end)

  -- What a name or a value may be made of is the same on every wire.
  it("knows no wire where a handler's side of HTTP is: in the exchange, its workers and its faces", function()
    local blind, seen = { ["http/exchange.c"] = true, ["http/http_workers.c"] = true, ["http/http_server.c"] = true,
      ["lua/l_http.c"] = true, ["lua/l_http_file.c"] = true, ["lua/l_http_request.c"] = true }, 0
    no_line(runtime(), function(line, file)
      if not blind[file.path:match("^runtime/(.*)")] then return false end
      seen = seen + 1
      line = line:gsub("h1_parse_is_%a+", ""):gsub("h1_parse_id", "")
      return (line:find("%f[%w_]h1_") or line:find("HTTP_BY_", 1, true) or line:find("framing.framing", 1, true)) ~= nil
    end)
    assert.is_true(seen > 1000, "these files are elsewhere")
  end)
end)

describe("Lua of the library", function()
  it("annotates what is public", function()
    local public = { "fs", "http", "http/client", "http/client_response", "http/events", "http/file_response",
      "http/multipart", "http/proxy", "http/response", "http/router", "http/server", "http/static", "init", "log",
      "log/fields", "net",
      "net/copy", "netpoll", "process", "shared", "shared/channels", "shared/locks", "shared/segments",
      "systemd", "task", "testing", "worker", "workers" }
    local bare = {}
    for _, name in ipairs(public) do
      local lines = lines_of(read("lua/moonpark/" .. name .. ".lua"))
      for number, line in ipairs(lines) do
        local what = line:match("^function ([%a]+[.:]%a[%w_]*)%(")
        local above = lines[number - 1] or ""
        if what and not above:find("^%-%-%-") and not above:find("^function .* end$") then
          bare[#bare + 1] = ("lua/moonpark/%s.lua:%d: %s"):format(name, number, what)
        end
      end
    end
    assert.same({}, bare)
  end)
end)
