-- SPDX-License-Identifier: MIT
-- editor_spec.lua - what the Lua language server says with our annotations: nothing about programs that are right, and
-- each mistake of those that are wrong. It is no package of Debian's, so these tests wait where it is not installed.

local cjson = require "cjson"

local function shell(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1; echo \"status $?\""))
  local text = pipe:read "*a"
  pipe:close()
  local output, status = text:match "^(.*)status (%d+)\n$"
  return tonumber(status), output
end

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function read(path)
  local file = io.open(path)
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

local _, here = shell "pwd"
local folder = package.cpath:match "(build/[%w/]+)/%?%.so"
local library = here:gsub("\n", "") .. "/" .. folder .. "/luals/library"
local is_here = shell "command -v lua-language-server >/dev/null" == 0

local settings = cjson.encode {
  ["runtime.version"] = "LuaJIT", ["workspace.library"] = { library }, ["workspace.checkThirdParty"] = false,
}

-- Runs it on files, name = text. -> { "name:line code", ... }, sorted
local function diagnose(files)
  local _, made = shell "mktemp -d"
  local place = made:gsub("\n$", "")
  write(place .. "/.luarc.json", settings)
  for name, text in pairs(files) do write(place .. "/" .. name, text) end
  local out = place .. ".json"
  local command = "lua-language-server --check=%s --checklevel=Warning --check_format=json --check_out_path=%s"
  local _, output = shell(command:format(quote(place), quote(out)) .. " --logpath=" .. quote(place .. ".log"))
  local text = read(out)
  shell(("rm -rf %s %s %s"):format(quote(place), quote(out), quote(place .. ".log")))
  if not text then assert(output:find "no problems found", output) end
  local list = {}
  for uri, found in pairs(text and text:find "^%s*{" and cjson.decode(text) or {}) do
    for _, one in ipairs(found) do
      list[#list + 1] = ("%s:%d %s"):format(uri:match "[^/]*$", one.range.start.line + 1, one.code)
    end
  end
  table.sort(list)
  return list
end

local right = [[
local moonpark = require "moonpark"
local http, net = require "moonpark.http", require "moonpark.net"
local fs, process, shared, log = moonpark.fs, moonpark.process, moonpark.shared, moonpark.log

local app = http.router()
app:use(http.logger()):use(http.cors { origins = "*" })
app:use(function(req, res, next)
  res:set("X-Path", req.path)
  return next()
end)
app:get("/hello/:name", function(req, res)
  res.status = 201
  res:json { hello = req.params.name:upper(), host = req.host, type = req.headers["content-type"] }
end):post("/", function(req, res)
  local body, err = req:body(100)
  if not body then return res:refuse(err) end
  return res:send(body)
end)
app:get("/ws", function(_, res)
  local ws = res:websocket { max_message = 100 }
  if not ws then return end
  for message, kind in ws:messages() do
    if kind == "text" then ws:send(message:upper()) end
  end
end)
app:get("/idle", function(_, res) res:websocket({}, function(ws) ws:send "hello" end) end)
app:get("/events", function(_, res)
  local events = res:events { heartbeat = 15 }
  if events then events:send { event = "tick", data = "1" } end
end)
app:get("/*path", http.static("public", { listing = true }))
app:any("/api/*rest", http.proxy "http://127.0.0.1:9000")
app:get("/mounted", http.router())
http.serve(http.proxy "http://127.0.0.1:9000", { address = "127.0.0.1:8080" })
http.serve(app, { address = "127.0.0.1:8080", tls = { cert = "a.pem", key = "b.pem" }, max_body = 10 })

local answer = assert(http.get("http://a.example/", { timeout = 5, headers = { A = "b" } }))
print(answer.status, answer.headers["content-type"], answer.body)
local client = http.client { base_url = "http://a.example", max_connections = 3, timeout = 2 }
print(assert(client:post("/y", { body = "z" })).status)

moonpark.run(function()
  local conn = assert(net.dial("127.0.0.1:7000", { timeout = 1, tls = true }))
  conn:write("x", 1)
  for line in conn:lines() do print(line:upper()) end
  local udp = assert(net.dial "udp:127.0.0.1:53")
  udp:send "x"
  print((udp:recv()))
  net.relay(conn, conn)
  local a, b = net.pipe()
  if a then net.copy(a, b) end
  assert(net.from_fd(3, "listener")):accept()
  local listener = assert(net.listen ":0")
  for each in listener:accepts() do each:close() end
  listener:serve(function(other)
    local line = other:read_line()
    if line then other:write(line:rep(2)) end
  end)
  local task = moonpark.go(function(x) return x end, 5)
  print(task:join(1), task:id() + 1)
  local ch = moonpark.chan(3)
  for v in ch:iter() do print(v, #ch) end
  moonpark.scope(function(scope) scope:go(moonpark.sleep, 1) end)
  print(moonpark.select { { ch }, { ch, 5 }, timeout = 1 })
  for name in moonpark.signals("HUP", "TERM") do print(name:lower()) end
  print(assert(process.run({ "ls" }, { cwd = "/", timeout = 5 })).stdout)
  for event in assert(fs.watch "/tmp") do print(event.name) end
  for _, name in ipairs(assert(fs.list "/")) do print(name:upper()) end
  for _, entry in ipairs(assert(fs.list("/", { types = true }))) do print(entry.name, entry.type) end
  for _, entry in ipairs(assert(fs.list("/", { sizes = true }))) do print(entry.name, entry.size) end
  print((assert(shared.dict("x", { size = "1m" })):incr("a", 1, 0) or 0) + 1)
  log.named "http".info("x", { a = 1 })
end)
]]

-- What is behind "-->" is what must be said about that line.
local wrong = [[
local moonpark = require "moonpark"
local http, net = require "moonpark.http", require "moonpark.net"
local app = http.router()
app:gett("/", function() end) --> undefined-field
app:get("/", function(req, res)
  res:jsn {} --> undefined-field
  print(req.pathh) --> undefined-field
  res.status = "404" --> assign-type-mismatch
end)
app:get("/", 5) --> param-type-mismatch
app:shared() --> undefined-field
http.serve(5, { address = "127.0.0.1:1" }) --> param-type-mismatch
http.get("http://x", { timeout = "5" }) --> assign-type-mismatch
net.dial(80) --> param-type-mismatch
local listener = assert(net.listen(":0", { backlog = "x" })) --> assign-type-mismatch
listener:read() --> undefined-field
listener:unread() --> undefined-field
assert(net.dial "a:1"):accept() --> undefined-field
moonpark.slep(1) --> undefined-field
moonpark.sleep "1" --> param-type-mismatch
local other = net.listen ":1"
other:accept() --> need-check-nil
]]

describe("the Lua language server", function()
  local function it_says(name, fn)
    if is_here then return it(name, fn) end
    return pending(name .. " (lua-language-server is not installed)")
  end

  it("is asked about programs that compile", function()
    assert.is_function(loadstring(right))
    assert.is_function(loadstring(wrong))
  end)

  it_says("says nothing about a program that is right", function()
    assert.same({}, diagnose { ["right.lua"] = right })
  end)

  it_says("finds each mistake of one that is wrong", function()
    local expected, line = {}, 0
    for text in wrong:gmatch "([^\n]*)\n" do
      line = line + 1
      local code = text:match "%-%-> (%S+)$"
      if code then expected[#expected + 1] = ("wrong.lua:%d %s"):format(line, code) end
    end
    table.sort(expected)
    assert.same(expected, diagnose { ["wrong.lua"] = wrong })
  end)

  it_says("says nothing about the examples", function()
    local files, pipe = {}, assert(io.popen "ls examples/*.lua")
    for path in pipe:lines() do files[path:match "[^/]*$"] = read(path) end
    pipe:close()
    assert.same({}, diagnose(files))
  end)

  it_says("says nothing about the programs that `moonpark init` writes", function()
    local _, made = shell "mktemp -d"
    local place = made:gsub("\n$", "")
    local files = {}
    for _, kind in ipairs { "", "--http", "--tcp" } do
      local name = "hello" .. kind:gsub("%-", "_")
      local command = "cd %s && %s/lua/bin/moonpark init %s %s"
      if shell(command:format(quote(place), quote(here:gsub("\n", "")), kind, name)) == 0 then
        files[name .. ".lua"] = read(place .. "/" .. name .. "/server.lua")
      end
    end
    shell("rm -rf " .. quote(place))
    assert.is_string(files["hello.lua"])
    assert.same({}, diagnose(files))
  end)
end)
