-- SPDX-License-Identifier: MIT
-- behaviours.lua - what the manual of ngx_lua says of ngx's functions, as calls.
-- ngx_spec.lua runs this script inside nginx, with ngx_lua, and on the façade, and compares what it says.

local all = {} for i=0,255 do all[#all+1]=string.char(i) end all=table.concat(all)
say("esc", ngx.escape_uri(all))
say("esc0", ngx.escape_uri(all,0))
say("esc2", ngx.escape_uri(all,2))
try("esc3", ngx.escape_uri, "a", 3)
try("escn", ngx.escape_uri, 5)
try("escnil",ngx.escape_uri)
say("un", ngx.unescape_uri("a%20b+c%zz%4%41%"))
say("un", ngx.unescape_uri("%E4%BD%A0"))
say("args", ngx.encode_args({["b r"]="hello world"}))
say("args2", ngx.encode_args({baz={32,"hello"}}))
say("args3", ngx.encode_args({a=true}))
say("args4", ngx.encode_args({a=false}))
try("args5", ngx.encode_args,{a={true,false,1}})
try("args6", ngx.encode_args,{[1]=3})
try("args7",ngx.encode_args,{a=function() end})
try("a8",ngx.encode_args,5)
say("a9",ngx.encode_args{})
say("a10",ngx.encode_args{a={}})
say("dec", ngx.decode_args("a=1&b=2&a=3&c&d=&=e&%20f=g+h&a=4"))
say("dec", ngx.decode_args("a=1&b=2&c=3",2))
say("deca", ngx.decode_args("a=1&b=2&a=3").a)
say("dec", ngx.decode_args(""))
say("b64", ngx.encode_base64("hello"), ngx.encode_base64("hello",true), ngx.encode_base64(""), ngx.encode_base64(5))
say("d64", ngx.decode_base64("aGVsbG8="), ngx.decode_base64("aGVsbG8"), ngx.decode_base64("aGVs bG8"),
  ngx.decode_base64("a"), ngx.decode_base64(""))
try("d64", ngx.decode_base64, 5)
try("d64",ngx.decode_base64,nil)
local b = require "ngx.base64"
say("u64", b.encode_base64url("\255\254\253>?"), b.decode_base64url("__79Pj8"), b.decode_base64url("!!"))
say("md5", ngx.md5("hello"), ngx.md5(""), ngx.md5_bin("x"), ngx.sha1_bin("x"), ngx.hmac_sha1("key","data"))
say("crc", ngx.crc32_short("hello"), ngx.crc32_long("hello"), ngx.crc32_short(""))
try("md5n", ngx.md5, nil)
say("md55", ngx.md5(5))
say("q", ngx.quote_sql_str("a'b\\c\"d\n\r\t\0\26\8e"))
say("q",ngx.quote_sql_str(5))
try("q",ngx.quote_sql_str,nil)
say("ht", ngx.http_time(1290079655), ngx.cookie_time(1547827200))
say("pt", ngx.parse_http_time("Thu, 18 Nov 2010 11:27:35 GMT"), ngx.parse_http_time("bad"), ngx.http_time(0))
try("ht",ngx.http_time,"x")
say("types", type(ngx.now()), type(ngx.time()), type(ngx.today()), ngx.today():match("^%d+-%d+-%d+$")~=nil,
  ngx.localtime():match("^%d+-%d+-%d+ %d+:%d+:%d+$")~=nil, ngx.utctime():match("^%d+-%d+-%d+ %d+:%d+:%d+$")~=nil,
  ngx.now()%1*1000%1 < 0.001 or ngx.now()%1*1000%1 > 0.999)
say("null", tostring(ngx.null)=="userdata: NULL", type(ngx.null), ngx.null==require("cjson").null)
say("c", ngx.OK, ngx.ERROR, ngx.AGAIN, ngx.DONE, ngx.DECLINED, ngx.HTTP_GET, ngx.HTTP_HEAD, ngx.HTTP_PUT,
  ngx.HTTP_POST, ngx.HTTP_DELETE, ngx.HTTP_OPTIONS, ngx.HTTP_MKCOL, ngx.HTTP_COPY, ngx.HTTP_MOVE,
  ngx.HTTP_PROPFIND, ngx.HTTP_PROPPATCH, ngx.HTTP_LOCK, ngx.HTTP_UNLOCK, ngx.HTTP_PATCH, ngx.HTTP_TRACE)
say("l", ngx.STDERR, ngx.EMERG, ngx.ALERT, ngx.CRIT, ngx.ERR, ngx.WARN, ngx.NOTICE, ngx.INFO, ngx.DEBUG)
local names={} for k,v in pairs(ngx) do if k:match "^HTTP_" and type(v)=="number" and v>=100 then
  names[#names+1]=k.."="..v end end table.sort(names)
say("h", table.concat(names," "))
say("w", type(ngx.worker.pid()), ngx.worker.id(), ngx.worker.count(), ngx.worker.exiting())
try("sleep", ngx.sleep, -1)
try("sleep",ngx.sleep,"x")
try("sleep",ngx.sleep,0)
local D=ngx.shared.dict
say("s1", D:set("a",1), D:get("a"))
say("s2", D:set("b","x",0.01,7), D:get("b"))
ngx.sleep(0.02)
say("s3", D:get("b"))
say("add", D:add("a",2))
say("add", D:add("n",true))
say("rep", D:replace("zz",1))
say("rep",D:replace("a",5))
say("incr", D:incr("a",2))
say("incr", D:incr("q",1))
say("incr", D:incr("q",1,10))
say("incr", D:incr("q",1,10,0.01))
say("incr str", D:set("s","x"), D:incr("s",1))
say("del", D:delete("a"), D:get("a"))
say("lp", D:lpush("L",1), D:rpush("L","b"), D:llen("L"), D:lpop("L"), D:rpop("L"), D:lpop("L"))
say("lperr", D:lpush("s",1))
say("llen", D:llen("nolist"), D:llen("s"))
say("ttl", D:set("t",1,100), D:ttl("t")>99, D:ttl("n"), D:ttl("nokey"))
say("exp", D:expire("t",0.01), D:expire("nokey",1))
say("keys", #D:get_keys(), D:capacity(), type(D:free_space()))
say("flush", D:flush_all(), D:get("n"))
try("setnil", D.set, D, nil, 1)
try("setkey", D.set, D, "", 1)
try("setlong", D.set, D, ("x"):rep(70000), 1)
try("settab", D.set, D, "k", {})
say("setnilval", D:set("k", nil))
try("safe", D.safe_set, D, "big", ("x"):rep(2^20))
say("get list", D:lpush("L2",1), D:get("L2"))
try("badself", D.get, {}, "x")
local th = ngx.thread.spawn(function() ngx.sleep(0.01) return 1, 2 end)
say("wait", ngx.thread.wait(th))
say("wait2", ngx.thread.wait(th))
local th2=ngx.thread.spawn(function() error("oops",0) end)
say("waiterr", ngx.thread.wait(th2))
local th3 = ngx.thread.spawn(function() ngx.sleep(10) end)
say("kill", ngx.thread.kill(th3))
say("kill", ngx.thread.kill(th3))
local th4=ngx.thread.spawn(function() end)
say("kill ended", ngx.thread.kill(th4))
say("wait any", ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0.2) return "slow" end),
  ngx.thread.spawn(function() ngx.sleep(0.01) return "quick" end)))
local sem = require "ngx.semaphore"
local s = sem.new(1)
say("sem", s:count(), s:wait(0), s:count(), s:wait(0), s:wait(0.01))
ngx.thread.spawn(function()
ngx.sleep(0.01) s:post(2) end)
say("sem", s:wait(1), s:count())
try("sem", sem.new, -1)
try("sempost", s.post, s, 0)
say("tostring", tostring(s):match "^table")
say("timer", ngx.timer.at(0, function() end, 1, 2))
say("timer run", ngx.timer.running_count(), ngx.timer.pending_count())
try("timer", ngx.timer.at, -1, print)
try("every", ngx.timer.every, 0, print)
ngx.sleep(0.01)
say("pending", ngx.timer.pending_count())

-- escapes
for kind = 0, 5 do say("escape " .. kind, ngx.escape_uri(all, kind)) end
for _, kind in ipairs { -1, 1.5, "2", "x", true, {} } do try("kind " .. type(kind), ngx.escape_uri, "a b/&", kind) end
for _, v in ipairs { 1, 1.5, true, false } do
  for _, name in ipairs { "escape_uri", "unescape_uri", "md5", "md5_bin", "sha1_bin", "crc32_short", "crc32_long",
    "encode_base64", "decode_base64", "quote_sql_str", "parse_http_time", "http_time", "cookie_time", "decode_args",
    "encode_args" } do try(name .. " of " .. tostring(v), ngx[name], v) end
  try("key " .. tostring(v), ngx.hmac_sha1, v, "a")
  try("data " .. tostring(v), ngx.hmac_sha1, "a", v)
  try("padding " .. tostring(v), ngx.encode_base64, "a", v)
end
for _, name in ipairs { "escape_uri", "unescape_uri", "md5", "sha1_bin", "crc32_short", "encode_base64",
  "decode_base64", "quote_sql_str", "parse_http_time", "http_time", "cookie_time", "decode_args", "encode_args" } do
  try(name .. " of nil", ngx[name], nil)
end
raises("hmac of one", ngx.hmac_sha1, "a")
try("hmac nil", ngx.hmac_sha1, nil, "a")
try("hmac {}", ngx.hmac_sha1, {}, "a")
say("hmac", ngx.hmac_sha1(12, 34), ngx.hmac_sha1("", ""), ngx.hmac_sha1(("k"):rep(1000), ("x"):rep(100000)))
try("padding x", ngx.encode_base64, "a", "x")
for _, text in ipairs { "YQ==", "YQ=", "YQ", "YQ===", "Y", "", "=", "==", "YWI", "YWI=", "YW=I", "YQ\n", "YQ+/", "__79",
  "a b", "YQ==YQ", "YR", "YQ==x" } do say("base64 " .. text, b.decode_base64url(text), ngx.decode_base64(text)) end
for _, text in ipairs { 1, true, {} } do say("base64url", b.decode_base64url(text), b.encode_base64url(text)) end

-- arguments of queries
for i, args in ipairs { { a = { b = 1 } }, { a = { false } }, { a = { true, 5 } }, { a = { x = true } }, { a = 1.5 },
  { a = "" }, { [""] = "x" }, { ["a&="] = "&= /?" }, { a = { [5] = "v" } } } do
  try("encode " .. i, ngx.encode_args, args)
end
for i, args in ipairs { { a = { {} } }, { a = ngx.null }, { a = { function() end } }, { [1.5] = "x" }, { "x" },
  { [true] = 1 } } do try("encode bad " .. i, ngx.encode_args, args) end
for _, text in ipairs { "a=1&&b=2&&&c=3", "&a", "a&", "&", "", "=", "=a", "a=", "a==b", "a=b=c", "a&a&a", "a=1&a&a=",
  "%61=%62", "a+b=c+d", "a=%", "a=%4", "a=%zz", "a;b", "%", "%00=%00", "a[]=1&a[]=2", "=&=&x", "a=1&=2&b=3" } do
  for most = -1, 3 do try("decode " .. text .. most, ngx.decode_args, text, most) end
end
local many = {}
for i = 1, 150 do many[i] = "k" .. i .. "=1" end
many = table.concat(many, "&")
for most = 98, 151 do
  local args, err = ngx.decode_args(many, most)
  local n = 0
  for _ in pairs(args) do n = n + 1 end
  say("many", n, err, args.k100)
end
for _, most in ipairs { "1", "x", true, 1.5 } do try("most " .. tostring(most), ngx.decode_args, "a=1&b=2", most) end

-- times
for _, n in ipairs { 0, 1.9, -1, 2 ^ 31, 2 ^ 32, 253402300799, 1e15, "x", 1 / 0 } do
  try("http_time " .. tostring(n), ngx.http_time, n)
  try("cookie_time " .. tostring(n), ngx.cookie_time, n)
end
for _, text in ipairs { "", "x", "Thursday, 18-Nov-10 11:27:35 GMT", "Thu Nov 18 11:27:35 2010", "Thu, 18 Nov 2010",
  "Thu, 32 Nov 2010 11:27:35 GMT", "Thu, 18 Nov 2010 25:27:35 GMT" } do
  say("parse " .. text, ngx.parse_http_time(text))
end
