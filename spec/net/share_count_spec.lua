-- SPDX-License-Identifier: MIT
-- share_count_spec.lua - one worker of a share: what it publishes, however its connections end, and what is refused.

local core = require "moonpark.core"
local fds = require "support.fds"
local http = require "support.http"
local websockets = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local tls = require "support.tls"

local EBUSY, EINVAL, EBADF = 16, 22, 9

local ABSENT = { state = "absent", pid = 0, open = 0, accepted = 0, woken = 0, stuck = 0 }

local segment, wakes, listener

-- The segment stays with us: the worker has copies of everything.
local function join(slot)
  local copies = {}
  for i, wake in ipairs(wakes) do copies[i] = fds.dup(wake:number()) end
  local own = fds.dup(segment:number())
  local ok, err, errno = core.share_join(own, copies, slot or 1)
  if not ok then fds.close(own, unpack(copies)) end
  return ok, err, errno
end

local function own() return core.share_read(segment)[1] end

-- Waits until so many are open, and asserts how many were accepted in all.
local function await(open, accepted)
  while own().open ~= open do moonpark.yield() end
  assert.equal(accepted, own().accepted)
  core.check()
end

before_each(function()
  segment, wakes = assert(core.share_make(2))
end)

after_each(function()
  http.stop_all()
  if listener then listener:close() end
  listener = nil
  assert.is_true(core.share_leave())
  segment:close()
  for _, wake in ipairs(wakes) do wake:close() end
end)

-- An HTTP server on a listener of the share.
local function serve(handler, options)
  assert(join())
  local shared = assert(net.listen("127.0.0.1:0"))
  assert(core.share_listener(shared))
  options = options or {}
  options.listener = shared
  return http.start(handler, options)
end

describe("an HTTP connection counts", function()
  local function hello(_, res) res:send "hello" end

  it("until its client closes it, between requests or within one", function()
    local server = serve(hello)
    local idle, heading = server:dial(), server:dial()
    assert(idle:write "GET / HTTP/1.1\r\nHost: me\r\n\r\n")
    assert.equal("hello", http.read_answer(idle).body)
    assert(heading:write "GET /")
    await(2, 2)
    idle:close()
    await(1, 2)
    heading:close()
    await(0, 2)
  end)

  it("until the server closes it", function()
    local server = serve(hello)
    local refused = server:dial()
    assert(refused:write "nonsense\r\n\r\n")
    assert.equal(400, http.read_answer(refused).status)
    refused:close()
    assert.equal("hello", server:ask("GET / HTTP/1.1\nConnection: close").body)
    await(0, 2)
  end)

  it("until its WebSocket ends", function()
    local server = serve(function(_, res)
      local ws = res:websocket()
      for message in ws:messages() do ws:send(message) end
    end)
    local ws = assert(websockets.websocket("ws://" .. server.address .. "/"))
    assert(ws:send "x")
    assert.equal("x", (ws:receive()))
    await(1, 1)
    ws:close()
    await(0, 1)
  end)

  it("until whoever has hijacked it closes it", function()
    local mine
    local server = serve(function(req) mine = assert(req:hijack()) end)
    local conn = server:dial()
    assert(conn:write "GET / HTTP/1.1\r\nHost: me\r\n\r\n")
    repeat moonpark.yield() until mine
    await(1, 1)
    mine:close()
    await(0, 1)
    conn:close()
  end)

  it("while its handshake goes on, and no more when that has failed", function()
    local server = serve(hello, { tls = tls.server() })
    local conn = server:dial()
    await(1, 1)
    conn:write "no TLS at all\r\n\r\n" -- it may be cut off at any byte
    await(0, 1)
    conn:close()
  end)

  it("until the server shuts down", function()
    local server = serve(hello)
    local conn = server:dial()
    await(1, 1)
    server:stop()
    await(0, 1)
    conn:close()
  end)
end)

describe("an accepted connection counts", function()
  local client, server
  local function accept()
    assert(join())
    listener = assert(net.listen("127.0.0.1:0"))
    assert(core.share_listener(listener))
    client = assert(net.dial(listener:address()))
    server = assert(listener:accept())
    await(1, 1)
  end

  it("until it is closed", function()
    accept()
    server:close()
    await(0, 1)
    server:close()
    client:close()
    await(0, 1)
  end)

  it("until it is collected", function()
    accept()
    server = nil
    client:close()
    while own().open > 0 do collectgarbage() end
    await(0, 1)
  end)

  it("until it is detached", function()
    accept()
    local descriptor = assert(server:detach())
    await(0, 1)
    descriptor:close()
    client:close()
  end)

  it("in TLS too", function()
    accept()
    local ours = moonpark.go(function() return server:start_tls(tls.server()) end)
    assert(client:start_tls { context = tls.client(), server_name = "localhost" })
    assert(ours:join())
    await(1, 1)
    server:close()
    await(0, 1)
    client:close()
  end)

  it("not if another listener has accepted it, nor if it was dialled", function()
    accept()
    local other = assert(net.listen("127.0.0.1:0"))
    local a = assert(net.dial(other:address()))
    local b = assert(other:accept())
    await(1, 1)
    for _, conn in ipairs { a, b, other, client, server } do conn:close() end
    await(0, 1)
  end)

  it("no more once the worker has left, whose listener accepts as before", function()
    accept()
    assert.is_true(core.share_leave())
    assert.same(ABSENT, own())
    local accepting = moonpark.go(function() return listener:accept() end)
    local again = assert(net.dial(listener:address()))
    local _, conn = accepting:join()
    assert(join())
    for _, one in ipairs { again, conn, client, server } do one:close() end
    await(0, 0)
  end)
end)

describe("a share", function()
  it("has as many slots and wakes as were asked for", function()
    assert.equal(2, #wakes)
    assert.same(ABSENT, core.share_read(segment)[2])
    assert.equal(2, #core.share_read(segment))
    for _, n in ipairs { 0, 253, -1, 0 / 0 } do assert.has_error(function() core.share_make(n) end) end
  end)

  it("takes over the descriptors of who joins", function()
    local mine, all = core.share_make(1)
    assert.is_true(core.share_join(mine, all, 1))
    assert.is_true(mine:is_closed())
    assert.is_true(all[1]:is_closed())
  end)

  it("is joined once, and a slot is taken once", function()
    assert.is_true(join(1))
    assert.same({ nil, "device or resource busy", EBUSY }, { join(2) })
    core.share_leave()
    assert.is_true(join(1))
    assert.equal(require("support.net").pid(), own().pid)
  end)

  it("is refused where something else is given, which stays the caller's", function()
    local reader, writer = fds.pipe()
    assert.same({ nil, "invalid argument", EINVAL }, { core.share_join(reader, wakes, 1) })
    assert.same({ nil, "invalid argument", EINVAL }, { core.share_join(segment, { wakes[1] }, 1) })
    assert.same({ nil, "invalid argument", EINVAL }, { core.share_join(segment, wakes, 3) })
    assert.same({ nil, "invalid argument", EINVAL }, { core.share_read(reader) })
    assert.same({ nil, "invalid argument", EINVAL }, { core.share_clear(segment, { wakes[1] }, 1) })
    assert.is_false(segment:is_closed())
    fds.close(reader, writer)
    local closed = core.share_make(1)
    closed:close()
    assert.same({ nil, "bad file descriptor", EBADF }, { core.share_join(closed, wakes, 1) })
    assert.same({ nil, "bad file descriptor", EBADF }, { core.share_read(closed) })
    for _, bad in ipairs { -1, "x", {}, true } do
      assert.has_error(function() core.share_join(bad, wakes, 1) end)
      assert.has_error(function() core.share_join(segment, bad, 1) end)
      assert.has_error(function() core.share_join(segment, wakes, bad) end)
    end
  end)

  it("takes listeners of who has joined, on which nobody waits", function()
    listener = assert(net.listen("127.0.0.1:0"))
    assert.same({ nil, "invalid argument", EINVAL }, { core.share_listener(listener) })
    assert(join())
    local waiting = moonpark.go(function() return listener:accept() end)
    moonpark.yield()
    assert.same({ nil, "device or resource busy", EBUSY }, { core.share_listener(listener) })
    waiting:cancel()
    waiting:join()
    assert.is_true(core.share_listener(listener))
    assert.is_true(core.share_listener(listener))
    assert.equal("away", own().state)
    listener:close()
    assert.same({ nil, "closed" }, { core.share_listener(listener) })
    assert.has_error(function() core.share_listener(1) end)
  end)

  it("shows whether a worker waits for connections", function()
    assert(join())
    listener = assert(net.listen("127.0.0.1:0"))
    assert(core.share_listener(listener))
    local accepting = moonpark.go(function() return listener:accept() end)
    repeat moonpark.yield() until own().state == "accepting"
    local client = assert(net.dial(listener:address()))
    select(2, accepting:join()):close()
    local second = assert(net.dial(listener:address())) -- nobody accepts any more
    repeat moonpark.yield() until own().state == "away"
    local conn = assert(listener:accept())
    assert.equal("accepting", own().state)
    for _, one in ipairs { client, second, conn } do one:close() end
  end)

  it("is waited for by a select as well", function()
    assert(join())
    listener = assert(net.listen("127.0.0.1:0"))
    assert(core.share_listener(listener))
    local client
    local dialling = moonpark.go(function() client = assert(net.dial(listener:address())) end)
    assert.equal(1, (moonpark.select { { listener, "r" } }))
    dialling:join()
    assert(listener:accept()):close()
    client:close()
  end)
end)
