-- SPDX-License-Identifier: MIT
-- files.lua - what `moonpark init` writes: @NAME@ is the project's name, @LIBRARY@ where moonpark is.

local SERVER = [[
#!/usr/bin/env moonpark
-- @NAME@: answers each line with the same line in capitals.
--
--   moonpark server.lua [address]       127.0.0.1:7000 if none is given; port 0 picks a free one

local moonpark = require "moonpark"
local net = require "moonpark.net"
local systemd = require "moonpark.systemd"

local M = {}

-- A connection has a task of its own: what waits in here waits alone.
function M.handle(conn)
  for line in conn:lines() do
    if not conn:write(line:upper(), "\n") then return end
  end
end

-- The listener that systemd has opened for us, if it has, or our own.
local function listen(address)
  local sockets, err = net.inherited()
  if not sockets then return nil, err end
  if sockets[1] then return sockets[1] end
  return net.listen(address)
end

function M.main(address)
  local listener, err = listen(address)
  if not listener then
    io.stderr:write("@NAME@: cannot listen on ", address, ": ", err, "\n")
    os.exit(1)
  end
  print("listening on " .. listener:address())
  systemd.notify { ready = true, status = "listening on " .. listener:address() }
  moonpark.go(systemd.watch):name "watchdog"
  listener:serve(M.handle)
end

if ... == "server" then return M end -- the spec requires it
M.main(... or "127.0.0.1:7000")
]]

local SPEC = [[
local moonpark = require "moonpark"
local net = require "moonpark.net"
local server = require "server"

describe("@NAME@", function()
  local listener, serving

  before_each(function()
    listener = assert(net.listen "127.0.0.1:0")
    serving = moonpark.go(function() listener:serve(server.handle) end)
  end)

  after_each(function()
    listener:close()
    serving:join()
  end)

  it("answers each line in capitals", function()
    local conn = assert(net.dial(listener:address()))
    conn:write("hello\nworld\n")
    assert.equal("HELLO", conn:read_line())
    assert.equal("WORLD", conn:read_line())
    conn:close()
  end)

  it("serves many clients at once", function()
    local first = assert(net.dial(listener:address()))
    local second = assert(net.dial(listener:address()))
    second:write("second\n")
    assert.equal("SECOND", second:read_line())
    first:write("first\n")
    assert.equal("FIRST", first:read_line())
    first:close()
    second:close()
  end)
end)
]]

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
  modules = {},
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
  "workspace.library": [@LIBRARY@, "${3rd}/busted/library", "${3rd}/luassert/library"],
  "workspace.checkThirdParty": false
}
]]

local IGNORED = [[
/lua_modules/
/.luarocks/
*.rock
]]

local README = [[
# @NAME@

A server on moonpark: it answers each line with the same line in capitals.

```
moonpark server.lua                 runs it on 127.0.0.1:7000
moonpark check server.lua           looks for mistakes without running it
busted                              runs spec/
luarocks --lua-version 5.1 make     installs the command @NAME@
```
]]

local function json(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

--- The files, in the order they are written.
---@param name string
---@param library string a folder
---@return {path: string, text: string}[]
return function(name, library)
  local function filled(path, template)
    local values = { NAME = name, LIBRARY = json(library) }
    return { path = path, text = (template:gsub("@(%u+)@", values)) }
  end
  return {
    filled("server.lua", SERVER),
    filled("spec/server_spec.lua", SPEC),
    filled(name .. "-dev-1.rockspec", ROCKSPEC),
    filled(".busted", BUSTED),
    filled(".luarc.json", LUARC),
    filled(".gitignore", IGNORED),
    filled("README.md", README),
  }
end
