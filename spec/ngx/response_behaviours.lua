-- SPDX-License-Identifier: MIT
-- response_behaviours.lua - what a handler sends by ngx.header, ngx.say, ngx.exit and the like: each function is a
-- handler, found by the request's path. request_spec.lua runs this script inside nginx and on the façade.

local cases = {}

local function get(name) return ngx.header[name] end

-- one each, as in the text of pages
local function sets(name, value)
  return function()
    try("set", function() ngx.header[name] = value end)
    say("get", get(name))
  end
end

cases.several = sets("X-A", { "1", "2" })
cases.one = sets("X-A", { "1" })
cases.none = sets("X-A", {})
cases.mixed = sets("X-A", { "a", 1, true })
cases.number = sets("X-A", 1.5)
cases.boolean = sets("X-A", true)
cases.empty = sets("X-A", "")
cases.no_name = sets("", "a")
cases.number_name = sets(5, "a")
cases.line_end = sets("X-NL", "a\r\nB: 1")
cases.nul = sets("X-NL", "a\0b\127c\td")
cases.name_line_end = sets("X-NL\r\nA", "a")
cases.name_blank = sets("X a", "a")
cases.name_colon = sets("X:a", "a")
cases.utf8 = sets("X-U", "\195\169")
cases.type_nil = sets("Content-Type", nil)
cases.type_empty = sets("Content-Type", "")
cases.type_list = sets("Content-Type", { "text/a", "text/b" })
cases.type_charset = sets("Content-Type", "text/html; charset=utf-8")
cases.cookies = sets("Set-Cookie", { "a=1", "b=2" })
cases.null = sets("X-A", ngx.null)

function cases.initial() say("get", get "Content-Type", get "content_type", ngx.status, ngx.var.status) end

function cases.cleared()
  ngx.header["X-A"] = "1"
  ngx.header["x-a"] = ""
  ngx.header["X-B"] = { "1", "2" }
  ngx.header.x_b = {}
  ngx.header["X-C"] = "1"
  ngx.header.x_c = nil
  say("get", get "X-A", get "X-B", get "X-C")
end

function cases.append_cookies()
  for i = 1, 3 do
    local before = get "Set-Cookie"
    local list = type(before) == "table" and before or { before }
    list[#list + 1] = "c" .. i .. "=1"
    ngx.header["Set-Cookie"] = list
  end
  say("get", get "Set-Cookie", get "set_cookie", ngx.var.sent_http_set_cookie)
end

function cases.add_header()
  local add = require "ngx.resp".add_header
  add("X-Add", "1")
  add("X-Add", { "2", 3 })
  add("X-Add", {})
  try("nil", add, "X-Add", nil)
  add("", "x")
  say("get", get "X-Add")
end

function cases.get_headers()
  ngx.header["X-A"] = { "1", "2" }
  ngx.header["X_B"] = "b"
  ngx.header["x-c"] = "c"
  local found = ngx.resp.get_headers()
  say("all", found)
  say("any case", found["X-C"], found.x_c, found.X_A, found.none, getmetatable(found) ~= nil)
  local raw = ngx.resp.get_headers(0, true)
  say("raw", raw["X-A"], raw["X-B"], raw["x-c"], raw["X-C"], getmetatable(raw))
end

function cases.get_few()
  ngx.header["X-A"] = { "1", "2" }
  local few, err = ngx.resp.get_headers(2)
  say("two", few, err)
  ngx.header.content_type = "a/b"
end

function cases.late()
  ngx.say "x"
  ngx.header["X-Late"] = "late"
  say("late", ngx.headers_sent, ngx.status, get "X-Late")
  ngx.status = 500
  say("status", ngx.status)
end

-- output
function cases.holes()
  ngx.say { "a", nil, "c" }
  ngx.say { [3] = "c" }
  ngx.say { 1, nil, 3, { nil, 2 } }
  ngx.say { ngx.null, nil, true, false }
  ngx.say {}
  ngx.print { "x", "y" }
  ngx.say(nil, true, 1.5, 1e20, 2 ^ 53, ngx.null)
end

function cases.wrong()
  try("map", ngx.say, { foo = 3 })
  try("second", ngx.say, "a", { foo = 3 })
  try("inner", ngx.say, { 1, { x = 1 } })
  try("mixed", ngx.print, { 1, x = 3 })
  try("zero", ngx.say, { [0] = 1 })
  try("fraction", ngx.say, { [1.5] = 1 })
  try("function in a table", ngx.say, { 1, print })
  try("function", ngx.say, print)
  try("second function", ngx.print, "a", print)
  try("userdata", ngx.say, io.stdout)
  try("userdata in a table", ngx.say, { io.stdout })
  try("thread", ngx.say, coroutine.create(function() end))
  pcall(ngx.say, "before ", { x = 1 }, " after")
  say("end", ngx.headers_sent)
end

function cases.wrong_first()
  say("wrong", pcall(ngx.say, print), ngx.headers_sent)
end

function cases.flush_first()
  local ok, err = ngx.flush(true)
  ngx.status = 404
  ngx.header["X-A"] = "1"
  say("flush", ok, err)
  say("flush", ngx.flush())
end

function cases.eof_twice()
  ngx.say(ngx.flush())
  ngx.say "x"
  ngx.eof()
  ngx.eof()
end

-- status
for i, value in ipairs { 201, "201", 200.7, 404, 299, 599, 600, 999 } do
  cases["status_" .. i] = function() -- 8
    ngx.status = value
    say("status", ngx.status)
  end
end
function cases.status_wrong()
  raises("text", function() ngx.status = "abc" end)
  raises("nil", function() ngx.status = nil end)
  raises("table", function() ngx.status = {} end)
  local before = ngx.status
  ngx.say "x"
  say("status", before, ngx.status, ngx.var.status)
end
function cases.status_304()
  ngx.status = 304
  ngx.say "x"
end
function cases.status_204()
  ngx.status = 204
end

-- exits
for i, code in ipairs { 0, 200, 201, 204, 206, 400, 401, 403, 404, 405, 413, 418, 421, 429, 444, 451, 500, 501, 502,
  503, 504, 507, 599, 403.9, 304, 407, 408, 499, -5, 100 } do
  cases["exit_" .. i] = function() ngx.exit(code) end -- 30
  cases["status_exit_" .. i] = function() -- 30
    ngx.status = 403
    ngx.exit(code)
  end
  cases["said_exit_" .. i] = function() -- 30
    ngx.status = 202
    ngx.say "said"
    if code ~= 204 then ngx.exit(code) end -- nginx then drops what was said
  end
end

function cases.exit_error() ngx.exit(ngx.ERROR) end
function cases.exit_error_late()
  ngx.say "b"
  ngx.flush(true)
  ngx.exit(ngx.ERROR)
end
function cases.exit_close_late()
  ngx.say "b"
  ngx.flush(true)
  ngx.exit(444)
end
function cases.exit_wrong()
  raises("text", ngx.exit, "x")
  raises("text", ngx.exit, "403")
  raises("nil", ngx.exit, nil)
  try("again", ngx.exit, ngx.AGAIN)
  try("done", ngx.exit, ngx.DONE)
  ngx.say "end"
end
function cases.exit_json()
  ngx.header.content_type = "application/json"
  ngx.header["X-Own"] = "1"
  ngx.exit(403)
end
function cases.unauthorized()
  ngx.status = 401
  ngx.header["WWW-Authenticate"] = "Basic"
  ngx.exit(ngx.HTTP_OK)
end

-- redirects
for i, uri in ipairs { "/x", "x", "?x=1", "http://a.b/c?e=f", "/a b", "/\195\169", 5 } do
  cases["redirect_" .. i] = function() ngx.redirect(uri) end -- 7
end
for i, status in ipairs { 301, "301", 303, 307, 308, 301.5 } do
  cases["redirect_status_" .. i] = function() ngx.redirect("/x", status) end -- 6
end
function cases.redirect_wrong()
  try("nothing", ngx.redirect)
  try("nil", ngx.redirect, nil)
  try("table", ngx.redirect, {})
  try("three", ngx.redirect, "/x", 301, 1)
  try("300", ngx.redirect, "/x", 300)
  try("nil status", ngx.redirect, "/x", nil)
  try("text status", ngx.redirect, "/x", "abc")
  try("line end", ngx.redirect, "/x\r\nA: b")
  try("nul", ngx.redirect, "/x\0\"\\\127\200")
  ngx.say "a"
  try("late", ngx.redirect, "/x")
end
function cases.redirect_fields()
  ngx.status = 404
  ngx.header["Set-Cookie"] = { "a=1", "b=2" }
  ngx.redirect "/x"
end

-- HEAD and lengths
function cases.head_length()
  ngx.header.content_length = 500
  ngx.header["X-Length"] = tostring(ngx.header["Content-Length"]) .. tostring(ngx.header.content_length)
end
function cases.head_exit()
  ngx.header["Content-Length"] = "500"
  ngx.exit(200)
end
function cases.length()
  ngx.header.content_length = 3
  local length = ngx.header.content_length
  ngx.header.content_length = nil
  say("length", length, ngx.header.content_length)
end
function cases.right_length()
  ngx.header["Content-Length"] = 3
  ngx.print "abc"
end

-- the log: what raises, and what is not written
function cases.log()
  for _, level in ipairs { 99, -1, "x", true, ngx.null } do try("level", ngx.log, level, "x") end
  try("nil", ngx.log, nil, "x")
  try("nothing", ngx.log)
  try("text", ngx.log, "8", "x")
  try("fraction", ngx.log, 8.5, "x")
  for _, value in ipairs { print, io.stdout, {}, { 1, 2 } } do
    try("value", ngx.log, ngx.ERR, value)
    try("second value", ngx.log, ngx.ERR, "a", value)
    try("not written", ngx.log, ngx.DEBUG, value)
  end
end

local case = cases[ngx.var.uri:match "^/([a-z0-9_]+)"]
case()
