-- SPDX-License-Identifier: MIT
-- docs_spec.lua - the pages on HTTP against the code: each public name, each option and each limit is there, with the
-- default that counts.

local http = require "moonpark.http"
local ffi = require "ffi"
local lib = require("support.units").lib

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function source(name) return read("lua/moonpark/" .. name .. ".lua") end

local pages = {}
for _, name in ipairs { "http", "http-client", "http-files", "http-guide", "http-proxy", "http-rate-limit",
  "http-security", "sessions", "template", "websocket" } do
  pages[name] = read("docs/" .. name .. ".md")
end
local all = pages.http .. pages["http-client"] .. pages["http-files"] .. pages["http-proxy"]
  .. pages["http-rate-limit"] .. pages.websocket .. pages.sessions .. pages.template

-- Does one of the patterns occur with no letter around it?
local function has_word(text, ...)
  for _, word in ipairs { ... } do
    if text:find("%f[%w_]" .. word:gsub("%p", "%%%0") .. "%f[^%w_]") then return true end
  end
  return false
end

-- What stands in code marks, in one text: `res:set(name, value)`.
local code = {}
for mark in all:gsub("```.-```", function(block)
  code[#code + 1] = block
  return ""
end):gmatch("`([^`]+)`") do code[#code + 1] = mark end
code = table.concat(code, "\n")

describe("the pages on HTTP", function()
  it("have every name of moonpark.http", function()
    local missing = {}
    local names = { null = true }
    for name in pairs(http) do names[name] = true end
    for name in source("http"):gmatch("\n  ([%l_]+) = function%(%)") do names[name] = true end
    local methods = { head = true, post = true, put = true, delete = true, patch = true, options = true }
    for name in pairs(names) do
      if not has_word(code, "http." .. name) and not methods[name] then missing[#missing + 1] = "http." .. name end
    end
    assert.same({}, missing)
    assert.truthy(pages["http-client"]:find("`http.get(url, options)`, `head`, `post`, `put`, `delete`,\n`patch`, "
      .. "`options`", 1, true))
  end)

  -- Which objects have methods: file, class, and how a page writes its object.
  local classes = {
    { "http/request", "Request", "req" }, { "http/response", "Response", "res" }, { "http/router", "Router", "app" },
    { "http/server", "Server", "server" }, { "http/client", "Client", "client" },
    { "http/client_response", "Answer", "answer" },
    { "http/events", "Events", "events" }, { "http/multipart", "Part", "part" }, { "http/proxy", "Proxy", "proxy" },
    { "http/websocket", "Websocket", "ws" }, { "http/group", "Group", "group" },
    { "http/sessions", "Session", "session" }, { "http/template", "Template", "template" },
    { "http/template", "Templates", "views" },
  }

  it("have every method of every object", function()
    local missing, seen = {}, 0
    local also = { ["app:handle"] = "It is a handler itself", ["proxy:handle"] = "is a handler, and a router takes it",
      ["client:request"] = "It has the same methods" }
    for _, class in ipairs(classes) do
      for name in source(class[1]):gmatch("\nfunction " .. class[2] .. ":([%a][%w_]*)") do
        seen = seen + 1
        local method = class[3] .. ":" .. name
        local said = also[method] and all:find(also[method], 1, true)
        if not said and not has_word(code, method) then missing[#missing + 1] = method end
      end
    end
    assert.same({}, missing)
    assert.is_true(seen > 60, "hardly any method was found")
  end)

  it("have every field that a request computes", function()
    local missing = {}
    for name in source("http/request"):gmatch("function lazy%.([%a_]+)") do
      if not has_word(code, name) then missing[#missing + 1] = name end
    end
    assert.same({}, missing)
  end)

  it("have every option", function()
    local missing, seen = {}, 0
    local function want(file, name) -- `name`, `name = default`, or {a =, name =} of a function that takes a table
      seen = seen + 1
      if not (all:find("`" .. name .. "`", 1, true) or code:find("%f[%w_]" .. name .. " =") or
        code:find("%f[%w_]" .. name .. "%s*[,}]")) then missing[#missing + 1] = file .. ": " .. name end
    end
    for _, file in ipairs { "http", "http/server", "http/client", "http/client_request", "http/pool",
      "http/proxy_options", "http/proxy_check", "http/proxy_target", "http/rate_limit", "http/limit_concurrency",
      "http/static", "http/file_response", "http/events", "http/multipart", "http/fields", "http/auth", "http/compress",
      "http/cors", "http/logger", "http/request_id", "http/sessions", "http/csrf", "http/template" } do
      local text = source(file)
      for name in text:gmatch("%f[%w_]options%.([%l_]+)") do want(file, name) end
      for _, list in ipairs { "local known", "local defaults", "local of_clients", "M.known", "local passive_known" } do
        local body = text:match("\n" .. list .. " = (%b{})")
        for name in (body or ""):gmatch("%f[%w_]([%l_]+) =") do want(file, name) end
      end
    end
    assert.same({}, missing)
    assert.is_true(seen > 80, "hardly any option was found")
  end)
end)

---------------------------------------------------------------------------------------------------
-- numbers

-- The defaults of http.server, by the source's own table.
local defaults = {}
for name, value in source("http/server"):match("\nlocal defaults = (%b{})"):gmatch("([%l_]+) = (%d+)") do
  defaults[name] = tonumber(value)
end

-- The number that a line of the source gives a name.
local function constant(file, pattern)
  local value = assert(source(file):match(pattern), file .. ": " .. pattern)
  return tonumber(value)
end

local KIB, MIB = 1024, 1048576

local function size(bytes)
  if bytes % MIB == 0 then return bytes / MIB .. " MiB" end
  assert(bytes % KIB == 0)
  return bytes / KIB .. " KiB"
end

-- The rows of a page's tables, by their first cell: {cells}.
local function rows(page)
  local found = {}
  for line in pages[page]:gmatch("\n(|[^\n]*)") do
    local cells = {}
    for cell in line:gmatch("|%s*([^|]-)%s*%f[|]") do cells[#cells + 1] = cell end
    if cells[1] and not found[cells[1]] then found[cells[1]] = cells end
  end
  return found
end

describe("the default of a server's limit", function()
  it("is what the table of options says", function()
    local table_of = rows "http"
    local count = 0
    for name, value in pairs(defaults) do
      assert.equal(tostring(value), (table_of["`" .. name .. "`"] or {})[2], name)
      count = count + 1
    end
    assert.equal(8, count)
  end)

  it("is what the security notes say", function()
    local limits = rows "http-security"
    local function says(what, default, option)
      local row = limits[what] or {}
      assert.same({ what, default, option or "" }, { row[1], row[2], row[3] })
    end
    says("bytes of a head", size(defaults.max_head), "`max_head`")
    says("fields of a head", tostring(tonumber(ffi.cast("int", lib.HTTP_FIELDS_MAX))))
    says("time for a head", defaults.head_timeout .. " s from its first byte", "`head_timeout`")
    says("idle connection", defaults.idle_timeout .. " s", "`idle_timeout`")
    says("bytes of a body", size(defaults.max_body), "`max_body`")
    says("a body of which nothing moves", defaults.io_timeout .. " s", "`io_timeout`")
    says("a request as a whole, however slowly its body moves", defaults.request_timeout == 0 and "none",
      "`request_timeout`")
    says("connections", tostring(defaults.max_connections), "`max_connections`")
    says("requests on a connection", defaults.max_requests == 0 and "any", "`max_requests`")
    says("trailer section, of any number of fields",
      size(tonumber(read("runtime/http/http_body.h"):match("HTTP_TRAILERS_MAX = (%d+)"))))
    says("bytes that `req:body`, `req:json`, `req:form` hold", size(constant("http/request", "BODY_MAX = (%d+)")),
      "their argument")
    says("names of a form", tostring(constant("http/request", "FORM_MAX = (%d+)")))
    says("parts of multipart, a part's fields", ("%d, %s"):format(constant("http/multipart", "max_parts = (%d+)"),
      size(constant("http/multipart", "max_head = (%d+)"))), "`max_parts`, `max_head`")
    says("a part that `part:body` holds", size(constant("http/multipart", "FIELD_MAX = (%d+)")), "its argument")
    says("levels of JSON", tostring(constant("http/json", "decode_max_depth%((%d+)%)")))
  end)

  it("of a proxy, its checks and a rate limit is what their pages say", function()
    local function says(page, option, default)
      assert.equal(tostring(default), (rows(page)["`" .. option .. "`"] or {})[2], page .. ": " .. option)
    end
    for _, option in ipairs { "tries", "retry_timeout", "max_queue", "queue_timeout", "connect_timeout",
      "io_timeout" } do
      says("http-proxy", option, constant("http/proxy_options", option .. " or (%d+)"))
    end
    for _, option in ipairs { "interval", "timeout", "healthy", "unhealthy" } do
      says("http-proxy", option, constant("http/proxy_check", option .. " or (%d+)"))
    end
    local passive = rows("http-proxy")["`passive`"][3]
    for option, wanted in pairs { failures = "failures or (%d+)", time = "passive.time or (%d+)",
      max_time = "math.max%((%d+), time%) }" } do
      assert.truthy(passive:find(("`%s` = %d"):format(option, constant("http/proxy_options", wanted)), 1, true)
        or passive:find(("%d seconds"):format(constant("http/proxy_options", wanted)), 1, true), option)
    end
    says("http-rate-limit", "max_keys", constant("http/rate_limit", "max_keys or (%d+)"))
    says("http-rate-limit", "status", constant("http/rate_limit", "status or (%d+)"))
  end)

  it("of the client and its pool is what its page says", function()
    local options = rows "http-client"
    local text = pages["http-client"]
    assert.equal(constant("http/client", "connect_timeout or (%d+)") .. " s", options["`connect_timeout`"][2])
    assert.matches(": " .. constant("http/client", "redirects or (%d+)") .. "$", options["`redirects`"][2])
    assert.equal(("bytes: %s, %s. \"too long\""):format(size(constant("http/client_response", "BODY_MAX = (%d+)")),
      size(constant("http/upstream", "HEAD_MAX = (%d+)"))), options["`max_body`, `max_head`"][2])
    for option, pattern in pairs { max_idle = "max_idle or (%d+)", max_idle_per_host = "max_idle_per_host or (%d+)" } do
      assert.truthy(text:find(("`%s` (%d)"):format(option, constant("http/pool", pattern)), 1, true), option)
    end
    assert.truthy(text:find(("`idle_timeout` (%d s)"):format(constant("http/pool", "idle_timeout or (%d+)")), 1, true))
  end)
end)
