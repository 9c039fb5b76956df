-- SPDX-License-Identifier: MIT
-- init_spec.lua - moonpark init: what it writes works, and what is there is never overwritten.

local cjson = require "cjson"
local net = require "moonpark.net"
local process = require "support.process"
local testing = require "moonpark.testing"

local FILES = { "server.lua", "spec/server_spec.lua", "hello-dev-1.rockspec", ".busted", ".luarc.json", ".gitignore",
  "README.md" }

local function init(folder, cwd) return process.run(process.moonpark("init", folder), { cwd = cwd }) end

-- All files below, sorted, between spaces.
local function files_in(folder)
  local r = process.run(("cd '%s' && find . -type f | sort | xargs echo"):format(folder))
  return (r.out:gsub("\n", ""):gsub("%./", ""))
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

describe("moonpark init", function()
  local folder, project

  before_each(function()
    folder = testing.tempdir()
    project = folder .. "/hello"
  end)

  after_each(process.stop_all)

  it("writes a project and says what to do next", function()
    local r = init(project)
    assert.same({ 0, "" }, { r.status, r.err })
    assert.equal("wrote hello: " .. table.concat(FILES, ", "), r.out:match "^[^\n]*")
    assert.matches("\n  cd " .. project:gsub("%p", "%%%0") .. "\n", r.out)
    local sorted = { unpack(FILES) }
    table.sort(sorted)
    assert.equal(table.concat(sorted, " "), files_in(project))
  end)

  it("writes a spec that passes as it is", function()
    init(project)
    local r = process.run({ process.interpreter, "/usr/bin/busted", "--ignore-lua", "-o", "TAP" }, { cwd = project })
    assert.equal(0, r.status, r.out .. r.err)
    assert.matches("ok 2 %- hello serves many clients at once\n1%.%.2", r.out)
  end)

  it("writes a server that runs", function()
    init(project)
    local child = process.start(process.moonpark("server.lua", "127.0.0.1:0"), { cwd = project })
    local address = child:line():match "^listening on (.*)$"
    local conn = assert(net.dial(address, { timeout = 60 }))
    conn:write "hello\n"
    assert.equal("HELLO", conn:read_line())
    conn:close()
    child:kill "TERM"
    local status, _, err = child:wait()
    assert.same({ 143, "" }, { status, err })
  end)

  it("writes scripts in which check and luacheck find nothing", function()
    init(project)
    local r = process.run(process.moonpark("check", "server.lua", "spec/server_spec.lua"), { cwd = project })
    assert.same({ 0, "" }, { r.status, r.out })
    r = process.run({ "luacheck", "-q", "--std", "luajit+busted", "server.lua", "spec" }, { cwd = project })
    assert.equal(0, r.status, r.out)
  end)

  it("writes a rockspec that luarocks accepts", function()
    init(project)
    local r = process.run({ "luarocks", "--lua-version", "5.1", "lint", "hello-dev-1.rockspec" },
      { cwd = project, env = { LUA_PATH = false, LUA_CPATH = false, LD_PRELOAD = false } })
    assert.equal(0, r.status, r.out .. r.err)
  end)

  it("tells the editor where moonpark's annotations are", function()
    init(project)
    local settings = cjson.decode(read(project .. "/.luarc.json"))
    assert.equal("LuaJIT", settings["runtime.version"])
    assert.matches("^%-%- SPDX", read(settings["workspace.library"][1] .. "/moonpark/net.lua"))
  end)

  it("takes the folder one is in, with what else is there", function()
    process.run { "mkdir", project }
    write(project .. "/notes.txt", "mine")
    local r = init(".", project)
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^wrote hello: ", r.out)
    assert.equal("mine", read(project .. "/notes.txt"))
  end)

  it("writes nothing where one of the files is there, and lists them", function()
    process.run { "mkdir", "-p", project .. "/spec" }
    write(project .. "/server.lua", "mine")
    write(project .. "/spec/server_spec.lua", "mine")
    local r = init(project)
    assert.same({ 1, "" }, { r.status, r.out })
    assert.equal(("moonpark: nothing was written: %s already contains server.lua, spec/server_spec.lua\n")
      :format(project), r.err)
    assert.equal("server.lua spec/server_spec.lua", files_in(project))
    assert.equal("mine", read(project .. "/server.lua"))
  end)

  it("follows no link that leads nowhere yet", function()
    process.run { "mkdir", project }
    process.run { "ln", "-s", folder .. "/elsewhere", project .. "/server.lua" }
    local r = init(project)
    assert.same({ 1, "" }, { r.status, r.out })
    assert.matches("^moonpark: cannot write %S+/server%.lua: File exists\n", r.err)
    assert.equal("", files_in(project))
    assert.equal("", files_in(folder))
  end)

  it("leaves nothing behind where it cannot write everything", function()
    process.run { "mkdir", project }
    write(project .. "/spec", "a file, where a folder is to be")
    local r = init(project)
    assert.same({ 1, "" }, { r.status, r.out })
    assert.matches("^moonpark: cannot create the folder %S+/spec: File exists\n", r.err)
    assert.equal("spec", files_in(project))
    r = init(folder .. "/none/hello")
    assert.equal(1, r.status)
    assert.matches("No such file or directory", r.err)
  end)

  it("refuses what cannot be a name, and anything but one folder: status 2", function()
    for _, name in ipairs { "Hello", "1st", "a b", "é", "x'y", ("x"):rep(65), "/", "" } do
      local r = init(name, folder)
      assert.same({ 2, "" }, { r.status, r.out })
      assert.matches("invalid project name", r.err)
    end
    assert.equal("", files_in(folder))
    for _, words in ipairs { {}, { "a", "b" } } do
      local r = process.run(process.moonpark("init", unpack(words)), { cwd = folder })
      assert.equal(2, r.status)
      assert.matches("^moonpark: init: one folder expected\n", r.err)
    end
  end)
end)
