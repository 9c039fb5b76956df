-- SPDX-License-Identifier: MIT
-- cosocket_spec.lua - cosockets answer as ngx_lua's do, value by value: the tables of behaviours on both.

local openresty = require "support.openresty"
local process = require "support.process"
local tls = require "support.tls"
local testing = require "moonpark.testing"

local function read(path)
  local file = assert(io.open(process.root .. "/" .. path))
  local text = file:read "*a"
  file:close()
  return text
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local FACADE = [[
require("moonpark.compat").install({ "ngx" }, { global = true })
ngx.say = function(...) io.write(...) io.write "\n" end
require("moonpark.ngx").trust(%q)
]]

-- What the script says on the façade, run by the command.
local function run_ours(script)
  local path = testing.tempdir() .. "/script.lua"
  local file = assert(io.open(path, "w"))
  file:write(FACADE:format(process.root .. "/" .. tls.files.ca_crt) .. script)
  file:close()
  local r = process.run(process.moonpark(path))
  assert.same({ 0, "" }, { r.status, r.err })
  return r.out
end

-- The script's lines inside nginx, and on the façade: the same ones, and so many at least.
local function compare(name, least)
  local missing = openresty.missing()
  if missing then return pending(missing) end
  local peer = process.start(process.moonpark(process.root .. "/spec/ngx/peer.lua", "127.0.0.1:0", tls.folder))
  local script = ("local PEER = %s\n"):format(assert(peer:line()):match ":(%d+)$") .. read("spec/ngx/" .. name)
  local trust = ("lua_ssl_trusted_certificate %s/%s;"):format(process.root, tls.files.ca_crt)
  local theirs, ours = lines_of(openresty.run(script, "http://localhost/", trust)), lines_of(run_ours(script))
  for i, line in ipairs(theirs) do assert.equal(line, ours[i]) end
  assert.equal(#theirs, #ours)
  assert.is_true(#theirs >= least)
end

describe("a cosocket", function()
  after_each(process.stop_all)

  it("answers as ngx_lua's own", function() compare("cosocket_behaviours.lua", 130) end)

  it("takes and refuses what ngx_lua's own does", function() compare("cosocket_misuse_behaviours.lua", 420) end)

  it("counts, bounds and queues in pools as ngx_lua's own", function() compare("pool_behaviours.lua", 58) end)

  it("shakes hands, verifies and resumes as ngx_lua's own", function() compare("ssl_behaviours.lua", 110) end)

  it("of datagrams answers as ngx_lua's own", function() compare("udp_behaviours.lua", 74) end)
end)
