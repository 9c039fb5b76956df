-- SPDX-License-Identifier: MIT
-- The machine the benchmark runs on: what is installed there, which cores it takes, and the programs it builds.

local process = require "process"

local BUILD = "build/bench/"

local M = {
  luajit = arg[-1] or "luajit", -- the interpreter of every Lua contender
  bun = os.getenv "BUN" or "bun",
  versions = {},                -- of what was found, by name
  missing = {},                 -- why something was not, by name
  cores = 1,
  server_core = nil,            -- nil where nothing can be pinned
  load_core = nil,
  descriptors = 0,              -- how many a process may have
}

-- Runs a shell command; returns whether it worked, and its output.
local function shell(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1; echo status=$?"))
  local output = pipe:read("*a")
  pipe:close()
  local text, status = output:match("^(.-)%s*status=(%d+)%s*$")
  return status == "0", text
end

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function installed(program)
  return (shell("command -v " .. quoted(program) .. " >/dev/null"))
end

local function first_line(command, pattern)
  local ok, output = shell(command)
  return ok and (output:match(pattern) or output:match("^[^\n]*")) or ""
end

-- The version of a module of this interpreter, or nil where there is none. One that is there but does not load has an
-- empty version: its contender will fail, and show why.
local function lua_module(name, version)
  local ok, output = shell(("%s -e 'local it = require %q; print(%s)'"):format(M.luajit, name, version))
  if ok then return output end
  return not output:find("module '" .. name .. "' not found", 1, true) and "" or nil
end

local function exists(path)
  local file = io.open(path)
  return file and file:close()
end

local function look_for_modules()
  local moonpark = lua_module("moonpark", "it._VERSION or it.version or [[]]")
  M.versions.moonpark = moonpark
  if not moonpark then M.missing.moonpark = "not built, or not on LUA_PATH" end
  local libuv = lua_module("luv", "it.version_string()")
  M.versions.luv = libuv and "libuv " .. libuv
  if not libuv then M.missing.luv = "luv is not installed" end
  local lua_http = lua_module("http.server", "require('http.version').version")
  M.versions["lua-http"] = lua_http
  for package, file in pairs { ["lua-socket"] = "/usr/share/lua/5.1/socket.lua",
    ["redis-lua"] = "/usr/share/lua/5.1/redis.lua" } do
    M.versions[package] = ""
    if not exists(file) then M.missing[package] = package .. " is not installed" end
  end
  if not lua_http then M.missing["lua-http"] = "lua-http is not installed" end
end

local function look_for_programs()
  local commands = {
    cc = { "cc --version", "^[^\n]*" },
    go = { "go version", "go(%d[%w.]*)" },
    ["redis-server"] = { "redis-server --version", "v=([%d.]+)" },
    haproxy = { "haproxy -v", "version ([%d.]+)" },
    nginx = { "nginx -v", "nginx/([%d.]+)" },
    node = { "node --version", "v([%d.]+)" },
    openssl = { "openssl version", "OpenSSL ([%w.]+)" },
    wrk = { "wrk -v", "wrk ([%w.]+)" },
    ["redis-benchmark"] = { "redis-benchmark --version", "([%d.]+)" },
  }
  for program, how in pairs(commands) do
    if installed(program) then
      M.versions[program] = first_line(how[1], how[2])
    else
      M.missing[program] = program .. " is not installed"
    end
  end
end

local function look_for_bun()
  if installed(M.bun) then
    M.versions.bun = first_line(quoted(M.bun) .. " --version", "[%d.]+")
  else
    M.missing.bun = M.bun .. " is not installed"
  end
end

local function look_for_nginx_lua()
  local module = first_line("dpkg-query -W -f='${Version}' libnginx-mod-http-lua", "([%d.]+)%-")
  M.versions["nginx-lua"] = M.versions.nginx and M.versions.nginx .. (module ~= "" and ", Lua module " .. module or "")
  if not exists "/usr/lib/nginx/modules/ngx_http_lua_module.so" then
    M.missing["nginx-lua"] = "libnginx-mod-http-lua is not installed"
  end
end

local function look_for_node_ws()
  local version = first_line("dpkg-query -W -f='${Version}' node-ws", "([%d.]+)[+-]")
  M.versions["node-ws"] = M.versions.node and M.versions.node .. ", ws " .. version
  if M.missing.node then M.missing["node-ws"] = M.missing.node
  elseif not exists "/usr/share/nodejs/ws/package.json" then M.missing["node-ws"] = "node-ws is not installed" end
end

---Fills the fields above.
function M.look_around()
  look_for_programs()
  look_for_modules()
  look_for_nginx_lua()
  look_for_bun()
  look_for_node_ws()
  if not exists "examples/kv.lua" then M.missing["examples/kv.lua"] = "examples/kv.lua is not there" end
  M.descriptors = process.raise_descriptor_limit()
  M.cores = tonumber(first_line("nproc", "%d+")) or 1
  if M.cores > 1 and installed "taskset" then M.server_core, M.load_core = 1, 0 end
end

-- Building: a contender that cannot be built is missing, and says so.

local programs = { "load_echo", "limit_echo", "load_udp", "limit_udp", "load_relay", "load_fetch", "sink",
  "dns_server", "limit_http", "load_idle", "load_ws", "limit_broadcast", "load_tls" }
local libraries = { load_tls = " -lssl -lcrypto" }

local function compile_c()
  for _, name in ipairs(programs) do
    local ok, output = shell(("cc -std=gnu11 -O2 -o %s%s spec/bench/%s.c%s"):format(BUILD, name, name,
      libraries[name] or ""))
    if not ok then error("cannot compile " .. name .. ".c:\n" .. output, 0) end
  end
end

-- Nothing of Go's is kept outside the build folder, and nothing is fetched.
local function compile_go()
  if M.missing.go then return end
  local _, here = shell "pwd"
  local home = here .. "/" .. BUILD
  local settings = ("HOME='%s' GOCACHE='%sgo-cache' GOPATH='%sgo' GO111MODULE=off GOFLAGS=-mod=mod GOPROXY=off "
    .. "GOTOOLCHAIN=local CGO_ENABLED=0"):format(home, home, home)
  for _, name in ipairs { "echo", "http", "micro" } do
    local ok, output = shell(("env %s go build -o %s%s_go spec/bench/%s.go"):format(settings, BUILD, name, name))
    if not ok then M.missing.go = "go build failed: " .. output:gsub("%s+", " ") end
  end
end

---Compiles the C and the Go. Raises where the load cannot be had.
function M.build()
  assert(shell("mkdir -p " .. BUILD))
  if M.missing.cc then error("a C compiler is needed for the load", 0) end
  compile_c()
  compile_go()
end

---One line about the machine.
---@return string
function M.describe()
  local model = first_line("grep -m1 'model name' /proc/cpuinfo", ":%s*([^\n]*)")
  local placed = M.server_core and "servers on core " .. M.server_core .. ", load on core " .. M.load_core
    or "nothing pinned: one core, or no taskset"
  return ("%s, %d cores, %s; %s"):format(model, M.cores, first_line("uname -sr", "[^\n]*"), placed)
end

---@return number load average of the last minute
function M.load()
  return tonumber(first_line("cat /proc/loadavg", "^[%d.]+")) or 0
end

return M
