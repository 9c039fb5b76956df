-- SPDX-License-Identifier: MIT
-- databases_spec.lua - the programs of docs/databases.md and the recipe for libpq in docs/netpoll.md, against servers.

local process = require "support.process"
local servers = require "support.servers"
local testing = require "moonpark.testing"

local redis, no_redis = servers.redis()
local postgres, no_postgres = servers.postgres()

local function read(path)
  local file = assert(io.open(process.root .. "/" .. path))
  local text = file:read "*a"
  file:close()
  return text
end

local function run(script)
  local path = testing.tempdir() .. "/script.lua"
  local file = assert(io.open(path, "w"))
  file:write(script)
  file:close()
  return process.run(process.moonpark(path))
end

local function has(module)
  return process.run { process.interpreter, "-e", ("assert(package.searchpath(%q, package.path))"):format(module) }
    .status == 0
end

describe("docs/databases.md:", function()
  teardown(servers.stop)
  after_each(process.stop_all)

  for block in read("docs/databases.md"):gmatch "\n```lua\n(.-)```" do
    local module = block:match "module (%S+)"
    it("the program with " .. module .. " says what the page says", function()
      if not redis then return pending(no_redis) end
      if not has(module) then return pending(module .. " is not installed") end
      local r = run(("local HOST, PORT = %q, %d\n"):format(redis.host, redis.port) .. block)
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
