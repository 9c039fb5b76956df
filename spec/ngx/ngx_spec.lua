-- SPDX-License-Identifier: MIT
-- ngx_spec.lua - the façade of ngx answers as ngx_lua does, value by value: scripts run on both; and what is ours.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local openresty = require "support.openresty"
local process = require "support.process"
local testing = require "moonpark.testing"

local function read(path)
  local file = assert(io.open(process.root .. "/" .. path))
  local text = file:read "*a"
  file:close()
  return text
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local FACADE = [[
require("moonpark.compat").install({ "ngx" }, { global = true })
rawset(ngx, "say", function(...) io.write(...) io.write "\n" end)
]]

local function run_ours(text)
  local path = testing.tempdir() .. "/script.lua"
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local r = process.run(process.moonpark(path))
  assert.same({ 0, "" }, { r.status, r.err })
  return r.out
end

-- The table of that name, on both.
local function compare(name, least)
  local script = read "spec/ngx/say.lua" .. "\n" .. read("spec/ngx/" .. name .. ".lua")
  local missing = openresty.missing()
  if missing then return pending(missing) end
  local theirs, ours = lines_of(openresty.run(script, "http://localhost/")), lines_of(run_ours(FACADE .. script))
  for i, line in ipairs(theirs) do assert.equal(line, ours[i]) end
  assert.equal(#theirs, #ours)
  assert.is_true(#theirs > least)
end

describe("ngx", function()
  after_each(process.stop_all)

  it("answers as ngx_lua's own", function() compare("behaviours", 300) end)

  it("matches regular expressions as ngx_lua's own", function() compare("re_behaviours", 450) end)

  it("shares dicts as ngx_lua's own", function() compare("shared_behaviours", 250) end)

  it("has the light threads, semaphores and timers of ngx_lua", function() compare("thread_behaviours", 110) end)

  it("raises for what is not there, by its name, with the nearest that is", function()
    local out = run_ours(FACADE .. [[
      for _, code in ipairs { "ngx.exec('/x')", "ngx.location.capture('/x')", "ngx.slep(1)", "ngx.req.socket()",
        "require('ngx.balancer').set_current_peer()", "return ngx.var.uri" } do
        print((select(2, pcall(loadstring(code))):gsub("^%[.-%]:%d+: ", "")))
      end
      print(ngx.nothing_like_that)
    ]])
    assert.same({
      "ngx.exec is not there on moonpark: there are no internal redirects",
      "ngx.location is not there on moonpark: there are no subrequests",
      "ngx.slep is not there (did you mean ngx.sleep?)",
      "ngx.req.socket is not there on moonpark",
      "ngx.balancer.set_current_peer is not there on moonpark: it needs nginx",
      "API disabled in the context of ngx.timer: ngx.var needs a request (http.ngx)",
      "nil",
    }, lines_of(out))
  end)

  it("is no global unless it is asked for, and modules of lua-resty see it", function()
    local folder = testing.tempdir()
    os.execute("mkdir -p " .. folder .. "/resty") -- moonpark: ignore
    local file = assert(io.open(folder .. "/resty/mine.lua", "w"))
    file:write "return { ngx = ngx, set = function() made_by_mine = 1 end }"
    file:close()
    local out = run_ours(([[
      package.path = %q .. package.path
      require("moonpark.compat").install "ngx"
      local mine = require "resty.mine"
      mine.set()
      print(rawget(_G, "ngx"), type(mine.ngx.socket.tcp), made_by_mine, require("resty.core").version)
    ]]):format(folder .. "/?.lua;"))
    assert.equal("nil\tfunction\t1\t0.1.25\n", out)
  end)

  it("brings the digests that come with OpenResty", function()
    local out = run_ours(FACADE .. [[
      local to_hex = require("resty.string").to_hex
      for _, name in ipairs { "md5", "sha1", "sha256", "sha512" } do
        local digest = require("resty." .. name):new()
        digest:update "a"
        digest:update("bcd", 2)
        print(name, #to_hex(digest:final()) / 2, digest:reset())
        digest:update "abc"
        print(to_hex(digest:final()):sub(1, 16))
      end
      print(#require("resty.random").bytes(20))
    ]])
    assert.equal("md5\t16\ttrue\n900150983cd24fb0\nsha1\t20\ttrue\na9993e364706816a\nsha256\t32\ttrue\n"
      .. "ba7816bf8f01cfea\nsha512\t64\ttrue\nddaf35a193617aba\n20\n", out)
  end)

  it("takes what nginx's configuration says of limits", function()
    local out = run_ours(FACADE .. [[
      local configure = require("moonpark.ngx").configure
      require("ngx.re").opt("jit_stack_size", 1024 * 1024)
      print(#ngx.re.match(("a"):rep(20000) .. "c", "^(?:(a)|(b))*c", "jo")[0])
      print((pcall(require("ngx.re").opt, "jit_stack_size", 65536)))
      configure { regex_match_limit = 100 }
      for _, o in ipairs { "", "jo" } do print(ngx.re.match(("a"):rep(30) .. "c", "(a+a+)+[bd]", o)) end
      configure { regex_match_limit = 0, regex_cache_max_entries = 10 }
      for i = 1, 100 do assert(ngx.re.match("x" .. i, "^x(" .. i .. ")$", "jo")[1] == tostring(i)) end
      configure { max_pending_timers = 1, max_running_timers = 1 }
      print(ngx.timer.at(0, function() ngx.sleep(0.01) end), ngx.timer.at(0, function() end))
      print(pcall(configure, { regex_limit = 1 }))
    ]])
    local lines = lines_of(out)
    assert.equal("20001", lines[1])
    assert.is_truthy(out:find("false\nnil\tpcre_exec() failed: -8\nnil\tpcre_exec() failed: -8\n", 1, true))
    assert.is_truthy(out:find("1\tnil\ttoo many pending timers\nfalse\t", 1, true))
    assert.is_truthy(out:find("regex_limit", 1, true))
  end)

  it("keeps compiled patterns that are used, however many others there are", function()
    local pcre = require "moonpark.ngx.pcre"
    local used = pcre.compile("used", "jo")
    for i = 1, 5000 do
      assert(pcre.compile("other" .. i, "jo"))
      if i % 100 == 0 then assert.equal(used, pcre.compile("used", "jo")) end
    end
    local other = pcre.compile("other1", "jo")
    for i = 1, 2000 do assert(pcre.compile("more" .. i, "jo")) end
    assert.not_equal(other, pcre.compile("other1", "jo"))
  end)

  it("calls timers that the end of the program has overtaken", function()
    local out = run_ours(FACADE .. [[
      ngx.timer.at(1000, function(premature, word) print(premature, word) end, "word")
      ngx.timer.at(0.001, function(premature) print(premature) end)
      ngx.sleep(0.05)
    ]])
    assert.equal("false\ntrue\tword\n", out)
  end)
end)

describe("a request", function()
  after_each(process.stop_all)

  -- What a handler sees and sends: on both.
  local HANDLER = [[
    local path = ngx.var.uri
    if path == "/seen" then
      ngx.say(ngx.req.get_method(), " ", ngx.var.args, " ", ngx.var.arg_a, " ", ngx.var.arg_none, " ", ngx.var.host)
      ngx.say(ngx.var.request_uri, " ", ngx.req.http_version(), " ", ngx.var.http_x_own, " ", ngx.var.cookie_c)
      local headers = ngx.req.get_headers()
      ngx.say(headers["X-Own"], " ", headers.x_own, " ", headers["x-none"], " ", table.concat(headers["x-two"], "+"))
      local args = ngx.req.get_uri_args()
      ngx.say(args.a, " ", args.flag, " ", table.concat(args.b, "+"))
      ngx.req.set_header("X-Own", "changed")
      ngx.req.clear_header "X-Two"
      ngx.req.set_uri_args { z = 1 }
      ngx.say(ngx.req.get_headers()["x-own"], " ", ngx.var.http_x_own, " ", ngx.req.get_headers()["x-two"])
      ngx.say(ngx.var.args)
      ngx.say(ngx.is_subrequest, " ", ngx.headers_sent, " ", ngx.get_phase(), " ", ngx.req.is_internal())
      ngx.ctx.x = 5
      ngx.say(ngx.ctx.x, " ", ngx.ctx.y)
    elseif path == "/output" then
      ngx.status = 201
      ngx.header["X-Mine"] = { "1", "2" }
      ngx.header.x_under = "u"
      ngx.header.content_type = "text/x-own"
      ngx.print("a", 1, nil, true, { "b", { 2, "c" } }, ngx.null)
      ngx.say()
      ngx.say(ngx.header["X-Under"], ngx.header["x-none"])
    elseif path == "/body" then
      ngx.req.read_body()
      local args = ngx.req.get_post_args()
      ngx.say(ngx.req.get_body_data(), " ", args.a, " ", args.b, " ", ngx.req.get_body_file())
    elseif path == "/exit" then
      ngx.exit(403)
    elseif path == "/exit-after" then
      ngx.status = 404
      ngx.say "my own page"
      ngx.exit(404)
    elseif path == "/exit-zero" then
      ngx.say "said"
      ngx.exit(ngx.OK)
    elseif path == "/redirect" then
      ngx.redirect("/seen?x=1", 301)
    elseif path == "/empty" then
      ngx.status = 204
    elseif path == "/eof" then
      ngx.say "before"
      ngx.eof()
      ngx.say(ngx.say "after")
    elseif path == "/late" then
      ngx.say "x"
      ngx.flush(true)
      ngx.header["X-Late"] = "late"
      ngx.say(ngx.headers_sent)
    elseif path == "/threads" then
      ngx.thread.spawn(function()
        ngx.sleep(0.01)
        ngx.thread.spawn(function()
          ngx.sleep(0.01)
          ngx.say "grandchild"
        end)
        ngx.say "child"
      end)
      ngx.say "parent"
    elseif path == "/threads-killed" then
      local child = ngx.thread.spawn(function()
        ngx.thread.wait(ngx.thread.spawn(function()
          ngx.sleep(0.01)
          ngx.say "grandchild"
        end))
        ngx.say "never"
      end)
      ngx.thread.kill(child)
      ngx.say "parent"
    elseif path == "/threads-exit" then
      ngx.thread.spawn(function()
        ngx.sleep(0.01)
        ngx.say "never"
      end)
      ngx.say "parent"
      ngx.exit(200)
    elseif path == "/exit-in-thread" then
      ngx.say "parent"
      ngx.thread.wait(ngx.thread.spawn(function()
        ngx.sleep(0.01)
        ngx.say "child"
        ngx.exit(200)
      end))
      ngx.say "never"
    elseif path == "/error" then
      error "broken"
    end
  ]]

  local requests = {
    { "/seen?a=1&flag&b=2&b=3", "-H", "X-Own: own", "-H", "X-Two: 1", "-H", "X-Two: 2", "-H", "Cookie: c=cookie" },
    { "/output" }, { "/body", "-d", "a=1&b=two%20words" }, { "/exit-after" }, { "/exit-zero" },
    { "/empty", only = true }, { "/eof" }, { "/late" }, { "/exit", only = true },
    { "/redirect", only = true }, { "/error", only = true },
    { "/threads" }, { "/threads-killed" }, { "/threads-exit" }, { "/exit-in-thread" },
  }

  -- Status, the fields that the handler has set, and the body; `only`: without the page, which is the server's own.
  local function essence(text, only)
    local head, body = text:match "^(.-\r\n)\r\n(.*)$"
    local found = { head:match "^HTTP/1.1 (%d+)" }
    for _, name in ipairs { "x%-mine", "x%-under", "x%-late", "location" } do
      for value in head:lower():gmatch("\r\n" .. name .. ": ([^\r]*)") do found[#found + 1] = name .. " " .. value end
    end
    if only then return found end
    found[#found + 1] = head:lower():match "\r\ncontent%-type: ([^\r;]*)" or "no type"
    found[#found + 1] = body
    return found
  end

  it("is what ngx_lua's is, and what is sent is what it sends", function()
    local missing = openresty.missing()
    if missing then return pending(missing) end
    require("moonpark.compat").install("ngx", { global = true })
    local handler = assert(loadstring(HANDLER))
    local server = assert(http.server(http.ngx(handler), { address = "127.0.0.1:0", on_error = function() end }))
    local serving = moonpark.go(server.run, server)
    local nginx = openresty.start("ngx.header.content_type = 'text/plain'\n" .. HANDLER)
    for _, request in ipairs(requests) do
      local words = { unpack(request, 2) }
      local url = request[1]
      local theirs = nginx:ask("-i", "http://localhost" .. url, unpack(words))
      local ours = process.run({ "curl", "-si", "-H", "Host: localhost",
        "http://" .. server:address() .. url, unpack(words) }, openresty.env)
      local expected, seen = essence(theirs, request.only), essence(ours.out, request.only)
      for i, line in ipairs(expected) do expected[i] = line:gsub("http://localhost", "") end
      assert.same(expected, seen, url)
    end
    nginx:stop()
    server:shutdown(1)
    serving:join()
    _G.ngx = nil
  end)

  it("calls the function of on_abort when its client goes, not when it ends", function()
    require("moonpark.compat").install("ngx", { global = true })
    local order, aborted, ended = {}, moonpark.event(), moonpark.event()
    local server = assert(http.server(http.ngx(function()
      assert(ngx.on_abort(function()
        order[#order + 1] = "aborted"
        aborted:set()
      end))
      order[#order + 1] = tostring(select(2, ngx.on_abort(function() end)))
      if ngx.var.arg_end then return ngx.say "whole" end
      moonpark.sleep(1000) -- fails when the client goes
      moonpark.shield(aborted.wait, aborted)
      order[#order + 1] = "ended"
      ended:set()
    end), { address = "127.0.0.1:0", on_error = function() end }))
    local serving = moonpark.go(server.run, server)
    local client = assert(net.dial(server:address()))
    assert(client:write "GET /?end=1 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.equal("HTTP/1.1 200 OK", client:read_line())
    while #order < 2 do moonpark.yield() end
    client:close()
    moonpark.shield(ended.wait, ended)
    assert.same({ "duplicate call", "duplicate call", "aborted", "ended" }, order)
    server:shutdown(1)
    serving:join()
    _G.ngx = nil
  end)
end)
