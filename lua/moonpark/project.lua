-- SPDX-License-Identifier: MIT
-- project.lua - `moonpark init`: the files of a project to start from.

local deploy = require "moonpark.project.deploy"
local ffi = require "ffi"
local files_of = require "moonpark.project.files"

ffi.cdef [[
int moonpark_project_mkdir(const char *path, unsigned mode) __asm__("mkdir");
int moonpark_project_access(const char *path, int mode) __asm__("access");
int moonpark_project_rmdir(const char *path) __asm__("rmdir");
char *moonpark_project_realpath(const char *path, char *resolved) __asm__("realpath");
char *moonpark_project_strerror(int number) __asm__("strerror");
]]

local C = ffi.C
local M = {}

local LONGEST = 64 -- bytes of a name

local function realpath(path)
  local resolved = ffi.new "char[4096]" -- PATH_MAX
  return C.moonpark_project_realpath(path, resolved) ~= nil and ffi.string(resolved) or nil
end

local function exists(path) return C.moonpark_project_access(path, 0) == 0 end

-- What the last call of the system's said.
local function reason() return ffi.string(C.moonpark_project_strerror(ffi.errno())) end

-- The project's name is its folder's; it names a rock and a command.
local function name_of(folder)
  local name = (realpath(folder) or folder):gsub("/+$", ""):match "([^/]*)$"
  if #name <= LONGEST and name:find "^%l[%l%d_-]*$" then return name end
  return nil, ("init: invalid project name '%s': a lower-case letter, then a-z, 0-9, '-' and '_' expected, at most %d")
    :format(name, LONGEST)
end

local function in_the_way(folder, files)
  local found = {}
  for _, file in ipairs(files) do
    if exists(folder .. "/" .. file.path) then table.insert(found, file.path) end
  end
  return found
end

-- Makes the missing parts of a folder and notes them in undo. -> true | nil, why not
local function make_folder(path, undo)
  if exists(path .. "/.") then return true end
  if C.moonpark_project_mkdir(path, 511) == 0 then -- 0777, less the umask
    table.insert(undo, function() C.moonpark_project_rmdir(path) end)
    return true
  end
  return nil, ("cannot create the folder %s: %s"):format(path, reason())
end

local function write(path, text, undo)
  local file, err = io.open(path, "wx") -- fopen(3): no file that is there, no link
  if not file then return nil, "cannot write " .. err end
  table.insert(undo, function() os.remove(path) end)
  local ok, why = file:write(text)
  local closed, close_err = file:close()
  if ok and closed then return true end
  return nil, ("cannot write %s: %s"):format(path, why or close_err)
end

local function write_all(folder, files, undo)
  local ok, err = make_folder(folder, undo)
  for _, file in ipairs(files) do
    local inner = file.path:match "^(.*)/"
    if ok and inner then ok, err = make_folder(folder .. "/" .. inner, undo) end
    if ok then ok, err = write(folder .. "/" .. file.path, file.text, undo) end
  end
  return ok, err
end

-- A file's text, if it is there.
local function text_of(folder, path)
  local file = io.open(folder .. "/" .. path)
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

-- The source of the server that init has written, if it is still that one, or writes now.
local function starter_of(name, text, files)
  for _, kind in ipairs { "http", "tcp" } do
    local starter = files_of(name, kind)[1].text
    if starter == text then return starter end
  end
  return files[1].text
end

-- A project that is there gets the files of its deployment alone.
local function with_deployment(name, folder, files)
  local text = text_of(folder, "server.lua")
  local starter = starter_of(name, text, files)
  local facts = deploy.facts(text or starter, starter, text_of(folder, name .. "/routes.lua"))
  local wanted = text and {} or files
  for _, file in ipairs(deploy.files(name, facts)) do table.insert(wanted, file) end
  return wanted, facts
end

---@class moonpark.project
---@field name string
---@field paths string[]
---@field facts moonpark.project.facts|nil of the server that is deployed
---@field steps string[]|nil what to do next, if the project itself was written

--- Writes a project into that folder, all of it or nothing.
---@param folder string
---@param kind "http"|"tcp"
---@param deployed? boolean with what deploying it takes; that alone, if the folder has a server.lua
---@return moonpark.project|nil
---@return string err
---@return boolean? misuse the name cannot be one
function M.init(folder, kind, deployed)
  local name, wrong = name_of(folder)
  if not name then return nil, wrong, true end
  local files, steps = files_of(name, kind)
  local facts
  if deployed and text_of(folder, "server.lua") then steps = nil end
  if deployed then files, facts = with_deployment(name, folder, files) end
  local there = in_the_way(folder, files)
  if #there > 0 then
    return nil, ("nothing was written: %s already contains %s"):format(folder, table.concat(there, ", "))
  end
  local undo, paths = {}, {}
  local ok, err = write_all(folder, files, undo)
  if not ok then
    for i = #undo, 1, -1 do undo[i]() end
    return nil, err
  end
  for i, file in ipairs(files) do paths[i] = file.path end
  return { name = name, paths = paths, facts = facts, steps = steps }
end

local function words_of_deployment(name, facts)
  local serves = ("server.lua %s on port %d"):format(facts.http and "serves HTTP" or "listens", facts.port)
  return {
    ("  docker build -t %s .    # an image, with a health check"):format(name),
    ("  less deploy/%s.service  # how to install it under systemd"):format(name),
    "",
    ("The files assume that %s%s."):format(serves, facts.argument and ", and takes its address as an argument" or ""),
    "",
  }
end

--- What to do next.
---@param project moonpark.project
---@param folder string
---@return string
function M.next_steps(project, folder)
  local word = folder:find "^[%w_./-]+$" and folder or "'" .. folder:gsub("'", "'\\''") .. "'"
  local lines = { ("wrote %s: %s"):format(project.name, table.concat(project.paths, ", ")), "" }
  if folder ~= "." then table.insert(lines, "  cd " .. word) end
  for _, step in ipairs(project.steps or {}) do table.insert(lines, "  " .. step) end
  local more = project.facts and words_of_deployment(project.name, project.facts) or { "" }
  for _, line in ipairs(more) do table.insert(lines, line) end
  return table.concat(lines, "\n")
end

return M
