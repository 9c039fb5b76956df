-- SPDX-License-Identifier: MIT
-- re_behaviours.lua - what the manual of ngx_lua says of ngx.re, as calls.
-- ngx_spec.lua runs this script inside nginx, with ngx_lua, and on the façade, and compares what it says.

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

-- groups that have not matched, before one that has
say("before", re.match("b", "(a)?(b)(c)?"))
say("before named", re.match("b", "(?<x>a)?(b)"))
say("before gmatch", re.gmatch("b", "(a)?(b)")())
say("before gsub", re.gsub("b", "(a)?(b)", "[$1][$2]"))
say("before fn", re.gsub("b", "(a)?(b)", function(m) return describe(m) end))
for _, group in ipairs { -1, -100, 0, 1, 2, 3 } do say("group " .. group, re.find("ab", "(a)(b)", "jo", nil, group)) end
raises("group x", re.find, "ab", "(a)(b)", "jo", nil, "x")

-- names
for _, o in ipairs { "D", "Di", "DJ", "Dd" } do
  say("D once " .. o, re.match("ab", "(?<x>a)(?<y>c)?", o))
  say("D two " .. o, re.match("b", "(?<x>a)|(?<x>b)", o))
  say("D both " .. o, re.match("ab", "(?<x>a)(?<x>b)(?<y>c)?", o))
  say("D none " .. o, re.match("c", "((?<x>a)|(?<x>b))?c", o))
end
for _, text in ipairs { "ab", "a", "b", "c" } do
  say("J " .. text, re.match(text, "(?J)(?:(?<x>a)|(?<x>b))?(?<x>c)?(?<y>d)?"))
  say("JD " .. text, re.match(text, "(?J)(?:(?<x>a)|(?<x>b))?(?<x>c)?(?<y>d)?", "D"))
end
say("class J", re.match("a]", "[]", "J"), re.match("a", "[^]", "J"))

-- numbers of errors
say("dfa room", re.match(("a"):rep(100), "(a|b|c|d|aa|aaa|aaaa|[a-z]{1,50}|[a-c]{1,40}|.{3,90}){1,99}x?", "d"))
say("dfa back", re.match("aa", "(a)\\1", "d"))
say("dfa find", re.find("aa", "(a)\\1", "d"))
say("dfa longest", re.match("abcd", "ab|abcd", "d"))
say("dfa gsub", re.gsub("ab ab", "(a)(b)", "[$0][$1]", "d"))
say("inside", re.match("\195\169", ".", "u", { pos = 2 }), re.find("\195\169", ".", "u", { pos = 2 }))
say("bad utf", re.match("\195", ".", "u"), re.find("a\255", ".", "u"))
say("bad utf gsub", re.gsub("a\255", ".", "x", "u"))
local ended = re.gmatch("b", "b")
say("gmatch's end", select("#", ended()), select("#", ended()), select("#", ended()))
say("gmatch of nothing", select("#", re.gmatch("b", "a")()))
say("bad utf gmatch", re.gmatch("a\255", ".", "u")())

-- replacements that are no text
for _, r in ipairs { 1, 1.5, -1, true, false, "", "$0", "$1$2$3", "${1}", "$10", "$01", "$$1", "$1a", "$100",
  ngx.null } do
  try("sub by " .. tostring(r), re.sub, "xab", "(a)(b)", r)
  try("gsub by " .. tostring(r), re.gsub, "xab", "(a)(b)", r)
  try("sub fn " .. tostring(r), re.sub, "xab", "(a)(b)", function() return r end)
  try("gsub fn " .. tostring(r), re.gsub, "xab", "(a)(b)", function() return r end)
end
for _, r in ipairs { "${", "${a}", "$", "a$", "${1", "$ 1", "$-1" } do
  try("template " .. r, re.sub, "xab", "(a)(b)", r)
end
say("nil", re.sub("xab", "ab", nil), re.gsub("xab", "ab"))
say("fn nil", re.gsub("xab", "ab", function() return nil end))
raises("fn nothing", re.gsub, "xab", "ab", function() end)
try("fn raises", re.sub, "xab", "ab", function() error("own", 0) end)
say("no match", re.sub("x", "ab", function() return {} end), re.gsub("x", "ab", nil))
say("table", re.gsub("xab", "ab", {}):match "^xtable: ")

-- arguments
for _, name in ipairs { "match", "find", "gmatch", "sub", "gsub" } do
  raises(name .. " nil", re[name], "a", nil, "x")
  raises(name .. " number", re[name], 12, 1, "")
  raises(name .. " table", re[name], "a", {}, "x")
  raises(name .. " boolean", re[name], "true", true, "x")
end
for _, o in ipairs { true, 5, "q", "jz", "\0" } do
  raises("options " .. tostring(o), re.match, "a", "a", o)
  raises("options of gsub " .. tostring(o), re.gsub, "a", "a", "b", o)
end
for _, c in ipairs { true, 5, { pos = "2" }, { pos = true }, { pos = {} } } do
  raises("ctx", re.match, "aaa", "a", "", c)
end
for _, pos in ipairs { -5, 0, 1.5, 2 ^ 40, -2 ^ 40 } do
  local c = { pos = pos }
  say("pos " .. pos, re.match("aaa", "a", "", c), c.pos)
end
raises("result", re.match, "a", "a", "", nil, "x")
say("subject", re.match(nil, "nil"), re.match(true, "r"), re.match(1.5, "5"), re.find(ngx.null, "NULL"))

-- split
for _, s in ipairs { "a,b,c", "a,b,c,", "a,b,,", ",", ",,", "", ",a", "abc", "a,,b", " , ", ",a,b," } do
  say("split " .. s, split(s, ","), split(s, ""), split(s, "(,)"))
  for most = -1, 4 do say("most " .. most .. s, split(s, ",", nil, nil, most)) end
  for pos = 1, 9 do
    local c, d, e = { pos = pos }, { pos = pos }, { pos = pos }
    say("from " .. pos .. s, split(s, ",", nil, c), c.pos, split(s, "", nil, d), d.pos)
    say("from, two " .. pos .. s, split(s, ",", nil, e, 2), e.pos)
  end
end
for most = 0, 3 do
  local c, d = { pos = 2 }, { pos = 1 }
  say("long " .. most, split("a--b--c--", "--", nil, c, most), c.pos, split("--a--b", "-(-)", nil, d, most), d.pos)
end
for _, r in ipairs { "\\b", "(?=b)", "$", "^", "(?<=X)", "(?<=c)" } do say("empty " .. r, split("abc ab aXb", r)) end
local list = { 1, 2, 3, 4 }
say("list", split("a,b", ",", nil, nil, nil, list) == list, list)
say("list 0", split("", ",", nil, nil, nil, list) == list, list)
raises("split most", split, "a,b", ",", nil, nil, "x")
raises("split list", split, "a,b", ",", nil, nil, nil, "x")
raises("split nil", split, "a", nil)
try("opt", require("ngx.re").opt, "x", 1)
try("opt late", require("ngx.re").opt, "jit_stack_size", 65536)
