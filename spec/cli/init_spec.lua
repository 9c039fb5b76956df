-- SPDX-License-Identifier: MIT
-- init_spec.lua - moonpark init: what it writes works, and what is there is never overwritten.

local cjson = require "cjson"
local http = require "moonpark.http"
local net = require "moonpark.net"
local process = require "support.process"
local testing = require "moonpark.testing"

local COMMON = { "hello-dev-1.rockspec", ".busted", ".luarc.json", ".gitignore", "README.md" }

-- What each kind of project has: its files, its tests, and what the last of them is called.
local kinds = {
  ["--http"] = { files = { "server.lua", "hello/routes.lua", "spec/routes_spec.lua" }, tests = 4,
    last = "hello has no other pages" },
  ["--tcp"] = { files = { "server.lua", "spec/server_spec.lua" }, tests = 2,
    last = "hello serves many clients at once" },
}
for _, kind in pairs(kinds) do
  for _, name in ipairs(COMMON) do table.insert(kind.files, name) end
end

local function init(folder, cwd, ...) return process.run(process.moonpark("init", folder, ...), { cwd = cwd }) end

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

  for option, kind in pairs(kinds) do
    describe(option, function()
      it("writes a project and says what to do next", function()
        local r = init(project, nil, option)
        assert.same({ 0, "" }, { r.status, r.err })
        assert.equal("wrote hello: " .. table.concat(kind.files, ", "), r.out:match "^[^\n]*")
        assert.matches("\n  cd " .. project .. "\n  busted ", r.out, 1, true)
        local sorted = { unpack(kind.files) }
        table.sort(sorted)
        assert.equal(table.concat(sorted, " "), files_in(project))
        for _, path in ipairs(kind.files) do assert.is_falsy(read(project .. "/" .. path):find "@%u+@", path) end
      end)

      it("writes a spec that passes as it is", function()
        init(project, nil, option)
        local r = process.run({ process.interpreter, "/usr/bin/busted", "--ignore-lua", "-o", "TAP" },
          { cwd = project })
        assert.equal(0, r.status, r.out .. r.err)
        assert.matches(("ok %d - %s\n1..%d"):format(kind.tests, kind.last, kind.tests), r.out, 1, true)
      end)

      it("writes scripts in which check and luacheck find nothing", function()
        init(project, nil, option)
        local scripts = {}
        for _, path in ipairs(kind.files) do
          if path:find "%.lua$" then scripts[#scripts + 1] = path end
        end
        local r = process.run(process.moonpark("check", unpack(scripts)), { cwd = project })
        assert.same({ 0, "" }, { r.status, r.out })
        r = process.run({ "luacheck", "-q", "--std", "luajit+busted", unpack(scripts) }, { cwd = project })
        assert.equal(0, r.status, r.out)
      end)

      it("writes a rockspec that luarocks accepts", function()
        init(project, nil, option)
        local r = process.run({ "luarocks", "--lua-version", "5.1", "lint", "hello-dev-1.rockspec" },
          { cwd = project, env = { LUA_PATH = false, LUA_CPATH = false, LD_PRELOAD = false } })
        assert.equal(0, r.status, r.out .. r.err)
      end)

      it("tells the editor where moonpark's annotations are installed, on any machine", function()
        init(project, nil, option)
        local text = read(project .. "/.luarc.json")
        local settings = cjson.decode(text)
        assert.equal("LuaJIT", settings["runtime.version"])
        local folders = { "lua_modules", "~/.luarocks", "/usr/local", "/usr" }
        for i, place in ipairs(folders) do folders[i] = place .. "/share/lua/5.1/moonpark/luals/library" end
        assert.same(folders, { unpack(settings["workspace.library"], 1, #folders) })
        assert.is_nil(text:find(process.root, 1, true))
      end)
    end)
  end

  it("writes an HTTP server that runs, logs, and drains", function()
    assert.equal(0, init(project).status)
    local child = process.start(process.moonpark("server.lua", "127.0.0.1:0"), { cwd = project })
    local url = child:line():match "^listening on (http://%S+)$"
    assert.equal(201, assert(http.post(url .. "/notes", { json = { text = "milk" } })).status)
    assert.matches("POST", child:line(), 1, true)
    assert.same({ id = 1, text = "milk" }, assert(http.get(url .. "/notes/1")):json())
    child:kill "TERM"
    local status, _, err = child:wait()
    assert.same({ 0, "" }, { status, err })
    http.close_idle()
  end)

  it("writes a TCP server that runs", function()
    init(project, nil, "--tcp")
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
    local r = init(project, nil, "--tcp")
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
    assert.matches("^moonpark: init: either %-%-http or %-%-tcp\n", init("a", folder, "--http", "--tcp").err)
  end)
end)
