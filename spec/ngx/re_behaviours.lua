-- SPDX-License-Identifier: MIT
-- re_behaviours.lua - what the manual of ngx_lua says of ngx.re, as calls.
-- ngx_spec.lua runs this script inside nginx, with ngx_lua, and on the façade, and compares what it says.

local function describe(value)
  if type(value) == "table" then
    local parts = {}
    for key, item in pairs(value) do parts[#parts + 1] = tostring(key) .. "=" .. describe(item) end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
  end
  return (tostring(value):gsub("[^\32-\126]", function(c) return ("\\%d"):format(c:byte()) end))
end

local function say(name, ...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = describe((select(i, ...))) end
  ngx.say(name, ": ", table.concat(parts, " | "))
end

local re = ngx.re
local split = require("ngx.re").split
for _, o in ipairs{"", "jo", "i", "jox", "u", "d", "s", "m", "a"} do
 say("m "..o, re.match("hello, 1234 World", "([a-z]+), (?<n>[0-9]+)", o))
 say("m2 "..o, re.match("Hello\nworld", "^w(o)?(x)?", o))
say("m3 "..o, re.match("a.b", "A.B", o))
say("m4 "..o, re.match("ab\ncd", "b.c", o))
end
say("none", re.match("abc", "x"))
say("err2", re.match("abc", "["))
say("err4", re.match("a\255", "a.", "u"))
say("named", re.match("2024-05", "(?<y>\\d+)-(?<m>\\d+)", "jo"))
say("dup", re.match("ab", "(?<x>a)|(?<x>b)", "D"))
say("unmatched", re.match("b", "(a)?b(c)?"))
local ctx = {pos=3}
say("ctx", re.match("1234, 56", "[0-9]+", "", ctx), ctx.pos)
say("ctx", re.match("1234, 56", "[0-9]+", "", ctx), ctx.pos)
say("ctx end", re.match("1234, 56", "[0-9]+", "", ctx), ctx.pos)
say("ctx past", re.match("abc","a","",{pos=100}))
local res = {"old", x=1}
say("res", re.match("ab", "(a)(b)", "", nil, res) == res, res)
say("find", re.find("hello 1234", "([0-9])([0-9]+)", "jo"))
say("find2", re.find("hello 1234", "([0-9])([0-9]+)", "jo", nil, 2))
say("find9", re.find("hello", "(h)", "jo", nil, 9))
say("findnone", re.find("a","b"))  say("find opt", re.find("b", "(a)?b", "", nil, 1))
local function all(...)
local it, err = re.gmatch(...) if not it then return it, err end
local t={} for m in it do t[#t+1]=m[0] end return table.concat(t,"/") end
say("gm", all("hello, world 12", "[a-z]+|[0-9]+"))
say("gm empty", all("abc", "x*"))
say("gmi", all("aAa","a","i"))
say("sub", re.sub("hello, 1234", "([0-9])[0-9]", "[$0][$1]"))
say("sub2", re.sub("hello, 1234", "[0-9]", "${0}00"))
say("sub3", re.sub("a", "a", "$$"))
say("sub4", re.sub("a","a","$x"))
say("sub5", re.sub("a","(a)","$9"))
say("subf", re.sub("hello", "l", function(m) return "["..m[0].."]" end))
say("subn", re.sub("hello","x","y"))  say("subno", re.sub("a","a",5))
say("subf0", re.sub("abc","b",function() return "$0" end))
say("gsub", re.gsub("hello, world", "([a-z])[a-z]+", "[$0,$1]", "i"))
say("gsub empty", re.gsub("abc", "", "-"))
say("gsub end", re.gsub("abc", "$", "!"))
say("gsub b", re.gsub("hello world", "\\b", "|"))
say("gsubf", re.gsub("hello", "l", function(m) return m[0]:upper() end))
say("gsub n", re.gsub("aaa","a",""))
say("gsub x", re.gsub("", "a*", "x"))
say("split", split("a,b,c", ","))
say("split2", split("a,b,c,", ","))
say("split3", split("a, b; c", "([,;]) "))
say("split4", split("abc", ""))
say("split5", split("a,b,c", ",", nil, nil, 2))
say("split6", split("", ","))
say("split7", split("abc", ","))
say("split8", split(",a,,b", ","))
say("split9", split("a,b,c", ",", nil, {pos=3}))  say("splita", split("aXbxc", "x", "i"))
say("splitmax1", split("a,b,c", ",", nil, nil, 1))
say("nul", re.match("a\0b", "a\\0(b)"))
say("num", re.match(1234, "2"))
say("pos", pcall(re.match, nil, "a"))
say("lim", re.match(("a"):rep(40), "(a+a+)+b"))
say("jit", re.match(("a"):rep(30), "(a+a+)+b", "jo"))
