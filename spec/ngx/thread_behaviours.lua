-- SPDX-License-Identifier: MIT
-- thread_behaviours.lua - what the manual of ngx_lua says of light threads, semaphores and timers, as calls.
-- ngx_spec.lua runs this script inside nginx, with ngx_lua, and on the façade, and compares what it says.

local T = ngx.thread
try("spawn nil", T.spawn)
try("spawn 5", T.spawn, 5)
try("spawn C", T.spawn, print)
try("wait none", T.wait)
try("wait nil", T.wait, nil)
try("wait 5", T.wait, 5)
try("kill nil", T.kill)
try("kill 5", T.kill, 5)
try("wait co", T.wait, coroutine.create(function() end))
try("kill co", T.kill, coroutine.create(function() end))
local t = T.spawn(function(a, b) return a, b, nil end, 1, nil)
say("status zombie", coroutine.status(t))
say("wait", T.wait(t))
say("status dead", coroutine.status(t))
say("again", pcall(T.wait, t))
say("kill", T.kill(t))
t = T.spawn(function() ngx.sleep(0.01) return 7 end)
say("status susp", coroutine.status(t))
say("w", T.wait(t))
say("status", coroutine.status(t))
t = T.spawn(function() error("oops", 0) end)
say("err", T.wait(t))
t = T.spawn(function() error({ code = 5 }) end)
say("errtab", T.wait(t))
t = T.spawn(function() error() end)
say("errnil", T.wait(t))
t = T.spawn(function() return nil, "x" end)
say("nil x", T.wait(t))
t = T.spawn(function() ngx.sleep(10) end)
say("kill", T.kill(t))
say("status killed", coroutine.status(t))
say("wait killed", pcall(T.wait, t))
say("kill again", T.kill(t))
t = T.spawn(function() end)
say("kill zombie", T.kill(t))
say("wait it", T.wait(t))
t = T.spawn(function() return 1 end)
say("w", T.wait(t))
say("kill waited", T.kill(t))
local own, r, e
own = T.spawn(function() ngx.sleep(0.001) r, e = T.kill(own) end)
T.wait(own)
say("kill self", r, e)
local go = false
local function wait_to_go() while not go do ngx.sleep(0.001) end end
local a, b = T.spawn(function() wait_to_go() return "a" end), T.spawn(function() ngx.sleep(0.01) return "b" end)
say("any", T.wait(a, b))
go = true
say("rest", T.wait(a))
a, b = T.spawn(function() ngx.sleep(0.02) return "a" end), T.spawn(function() return "b" end)
say("any z", T.wait(a, b))
say("any again", pcall(T.wait, b, a))
say("both waited", pcall(T.wait, a, b))
go = false
a, b = T.spawn(function() wait_to_go() error("ea", 0) end), T.spawn(function() ngx.sleep(0.01) error("eb", 0) end)
say("any err", T.wait(a, b))
go = true
say("other err", T.wait(a))
a, b = T.spawn(function() return "a" end), T.spawn(function() return "b" end)
say("two zombies", T.wait(b, a))
say("..", T.wait(a))
a = T.spawn(function() ngx.sleep(0.01) return 1 end)
say("dup", pcall(T.wait, a, a))
-- waiting by another
a = T.spawn(function() ngx.sleep(0.01) return 1 end) b = T.spawn(function() return pcall(T.wait, a) end)
say("sibling", T.wait(b)) pcall(T.wait, a)
a = T.spawn(function() ngx.sleep(1) end) b = T.spawn(function() return pcall(T.kill, a) end)
say("sibling kill", T.wait(b)) T.kill(a)
-- nested
a = T.spawn(function() local x = T.spawn(function() ngx.sleep(0.001) return "in" end) return T.wait(x) end)
say("nested", T.wait(a))
-- coroutine api in thread
local co = coroutine.create(function(x)
  ngx.sleep(0.001)
  local y = coroutine.yield(x + 1)
  ngx.sleep(0.001)
  return y * 2
end)
say("co", coroutine.resume(co, 1))
say("co", coroutine.status(co))
say("co", coroutine.resume(co, 5))
say("co", coroutine.status(co))
say("co", coroutine.resume(co))
local w = coroutine.wrap(function() for i = 1, 2 do ngx.sleep(0.001) coroutine.yield(i) end end)
say("wrap", w(), w())
-- order
local order = {}
t = T.spawn(function() order[#order+1] = "child" ngx.sleep(0) order[#order+1] = "child2" end)
order[#order+1] = "parent" T.wait(t)
say("order", order)
-- semaphore
local S = require "ngx.semaphore"
for _, n in ipairs{ 0, 5, -1, "x", "3", 1.5, true } do
try("new "..tostring(n), function() return S.new(n):count() end) end
try("new nil", function() return S.new():count() end)
local s = S.new(0)
for _, n in ipairs { "x", true, {} } do raises("wait " .. type(n), s.wait, s, n) end
for _, n in ipairs { -1, "0.001", 0, 0.001 } do
try("wait " .. n, s.wait, s, n) end raises("wait nil", s.wait, s)
for _, n in ipairs{ -1, 0, "x", "1", 1.5, true } do
try("post "..tostring(n), s.post, s, n)
say("count", s:count()) while s:wait(0) do end end
try("post nil", s.post, s)
say("count", s:count()) s:wait(0)
try("self", s.wait, {}, 0)
try("self", S.post, 5)
try("count self", s.count, 5)
local got, ths = {}, {}
for i = 1, 3 do
  ths[i] = T.spawn(function()
    local ok, err = s:wait(i == 2 and 0.01 or 1)
    got[#got+1] = i .. tostring(ok) .. tostring(err)
  end)
end
say("waiting", s:count()) ngx.sleep(0.03)
say("waiting2", s:count(), got) s:post(1) ngx.sleep(0.001)
say("got", got) s:post(5) for i = 1, 3 do T.wait(ths[i]) end say("got", got, s:count())
t = T.spawn(function() s:wait(5) s:wait(5) s:wait(5) s:wait(5) s:wait(5) s:wait(5) end)
while s:count() >= 0 do ngx.sleep(0) end -- ours shares its turns: it may take one place in each
say("cnt", s:count()) T.kill(t) ngx.sleep(0.001)
say("after kill", s:count()) s:post(1)
say("c", s:count(), s:wait(0))
-- a permit that was posted for one that is killed before it runs is not lost
s = S.new(0)
t = T.spawn(function() say("never", s:wait(1)) end)
s:post()
T.kill(t)
ngx.sleep(0.01)
say("killed after post", s:count(), s:wait(0))
t = T.spawn(function() say("never", s:wait(1)) end)
a = T.spawn(function() say("in its place", s:wait(1)) end)
s:post()
T.kill(t)
T.wait(a)
say("after it", s:count())
t = T.spawn(function() say("waited", s:wait(1)) end)
say("posted", s:post(2), s:count(), s:wait(0))
T.wait(t)
say("then", s:count(), s:wait(0))
-- the parent is killed while it waits: the other goes on
local grandchild
t = T.spawn(function()
  grandchild = T.spawn(function() ngx.sleep(0.01) say "grandchild" end)
  say("never", T.wait(grandchild))
end)
T.kill(t)
ngx.sleep(0.03)
t = T.spawn(function()
  grandchild = T.spawn(function() ngx.sleep(0.01) say "one of two" end)
  say("never", T.wait(grandchild, T.spawn(function() ngx.sleep(0.01) end)))
end)
T.kill(t)
ngx.sleep(0.03)
for i = 1, 5 do
  a, b = T.spawn(function() return "a" end), T.spawn(function() return "b" end)
  say("two that have ended", i, T.wait(b, a))
  T.wait(a)
end
-- timers
for _, d in ipairs{ -1, "x", "0", true, {} } do
try("at "..tostring(d):sub(1,4), ngx.timer.at, d, function() end)
try("every "..tostring(d):sub(1,4), ngx.timer.every, d, function() end) end
try("at nil", ngx.timer.at)
try("at nofn", ngx.timer.at, 0)
try("at fn 5", ngx.timer.at, 0, 5)
try("at C", ngx.timer.at, 0, print)
try("every 0", ngx.timer.every, 0, function() end)
try("every nil", ngx.timer.every, 1)
local out
ngx.timer.at(0, function(p, ...)
  out = { p, n = select("#", ...), ... }
  ngx.sleep(0.01)
  out.phase = ngx.get_phase()
  out.running = ngx.timer.running_count()
end, 1, nil, "x", nil)
ngx.sleep(0.05)
say("timer", out)
raises("sleep nil", ngx.sleep)
try("sleep x", ngx.sleep, "x")
try("sleep -1", ngx.sleep, -1)
try("sleep '0.001'", ngx.sleep, "0.001")
try("sleep true", ngx.sleep, true)
