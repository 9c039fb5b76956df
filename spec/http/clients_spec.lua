-- SPDX-License-Identifier: MIT
-- clients_spec.lua - the HTTP server under clients that others have written: curl, wrk, Node's fetch, Python's
-- http.client. What any of them lacks is a failure: `make test` installs them.

local http = require "support.http"
local net = require "support.net"

-- Answers with what it has seen; /big with more than any buffer holds, /stream piece by piece.
local BIG = net.random_bytes(3000000)

local function handler(req, res)
  if req.path == "/big" then return res:send(BIG) end
  if req.path == "/stream" then
    for i = 1, 5 do res:write(i, "\n") end
    return
  end
  if req.path == "/echo" then
    for piece in req:chunks() do res:write(piece) end
    return
  end
  local body = req:body()
  if body then res:send(("%s %s [%s]"):format(req.method, req.path, body)) end
end

-- What the program prints; it must succeed and complain of nothing.
local function output(words, stdin)
  local r = http.run(words, { stdin = stdin })
  assert.same({ 0, "" }, { r.status, r.err }, table.concat(words, " "))
  return r.out
end

local function with_script(text, body)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local ok, err = pcall(body, path)
  os.remove(path)
  if not ok then error(err, 0) end
end

describe("the HTTP server under", function()
  local server

  before_each(function() server = http.start(handler) end)
  after_each(http.stop_all)

  local function base() return "http://" .. server.address end

  describe("curl", function()
    local function curl(...) return output { "curl", "-q", "-sS", "--noproxy", "*", "-m", "60", ... } end

    it("keeps one connection for several requests", function()
      local out = curl("-w", " %{num_connects}\n", base() .. "/a", base() .. "/b", "-d", "x")
      assert.equal("POST /a [x] 1\nPOST /b [x] 0\n", out)
    end)

    it("uploads in chunks, and with 100-continue", function()
      local r = http.run({ "curl", "-q", "-sSv", "--noproxy", "*", "-m", "60", "-H", "Expect: 100-continue", "-T", "-",
        base() .. "/echo" }, { stdin = BIG })
      assert.equal(0, r.status)
      assert.is_true(r.out == BIG)
      assert.matches("Transfer%-Encoding: chunked", r.err)
      assert.matches("HTTP/1%.1 100 Continue", r.err)
    end)

    it("speaks HTTP/1.0, HEAD, and is told of the end of a stream", function()
      assert.equal("1\n2\n3\n4\n5\n", curl("-0", base() .. "/stream"))
      assert.equal("1\n2\n3\n4\n5\n", curl(base() .. "/stream"))
      assert.matches("^HTTP/1%.1 200 OK\r\n.*Content%-Length: 3000000\r\n", curl("-I", base() .. "/big"))
      assert.equal("OPTIONS * []", curl("-X", "OPTIONS", "--request-target", "*", base()))
    end)
  end)

  describe("wrk", function()
    -- The counts that it prints; nothing else than 200 may have come, and no socket failed.
    local function wrk(...)
      local out = output { "wrk", "-t", "1", "-d", "1s", "--timeout", "30s", ... }
      assert.is_nil(out:find("Socket errors", 1, true) or out:find("Non%-2xx"), out)
      return tonumber(out:match("(%d+) requests in")), out
    end

    it("answers all on many connections", function()
      local requests = wrk("-c", "32", base() .. "/a")
      assert.is_true(requests > 0)
      local stats = server.server:stats()
      assert.is_true(stats.requests >= requests)
      assert.equal(0, stats.refused)
    end)

    it("answers what is pipelined, each request in its turn", function()
      with_script([[
local batch, expected, wrong = {}, 0, 0
function init()
  for i = 0, 15 do batch[#batch + 1] = wrk.format("POST", "/" .. i, nil, ("b"):rep(i)) end
  batch = table.concat(batch)
end
function request() return batch end
function response(status, headers, body)
  local wanted = ("POST /%d [%s]"):format(expected, ("b"):rep(expected))
  if status ~= 200 or body ~= wanted then wrong = wrong + 1 io.write("wrong: ", body, "\n") end
  expected = (expected + 1) % 16
end
]], function(script)
        local requests, out = wrk("-c", "1", "-s", script, base())
        assert.is_nil(out:find("wrong", 1, true), out)
        assert.is_true(requests >= 16)
      end)
    end)
  end)

  it("Node's fetch: kept connections, bodies that stream both ways, and one that is given up", function()
    local out = output { "node", "-e", [[
(async () => {
  const base = process.argv[1];
  for (let i = 0; i < 3; i++) console.log(await (await fetch(base + "/" + i, { method: "PUT", body: "x" })).text());
  async function* pieces() { yield Buffer.from("one,"); yield Buffer.from("two"); }
  const echo = await fetch(base + "/echo", { method: "POST", body: pieces(), duplex: "half" });
  console.log(await echo.text());
  console.log((await (await fetch(base + "/big")).arrayBuffer()).byteLength);
  let streamed = "";
  for await (const piece of (await fetch(base + "/stream")).body) streamed += Buffer.from(piece).toString();
  console.log(JSON.stringify(streamed));
  console.log((await fetch(base + "/big", { method: "HEAD" })).headers.get("content-length"));
  const ending = new AbortController();
  const big = await fetch(base + "/big", { signal: ending.signal });
  ending.abort();
  console.log(await big.text().catch((error) => error.name));
})();
]], base() }
    assert.equal('PUT /0 [x]\nPUT /1 [x]\nPUT /2 [x]\none,two\n3000000\n'
      .. '"1\\n2\\n3\\n4\\n5\\n"\n3000000\nAbortError\n', out)
  end)

  it("Python's http.client: one connection for all, chunks both ways", function()
    local out = output({ "python3", "-", server.port }, [[
import http.client, sys
conn = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
conn.connect()
first = conn.sock
def ask(*args, **named):
    conn.request(*args, **named)
    answer = conn.getresponse()
    return answer, answer.read()
print(ask("GET", "/a")[1].decode())
print(ask("POST", "/echo", iter([b"one,", b"two"]), encode_chunked=True,
          headers={"Transfer-Encoding": "chunked"})[1].decode())
answer, body = ask("GET", "/stream")
print(answer.getheader("Transfer-Encoding"), len(body))
answer, body = ask("HEAD", "/big")
print(answer.getheader("Content-Length"), len(body))
print(len(ask("GET", "/big")[1]), conn.sock is first)
]])
    assert.equal("GET /a []\none,two\nchunked 10\n3000000 0\n3000000 True\n", out)
    assert.equal(5, server.server:stats().requests)
  end)
end)
