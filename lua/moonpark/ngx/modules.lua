-- SPDX-License-Identifier: MIT
-- modules.lua - the Lua modules that come with OpenResty and ask nginx for symbols of C: ours are in their place.
-- Debian's lua-resty-core lies on LuaJIT's path and must not be taken.

local crypto = require "moonpark.ngx.crypto"
local digest = require "moonpark.ngx.digest"
local log = require "moonpark.ngx.log"
local re = require "moonpark.ngx.re"
local request = require "moonpark.ngx.request"
local response = require "moonpark.ngx.response"
local resty_core = require "moonpark.ngx.resty_core"
local semaphore = require "moonpark.ngx.semaphore"
local worker = require "moonpark.worker"

local M = {}

local function constant(value) return function() return value end end

local resty_string = {
  to_hex = crypto.to_hex,
  atoi = function(text) return text:find "^%d+$" and tonumber(text) or -1 end,
}

local process = {
  type = function() return worker.number() and "worker" or "single" end,
  get_master_pid = function() return require("moonpark.core").pid() end,
  enable_privileged_agent = function() return nil, "there is no privileged agent on moonpark" end,
}

local errlog = {
  get_sys_filter_level = log.get_sys_filter_level,
  set_filter_level = log.set_filter_level,
  raw_log = log.log,
}

-- What needs nginx's machinery: each function raises by its name.
local function absent(title)
  return setmetatable({}, { __index = function(_, name)
    return function()
      require("moonpark.ngx.words").misuse(("%s.%s is not there on moonpark: it needs nginx"):format(title, name))
    end
  end })
end

---@type table<string, fun(name: string): any>
M.preload = {
  ["ngx.re"] = constant(re.module),
  ["ngx.resp"] = constant { version = resty_core.version, add_header = response.add_header },
  ["ngx.req"] = constant { version = resty_core.version, add_header = request.req.add_header },
  ["ngx.base64"] = constant { encode_base64url = crypto.encode_base64url, decode_base64url = crypto.decode_base64url },
  ["ngx.semaphore"] = constant(semaphore),
  ["ngx.process"] = constant(process),
  ["ngx.errlog"] = constant(errlog),
  ["resty.string"] = constant(resty_string),
  ["nginx.string"] = constant(resty_string),
  ["resty.openssl.ssl"] = function() return require("moonpark.ngx.openssl").ssl end,
  ["resty.upload"] = function() return require "moonpark.ngx.upload" end,
  ["resty.core"] = constant { version = resty_core.version },
}

-- Where lua-resty-string is installed, its own are taken: they call libcrypto, which is there.
for name, make in pairs(digest.preload) do
  if not package.searchpath(name, package.path) then M.preload[name] = make end
end

for _, name in ipairs { "base", "base64", "coroutine", "ctx", "exit", "hash", "misc", "ndk", "param", "phase", "regex",
  "request", "response", "shdict", "socket", "socket_tcp", "time", "uri", "utils", "var", "worker" } do
  M.preload["resty.core." .. name] = constant(resty_core[name] or { version = resty_core.version })
end

for _, name in ipairs { "balancer", "ssl", "ocsp", "pipe", "ssl.clienthello", "ssl.session" } do
  M.preload["ngx." .. name] = constant(absent("ngx." .. name))
end

return M
