-- SPDX-License-Identifier: MIT
-- reverse-proxy_spec.lua - examples/reverse-proxy.lua between curl or Python and nginx, as its users meet it.

local core = require "moonpark.core"
local example = require "support.example"
local http = require "moonpark.http"
local net = require "moonpark.net"
local peers = require "support.http_client"
local process = require "support.process"
local support = require "support.net"

local function proxy_to(target, address)
  return example.start("reverse-proxy.lua", example.plain("reverse-proxy.lua", address or "127.0.0.1:0", target))
end

-- Without the library that a sanitized build has each process load first: curl and nginx are not ours.
local function plain(...) return { "env", "-u", "LD_PRELOAD", ... } end

local function curl(...) return process.run(plain("curl", "-sS", "--noproxy", "*", "-m", "20", ...)) end

describe("examples/reverse-proxy.lua", function()
  after_each(function()
    process.stop_all()
    peers.stop_all()
  end)

  it("passes curl's requests on, bodies included", function()
    local server = peers.serve(function(req, res)
      if req.method == "POST" then return res:send(req:body()) end
      res:set("X-Seen", req.headers["x-forwarded-for"])
      res:send(req.target)
    end)
    local proxy = proxy_to(server.url)
    local base = "http://" .. proxy.address
    local got = curl("-i", base .. "/a?b=c")
    assert.matches("^HTTP/1%.1 200 OK\r\n.*X%-Seen: 127%.0%.0%.1\r\n\r\n/a%?b=c$", got.out)
    local text = ("0123456789"):rep(core.hard and 3 or 50000)
    for _, framing in ipairs { "X: y", "Transfer-Encoding: chunked" } do
      got = process.run(plain("curl", "-sS", "--noproxy", "*", "-m", "20", "-H", framing, "--data-binary", "@-", base),
        { stdin = text })
      assert.is_true(got.out == text, got.err)
    end
    proxy:stop()
  end)

  it("streams both ways: Python's http.client reads the answer while it still sends", function()
    local target = peers.serve(function(req, res)
      for piece in req:chunks() do assert(res:write((piece:upper()))) end
    end)
    local proxy = proxy_to(target.url)
    local r = process.run(plain("python3", "-", proxy.port), { stdin = [[
import http.client, sys
conn = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
conn.putrequest("POST", "/")
conn.putheader("Transfer-Encoding", "chunked")
conn.endheaders()
answer = None
for piece in [b"one", b"two", b"three"]: # each is sent when the answer to the one before is here
    conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    answer = answer or conn.getresponse()
    print(answer.read(len(piece)).decode())
conn.send(b"0\r\n\r\n")
print(answer.status, answer.read())
]] })
    assert.same({ 0, "", "ONE\nTWO\nTHREE\n200 b''\n" }, { r.status, r.err, r.out })
    proxy:stop()
  end)

  it("keeps its connections to the target, whoever asks", function()
    local target = peers.serve(function(req, res) res:send(req.address .. "\n") end)
    local proxy = proxy_to(target.url)
    local first = curl("http://" .. proxy.address).out
    for _ = 1, 3 do assert.equal(first, curl("http://" .. proxy.address).out) end
    assert.equal(first, curl("--http1.0", "http://" .. proxy.address).out)
    assert.equal(1, target.server:stats().connections)
    proxy:stop()
  end)

  it("stands in front of nginx", function()
    support.with_folder(function(folder)
      local port = assert(net.listen "127.0.0.1:0")
      local address = port:address()
      port:close()
      local file = assert(io.open(folder .. "/conf", "w"))
      local text = ([[
daemon off; pid F/pid; error_log F/log; events {}
http {
  access_log off; client_body_temp_path F/a; proxy_temp_path F/b; fastcgi_temp_path F/c; uwsgi_temp_path F/d;
  scgi_temp_path F/e;
  server { listen A; location / {
    return 200 "nginx says hello to $http_x_forwarded_for, request $connection_requests\n"; } }
}
]]):gsub("F/", folder .. "/"):gsub("listen A", "listen " .. address)
      file:write(text)
      file:close()
      local nginx = process.start(plain("nginx", "-p", folder, "-c", folder .. "/conf", "-e", folder .. "/log"))
      local ready = false
      for _ = 1, 500 do
        local conn = net.dial(address)
        ready = conn ~= nil
        if conn then conn:close() break end
        require("moonpark").sleep(0.01)
      end
      assert.is_true(ready, "nginx does not listen")
      local proxy = proxy_to("http://" .. address)
      local got = curl("http://" .. proxy.address .. "/", "http://" .. proxy.address .. "/")
      assert.equal("nginx says hello to 127.0.0.1, request 1\nnginx says hello to 127.0.0.1, request 2\n", got.out)
      -- Another client, the same connection to nginx.
      assert.equal("nginx says hello to 127.0.0.1, request 3\n", curl("http://" .. proxy.address .. "/").out)
      assert.matches("^HTTP/1%.1 200 OK\r\n", curl("-I", "http://" .. proxy.address .. "/").out)
      proxy:stop()
      nginx:kill("TERM")
      nginx:wait()
      for _, name in ipairs { "a", "b", "c", "d", "e" } do os.remove(folder .. "/" .. name) end
      for _, name in ipairs { "conf", "log", "pid" } do os.remove(folder .. "/" .. name) end
    end)
  end)

  it("says 502 where nobody answers, and why", function()
    local proxy = proxy_to("http://" .. support.NOBODY)
    assert.equal(502, assert(http.get("http://" .. proxy.address)).status)
    assert.equal("reverse-proxy: GET /: connection refused", proxy.child:line("err"))
  end)

  it("explains itself, and says what it misses", function()
    local r = process.run(example.plain("reverse-proxy.lua", "--help"))
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^usage: reverse%-proxy%.lua", r.out)
    r = process.run(example.plain("reverse-proxy.lua"))
    assert.same({ 2, "" }, { r.status, r.out })
    local taken = assert(net.listen "127.0.0.1:0")
    r = process.run(example.plain("reverse-proxy.lua", taken:address(), "127.0.0.1:1"))
    assert.same({ 1, ("reverse-proxy: cannot listen on %s: address already in use\n"):format(taken:address()) },
      { r.status, r.err })
    taken:close()
  end)
end)
