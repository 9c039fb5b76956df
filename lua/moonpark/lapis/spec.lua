-- SPDX-License-Identifier: MIT
-- spec.lua - busted's helper for specs of Lapis applications: `busted --helper=moonpark.lapis.spec`. Lapis's test
-- server (use_test_server, load_test_server) is moonpark then, not nginx.
--
-- It needs nothing of moonpark in the process of the specs, so busted may run on any Lua: the server is a process of
-- its own, which ends with this one, because its standard input does.

local Attached = require("lapis.cmd.attached_server").AttachedServer
local environment = require "lapis.environment"
local get_free_port = require("lapis.cmd.util").get_free_port
local nginx = require "lapis.cmd.nginx"

local M = {}

local loadstring = loadstring or load -- luacheck: ignore

-- The face of this folder runs in the server's process.
local PROGRAM = ("require(%q).serve_tests()"):format((...):match "^(.*)%.")

local function quoted(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end

-- The LuaJIT that runs busted, or the one that is installed.
local function interpreter()
  local least = 0
  while arg and arg[least - 1] do least = least - 1 end
  return jit and least < 0 and arg[least] or "luajit" -- luacheck: globals jit
end

-- A line for sh: runs the server in that folder with these values in its environment.
local function command(folder, values)
  local words = {}
  for name, value in pairs(values) do words[#words + 1] = ("%s=%s"):format(name, quoted(value)) end
  table.sort(words)
  return ("%sexec env %s %s -e %s >/dev/null"):format(folder ~= "" and "cd " .. quoted(folder) .. " && " or "",
    table.concat(words, " "), quoted(interpreter()), quoted(PROGRAM))
end

-- In place of Lapis's NginxAttachedServer, with the same methods.
local Server = setmetatable({}, { __index = Attached.__base })
Server.__index = Server

--- Starts the server of the application in the runner's folder, and waits until it answers.
---@param name string|table the environment, or its name
---@param overrides table port: where it listens
function Server:start(name, overrides)
  local config = type(name) == "string" and require("lapis.config").get(name) or name
  config = setmetatable(overrides or {}, { __index = config })
  environment.push(config)
  self.port = get_free_port()
  local values = { LAPIS_ENVIRONMENT = config._name, MOONPARK_LAPIS_PORT = config.port,
    MOONPARK_LAPIS_RUN_PORT = self.port }
  if jit then values.LUA_PATH, values.LUA_CPATH = package.path, package.cpath end -- luacheck: globals jit
  self.input = assert(io.popen(command(self.runner.base_path, values), "w")) -- moonpark: ignore
  local ok, err = pcall(self.wait_until_ready, self)
  if ok then return end
  self:detach()
  error(("the test server has not started, see above: %s"):format(tostring(err)), 0)
end

function Server:detach()
  self.input:close() -- and waits until it has ended
  environment.pop()
  return true
end

--- Runs Lua code in the server.
---@param code string
---@return string what it has printed
function Server:exec(code)
  assert(loadstring(code))
  local ltn12, buffer = require "ltn12", {}
  local _, status = require("socket.http").request { url = ("http://127.0.0.1:%d/run_lua"):format(self.port),
    sink = ltn12.sink.table(buffer), source = ltn12.source.string(code), headers = { ["content-length"] = #code } }
  local text = table.concat(buffer)
  if status ~= 200 then error(("the code has failed on the server: %s\n\n%s"):format(tostring(status), text)) end
  return text
end

nginx.NginxRunner.__base.AttachedServer = function(runner) return setmetatable({ runner = runner }, Server) end

return M
