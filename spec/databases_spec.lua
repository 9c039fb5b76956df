-- SPDX-License-Identifier: MIT
-- databases_spec.lua - the programs of docs/databases.md and the recipe for libpq in docs/netpoll.md, against servers.

local process = require "support.process"
local servers = require "support.servers"
local testing = require "moonpark.testing"

-- Modules that Debian does not have are looked for in MOONPARK_LIBS, too, which is written as LUA_PATH is.
local libraries = os.getenv "MOONPARK_LIBS"
local lua_path = (libraries and libraries .. ";" or "") .. os.getenv "LUA_PATH"

local started, why = {}, {}
started.redis, why.redis = servers.redis()
started.postgres, why.postgres = servers.postgres()
if libraries then started.mariadb, why.mariadb = servers.mariadb()
else why.mariadb = "lua-resty-mysql is not installed (MOONPARK_LIBS)" end
local postgres, no_postgres = started.postgres, why.postgres

local function read(path)
  local file = assert(io.open(process.root .. "/" .. path))
  local text = file:read "*a"
  file:close()
  return text
end

-- What the page's programs know of their server.
local NAMES = { HOST = "host", PORT = "port", TLS_PORT = "tls_port", USER = "user", PASSWORD = "password",
  DATABASE = "database", SOCKET = "path", CA = "ca" }

local function values_of(server)
  local lines = {}
  for name, field in pairs(NAMES) do
    if server[field] then lines[#lines + 1] = ("local %s = %q"):format(name, server[field]) end
  end
  return table.concat(lines, " ") .. "\n"
end

local function run(script, env)
  local script_path = testing.tempdir() .. "/script.lua"
  local file = assert(io.open(script_path, "w"))
  file:write(script)
  file:close()
  env = env or {}
  env.LUA_PATH = lua_path
  return process.run(process.moonpark(script_path), { env = env })
end

local function has(module)
  local look = ("assert(package.searchpath(%q, package.path) or package.searchpath(%q, package.cpath))"):format(module,
    module)
  return process.run({ process.interpreter, "-e", look }, { env = { LUA_PATH = lua_path } }).status == 0
end

describe("docs/databases.md:", function()
  teardown(servers.stop)
  after_each(process.stop_all)

  for block in read("docs/databases.md"):gmatch "\n```lua\n(.-)```" do
    local kind, modules, line = block:match "needs: (%w+), modules ([^\n]+)\n[^\n]*\n([^\n]*)"
    it(("%s by %s: %s"):format(kind, modules, line), function()
      local server = started[kind]
      if not server then return pending(why[kind]) end
      if not has "resty.redis" and has "nginx.redis" then -- Debian's name
        modules, block = modules:gsub("resty%.redis", "nginx.redis"), block:gsub("resty%.redis", "nginx.redis")
      end
      for module in modules:gmatch "%S+" do
        if not has(module) then return pending(module .. " is not installed (MOONPARK_LIBS)") end
      end
      local r = run(values_of(server) .. block, { SSL_CERT_FILE = server.ca })
      assert.same({ 0, "" }, { r.status, r.err })
      local expected = {}
      for text in block:gmatch "%-%-> ([^\n]*)" do expected[#expected + 1] = text .. "\n" end
      assert.equal(table.concat(expected), r.out)
    end)
  end

  it("libpq waits on the loop, and others run meanwhile; a wait ends with its time", function()
    if not postgres then return pending(no_postgres) end
    local recipe = read("docs/netpoll.md"):match "## Libraries that wait for levels.-\n```lua\n(.-)```"
    local r = run(recipe .. ([[
      local info = "host=%s port=%d user=%s password=%s dbname=%s"
      local a, b = assert(connect(info)), assert(connect(info))
      print(query(a, "select 6 * 7"))
      local slow = moonpark.go(query, a, "select 'slow' from pg_sleep(600)")
      print(query(b, "select 'quick'"))
      slow:cancel()
      print(select(2, slow:join()))
      print(moonpark.timeout(0.05, query, b, "select pg_sleep(60)"))
      print(connect(info .. "x"))
    ]]):format(postgres.host, postgres.port, postgres.user, postgres.password, postgres.database))
    assert.equal(0, r.status, r.err)
    assert.matches('^42\nquick\nnil\tcanceled\nnil\ttimeout\nnil\t.*database "postgresx" does not exist', r.out)
  end)
end)
