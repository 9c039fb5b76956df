-- SPDX-License-Identifier: MIT
-- behaviours.lua - what the manual of ngx_lua says of ngx's functions, as calls.
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

-- Of an error only what it is about.
local function try(name, fn, ...)
  local results = { n = select("#", pcall(fn, ...)), pcall(fn, ...) }
  if results[1] then return say(name, unpack(results, 2, results.n)) end
  say(name, "raised", tostring(results[2]):match "%((.*)%)" or (tostring(results[2]):gsub("^.-:%d+: ", "")))
end

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
say("flush", D:flush_all(), D:get("n"), D:flush_expired())
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
