-- SPDX-License-Identifier: MIT
-- lapis_spec.lua - `moonpark lapis` runs a Lapis application. Lapis and its libraries are looked for on the path, and
-- in MOONPARK_LAPIS, which is written as LUA_PATH is.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local process = require "support.process"
local servers = require "support.servers"
local testing = require "moonpark.testing"

local libraries = os.getenv "MOONPARK_LAPIS"
local path = (libraries and libraries .. ";" or "") .. os.getenv "LUA_PATH"

local function has_lapis()
  return process.run({ process.interpreter, "-e", "for name in ('lapis etlua loadkit date pgmoon ansicolors argparse "
    .. "openssl.hmac lfs ltn12'):gmatch '%S+' do assert(package.searchpath(name, package.path) or "
    .. "package.searchpath(name, package.cpath)) end" }, { env = { LUA_PATH = path } }).status == 0
end

local postgres = libraries and servers.postgres()

local function write(name, text)
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
end

local views = {
  list = '<ul><% for i = 1, 2 do %><li><%= "<" .. i %></li><% end %></ul><% render("views.part", { x = 5 }) %>',
  part = "<p><%= x %></p>",
  layout = '<body><% content_for("inner") %></body>',
}

local function copy_of(folder)
  local copy = testing.tempdir()
  local command = ("cp -r %s/%s/. %s && cd %s && mkdir static views"):format(process.root, folder, copy, copy)
  assert(os.execute(command) == 0) -- moonpark: ignore
  for name, text in pairs(views) do write(("%s/views/%s.etlua"):format(copy, name), text) end
  return copy
end

describe("moonpark lapis", function()
  local folder, child, base, client

  local function start(environment)
    environment = environment or "development"
    if not has_lapis() then return pending "Lapis is not installed (MOONPARK_LAPIS says where it is)" end
    folder = copy_of "spec/lapis/app"
    write(folder .. "/static/a.txt", "a static file")
    write(folder .. "/changing.lua", "return 'first'")
    local env = { LUA_PATH = path }
    if postgres then
      env.PG_HOST, env.PG_PORT, env.PG_USER = postgres.host, tostring(postgres.port), postgres.user
      env.PG_PASSWORD, env.PG_DATABASE = postgres.password, postgres.database
    end
    local words = process.moonpark("lapis", "--address", "127.0.0.1:0", environment)
    child = process.start({ "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", folder, unpack(words) }, { env = env })
    base = assert(child:line()):match("^Lapis in " .. environment .. " at (http://127.0.0.1:%d+)/, Ctrl%-C stops it$")
    assert.is_string(base)
    client = http.client()
    return true
  end

  local function get(url, options) return assert(client:get(base .. url, options)) end

  after_each(function()
    if client then client:close() end
    client = nil
    process.stop_all()
  end)
  teardown(servers.stop)

  it("answers with text, JSON and HTML, keeps sessions, takes uploads, serves static files", function()
    if not start() then return end
    assert.equal("welcome", get("/").body)
    assert.same({ name = "bob", query = "1", link = "/hello/x" }, get("/hello/bob?q=1"):json())
    local page = get "/page"
    assert.same({ "text/html", "<h1>a &lt;title&gt;</h1>" }, { page.headers["content-type"], page.body })
    assert.equal("a static file", get("/static/a.txt").body)
    local login = assert(client:post(base .. "/login", { form = { user = "ada" }, redirects = 0 }))
    assert.equal(302, login.status)
    local cookie = login.headers["set-cookie"]:match "^[^;]*"
    assert.equal("user ada", get("/me", { headers = { Cookie = cookie } }).body)
    assert.equal("user nil", get("/me").body)
    write(folder .. "/up.bin", ("x"):rep(10000))
    local r = process.run({ "curl", "-s", "-F", "note=n", "-F", "file=@" .. folder .. "/up.bin;type=a/b",
      base .. "/upload" }, { env = { LD_PRELOAD = false, LD_LIBRARY_PATH = false } })
    assert.equal("up.bin a/b 10000 n", r.out)
    assert.equal(500, get("/broken").status)
  end)

  it("renders views, checks forms and tokens, reads JSON, runs flows and filters", function()
    if not start() then return end
    assert.equal("<body><ul><li>&lt;1</li><li>&lt;2</li></ul><p>5</p></body>", (get("/view").body:gsub("%s", "")))
    local form = get "/form"
    local cookie = form.headers["set-cookie"]:match "^[^;]*"
    local function post(fields)
      return assert(client:post(base .. "/form", { form = fields, redirects = 0, headers = { Cookie = cookie } }))
    end
    local good = post { csrf_token = form.body, name = "ann" }
    assert.same({ 302, base .. "/hello/ann" }, { good.status, good.headers.location })
    assert.matches("name=ann", good.headers["set-cookie"])
    local short = post { csrf_token = form.body, name = "a" }
    assert.same({ 400, "name must be at least 3 chars" }, { short.status, short.body })
    assert.equal("missing csrf token", post({ name = "ann" }).body)
    local echoed = assert(client:post(base .. "/json", { json = { a = { 1, { b = "c" } } } }))
    assert.same({ 201, { a = { 1, { b = "c" } } } }, { echoed.status, echoed:json() })
    assert.equal("flow bob/hello/", (get("/flow/bob").body))
    assert.same({ 403, "blocked" }, { get("/?blocked=1").status, get("/?blocked=1").body })
    local missing = get "/no/such?x=1"
    assert.same({ 404, "nothing at /no/such?x=1" }, { missing.status, missing.body })
  end)

  it("caches pages, counts in shared memory, asks other servers, and serves the icon", function()
    if not start() then return end
    write(folder .. "/static/favicon.ico", "an icon")
    assert.same({ "1", "1" }, { get("/cached").body, get("/cached").body })
    assert.same({ 200, 200, 429 }, { get("/limited").status, get("/limited").status, get("/limited").status })
    assert.same({ "welcome", 200, "text/html", "", 302, "", 502 }, get("/fetch?path=/"):json())
    client:close()
    child:kill "TERM"
    child:wait()
    process.stop_all()
    local words = process.moonpark("lapis", "--address", "127.0.0.1:0")
    child = process.start({ "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", folder, unpack(words) },
      { env = { LUA_PATH = path } })
    base = assert(child:line()):match "at (http://[%d.:]+)"
    client = http.client()
    assert.equal("an icon", get("/favicon.ico").body)
  end)

  it("starts as many workers as the environment wants", function()
    if not start "production" then return end
    assert.equal("2", get("/worker").body:match "^%d+")
    assert.equal("1", get("/limited").body)
    child:kill "TERM"
    assert.equal(0, (child:wait()))
  end)

  it("is the test server of Lapis's spec helpers", function()
    if not has_lapis() then return pending "Lapis is not installed (MOONPARK_LAPIS says where it is)" end
    folder = copy_of "spec/lapis/app"
    local busted = { process.interpreter, "/usr/bin/busted", "--helper=moonpark.lapis.spec", "-o", "TAP", "checks.lua" }
    local r = process.run({ "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", folder, unpack(busted) },
      { env = { LUA_PATH = "./?.lua;" .. path } })
    assert.same({ 0, 3 }, { r.status, select(2, ("\n" .. r.out):gsub("\nok %d", "")) }, r.out .. r.err)
  end)

  it("loads the application anew where code_cache is off, and ends in peace", function()
    if not start() then return end
    assert.equal("first", get("/changed").body)
    write(folder .. "/changing.lua", "return 'second'")
    assert.equal("second", get("/changed").body)
    assert.equal("nil", get("/greeting").body)
    local config = assert(io.open(folder .. "/config.lua", "a"))
    config:write 'config("development", { greeting = "hello" })'
    config:close()
    assert.equal("hello", get("/greeting").body)
    write(folder .. "/config.lua", "this is no Lua")
    assert.equal(500, get("/greeting").status)
    child:kill "TERM"
    local status, _, err = child:wait()
    assert.equal(0, status, err)
  end)

  it("asks its database without holding up others", function()
    if not postgres then return pending "no PostgreSQL, or no Lapis" end
    if not start() then return end
    assert.equal("42", get("/db").body)
    local slow = moonpark.go(get, "/sleep")
    moonpark.sleep(0.05)
    assert.equal("welcome", get("/").body)
    assert.equal("parked", slow:status())
    assert.equal("slept", select(2, slow:join()).body)
  end)

  it("says where Lapis is not installed, or the address is none", function()
    local r = process.run(process.moonpark("lapis"), { env = { LUA_PATH = os.getenv "LUA_PATH" } })
    if r.status ~= 0 then assert.matches("^moonpark: lapis: Lapis cannot be loaded: ", r.err) end
    r = process.run(process.moonpark("lapis", "--address", "8080"))
    assert.matches("lapis: missing port: '8080'", r.err)
    r = process.run(process.moonpark("lapis", "a", "b"))
    assert.matches("lapis: one environment expected", r.err)
  end)
end)
