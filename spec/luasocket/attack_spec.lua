-- SPDX-License-Identifier: MIT
-- attack_spec.lua - façade sockets, plain and in TLS, in the hands of tasks that end, peers that cut, and both at once.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local socket = require "moonpark.luasocket.core"
local secure = require "moonpark.luasec.small"
local support = require "support.net"
local tls = require "support.tls"

-- With room for `backlog` connections that nobody has accepted yet: for one more the kernel drops what finishes its
-- handshake, and may reset it later, though its client is connected.
local function listening(backlog)
  local server = assert(socket.tcp4())
  assert(server:bind("127.0.0.1", 0))
  assert(server:listen(backlog))
  return server, select(2, server:getsockname())
end

local function pair()
  local server, port = listening()
  local near = assert(socket.connect("127.0.0.1", port))
  local far = assert(server:accept())
  server:close()
  return near, far
end

local function context(mode, more)
  local all = { mode = mode, protocol = "any" }
  if mode == "server" then all.certificate, all.key = tls.files.host_crt, tls.files.host_key end
  for key, value in pairs(more or {}) do all[key] = value end
  return assert(secure.newcontext(all))
end

local function secured(server, client)
  local near, far = pair()
  near = assert(secure.wrap(near, client or context "client"))
  far = assert(secure.wrap(far, server or context "server"))
  local task = moonpark.go(far.dohandshake, far)
  assert(near:dohandshake())
  assert.same({ true, true }, { task:join() })
  return near, far
end

-- The client's first words.
local function first_words(alpn)
  local near, far = pair()
  local client = assert(secure.wrap(near, context("client", { alpn = alpn })))
  client:sni "host.example"
  client:settimeout(0)
  client:dohandshake()
  far:settimeout(0)
  local _, _, bytes = far:receive "*a"
  client:close()
  far:close()
  return bytes
end

describe("a façade socket", function()
  it("is cancelled while it connects", function()
    local full = assert(socket.tcp4())
    assert(full:bind("127.0.0.1", 0))
    assert(full:listen(1))
    local port = select(2, full:getsockname())
    local clients, waiting = {}, nil
    for i = 1, 16 do
      clients[i] = assert(socket.tcp4())
      local task = moonpark.go(function() return clients[i]:connect("127.0.0.1", port) end)
      for _ = 1, 20 do moonpark.yield() end
      if task:status() ~= "done" and i > 4 then
        waiting = task
        break
      end
      if task:status() ~= "done" then task:cancel() end
      task:join()
    end
    if waiting then
      waiting:cancel()
      assert.same({ true, nil, "canceled" }, { waiting:join() })
    end
    for _, one in ipairs(clients) do one:close() end
    full:close()
  end)

  it("closed while another task connects it stays closed", function()
    local server, port = listening()
    local client = socket.tcp()
    client:settimeout(0)
    client:connect("127.0.0.1", port)
    client:close()
    support.settle()
    assert.equal(-1, client:getfd())
    assert.same({ nil, "closed", "" }, { client:receive() })
    server:close()
  end)

  it("counts what it has handed out, also of reads that failed, and after its end", function()
    local near, far = pair()
    far:send "a line\r\nhalf"
    far:close()
    assert.equal("a line", near:receive())
    assert.equal(8, (near:getstats()))
    assert.same({ nil, "closed", "half" }, { near:receive() })
    assert.equal(12, (near:getstats()))
    near:close()
    assert.equal(12, (near:getstats()))
    near:setstats(5)
    assert.equal(5, (near:getstats()))
  end)

  it("drops every carriage return, wherever they are", function()
    local near, far = pair()
    for _, line in ipairs { "", "\r", "\r\r", "a\r", "\ra", "a\rb", "a\rb\r", "a\r\r" } do
      far:send(line .. "\n")
      assert.same({ (line:gsub("\r", "")) }, { (near:receive()) })
    end
    near:close()
    far:close()
  end)

  it("reads for one task and writes for another, a thousand of them", function()
    local pairs_of = {}
    for i = 1, 250 do
      local near, far = pair()
      pairs_of[i] = { near, far }
    end
    local tasks = {}
    for i, both in ipairs(pairs_of) do
      for way = 1, 2 do
        local from, to = both[way], both[3 - way]
        tasks[#tasks + 1] = moonpark.go(function() return from:send(("%d %d\n"):format(i, way)) end)
        tasks[#tasks + 1] = moonpark.go(function() assert.equal(("%d %d"):format(i, way), to:receive()) end)
      end
    end
    for _, task in ipairs(tasks) do assert.is_true(task:join()) end
    for _, both in ipairs(pairs_of) do
      both[1]:close()
      both[2]:close()
    end
  end)
end)

describe("a façade socket in TLS", function()
  it("reads for one task and writes for another", function()
    local near, far = secured()
    local text = ("x"):rep(2 ^ 20)
    local function copy(from) return from:receive(#text) end
    local tasks = { moonpark.go(copy, near), moonpark.go(copy, far), moonpark.go(near.send, near, text),
      moonpark.go(far.send, far, text) }
    for i, task in ipairs(tasks) do
      local ok, result = task:join()
      assert.is_true(ok)
      assert.equal(i > 2 and #text or text, result)
    end
    near:close()
    far:close()
  end)

  it("serves a hundred at once, whose first words come in pieces", function()
    local server, port = listening(100)
    local contexts = { ["host.example"] = context "server" }
    local ctx = context("server", { alpn = function(offer) return offer[2] end })
    local tasks = {}
    for i = 1, 100 do
      tasks[i] = moonpark.go(function()
        local near = assert(secure.wrap(assert(socket.connect("127.0.0.1", port)),
          { mode = "client", protocol = "any", alpn = { "a", "b" } }))
        near:sni "host.example"
        assert(near:dohandshake())
        assert.equal("b", near:getalpn())
        near:close()
      end)
    end
    for _ = 1, 100 do
      local far = assert(secure.wrap(assert(server:accept()), ctx))
      far:sni(contexts, true)
      tasks[#tasks + 1] = moonpark.go(function()
        assert(far:dohandshake())
        assert.equal("host.example", far:getsniname())
        far:receive "*a"
        far:close()
      end)
    end
    for _, task in ipairs(tasks) do assert.is_true(task:join()) end
    server:close()
  end)

  it("ends a handshake that is cut anywhere, and says so", function()
    local words = first_words { "a", "b" }
    local ctx = context("server", { alpn = function() return "a" end })
    for cut = 0, #words - 1, 7 do
      local near, far = pair()
      far = assert(secure.wrap(far, ctx))
      far:sni({}, true)
      local task = moonpark.go(far.dohandshake, far)
      for at = 1, cut, 40 do
        near:send(words:sub(at, math.min(cut, at + 39)))
        moonpark.yield()
      end
      near:close()
      local _, ok, err = task:join()
      assert.is_false(ok, cut)
      assert.is_string(err)
      far:close()
    end
  end)

  it("says what is wrong with first words that are none", function()
    local ctx = context("server", { alpn = function() return "a" end })
    for _, bytes in ipairs { "GET / HTTP/1.1\r\n\r\n", "\22\3\1\0\5\1\0\0\1\0", "\22\3\1\255\255" .. ("\1"):rep(70000),
      "\22\3\1\0\4\1\255\255\255" .. ("\0"):rep(20000), "\21\3\1\0\2\2\40" } do
      local near, far = pair()
      far = assert(secure.wrap(far, ctx))
      local task = moonpark.go(far.dohandshake, far)
      local sender = moonpark.go(function()
        near:send(bytes)
        near:shutdown "send"
        near:receive "*a"
      end)
      local _, ok, err = task:join()
      assert.is_false(ok)
      assert.is_string(err)
      far:close()
      sender:join()
      near:close()
    end
  end)

  for _, name in ipairs { "a handshake that looks at the first words", "a read", "a write" } do
    it("is cancelled in " .. name .. ", and ends when another task closes it", function()
      for _, way in ipairs { "cancel", "close" } do
        local near, far, wait
        if name:find "handshake" then
          near, far = pair()
          far = assert(secure.wrap(far, context("server", { alpn = function() return "a" end })))
          wait = far.dohandshake
        else
          near, far = secured()
          wait = name == "a read" and far.receive or function(one) return one:send(("x"):rep(2 ^ 26)) end
        end
        local waiting = support.parked(wait, far)
        if way == "cancel" then waiting:cancel() else far:close() end
        local done, ok, err = waiting:join()
        assert.is_true(done)
        assert.is_true(not ok)
        assert.equal(way == "cancel" and "canceled" or "closed", err)
        far:close()
        near:close()
      end
    end)
  end

  it("takes a socket of anybody by its number, and says what is no socket", function()
    local server = assert(net.listen "127.0.0.1:0")
    local conn = assert(net.dial(server:address()))
    local peer = assert(server:accept())
    local ours = conn:detach():release()
    local other = { getfd = function() return ours end, setfd = function() end }
    local near = assert(secure.wrap(other, context "client"))
    local far = assert(secure.wrap({ getfd = function() return peer:detach():release() end, setfd = function() end },
      context "server"))
    local task = moonpark.go(far.dohandshake, far)
    assert.is_true(near:dohandshake())
    assert.same({ true, true }, { task:join() })
    near:close()
    far:close()
    server:close()
    assert.error_matches(function()
      secure.wrap({ getfd = function() return 999999 end, setfd = function() end }, context "client")
    end, "bad argument #2 to 'setfd' %(descriptor 999999")
  end)
end)
