-- SPDX-License-Identifier: MIT
-- shared_behaviours.lua - what the manual of ngx_lua says of ngx.shared.DICT, as calls.
-- ngx_spec.lua runs this script inside nginx, with ngx_lua, and on the façade, and compares what it says.

local D = ngx.shared.dict
local keyed = { "get", "get_stale", "set", "safe_set", "add", "safe_add", "replace", "delete", "incr", "lpush", "rpush",
  "ttl", "expire" }
local writing = { "set", "safe_set", "add", "safe_add", "replace" }

local function clear()
  D:flush_all()
  D:flush_expired()
end

local function over(key, value, ...)
  D:set(key, value, 0.001, ...)
  ngx.sleep(0.01)
end

for _, m in ipairs(keyed) do
  for _, key in ipairs { 5, 1.5, ("x"):rep(65535), ("x"):rep(65536), "" } do
    clear()
    try(m .. " key " .. #tostring(key), D[m], D, key, 1)
  end
  clear()
  try(m .. " nil", D[m], D, nil, 1)
  try(m .. " self", D[m], {}, "a", 1)
  for i, make in ipairs { function() D:set("k", "str", 0, 3) end, function() D:set("k", 4, 0, 2) end,
    function() D:set("k", 4) end, function() D:set("k", true) end, function() D:lpush("k", 1) end, function() end } do
    clear()
    make()
    try(m .. " of " .. i, D[m], D, "k", 1)
    say(m .. " leaves " .. i, D:get("k"))
  end
end
for _, m in ipairs { "lpop", "rpop", "llen" } do
  clear()
  say(m .. " none", D[m](D, "k"), D[m](D, ""), D[m](D, nil))
  D:set("k", "x")
  say(m .. " text", D[m](D, "k"))
  D:set("k", 5, 0, 3)
  say(m .. " number", D[m](D, "k"))
end

-- values
for _, v in ipairs { 1.5, 0.1, "x", "", true, false, -0.0, 1e300, "\0ngx\0", {}, ngx.null } do
  for _, m in ipairs(writing) do
    clear()
    say(m .. " value " .. type(v), D[m](D, "v", v), D:get("v"))
    D:set("v", 1)
    say(m .. " again " .. type(v), D[m](D, "v", v, 0, 9))
  end
  clear()
  say("push " .. type(v), D:lpush("l", v), D:rpush("l", v), D:llen("l"), D:lpop("l"), D:get("l"))
end
for _, m in ipairs { "add", "safe_add", "replace" } do try(m .. " no value", D[m], D, "v", nil) end
D:set("v", 1)
say("set nil", D:set("v", nil), D:get("v"))
for _, f in ipairs { -1, 0, 1, 1.5, 2 ^ 31, 2 ^ 32 + 5, -2 ^ 31 } do say("flags", D:set("f", 0.1, 0, f), D:get("f")) end
raises("flags x", D.set, D, "f", 1, 0, "x")

-- times
for _, m in ipairs(writing) do
  D:set("v", 1)
  try(m .. " ttl -1", D[m], D, "v", 1, -1)
  raises(m .. " ttl x", D[m], D, "v", 1, "x")
end
D:set("v", 1)
say("expire", D:expire("v", 10), D:ttl("v") > 9, D:expire("v", 0), D:ttl("v"), D:expire("none", 1))
try("expire nil", D.expire, D, "v")
raises("expire x", D.expire, D, "v", "x")
say("expire -1", D:expire("v", -1), D:get("v"))
clear()
over("t", "v", 7)
say("ttl over", D:ttl("t") < 0, D:get_stale("t"))
say("expire over", D:expire("t", 10), D:get("t"), D:get_stale("t"))
over("t", 1)
say("stale", D:get_stale("t"))
say("add over", D:add("t", 2), D:get_stale("t"))
over("t", 1)
say("replace over", D:replace("t", 2))
over("t", 1)
say("delete over", D:delete("t"), D:get_stale("t"))
D:lpush("l", 1)
D:expire("l", 0.001)
ngx.sleep(0.01)
say("stale list", D:get_stale("l"))
say("push over", D:llen("l"), D:rpush("l", 5), D:llen("l"))

-- incr
for _, init in ipairs { "x", true, {} } do
  D:set("i", 1)
  raises("init " .. type(init), D.incr, D, "none", 1, init)
  raises("by " .. type(init), D.incr, D, "i", init)
  raises("init_ttl " .. type(init), D.incr, D, "i", 1, 0, init)
end
try("init_ttl -1", D.incr, D, "i", 1, 0, -1)
try("init_ttl alone", D.incr, D, "i", 1, nil, 1)
clear()
say("incr text", D:incr("i", "5", "1.5"), D:incr("i", "1"))
D:set("i", 1, 0, 9)
say("incr flags", D:incr("i", 5), D:get("i"))
D:set("i", 1, 0.3)
say("incr keeps its end", D:incr("i", 1, 0, 100))
D:set("j", 1, 0.3, 3)
say("and with flags", D:incr("j", 1))
ngx.sleep(0.4)
say("over", D:get_stale("i"))
say("over", D:get_stale("j"))
say("incr over", D:incr("i", 1))
say("incr over init", D:incr("i", 1, 5, 10), D:ttl("i") > 9)

-- all of them
clear()
for i = 1, 10 do D:set("e" .. i, i, 0.001) end
for i = 1, 5 do D:set("k" .. i, i) end
ngx.sleep(0.01)
say("flush_expired", D:flush_expired(3), D:flush_expired(), D:flush_expired())
local keys = D:get_keys()
table.sort(keys)
say("keys", keys, #D:get_keys(2), #D:get_keys(0), #D:get_keys(-1), #D:get_keys("2"))
raises("keys x", D.get_keys, D, "x")
raises("keys self", D.get_keys, {})
raises("flush x", D.flush_expired, D, "x")
D:flush_all()
say("flush_all", D:get("k3"))
say("keys", #D:get_keys())
for _, m in ipairs { "flush_all", "flush_expired", "get_keys", "capacity", "free_space" } do raises(m, D[m], {}) end

-- room
clear()
local big = ("x"):rep(2 ^ 20)
for _, m in ipairs { "set", "add", "safe_set", "safe_add" } do say(m .. " big", D[m](D, "big", big)) end
say("push big", D:rpush("big", big), D:lpush("big", big))
local n, ok, err, forced = 0
repeat
  ok, err, forced = D:safe_set("f" .. n, ("y"):rep(10000))
  n = n + 1
until not ok
say("full", ok, err, forced, n > 50, #D:get("f0"))
say("safe_add", D:safe_add("g", ("y"):rep(10000)))
say("safe_set", D:safe_set("f0", ("z"):rep(10000)))
say("push", D:rpush("list", ("y"):rep(10000)))
say("set", D:set("g", ("y"):rep(10000)))
say("gone", D:get("f1") == nil, D:get("f0") == ("z"):rep(10000))
say("add", D:add("h", ("y"):rep(10000)))
say("room", D:capacity(), D:free_space() < 100000)
clear()
say("room", D:free_space() > 900000)
