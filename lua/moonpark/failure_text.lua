-- SPDX-License-Identifier: MIT
-- failure_text.lua - finds in the text of a failure where it happened, and reads the lines of source around that.

local M = {}

local AROUND = 4       -- lines before and after the one that failed
local LARGEST = 2 ^ 22 -- bytes of a file

-- The file of that name, if it was loaded: a message may name any file, and what it says may come from a client.
-- LuaJIT shortens long names: "...th/of/app.lua" is the end of one.
local function loaded_path(name, loaded)
  local last = name:match "^%.%.%.(.+)$"
  for _, path in ipairs(loaded) do
    if path == name or last and path:sub(-#last) == last then return path end
  end
  return nil
end

local function lines_of(path)
  local file = io.open(path, "rb")
  local text = file and file:read(LARGEST)
  if file then file:close() end
  if not text then return nil end
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do lines[#lines + 1] = line end
  return lines
end

---@class moonpark.excerpt
---@field path string
---@field line integer which one failed
---@field first integer number of lines[1]
---@field lines string[]

local function excerpt(path, line)
  local all = lines_of(path)
  if not all or not all[line] then return nil end
  local first = math.max(1, line - AROUND)
  local lines = {}
  for i = first, math.min(#all, line + AROUND) do lines[#lines + 1] = all[i] end
  return { path = path, line = line, first = first, lines = lines }
end

-- "file:line" at the beginning of a line of such a text.
local function place_in(line)
  local path, number = line:match "^%s*([^%s\"'<>=%[(][^:\n]*):(%d+):"
  return path, tonumber(number)
end

---@class moonpark.failure
---@field message string without the traceback
---@field trace {text: string, place: string|nil}[] its lines; place: "file:line" at their beginning
---@field place string|nil "file:line" of the failure
---@field excerpt moonpark.excerpt|nil

-- The first place whose file can be read: of the message, or else of the traceback.
local function locate(failure, lines, loaded)
  for _, line in ipairs(lines) do
    local name, number = place_in(line)
    local path = name and loaded_path(name, loaded)
    local found = path and excerpt(path, number)
    if found then
      failure.place, failure.excerpt = ("%s:%d"):format(found.path, number), found
      return
    end
  end
end

--- Takes the text of a failure apart.
---@param text string
---@param loaded string[] paths that the program has loaded
---@return moonpark.failure
function M.read(text, loaded)
  local message, trace = text:match "^(.-)\nstack traceback:\n(.*)$"
  local failure = { message = message or text, trace = {} }
  local lines = {}
  for line in (failure.message .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  for line in ((trace or "") .. "\n"):gmatch "(.-)\n" do
    if line:find "%S" then
      local name, number = place_in(line)
      local place = name and ("%s:%d"):format(loaded_path(name, loaded) or name, number)
      table.insert(failure.trace, { text = line:gsub("^%s+", ""), place = place })
      lines[#lines + 1] = line
    end
  end
  locate(failure, lines, loaded)
  return failure
end

return M
