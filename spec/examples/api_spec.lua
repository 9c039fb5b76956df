-- SPDX-License-Identifier: MIT
-- api_spec.lua - examples/api.lua under curl, Python and Node.

local cjson = require "cjson"
local example = require "support.example"
local http_support = require "support.http"
local process = require "support.process"

describe("examples/api.lua", function()
  local api

  before_each(function() api = example.start("api.lua") end)
  after_each(function()
    api:stop()
    process.stop_all()
  end)

  -- What curl gets: status, the body's value, the fields by their names in lower case.
  local function curl(method, path, body, ...)
    local words = { "curl", "-sS", "-i", "-X", method, "http://" .. api.address .. path, ... }
    if body then
      table.insert(words, "--data-binary")
      table.insert(words, type(body) == "string" and body or cjson.encode(body))
    end
    local r = http_support.run(words)
    assert(r.status == 0, r.err)
    local head, rest = r.out:match("^(.-\r\n)\r\n(.*)$")
    local fields = {}
    for name, value in head:gmatch("\n([^:]+): ([^\r]*)") do fields[name:lower()] = value end
    return tonumber(head:match("^%S+ (%d+)")), rest ~= "" and cjson.decode(rest) or rest, fields
  end

  local function answer(...)
    local status, body = curl(...)
    return { status, body }
  end

  it("makes, shows, changes, lists and removes tasks", function()
    assert.same({ 200, {} }, answer("GET", "/tasks"))
    local status, task, fields = curl("POST", "/tasks", { title = "buy milk" })
    local milk = { id = 1, title = "buy milk", done = false }
    assert.same({ 201, milk, "/tasks/1", "application/json" },
      { status, task, fields.location, fields["content-type"] })
    curl("POST", "/tasks", { title = "drink it", done = true })
    assert.same({ 200, milk }, answer("GET", "/tasks/1"))
    milk.done = true
    assert.same({ 200, milk }, answer("PATCH", "/tasks/1", { done = true }))
    assert.same({ 200, { id = 2, title = "sell it", done = false } }, answer("PUT", "/tasks/2", { title = "sell it" }))
    assert.equal(2, #answer("GET", "/tasks")[2])
    assert.same({ { id = 2, title = "sell it", done = false } }, answer("GET", "/tasks?done=false")[2])
    assert.same({ 204, "" }, answer("DELETE", "/tasks/1"))
    assert.equal(404, (curl("DELETE", "/tasks/1")))
  end)

  it("says as JSON what is wrong", function()
    local function refusal(...)
      local status, body = curl(...)
      return { status, body.error, body.fields }
    end
    assert.same({ 422, "invalid fields", { title = "is missing" } }, refusal("POST", "/tasks", "{}"))
    assert.same({ 422, "invalid fields", { title = "must not be empty", done = "must be true or false",
      colour = "is unknown" } }, refusal("POST", "/tasks", { title = " ", done = 1, colour = "red" }))
    assert.same({ 422, "invalid fields", { title = "must have at most 200 bytes" } },
      refusal("POST", "/tasks", { title = ("x"):rep(201) }))
    assert.same({ 422, "the body must be an object" }, refusal("POST", "/tasks", "[1]"))
    assert.same({ 422, "the body must be an object" }, refusal("POST", "/tasks", "null"))
    assert.same({ 400, "invalid JSON" }, refusal("POST", "/tasks", "{"))
    assert.same({ 413, "too long" }, refusal("POST", "/tasks", ("x"):rep(65537)))
    assert.same({ 404, "no such task" }, refusal("GET", "/tasks/1"))
    assert.same({ 404, "no such task" }, refusal("GET", "/tasks/x"))
    assert.same({ 404, "Not Found" }, refusal("GET", "/nothing"))
    curl("POST", "/tasks", { title = "one" })
    assert.same({ 409, "task 1 already has that title" }, refusal("POST", "/tasks", { title = "one" }))
    assert.equal(200, (curl("PATCH", "/tasks/1", { title = "one" }))) -- its own
    local status, body, fields = curl("DELETE", "/tasks")
    assert.same({ 405, "Method Not Allowed", "GET, HEAD, OPTIONS, POST" }, { status, body.error, fields.allow })
  end)

  it("answers Python's http.client on one connection", function()
    local r = http_support.run({ "python3", "-", api.port }, { stdin = [[
import http.client, json, sys
conn = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
for i in range(3):
    conn.request("POST", "/tasks", json.dumps({"title": "t%d" % i}))
    answer = conn.getresponse()
    print(answer.status, json.load(answer)["id"])
conn.request("POST", "/tasks", iter([b'{"title":', b'"in chunks"}']), encode_chunked=True,
             headers={"Transfer-Encoding": "chunked"})
print(conn.getresponse().read().decode())
]] })
    assert.equal("", r.err)
    assert.truthy(r.out:find("^201 1\n201 2\n201 3\n"), r.out)
    assert.truthy(r.out:find('"title":"in chunks"', 1, true), r.out)
  end)

  it("answers Node's fetch", function()
    local r = http_support.run { "node", "-e", [[
(async () => {
  const base = "http://" + process.argv[1];
  const made = await fetch(base + "/tasks", { method: "POST", body: JSON.stringify({ title: "from node" }) });
  console.log(made.status, (await made.json()).title);
  console.log((await (await fetch(base + "/tasks")).json()).length);
  console.log((await fetch(base + "/tasks/1", { method: "DELETE" })).status);
})();
]], api.address }
    assert.same({ "", "201 from node\n1\n204\n" }, { r.err, r.out })
  end)

  it("explains itself: --help", function()
    local r = process.run(example.plain("api.lua", "--help"))
    assert.equal(0, r.status)
    assert.truthy(r.out:find("^usage: api%.lua "))
  end)

  it("says where it cannot listen", function()
    local r = process.run(example.plain("api.lua", api.address))
    assert.same({ 1, "api: cannot listen on " .. api.address .. ": address already in use\n" }, { r.status, r.err })
  end)
end)
