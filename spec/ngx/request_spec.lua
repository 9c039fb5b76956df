-- SPDX-License-Identifier: MIT
-- request_spec.lua - the request's side of ngx answers as ngx_lua's does: the tables of behaviours on both.

local handlers = require "support.ngx_handlers"
local openresty = require "support.openresty"
local process = require "support.process"

local function read(path)
  local file = assert(io.open(process.root .. "/" .. path))
  local text = file:read "*a"
  file:close()
  return text
end

-- A request of each case that has none of its own. A line that ends in "-- n" stands for n cases.
local function requests_of(script, own)
  local requests, listed = {}, {}
  for _, request in ipairs(own) do
    listed[request[1]:match "^/([%w_]*)" or ""] = true
    requests[#requests + 1] = request
  end
  local function ask(name)
    if not listed[name] then requests[#requests + 1] = { "/" .. name } end
  end
  for name in script:gmatch "cases%.([%w_]+)[%( ]" do ask(name) end
  for name, number in script:gmatch 'cases%["([%w_]+)" .. i%] = [^\n]* %-%- (%d+)' do
    for i = 1, tonumber(number) do ask(name .. i) end
  end
  return requests
end

-- All answers of the table of that name, and so many lines at least.
local function compare(name, own, least)
  local missing = openresty.missing()
  if missing then return pending(missing) end
  local script = read "spec/ngx/say.lua" .. "\n" .. read("spec/ngx/" .. name)
  local lines, different = 0, {}
  handlers.compare(script, requests_of(script, own), function(request, theirs, ours)
    lines = lines + #theirs
    for i = 1, math.max(#theirs, #ours) do
      if theirs[i] ~= ours[i] then
        different[#different + 1] = ("%s: nginx: %s; here: %s"):format(request, tostring(theirs[i]), tostring(ours[i]))
      end
    end
  end)
  assert.equal("", table.concat(different, "\n"))
  assert.is_true(lines >= least, lines .. " lines")
end

local FIELDS = { "X-Own: own", "X-Two: 1", "X-Two: 2", "X-Three: 3" }
local FORM = { "Content-Type: application/x-www-form-urlencoded" }

local requests = {
  { "/set_header", fields = FIELDS }, { "/add_header", fields = FIELDS }, { "/headers", fields = FIELDS },
  { "/args?a=1&flag&b=2&b=3&p=a%20b+c&UPPER=u&a=2&=x" }, { "/args?" }, { "/args" },
  { "/read_body", method = "POST", body = "a=1&b=two%20words", fields = FORM },
  { "/read_body", method = "POST", body = "" }, { "/read_body" },
  { "/read_body", method = "POST", body = ("x"):rep(9000000), length = 9000000 },
  { "/read_body", method = "POST", body = "half", length = 10, cut = true },
  { "/read_body", method = "POST", fields = { "Transfer-Encoding: chunked", "", "zz\r\nnot chunks" } },
  { "/set_body", method = "POST", body = "a=1", fields = FORM }, { "/set_body" },
  { "/init_body", method = "POST", body = "old", fields = FORM }, { "/init_body" },
  { "/cookies", fields = { "Cookie: a=1; b=\"two\"; e=", "Cookie: q=%20x; A=3; sp=a b" } }, { "/cookies" },
  { "/repeated", fields = { "X-Own: 1", "X-Own: 2", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2",
    "Accept: a", "Accept: b", "Via: v", "Via: w", "Content-Type: t/u" } },
  { "/host", host = "Some.Example:8080" },
  { "/vars", fields = { "Authorization: Basic dXNlcjpwYXNz" } },
  { "/vars", fields = { "Authorization: Basic dXNlcg" } },
  { "/vars", fields = { "Authorization: Bearer x" } }, { "/vars", fields = { "Authorization: Basic !!" } },
  { "/vars", method = "POST", body = "x" },
  { "/read_body", method = "POST", fields = { "Transfer-Encoding: chunked", "", "3\r\na=1\r\n0\r\n" } },
}

for _, path in ipairs { "/", "/a/b", "//a///b", "/a/./b", "/a/../b", "/a/b/..", "/a/b/.", "/a/%2e%2E/b", "/%2e/a",
  "/a%2fb", "/a%2F..%2Fb", "/a/...", "/a/.b", "/a/..b", "/..", "/../a", "/a/../../b", "/%00", "/a%", "/a%zz", "/a%4",
  "/a%20b?c=%zz", "/a+b", "/a%25b", "/a?b/../c", "/%C3%A9", "http://localhost/p?q", "http://other.example/p//x/../y?q",
  "http://localhost", "http://localhost?q", "/a/%2e", "/a/..;/b", "/a//../b", "/a%3fb", "/a/%2e%2e%2fb", "//",
  "/a%23b", "/%7e", "/a/%", "/a//", "/a/b/../../", "/a/b/../..",
  "/a/.%2e/b", "/./" } do
  requests[#requests + 1] = { path, name = "path " .. path }
end

describe("a request's façade", function()
  after_each(process.stop_all)

  it("sends what ngx_lua sends", function()
    compare("response_behaviours.lua", { { "/head_length", method = "HEAD" }, { "/head_exit", method = "HEAD" } }, 400)
  end)

  it("says of a request what ngx_lua says", function() compare("request_behaviours.lua", requests, 300) end)
end)
