-- SPDX-License-Identifier: MIT
-- files.lua - what `moonpark init` writes. @NAME@ is the project's name, @MODULES@ what its rockspec installs beside
-- the command; http.lua and tcp.lua have the servers.

local kinds = {
  http = function() return require "moonpark.project.http" end,
  tcp = function() return require "moonpark.project.tcp" end,
}

local ROCKSPEC = [[
rockspec_format = "3.0"
package = "@NAME@"
version = "dev-1"

source = {
  url = "git+file://.", -- luarocks make builds what is in this folder
}

description = {
  summary = "A server on moonpark",
  license = "MIT", -- yours to choose
}

dependencies = {
  "lua == 5.1", -- LuaJIT is what runs it; luarocks knows it as 5.1
  "moonpark",
}

test_dependencies = {
  "busted",
}

build = {
  type = "builtin",
  modules = {@MODULES@},
  install = {
    bin = { ["@NAME@"] = "server.lua" },
  },
}

-- The command is one for moonpark: its first line says so.
deploy = {
  wrap_bin_scripts = false,
}
]]

local BUSTED = [[
return {
  default = {
    lua = "luajit",
    ROOT = { "spec" },
    lpath = "./?.lua",
    helper = "moonpark.testing", -- each test is a task with a time limit; what it leaves behind fails it
  },
}
]]

local LUARC = [[
{
  "$schema": "https://raw.githubusercontent.com/LuaLS/vscode-lua/master/setting/schema.json",
  "runtime.version": "LuaJIT",
  "runtime.path": ["?.lua", "?/init.lua"],
  "workspace.library": [
    "lua_modules/share/lua/5.1/moonpark/luals/library",
    "~/.luarocks/share/lua/5.1/moonpark/luals/library",
    "/usr/local/share/lua/5.1/moonpark/luals/library",
    "/usr/share/lua/5.1/moonpark/luals/library",
    "${3rd}/busted/library",
    "${3rd}/luassert/library"
  ],
  "workspace.checkThirdParty": false
}
]]

local IGNORED = [[
/lua_modules/
/.luarocks/
*.rock
]]

---@class moonpark.project.kind
---@field files {path: string, text: string}[] the server's, the first of them server.lua
---@field readme string
---@field modules string
---@field steps string[] commands to go on with

--- The files, in the order they are written.
---@param name string
---@param kind "http"|"tcp"
---@return {path: string, text: string}[]
---@return string[] steps what to do next
return function(name, kind)
  local parts = kinds[kind]()
  local values = { NAME = name, MODULES = "" }
  local function fill(text) return (text:gsub("@(%u+)@", values)) end
  values.MODULES = fill(parts.modules)
  local files = {}
  local function add(path, text) files[#files + 1] = { path = fill(path), text = fill(text) } end
  for _, file in ipairs(parts.files) do add(file.path, file.text) end
  add("@NAME@-dev-1.rockspec", ROCKSPEC)
  add(".busted", BUSTED)
  add(".luarc.json", LUARC)
  add(".gitignore", IGNORED)
  add("README.md", parts.readme)
  return files, parts.steps
end
