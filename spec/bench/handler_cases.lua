-- SPDX-License-Identifier: MIT
-- The cases of HTTP that do what handlers do: parameters, queries, cookies, forms, JSON, middleware; and what a
-- connection costs. What a case is: see cases.lua; what a request is: see wrk.lua.

local http_case = require "http_case"

local DEPTH = 16

-- Requests ---------------------------------------------------------------------------------------------------------

local LANGUAGE = "de,en-US;q=0.7,en;q=0.3"
local ORIGIN = "https://app.example.com"

-- What a browser sends besides Host: five fields, then those that depend on what it asks for.
local function browser(...)
  return { "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language: " .. LANGUAGE,
    "Accept-Encoding: gzip, deflate, br", "Referer: http://127.0.0.1/", ... }
end

local STATIC = { target = "/hello", fields = browser "Connection: keep-alive", answer = "Hello, World!" }
local CONNECT = { target = "/hello", fields = browser "Connection: close", answer = "Hello, World!", closes = true }
local PARAM = { target = "/hello/{n}", fields = browser "Connection: keep-alive", answer = "Hello, {n}!" }
local MIDDLEWARE = { target = "/hello/{n}", fields = browser("Origin: " .. ORIGIN), answer = "Hello, {n}!" }

local REAL = {
  target = "/users/{n}?page={n}",
  fields = browser("Connection: keep-alive", "Cookie: session=5f0c9d2e71b84{n}"),
  answer = { id = "{n}", page = "{n}", language = LANGUAGE, session = "5f0c9d2e71b84{n}", scores = { 3, 14, 159 } },
}

local FORM = {
  method = "POST", target = "/form",
  fields = browser("Connection: keep-alive", "Content-Type: application/x-www-form-urlencoded"),
  body = "customer={n}&name=Zo%C3%AB+M%C3%BCller&email=zoe%40example.com&phone=%2B49+30+1234567&street=Hauptweg+12"
    .. "&city=Berlin&postcode=10115&country=DE&newsletter=on&comment=Please+ring+twice%2C+then+wait.",
  answer = { customer = "{n}", name = "Zoë Müller", email = "zoe@example.com", phone = "+49 30 1234567",
    street = "Hauptweg 12", city = "Berlin", postcode = "10115", country = "DE", newsletter = "on",
    comment = "Please ring twice, then wait." },
}

-- Cases ------------------------------------------------------------------------------------------------------------

local STATIC_ROUTE = { name = "moonpark, static route", server = "moonpark", request = STATIC }
local BESIDE_STATIC = { "moonpark", STATIC_ROUTE, "nginx with Lua", "Bun", "Go net/http" }
local BESIDE_OTHERS = { "moonpark", "nginx with Lua", "Bun", "Go net/http" }

-- What a handler does beside answering a text, and where spec/bench/costs_moonpark.lua does so.
local PRICED = {
  { "one path parameter", "/param/{n}" }, { "the query", "/query?page={n}" }, { "one field of the request", "/header" },
  { "the cookies", "/cookie" }, { "the client's address", "/address" }, { "one field of the response", "/set" },
  { "five fields of the response", "/set5" }, { "JSON of five fields", "/json" },
  { "middleware with next()", "/middleware" }, { "http.compress of a short text", "/before" },
  { "http.request_id", "/request-id" }, { "http.secure_headers", "/secure" }, { "http.logger", "/logger" },
  { "moonpark.timeout", "/timer" }, { "a task and its join", "/task" }, { "moonpark.yield", "/sleep" },
}

local function priced()
  local fields, contenders = browser("Connection: keep-alive", "Cookie: session=5f0c9d2e71b84{n}"), {}
  local function add(name, target)
    local request = { target = target, fields = fields, answer = target ~= "/json" and "Hello, World!" or nil }
    table.insert(contenders, { name = name, server = "moonpark, priced", request = request })
  end
  add("moonpark", "/text")
  for _, it in ipairs(PRICED) do add(it[1], it[2]) end
  return http_case.new({ name = "http-costs", depth = DEPTH,
    title = "HTTP: what a handler does beside answering a text, 16 requests at a time" }, {}, contenders)
end

-- moonpark.limits beside the same server without them.
local function limited(name, title, depth)
  local request = { target = "/text", fields = browser "Connection: keep-alive", answer = "Hello, World!" }
  return http_case.new({ name = name, depth = depth, title = title, format = "%.3f",
    goals = { { beside = { "moonpark, no limits" }, at_most = 1.01 } } }, request, {
    { name = "moonpark", server = "moonpark, limited" },
    { name = "moonpark, no limits", server = "moonpark, priced" } })
end

---@return table[] in the order they run
return function()
  return {
    http_case.new({ name = "http-param", title = "HTTP: one path parameter" }, PARAM, BESIDE_STATIC),
    http_case.new({ name = "http-param-pipelined", title = "HTTP: one path parameter, 16 requests at a time",
      depth = DEPTH, goals = { { beside = { STATIC_ROUTE.name }, at_most = 1.4 } } }, PARAM, BESIDE_STATIC),
    http_case.new({ name = "http-real",
      title = "HTTP: a path parameter, the query, a header, a cookie, answered in JSON",
      goals = { { beside = { "nginx with Lua" }, at_most = 0.65 }, { beside = { "Bun" }, at_most = 0.65 },
        { beside = { "Go net/http" }, at_most = 0.4 } } }, REAL, BESIDE_STATIC),
    http_case.new({ name = "http-real-pipelined", depth = DEPTH,
      title = "HTTP: a path parameter, the query, a header, a cookie, answered in JSON, 16 requests at a time",
      goals = { { beside = { STATIC_ROUTE.name }, at_most = 4 } } }, REAL, BESIDE_STATIC),
    http_case.new({ name = "http-form", title = "HTTP: a form of ten fields, answered in JSON",
      goals = { { beside = { "nginx with Lua" }, at_most = 0.65 } } }, FORM, BESIDE_OTHERS),
    http_case.new({ name = "http-middleware", title = "HTTP: one path parameter behind five pieces of middleware",
      goals = { { beside = { "moonpark, no middleware" }, at_most = 1.25 } },
      note = "A request id, a log on /dev/null, secure headers, CORS, and one of the script's own." }, MIDDLEWARE,
      { { name = "moonpark", server = "moonpark with middleware" },
        { name = "moonpark, no middleware", server = "moonpark" } }),
    http_case.new({ name = "http-connect", title = "HTTP: plaintext, a new connection for each request",
      goals = { { beside = { "nginx with Lua" }, at_most = 0.9 } },
      note = "Bun closes without saying so in its answer: wrk may send one more request on a closed connection." },
      CONNECT, BESIDE_OTHERS),
    priced(),
    limited("http-limits", "HTTP: plaintext, with moonpark.limits"),
    limited("http-limits-pipelined", "HTTP: plaintext, 16 requests at a time, with moonpark.limits", DEPTH),
  }
end
