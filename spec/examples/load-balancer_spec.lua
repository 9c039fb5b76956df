-- SPDX-License-Identifier: MIT
-- load-balancer_spec.lua - examples/load-balancer.lua before two nginx, one of which stops and comes back under load.

local cjson = require "cjson"
local example = require "support.example"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"

-- Without the library that a sanitized build has each process load first: nginx is not ours.
local function plain(...) return { "env", "-u", "LD_PRELOAD", ... } end

local CONF = [[
daemon off; pid F/pid; error_log F/log; events {}
http {
  access_log off; client_body_temp_path F/a; proxy_temp_path F/b; fastcgi_temp_path F/c; uwsgi_temp_path F/d;
  scgi_temp_path F/e;
  server { listen unix:F/socket; location / { return 200 "NAME"; } }
}
]]

-- An nginx in a folder of its own, which answers with a name.
local Nginx = {}
Nginx.__index = Nginx

local function nginx(folder, name)
  local self = setmetatable({ folder = folder .. "/" .. name, target = "unix:" .. folder .. "/" .. name .. "/socket" },
    Nginx)
  assert(moonpark.fs.mkdir(self.folder))
  local file = assert(io.open(self.folder .. "/conf", "w"))
  file:write((CONF:gsub("F/", self.folder .. "/"):gsub("NAME", name)))
  file:close()
  self:start()
  return self
end

function Nginx:start()
  local folder = self.folder
  self.process = process.start(plain("nginx", "-p", folder, "-c", folder .. "/conf", "-e", folder .. "/log"))
  for _ = 1, 1000 do
    local conn = net.dial(self.target)
    if conn then return conn:close() end
    moonpark.sleep(0.01)
  end
  error "nginx does not listen"
end

function Nginx:stop()
  self.process:kill "TERM"
  self.process:wait()
end

local function get(address, path) return assert(http.get("http://" .. address .. path, { timeout = 30 })) end

describe("examples/load-balancer.lua", function()
  after_each(function()
    process.stop_all()
    http.close_idle()
  end)

  local function start(...)
    local words = example.plain("load-balancer.lua", "127.0.0.1:0", "127.0.0.1:0", ...)
    local balancer = example.start("load-balancer.lua", words)
    balancer.admin = assert(balancer.child:line():match "^administration on (.+)$")
    return balancer
  end

  -- Asks from several tasks until stop() says so; notes who has answered, and every other answer.
  local function load(balancer, stop)
    local seen, wrong, tasks = {}, {}, {}
    for i = 1, 6 do
      tasks[i] = moonpark.go(function()
        while not stop(seen) do
          local answer = get(balancer.address, "/")
          if answer.status == 200 then seen[answer.body] = (seen[answer.body] or 0) + 1
          else wrong[#wrong + 1] = answer.status .. " " .. answer.body end
          moonpark.sleep(0.02) -- the example admits 500 in a second
        end
      end)
    end
    return function()
      for _, task in ipairs(tasks) do assert(task:join()) end
      return seen, wrong
    end
  end

  local function state_of(balancer, target)
    for _, one in ipairs(cjson.decode(get(balancer.admin, "/targets").body)) do
      if one.name == target then return one.state end
    end
  end

  it("keeps answering when one nginx stops, and asks it again when it is back", function()
    support.with_folder(function(folder)
      local a, b = nginx(folder, "alpha"), nginx(folder, "beta")
      local balancer = start(a.target, b.target)
      local seen, wrong = load(balancer, function(seen) return (seen.alpha or 0) > 20 and (seen.beta or 0) > 20 end)()
      assert.same({}, wrong)
      assert.is_true(seen.alpha > 0 and seen.beta > 0)
      local over = false
      local finish = load(balancer, function() return over end)
      moonpark.sleep(0.02)
      a:stop()
      repeat moonpark.sleep(0.01) until state_of(balancer, a.target) ~= "up"
      a:start()
      repeat moonpark.sleep(0.01) until state_of(balancer, a.target) == "up"
      over = true
      seen, wrong = finish()
      assert.same({}, wrong)
      assert.is_true(seen.beta > 0)
      a:stop()
      b:stop()
      balancer.child:kill "TERM"
      local _, _, err = balancer.child:wait()
      assert.matches("alpha/socket: ", err)
      os.execute("rm -rf " .. folder .. "/alpha " .. folder .. "/beta") -- moonpark: ignore
    end)
  end)

  it("lets targets be added and taken out", function()
    support.with_folder(function(folder)
      local a, b = nginx(folder, "alpha"), nginx(folder, "beta")
      local balancer = start(a.target)
      local function admin(method, path, body)
        return assert(http.request { method = method, url = "http://" .. balancer.admin .. path, body = body }).status
      end
      assert.equal("alpha", get(balancer.address, "/").body)
      assert.same({ 201, 409, 400 }, { admin("POST", "/targets", b.target), admin("POST", "/targets", b.target),
        admin("POST", "/targets", "http://a b") })
      assert.same({ 404, 200 }, { admin("DELETE", "/targets?name=x"), admin("DELETE", "/targets?name=" .. a.target) })
      for _ = 1, 3 do assert.equal("beta", get(balancer.address, "/").body) end
      a:stop()
      b:stop()
      balancer.child:kill "TERM"
      balancer.child:wait()
      os.execute("rm -rf " .. folder .. "/alpha " .. folder .. "/beta") -- moonpark: ignore
    end)
  end)

  it("explains itself, and says what it misses", function()
    local r = process.run(example.plain("load-balancer.lua", "--help"))
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^usage: load%-balancer%.lua", r.out)
    r = process.run(example.plain("load-balancer.lua", "127.0.0.1:0", "127.0.0.1:0"))
    assert.same({ 2, "" }, { r.status, r.out })
    r = process.run(example.plain("load-balancer.lua", "127.0.0.1:0", "127.0.0.1:0", "http://a b"))
    assert.same({ 2, "load-balancer: invalid URL\n" }, { r.status, r.err })
  end)
end)
