-- SPDX-License-Identifier: MIT
-- shared_worker.lua - one of several processes on one dict: luajit shared_worker.lua ID SEED CALLS SIZE. Its standard
-- input is the memory.
--
-- Keys that begin with its ID are its own: a table says what they hold. When entries are evicted they may be gone, but
-- never hold anything else. Every 200 calls it says how far it is.

local core = require "moonpark.core"
local ffi = require "ffi"
local segments = require "moonpark.shared.segments"
local shared = require "moonpark.shared"

ffi.cdef "int worker_dup(int fd) __asm__(\"dup\");"

local id, seed, calls, size = arg[1], tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4])
segments.set_source(function() return ffi.C.worker_dup(0) end)
math.randomseed(seed)
local random = math.random

local dict = assert(shared.dict("many", { size = size }))
local evicts = size < 2 ^ 20
local model = {}

local function key_of(n) return id .. ":" .. n end
local function value_of(n) return ("%s=%d;"):format(id, n):rep(random(120)) end

local function fail(key, got, want)
  error(("%s: %s, but %s was kept"):format(key, tostring(got), tostring(want)), 0)
end

local function compare(key, got)
  local want = model[key]
  if got ~= want and not (evicts and got == nil) then fail(key, got, want) end
  model[key] = got
end

-- What one that was killed has left: whole values of these keys.
for n = 1, 50 do
  local key = key_of(n)
  local left = dict:get(key)
  if type(left) == "string" and left:gsub(("%s=%d;"):format(id, n), "") ~= "" then fail(key, left, "a value") end
  model[key] = left
end

local acts = {
  function(key) compare(key, dict:get(key)) end,
  function(key, n)
    model[key] = value_of(n)
    assert(dict:set(key, model[key]))
  end,
  function(key, n)
    compare(key, dict:get(key))
    local new = value_of(n)
    if dict:compare_and_set(key, model[key], new) then
      model[key] = new
    elseif not evicts then
      fail(key, dict:get(key), model[key])
    else
      model[key] = nil
      dict:delete(key)
    end
  end,
  function(key)
    local was = dict:delete(key)
    if was ~= (model[key] ~= nil) and not evicts then fail(key, was, model[key]) end
    model[key] = nil
  end,
  function() -- one after the other: one that is killed has at most one of the two
    dict:incr(id, 1, 0)
    dict:incr("all", 1, 0)
  end,
  function(_, n)
    local got = dict:get(("w%d:%d"):format(random(8), n)) -- another one's
    if type(got) == "string" and not got:find("^w%d=" .. n .. ";") then fail("another's", got, "a value") end
  end,
}

for i = 1, calls do
  local n = random(50)
  acts[random(#acts)](key_of(n), n)
  if i % 200 == 0 then
    io.write(i, "\n")
    io.flush()
  end
end
for n = 1, 50 do compare(key_of(n), dict:get(key_of(n))) end
core.check()
