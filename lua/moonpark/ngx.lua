-- SPDX-License-Identifier: MIT
-- ngx.lua - a façade of OpenResty's ngx: libraries written for ngx_lua run on moonpark's tasks and connections.

local check_options = require("moonpark.options").check
local constants = require "moonpark.ngx.constants"
local context = require "moonpark.ngx.context"
local core = require "moonpark.core"
local crypto = require "moonpark.ngx.crypto"
local escape = require "moonpark.ngx.escape"
local in_task = require "moonpark.in_task"
local log = require "moonpark.ngx.log"
local modules = require "moonpark.ngx.modules"
local pcre = require "moonpark.ngx.pcre"
local re = require "moonpark.ngx.re"
local request = require "moonpark.ngx.request"
local response = require "moonpark.ngx.response"
local sandbox = require "moonpark.ngx.sandbox"
local shared = require "moonpark.ngx.shared"
local ssl = require "moonpark.ngx.ssl"
local spelling = require "moonpark.spelling"
local tcp = require "moonpark.ngx.tcp"
local thread = require "moonpark.ngx.thread"
local time = require "moonpark.ngx.time"
local timer = require "moonpark.ngx.timer"
local udp = require "moonpark.ngx.udp"
local variables = require "moonpark.ngx.variables"
local words = require "moonpark.ngx.words"
local worker = require "moonpark.worker"
require "moonpark.ngx.receive"
require "moonpark.ngx.send"

local ngx = {}

for _, part in ipairs { constants, log.levels, escape, time } do
  for name, value in pairs(part) do ngx[name] = value end
end
ngx.methods = nil

---------------------------------------------------------------------------------------------------
-- connections, tasks, time

local function connect(...)
  local socket = tcp.new()
  local ok, err = socket:connect(...)
  if not ok then return nil, err end
  return socket
end

ngx.socket = { tcp = tcp.new, stream = tcp.new, udp = udp.new, connect = connect }
ngx.thread = { spawn = thread.spawn, wait = thread.wait, kill = thread.kill }
ngx.timer = { at = timer.at, every = timer.every, running_count = timer.running_count,
  pending_count = timer.pending_count }

--- Seconds; 0: lets others run.
function ngx.sleep(seconds)
  local n = tonumber(seconds)
  if not n then words.misuse(("bad argument #1 to 'sleep' (number expected, got %s)"):format(type(seconds))) end
  if n < 0 then words.misuse(('bad argument #1 to \'sleep\' (invalid sleep duration "%d")'):format(n * 1000)) end
  if not in_task.call(core.sleep, n) then thread.leave_if_killed() end
end

---------------------------------------------------------------------------------------------------
-- values

ngx.null = require "moonpark.cjson" "cjson".null
ngx.log = log.log
ngx.md5, ngx.md5_bin, ngx.sha1_bin, ngx.hmac_sha1 = crypto.md5, crypto.md5_bin, crypto.sha1_bin, crypto.hmac_sha1
ngx.crc32_short, ngx.crc32_long = crypto.crc32, crypto.crc32
ngx.encode_base64, ngx.decode_base64 = crypto.encode_base64, crypto.decode_base64
ngx.re = { match = re.match, find = re.find, gmatch = re.gmatch, sub = re.sub, gsub = re.gsub }
ngx.shared = shared.shared

ngx.config = {
  debug = false, subsystem = "http", nginx_version = 1022001, ngx_lua_version = 10023,
  prefix = function() return "./" end,
  nginx_configure = function() return "moonpark " .. core.version end,
}

ngx.worker = {
  id = function() return (worker.number() or 1) - 1 end,
  pid = core.pid,
  count = worker.count,
  exiting = worker.is_draining,
  pids = function() return { core.pid() } end,
}

function ngx.get_phase()
  local current = context.current()
  return current and current.phase or "timer"
end

---------------------------------------------------------------------------------------------------
-- what belongs to the request, or to the task

-- [name] = what reads it from the present request; request.lua adds the rest.
local readers, writers = {}, {}

function readers.ctx()
  local current = context.current() or context.open "timer"
  current.ctx = current.ctx or {}
  return current.ctx
end

function writers.ctx(value)
  if type(value) ~= "table" then words.misuse("ctx should be a table while getting a " .. type(value)) end
  local current = context.current() or context.open "timer"
  current.ctx = value
end

for _, part in ipairs { response.readers, response.writers } do
  local into = part == response.readers and readers or writers
  for name, fn in pairs(part) do into[name] = fn end
end

ngx.req, ngx.var, ngx.header = request.req, variables.var, response.header
ngx.resp = { get_headers = response.get_headers }
for _, name in ipairs { "say", "print", "flush", "send_headers", "eof", "exit", "redirect", "on_abort" } do
  ngx[name] = response[name]
end

-- What needs nginx's machinery, and why.
local machinery = { exec = "there are no internal redirects", location = "there are no subrequests",
  balancer = "use http.proxy", run_worker_thread = "start a worker, or a process",
  arg = "there are no body filters" }

setmetatable(ngx, {
  __index = function(_, name)
    local read = readers[name]
    if read then return read() end
    if machinery[name] then words.misuse(("ngx.%s is not there on moonpark: %s"):format(name, machinery[name])) end
    if type(name) ~= "string" or name:find "^_" then return nil end
    local known = {}
    for each in pairs(ngx) do known[#known + 1] = each end
    local meant = spelling.nearest(name, known)
    if meant then words.misuse(("ngx.%s is not there (did you mean ngx.%s?)"):format(name, meant)) end
    return nil
  end,
  __newindex = function(self, name, value)
    local write = writers[name]
    if write then return write(value) end
    rawset(self, name, value)
  end,
})

-- [table of ngx][name] = true: a function that only raises
local raising = { req = { socket = true, set_body_file = true, get_original_addr = true, set_uri_jump = true } }

-- For `moonpark check`: why ngx.name, or ngx.name.sub, is not there; nil: it is.
local function missing(name, sub)
  if machinery[name] then return ("ngx.%s is not there on moonpark: %s"):format(name, machinery[name]) end
  local value = rawget(ngx, name)
  if value == nil and not readers[name] then
    local known = {}
    for each in pairs(ngx) do known[#known + 1] = each end
    local meant = spelling.nearest(name, known)
    return ("ngx.%s is not there%s"):format(name, meant and (" (did you mean ngx.%s?)"):format(meant) or " on moonpark")
  end
  if not sub or type(value) ~= "table" then return nil end
  if value[sub] ~= nil and not (raising[name] and raising[name][sub]) then return nil end
  return ("ngx.%s.%s is not there on moonpark"):format(name, sub)
end

---@class moonpark.ngx.configure.options
---@field regex_match_limit? integer steps of a match; 0: PCRE2's ten million
---@field regex_cache_max_entries? integer compiled patterns that are kept; 1024
---@field max_pending_timers? integer timers that wait; 1024
---@field max_running_timers? integer timers that run at once; 256

local configure_options = { regex_match_limit = "count", regex_cache_max_entries = "count",
  max_pending_timers = "count", max_running_timers = "count" }

-- What nginx's configuration sets: lua_regex_match_limit and lua_regex_cache_max_entries, lua_max_pending_timers and
-- lua_max_running_timers.
---@param options moonpark.ngx.configure.options
local function configure(options)
  options = check_options("configure", options, configure_options, 1, 2)
  if options.regex_match_limit then pcre.set_match_limit(options.regex_match_limit) end
  if options.regex_cache_max_entries then pcre.set_most_kept(options.regex_cache_max_entries) end
  timer.most_pending = options.max_pending_timers or timer.most_pending
  timer.most_running = options.max_running_timers or timer.most_running
end

---@class moonpark.ngx: moonpark.compat.facade
---@field configure fun(options: moonpark.ngx.configure.options) what nginx's configuration sets
---@field declare fun(name: string, size: integer|string) gives ngx.shared.NAME another size, before it is used
---@field trust fun(ca: string): true|nil, string? whose certificates count: PEM, or the name of a file
---@field package ngx table
---@field package missing fun(name: string, sub?: string): string|nil
---@field package preload table<string, fun(name: string): any>
---@field package start fun(options: moonpark.compat.install.options)
local M = {
  ngx = ngx, declare = shared.declare, configure = configure, trust = ssl.trust, missing = missing,
  preload = modules.preload,
}

M.preload.ngx = function() return ngx end

--- With `global`, ngx is a global; else modules of lua-resty see it.
---@package
---@param options moonpark.compat.install.options
function M.start(options)
  thread.install()
  if options.global then rawset(_G, "ngx", ngx) else sandbox.install(ngx) end
end

return M
