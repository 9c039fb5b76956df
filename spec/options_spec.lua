-- SPDX-License-Identifier: MIT
-- options_spec.lua - options are checked in one place: names, types, whole numbers, and whose line an error names.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local option = require "moonpark.options"
local support = require "support.http"
local testing = require "moonpark.testing"

local fs, net, process = moonpark.fs, moonpark.net, moonpark.process

-- What check() raises for an option of that kind.
local function complaint(kind, value)
  local ok, err = pcall(function() option.check("f", { size = value }, { size = kind }, 1) end)
  return not ok and err or nil
end

local function handler() end

-- Each public function with the options that must be whole numbers.
local takers = {
  { "listen", function(o) return net.listen("127.0.0.1:0", o) end, "backlog", "mode" },
  { "packet", function(o) return net.packet("unixgram:/nowhere/x", o) end, "mode" },
  { "set_resolver", net.set_resolver, "ndots", "tries" },
  { "http.server", function(o)
    o.address = "127.0.0.1:0"
    return http.server(handler, o)
  end, "max_head", "max_body", "max_connections", "max_requests" },
  { "http.client", http.client, "max_connections", "max_per_host", "max_idle", "max_idle_per_host", "redirects",
    "max_body", "max_head", "length" },
  { "http", function(o) return http.get("http://127.0.0.1:1/", o) end, "redirects", "max_body", "max_head", "length" },
  { "cors", http.cors, "max_age" },
  { "compress", http.compress, "min", "br", "gzip" },
  { "write", function(o) return fs.write("/nowhere/x", "", o) end, "mode" },
  { "append", function(o) return fs.append("/nowhere/x", "", o) end, "mode" },
  { "mkdir", function(o) return fs.mkdir("/nowhere/x", o) end, "mode" },
  { "open", function(o) return fs.open("/nowhere/x", "r", o) end, "mode" },
  { "run", function(o) return process.run({ "true" }, o) end, "max", "stdin" },
  { "http.proxy", function(o) return http.proxy("http://127.0.0.1:1", o) end, "max_connections", "max_idle" },
  { "pair", testing.pair, "capacity" },
}

describe("options", function()
  it("of each type are taken, and nothing else is", function()
    local fits = {
      string = { "a" }, boolean = { true, false }, table = { {} }, ["string|function"] = { "a", print },
      number = { -1, 0.5, math.huge }, count = { 0, 3, math.huge }, positive = { 1, math.huge }, seconds = { 0, 0.5 },
      pause = { 0.1 }, mode = { 0, 420, "644", "0777" },
    }
    local misfits = {
      string = { 1, false }, boolean = { 0, "" }, table = { "" }, ["string|function"] = { 1, {} },
      number = { 0 / 0, "1" },
      count = { -1, 0.9, 0 / 0, "1", -math.huge }, positive = { 0, 1.5 }, seconds = { -1, 0 / 0, "1" },
      pause = { 0, math.huge, 0 / 0 }, mode = { 4096, -1, 1.5, "8", "rw", "77777" },
    }
    for kind, values in pairs(fits) do
      for _, value in ipairs(values) do assert.is_nil(complaint(kind, value)) end
      for _, value in ipairs(misfits[kind]) do
        assert.matches("^spec/options_spec.lua:%d+: f: option 'size' must be ", complaint(kind, value))
      end
    end
  end)

  it("that are wrong are shown, in words that fit", function()
    assert.matches("must be a whole number of at least 0, not 0.9$", complaint("count", 0.9))
    assert.matches("must be a whole number of at least 0, not a string$", complaint("count", "1"))
    assert.matches("must be a number, not NaN$", complaint("number", 0 / 0))
    assert.matches("must be a string or function, not a number$", complaint("string|function", 0 / 0))
    assert.matches('must be permission bits, such as "644", not a string$', complaint("mode", "rw"))
    assert.matches("must be a whole number from 1 to 3$", complaint(option.whole(1, 3), 4))
    assert.matches("must be fair$", complaint({ function() return false end, "must be fair" }, 1))
  end)

  it("that are unknown are told with the nearest one that is there", function()
    local known = { max_body = "count", max_head = "count" }
    assert.equal("unknown option 'max_boddy'; did you mean 'max_body'?", option.complaint({ max_boddy = 1 }, known))
    assert.equal("unknown option 'x'", option.complaint({ x = 1 }, known))
    assert.equal("unknown option '1'", option.complaint({ 5 }, known))
    assert.is_nil(option.complaint({ max_body = 1, max_head = 0 }, known))
  end)

  it("that are none are an empty table, and what is no table raises", function()
    assert.same({}, option.check("f", nil, {}))
    assert.error_matches(function() option.check("f", 1, {}, 1) end, "^f: a table of options expected, got number$")
    assert.error_matches(function() option.check("f", "", {}, 1, 3) end,
      "^bad argument #3 to 'f' %(table expected, got string%)$")
  end)

  for _, taker in ipairs(takers) do
    local name, call = taker[1], taker[2]
    for i = 3, #taker do
      it(("%s of %s must be a whole number, and the error names the caller's line"):format(taker[i], name), function()
        for _, value in ipairs { 0.9, 1.5, -0.5 } do
          local ok, err = pcall(function()
            local result = call { [taker[i]] = value }
            return result
          end)
          assert.is_false(ok, taker[i])
          assert.matches("^spec/options_spec.lua:%d+: [^\n]*" .. taker[i], err)
        end
      end)
    end
  end

  it("of a body must be whole numbers too, wherever it is read", function()
    local complaints = {}
    local server = support.start(function(req, res)
      for _, call in ipairs {
        function() return req:body(1.5) end, function() return req:json(0.5) end, function() return req:form(1.5) end,
        function() return req:form_list(1.5) end, function() return req:read(1.5) end,
        function() return req:chunks(0.5) end, function() return req:multipart { max_parts = 1.5 } end,
        function() return req:multipart { max_part = 0.5 } end, function() return req:multipart { max_prats = 1 } end,
      } do
        local ok, err = pcall(function()
          local result = call()
          return result
        end)
        complaints[#complaints + 1] = ok and "none" or err
      end
      res:send "done"
    end)
    local answer = assert(http.post("http://" .. server.address, { body = "abc", stream = true }))
    for _, call in ipairs { answer.read, answer.chunks, answer.read_all } do
      local ok, err = pcall(function()
        local result = call(answer, 1.5)
        return result
      end)
      complaints[#complaints + 1] = ok and "none" or err
    end
    assert.equal("done", answer:read_all())
    assert.equal(12, #complaints)
    for _, said in ipairs(complaints) do
      assert.matches("^spec/options_spec.lua:%d+: ", said)
      assert.truthy(said:find("max must be a whole number of at least %d, got [01]%.5$")
        or said:find("multipart: option 'max_parts?' must be a whole number of at least 0, not [01]%.5$")
        or said:find("multipart: unknown option 'max_prats'; did you mean 'max_parts'?", 1, true), said)
    end
    server:stop()
  end)

  it("max_connections of serve must be a positive whole number", function()
    local listener = assert(net.listen "127.0.0.1:0")
    for _, value in ipairs { 0, 0.9, 1.5 } do
      assert.error_matches(function() listener:serve(handler, { max_connections = value }) end,
        "^serve: option 'max_connections' must be a positive whole number, not ")
    end
    listener:close()
  end)
end)
