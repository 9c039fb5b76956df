-- SPDX-License-Identifier: MIT
-- request_behaviours.lua - what ngx.req and ngx.var say of a request: each function is a handler, found by its path.
-- request_spec.lua runs this script inside nginx, with ngx_lua, and on the façade, and compares the answers.

local function header(name) return ngx.req.get_headers()[name] end

local function vars(...)
  for _, name in ipairs { ... } do try(name, function() return ngx.var[name] end) end
end

local cases = {}

function cases.set_header()
  for i, value in ipairs { "1", 12, 1.5, true, false, "", { "a", "b" }, { "a" }, {}, { 1, true }, ngx.null } do
    ngx.req.set_header("X-Own", "before")
    try("set_header " .. i, ngx.req.set_header, "X-Own", value)
    say("is", header "x-own", ngx.var.http_x_own)
  end
  ngx.req.set_header("X-Own", "before")
  try("set_header nil", ngx.req.set_header, "X-Own", nil)
  say("is", header "x-own", ngx.var.http_x_own)
  try("no name", ngx.req.set_header, nil, "x")
  try("a number as name", ngx.req.set_header, 5, "1")
  say("is", header "5")
  try("name of nothing", ngx.req.set_header, "", "1")
  try("control characters", ngx.req.set_header, "X-NL", "a\r\nb\0c")
  say("is", header "x-nl")
  try("control characters in a name", ngx.req.set_header, "X-N\r\nA", "b")
  say("is", header "x-n%0d%0aa", header "x-n%0D%0Aa")
  try("clear", ngx.req.clear_header, "X-Two")
  say("is", header "x-two")
  try("clear number", ngx.req.clear_header, 5)
  say("is", header "5")
  try("clear nil", ngx.req.clear_header)
  ngx.req.set_header("X-New", "1")
  say("raw", ngx.req.get_headers(0, true)["X-New"], ngx.req.get_headers(0, true)["x-new"])
end

function cases.add_header()
  local own = require "ngx.req"
  for _, value in ipairs { "1", 2, { "3", 4 } } do try("add", own.add_header, "X-Add", value) end
  say("is", header "x-add", ngx.var.http_x_add)
  try("add to what came", own.add_header, "X-Two", "3")
  say("is", header "x-two")
  try("add nil", own.add_header, "X-Add", nil)
  try("add nothing", own.add_header, "X-Add", {})
  try("add no name", own.add_header, nil, "x")
  say("is", header "x-add")
end

function cases.args()
  say("count", select("#", ngx.req.get_uri_args()), select("#", ngx.req.get_uri_args(1)))
  say("cjson", type(require "cjson".encode(ngx.req.get_uri_args())))
  local into = { zz = 1, a = "old" }
  say("into", ngx.req.get_uri_args(0, into) == into, into)
  say("most", ngx.req.get_uri_args(2))
  say("raw", ngx.var.arg_a, ngx.var.arg_p, ngx.var.arg_flag, ngx.var.arg_none, ngx.var.ARG_A, ngx.var.arg_upper)
  say("all", ngx.var.args, ngx.var.is_args, ngx.var.query_string)
  for _, args in ipairs { "a=1", { a = { 1, 2 } }, 5, "" } do
    try("set_uri_args", ngx.req.set_uri_args, args)
    say("is", ngx.var.args, ngx.var.is_args, ngx.req.get_uri_args())
  end
  ngx.var.args = "q=%20x"
  say("is", ngx.var.args, ngx.var.arg_q)
  ngx.var.args = nil
  say("is", ngx.var.args, ngx.var.arg_q)
end

function cases.headers()
  local most = ngx.req.get_headers()
  say("any case", most["X-Own"], most.x_own, most.X_OWN, most["x-two"], most.none)
  raises("text", ngx.req.get_headers, "1")
  raises("table", ngx.req.get_headers, {})
  for _, limit in ipairs { 1, 2, true } do
    local found, err = ngx.req.get_headers(limit)
    local n = 0
    for _ in pairs(found) do n = n + 1 end
    say("limit", n, err)
  end
end

function cases.read_body()
  ngx.req.read_body()
  say("body", ngx.req.get_body_data(), ngx.var.request_body, ngx.var.content_length, header "content-length",
    ngx.req.get_body_file())
  try("post", ngx.req.get_post_args)
end

function cases.set_body()
  try("set before", ngx.req.set_body_data, "x")
  try("append before", ngx.req.append_body, "x")
  try("finish before", ngx.req.finish_body)
  ngx.req.read_body()
  try("append without init", ngx.req.append_body, "x")
  for _, data in ipairs { "new=1", 5, "" } do
    try("set", ngx.req.set_body_data, data)
    say("is", ngx.req.get_body_data(), ngx.var.request_body, header "content-length")
    try("post", ngx.req.get_post_args)
  end
  say("length", ngx.var.content_length)
  raises("set table", ngx.req.set_body_data, { "a" })
  raises("set nothing", ngx.req.set_body_data)
  raises("set true", ngx.req.set_body_data, true)
end

function cases.init_body()
  ngx.req.read_body()
  try("init", ngx.req.init_body, 10)
  for _, piece in ipairs { "abc", "def", 5 } do try("append", ngx.req.append_body, piece) end
  try("finish", ngx.req.finish_body)
  say("is", ngx.req.get_body_data(), ngx.var.content_length, header "content-length")
end

function cases.init_wrong()
  ngx.req.read_body()
  try("negative", ngx.req.init_body, -1)
  try("text", ngx.req.init_body, "x")
  try("none", ngx.req.init_body)
end

function cases.set_method()
  for _, method in ipairs { ngx.HTTP_PUT, 0, 999, 2 ^ 20, "GET", "8", true } do
    try("set", ngx.req.set_method, method)
    say("is", ngx.req.get_method(), ngx.var.request_method)
  end
  try("nil", ngx.req.set_method, nil)
end

function cases.wrong_args()
  for _, args in ipairs { true, ngx.null, print } do try("set", ngx.req.set_uri_args, args) end
  say("is", ngx.var.args)
end

function cases.init_first()
  try("init", ngx.req.init_body, 10)
  say("done")
end

function cases.path() say("path", ngx.var.uri, ngx.var.request_uri, ngx.var.args, ngx.var.request, ngx.var.host) end

function cases.cookies()
  vars("http_cookie", "cookie_a", "cookie_A", "cookie_b", "cookie_q", "cookie_none", "cookie_e", "cookie_sp",
    "HTTP_COOKIE")
  say("headers", header "cookie")
  ngx.req.set_header("Cookie", "a=new; d=2")
  vars("http_cookie", "cookie_a", "cookie_d", "cookie_b")
  ngx.req.clear_header "Cookie"
  vars("http_cookie", "cookie_a")
end

function cases.repeated()
  vars("http_x_own", "http_x_forwarded_for", "http_accept", "http_via", "HTTP_X_OWN", "content_type")
  say("headers", header "x-forwarded-for", header "x-own")
end

function cases.host()
  vars("host", "http_host", "server_name")
  try("set", ngx.req.set_header, "Host", "Other.example:81")
  vars("host", "http_host")
end

function cases.vars()
  ngx.req.read_body()
  vars("remote_user", "limit_rate", "request_completion", "pipe", "request_body", "URI",
    "Request_Method", "request_method", "scheme", "https", "none_such", "", "http_", "arg_", "cookie_")
  say("kinds", type(ngx.var.request_length), tonumber(ngx.var.request_length) > 20)
  try("number", function() return ngx.var[1] end)
  try("boolean", function() return ngx.var[true] end)
end

function cases.modules()
  say("ngx", require "ngx" == ngx)
  local names = {}
  for _, name in ipairs { "add_header" } do
    names[1] = type(require "ngx.req"[name]) .. type(require "ngx.resp"[name])
  end
  say("add_header", names)
  local base = require "resty.core.base"
  for _, name in ipairs { "FFI_OK", "FFI_NO_REQ_CTX", "FFI_BAD_CONTEXT", "FFI_ERROR", "FFI_AGAIN", "FFI_BUSY",
    "FFI_DONE", "FFI_DECLINED" } do
    say(name, base[name])
  end
  local buf = base.get_string_buf(10)
  local ffi = require "ffi"
  ffi.copy(buf, "0123456789", 10)
  say("buf", ffi.string(buf, 10), base.get_string_buf(5) == buf, base.get_string_buf(10, true) == buf,
    ffi.sizeof(base.get_string_buf(10, true)), base.get_string_buf_size())
  local size = base.get_size_ptr()
  size[0] = 7
  say("pointers", tonumber(base.get_size_ptr()[0]), type(base.get_errmsg_ptr()))
  local filled = base.new_tab(2, 2)
  filled[1], filled.a = 1, 2
  base.clear_tab(filled)
  say("tab", next(filled))
  local refs = {}
  say("ref", base.ref_in_table(refs, "x"), base.ref_in_table(refs, "y"), refs, base.ref_in_table(refs, nil))
  try("subsystem", base.allows_subsystem, "http", "stream")
  try("subsystem", base.allows_subsystem, "stream")
  say("replace", require "resty.core.utils".str_replace_char("a-b-c", "-", "_"))
  local time = require "resty.core.time"
  say("time", time.monotonic_msec() % 1, math.abs(time.monotonic_time() * 1000 - time.monotonic_msec()) < 1000)
end

function cases.ctx()
  try("a number", function() ngx.ctx = 5 end)
  try("nil", function() ngx.ctx = nil end)
  ngx.ctx = { b = 2 }
  say("ctx", ngx.ctx.b)
end

local case = cases[ngx.var.request_uri:match "^[^?]-/([a-z_]+)"] or cases.path
case()
