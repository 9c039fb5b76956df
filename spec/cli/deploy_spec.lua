-- SPDX-License-Identifier: MIT
-- deploy_spec.lua - moonpark init --deploy: the units, the image's steps and the health check work.

local cjson = require "cjson"
local fds = require "support.fds"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local testing = require "moonpark.testing"

local DEPLOYMENT = { "deploy/hello.service", "deploy/hello.socket", "deploy/healthcheck.lua", "Dockerfile",
  ".dockerignore" }
local HTTP = [[
local http = require "moonpark.http"
local app = http.router()
app:get("/", function(_, res) res:send "hello" end)
local server = assert(http.server(app, { address = ... or "127.0.0.1:8443" }))
]]

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function exists(program) return process.run { "which", program }.status == 0 end

describe("moonpark init --deploy", function()
  local project

  before_each(function() project = testing.tempdir() .. "/hello" end)
  after_each(process.stop_all)

  local function init(...) return process.run(process.moonpark("init", "--deploy", ...), { cwd = "/" }) end

  -- The project's files, for a server with this source; without one, for init's own.
  local function deploy(server)
    if server then
      assert.equal(0, process.run({ "mkdir", project }).status)
      write(project .. "/server.lua", server)
    end
    local r = init(project, server and "--http" or "--tcp")
    assert.same({ 0, "" }, { r.status, r.err })
    return r.out
  end

  local function file(name) return read(project .. "/" .. name) end

  describe("writes", function()
    it("a new project, and what deploying it takes", function()
      local out = deploy()
      local list = table.concat(DEPLOYMENT, ", "):gsub("%p", "%%%0")
      assert.matches("^wrote hello: server%.lua, .*, " .. list .. "\n", out)
      assert.matches("listens on port 7000, and takes its address as an argument", out)
      for _, path in ipairs(DEPLOYMENT) do assert.is_falsy(file(path):find("@%u+@"), path) end
    end)

    it("an HTTP server if nothing else is asked for, and its own health check", function()
      local r = init(project)
      assert.same({ 0, "" }, { r.status, r.err })
      assert.matches("serves HTTP on port 8080, and takes its address as an argument", r.out)
      assert.matches('CMD ["moonpark", "deploy/healthcheck.lua", "http://127.0.0.1:8080/healthz"]', file "Dockerfile",
        1, true)
    end)

    it("what fits the server that init has written before, of either kind", function()
      local checks = { ["--http"] = '"http://127.0.0.1:8080/healthz"', ["--tcp"] = '"127.0.0.1:7000", "ping"' }
      for kind, check in pairs(checks) do
        assert.equal(0, process.run(process.moonpark("init", kind, project)).status)
        assert.equal(0, init(project).status)
        assert.matches(check, file "Dockerfile", 1, true)
        assert.equal(0, process.run({ "rm", "-r", project }).status)
      end
    end)

    it("the health check that a server or its routes have, however they were changed", function()
      assert.equal(0, process.run(process.moonpark("init", project)).status)
      write(project .. "/server.lua", file "server.lua" .. "-- changed\n")
      assert.equal(0, init(project).status)
      assert.matches('"http://127.0.0.1:8080/healthz"', file "Dockerfile", 1, true)
    end)

    it("only the latter where a server is there", function()
      assert.equal("wrote hello: " .. table.concat(DEPLOYMENT, ", "), deploy(HTTP):match "^[^\n]*")
      assert.equal(HTTP, file "server.lua")
      assert.is_nil(io.open(project .. "/README.md"))
    end)

    it("into the current folder if none is given", function()
      assert.equal(0, process.run({ "mkdir", project }).status)
      write(project .. "/server.lua", HTTP)
      local r = process.run(process.moonpark("init", "--deploy"), { cwd = project })
      assert.same({ 0, "" }, { r.status, r.err })
      assert.is_nil(r.out:find("  cd ", 1, true))
      assert.matches("^%[?", file "deploy/hello.service")
    end)

    it("nothing where one of the files is there", function()
      deploy(HTTP)
      assert.equal(0, process.run({ "rm", project .. "/Dockerfile", project .. "/.dockerignore" }).status)
      write(project .. "/deploy/hello.service", "mine")
      local r = init(project)
      assert.same({ 1, "" }, { r.status, r.out })
      assert.equal(("moonpark: nothing was written: %s already contains %s\n"):format(project,
        "deploy/hello.service, deploy/hello.socket, deploy/healthcheck.lua"), r.err)
      assert.is_nil(io.open(project .. "/Dockerfile"))
      assert.equal("mine", file "deploy/hello.service")
    end)

    it("the port and the protocol of the server's source", function()
      local facts = require("moonpark.project.deploy").facts
      local function of(text)
        local f = facts(text, "the starter")
        return { f.port, f.http, f.argument, f.starter }
      end
      assert.same({ 8443, true, true, false }, of(HTTP))
      assert.same({ 7000, false, false, true }, of "the starter")
      assert.same({ 8080, true, false, false }, of "require 'moonpark.http' x 'http://example.org:99/'")
      assert.same({ 53, false, false, false }, of "net.listen(':53')")
      assert.same({ 7000, false, false, false }, of "net.listen '127.0.0.1:0'")
      assert.same({ 7000, false, false, false }, of "net.listen '127.0.0.1:99999'")
      deploy(HTTP)
      assert.matches("\nEXPOSE 8443\n", file "Dockerfile")
      assert.matches("\nListenStream=8443\n", file "deploy/hello.socket")
      assert.matches("\nExecStart=%S+ .* server%.lua :8443\n", file "deploy/hello.service")
    end)

    it("the capability that a port below 1024 takes, and none otherwise", function()
      deploy "net.listen(':443')"
      assert.matches("\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n",
        file "deploy/hello.service")
      assert.equal(0, process.run({ "rm", "-r", project }).status)
      deploy()
      assert.matches("\nCapabilityBoundingSet=\nAmbientCapabilities=\n", file "deploy/hello.service")
    end)

    it("scripts in which check and luacheck find nothing", function()
      deploy()
      local r = process.run(process.moonpark("check", "server.lua", "deploy/healthcheck.lua"), { cwd = project })
      assert.same({ 0, "" }, { r.status, r.out })
      r = process.run({ "luacheck", "-q", "--std", "luajit+busted", "deploy" }, { cwd = project })
      assert.equal(0, r.status, r.out)
    end)
  end)

  describe("the health check", function()
    local listener, serving, answer

    -- Reads a request to its end, if it is one: a connection that is closed with unread bytes is reset.
    local function read_question(conn)
      local line = conn:read_line()
      if line and line:find "HTTP/1" then
        repeat local field = conn:read_line() until not field or field == "" or field == "\r"
      end
      return line
    end

    -- A server that answers each line by answer(line).
    before_each(function()
      listener = assert(net.listen "127.0.0.1:0")
      serving = moonpark.go(function()
        listener:serve(function(conn)
          local line = read_question(conn)
          local text = line and answer(line)
          if text then conn:write(text) else conn:read() end
        end)
      end)
      deploy()
      local check = file "deploy/healthcheck.lua":gsub("SECONDS = 4", "SECONDS = 60")
      write(project .. "/deploy/healthcheck.lua", check)
    end)

    after_each(function()
      listener:close()
      serving:join()
    end)

    local function check(place, ...)
      local r = process.run(process.moonpark("deploy/healthcheck.lua", place, ...), { cwd = project })
      assert.equal("", r.err)
      return { r.status, r.out }
    end

    it("finds well what answers as the image's HEALTHCHECK expects it", function()
      answer = function(line) return line:upper() .. "\n" end
      local words = cjson.decode(file "Dockerfile":match "HEALTHCHECK.-CMD (%b[])")
      assert.same({ "moonpark", "deploy/healthcheck.lua", "127.0.0.1:7000", "ping", "PING" }, words)
      assert.same({ 0, "" }, check(listener:address(), unpack(words, 4)))
      assert.same({ 0, "" }, check(listener:address()))
    end)

    it("finds unwell what answers otherwise, ends, or says nothing in time", function()
      local address = listener:address()
      answer = function() return "PONG\n" end
      assert.same({ 1, address .. ": it answered 'PONG'\n" }, check(address, "ping", "PING"))
      answer = function() return "" end
      assert.same({ 1, address .. ": eof\n" }, check(address, "ping", "PING"))
      answer = function() end
      local impatient = file "deploy/healthcheck.lua":gsub("SECONDS = 60", "SECONDS = 0.05")
      write(project .. "/deploy/healthcheck.lua", impatient)
      assert.same({ 1, address .. ": timeout\n" }, check(address, "ping", "PING"))
    end)

    it("finds well a server of HTTP by its status alone", function()
      local url = ("http://%s/"):format(listener:address())
      for status, expected in pairs { [200] = { 0, "" }, [204] = { 0, "" }, [301] = { 1, url .. ": status 301\n" },
        [404] = { 1, url .. ": status 404\n" }, [503] = { 1, url .. ": status 503\n" } } do
        answer = function() return ("HTTP/1.1 %d Status\r\nConnection: close\r\n%s\r\n"):format(status,
          status == 204 and "" or "Content-Length: 0\r\n") end
        assert.same(expected, check(url))
      end
    end)

    it("finds unwell what is not there", function()
      local gone = require("support.net").NOBODY
      assert.same({ 1, gone .. ": connection refused\n" }, check(gone))
      assert.same({ 1, ("http://%s/: connection refused\n"):format(gone) }, check(("http://%s/"):format(gone)))
      assert.equal(1, process.run(process.moonpark "deploy/healthcheck.lua", { cwd = project }).status)
    end)
  end)

  describe("the server", function()
    it("tells systemd that it is ready once it listens, and that it is alive", function()
      deploy()
      local path = project .. "/notify"
      local manager = assert(net.packet("unixgram:" .. path))
      local child = process.start(process.moonpark("server.lua", "127.0.0.1:0"), { cwd = project,
        env = { NOTIFY_SOCKET = path, WATCHDOG_USEC = "1000000", WATCHDOG_PID = false } })
      local address = manager:recv():match "^READY=1\nSTATUS=listening on (.*)$"
      assert(net.dial(address)):close()
      assert.equal("WATCHDOG=1", manager:recv())
      assert.equal("WATCHDOG=1", manager:recv())
      child:kill "TERM"
      local status, _, err = child:wait()
      assert.same({ 143, "" }, { status, err })
      manager:close()
    end)

    it("takes the listener that systemd has opened", function()
      deploy()
      local listener = assert(net.listen "127.0.0.1:0")
      local copy = fds.dup(listener:fd())
      local words = { process.interpreter, process.root .. "/spec/support/activate.lua", tostring(copy), "hello",
        unpack(process.moonpark("server.lua", "127.0.0.1:1")) }
      local child = process.start(words, { cwd = project })
      assert.equal("listening on " .. listener:address(), child:line())
      local conn = assert(net.dial(listener:address()))
      conn:write "hello\n"
      assert.equal("HELLO", conn:read_line())
      conn:close()
      fds.close(copy)
      listener:close()
    end)
  end)

  describe("the units", function()
    -- systemd's own tools; they say on stderr what is wrong. The command is where these specs have it.
    local function analyze(...)
      if not exists "systemd-analyze" then return pending "no systemd-analyze here" end
      local service = file "deploy/hello.service":gsub("/usr/local/bin/moonpark", process.root .. "/lua/bin/moonpark")
      write(project .. "/deploy/hello.service", service)
      local r = process.run({ "systemd-analyze", ... }, { cwd = project .. "/deploy", env = { LD_PRELOAD = false } })
      return assert.equal(0, r.status, r.out .. r.err) and r
    end

    for what, server in pairs { ["a new project"] = false, ["a server of HTTP"] = HTTP,
      ["a port below 1024"] = "net.listen(':443')" } do
      it("are free of what systemd would ignore or refuse: " .. what, function()
        deploy(server)
        local r = analyze("verify", "./hello.service", "./hello.socket")
        if r then assert.equal("", r.out .. r.err) end
      end)
    end

    it("leave little for an intruder, in the eyes of systemd-analyze security", function()
      deploy()
      analyze("security", "--offline=true", "--threshold=20", "./hello.service")
    end)

    it("let LuaJIT write the code that it runs", function()
      deploy()
      assert.is_falsy(file "deploy/hello.service":find "\nMemoryDenyWriteExecute")
    end)
  end)

  describe("the image's steps", function()
    -- The shell's part of each RUN.
    local function steps()
      local list = {}
      local text = file "Dockerfile":gsub("\\\n", " ")
      for step in text:gmatch "\nRUN ([^\n]*)" do list[#list + 1] = step end
      return list
    end

    -- Runs a step in a folder, with a luarocks that prints its words, and fails for the rockspec `failing`.
    local function run(step, folder, failing)
      write(folder .. "/luarocks", ("#!/bin/sh\necho \"$*\"\n[ \"$5\" != '%s' ]\n"):format(failing or "none"))
      assert.equal(0, process.run({ "chmod", "+x", folder .. "/luarocks" }).status)
      local r = process.run({ "sh", "-c", step }, { cwd = folder, env = { PATH = folder .. ":" .. os.getenv "PATH" } })
      assert.equal("", r.err)
      return { r.status, r.out }
    end

    it("are shell", function()
      deploy()
      local list = steps()
      assert.equal(4, #list)
      for _, step in ipairs(list) do
        local r = process.run { "sh", "-n", "-c", step }
        assert.same({ 0, "" }, { r.status, r.err })
      end
    end)

    it("install moonpark from luarocks.org, or from a rock that lies there", function()
      deploy()
      local install, folder = steps()[2], testing.tempdir()
      assert.same({ 0, "--lua-version 5.1 install --deps-mode=none moonpark\n" }, run(install, folder))
      write(folder .. "/other-1.rock", "")
      assert.same({ 0, "--lua-version 5.1 install --deps-mode=none moonpark\n" }, run(install, folder))
      write(folder .. "/moonpark-dev-1.linux-x86_64.rock", "")
      assert.same({ 0, "--lua-version 5.1 install --deps-mode=none moonpark-dev-1.linux-x86_64.rock\n" },
        run(install, folder))
    end)

    it("install what the project's rockspec depends on, and fail where that fails", function()
      deploy()
      local depend, folder = steps()[3], testing.tempdir()
      assert.same({ 0, "" }, run(depend, folder))
      write(folder .. "/a-1.rockspec", "")
      write(folder .. "/b-1.rockspec", "")
      local first, second = "--lua-version 5.1 install --only-deps a-1.rockspec\n",
        "--lua-version 5.1 install --only-deps b-1.rockspec\n"
      assert.same({ 0, first .. second }, run(depend, folder))
      assert.same({ 1, first }, run(depend, folder, "a-1.rockspec"))
    end)
  end)
end)
