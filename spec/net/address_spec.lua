-- SPDX-License-Identifier: MIT
-- Addresses: what listen and dial take, what they tell, what is wrong with others; unix paths.

local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"

local ENOENT, EADDRINUSE, ECONNREFUSED = 2, 98, 111
local NOBODY = support.NOBODY

local function exists(path)
  local file = io.open(path) -- a socket cannot be opened, but that error is another one
  if file then file:close() end
  return file ~= nil or not select(2, io.open(path)):find("No such file", 1, true)
end

local function touch(path)
  assert(io.open(path, "w")):close()
end

local function port_of(address) return address:match(":(%d+)$") end

describe("an address", function()
  it("of a listener has the port that was picked for 0", function()
    local listener = assert(net.listen("127.0.0.1:0"))
    assert.matches("^127%.0%.0%.1:%d+$", listener:address())
    assert.not_equal("0", port_of(listener:address()))
    assert.equal(listener:address(), listener:local_address())
    listener:close()
  end)

  it("of one end is the other's peer", support.on("tcp", function(client, server)
    assert.equal(client:local_address(), server:peer_address())
    assert.equal(server:local_address(), client:peer_address())
    assert.not_equal(client:local_address(), client:peer_address())
  end))

  it("without a host means every local one to listen on, and this machine to dial", function()
    local listener = assert(net.listen(":0"))
    local port = port_of(listener:address())
    for _, address in ipairs { ":" .. port, "127.0.0.1:" .. port, "127.1.2.3:" .. port } do
      local client = assert(net.dial(address))
      local server = assert(listener:accept())
      assert.equal(port, port_of(client:peer_address()))
      client:close()
      server:close()
    end
    listener:close()
  end)

  it("may be IPv6, in brackets", function()
    local listener, err = net.listen("[::1]:0")
    if not listener then return assert.equal("cannot assign requested address", err) end
    assert.matches("^%[::1%]:%d+$", listener:address())
    local client = assert(net.dial(listener:address()))
    local server = assert(listener:accept())
    assert.equal(client:local_address(), server:peer_address())
    client:close()
    server:close()
    listener:close()
  end)

  it("of all 127.0.0.0/8 belongs to this machine", function()
    local listener = assert(net.listen("127.9.8.7:0"))
    local client = assert(net.dial(listener:address(), { local_address = "127.3.2.1:0" }))
    local server = assert(listener:accept())
    assert.matches("^127%.3%.2%.1:%d+$", server:peer_address())
    client:close()
    server:close()
    listener:close()
  end)

  for _, case in ipairs {
    { "", "missing port" }, { "localhost", "missing port" }, { "127.0.0.1", "missing port" },
    { "127.0.0.1:", "invalid port" }, { ":", "invalid port" }, { "127.0.0.1:http", "invalid port" },
    { "127.0.0.1:-1", "invalid port" }, { "127.0.0.1:65536", "invalid port" },
    { "127.0.0.1:123456789", "invalid port" }, { "127.0.0.1:99999999999999999999", "invalid port" },
    { "127.0.0.1: 80", "invalid port" }, { "127.0.0.1:80 ", "invalid port" }, { "127.0.0.1:0x50", "invalid port" },
    { "127.0.0.1:☺", "invalid port" }, { "127.0.0.1:1.5", "invalid port" },
    { "127.0.0:80", "invalid host name" }, { "127.0.0.256:80", "invalid host name" },
    { "127.0.0.01:80", "invalid host name" }, { "0x7f000001:80", "invalid host name" },
    { " 127.0.0.1:80", "invalid host name" }, { "::1:80", "invalid host name" },
    { "local host:80", "invalid host name" }, { "a..b:80", "invalid host name" },
    { ("a."):rep(127) .. "a:80", "host name too long" },
    { "[localhost]:80", "not a numeric address" }, { "[::1:80", "missing ]" }, { "[::1]", "invalid port" },
    { "[]:80", "not a numeric address" }, { "[127.0.0.1]:80", "not a numeric address" },
    { "[::1]x:80", "missing ]" }, { "[" .. ("1:"):rep(40) .. "]:80", "not a numeric address" },
    { ("1"):rep(5000) .. ":80", "host name too long" },
    { "127.0.0.1\0:80", "zero byte in address" }, { "unix:/tmp/a\0b", "zero byte in address" },
    { "unix:", "missing unix path" }, { "unix:/" .. ("x"):rep(108), "unix path too long" },
    { "udp:127.0.0.1:53", "not a stream address", { "listen" } },
    { "unixgram:/tmp/x", "not a stream address", { "listen" } },
  } do
    local address, words = case[1], case[2]
    it(("%q is refused, saying %q"):format(address:sub(1, 30), words), function()
      for _, call in ipairs(case[3] or { "listen", "dial" }) do
        local ok, err = pcall(function() net[call](address) end)
        assert.is_false(ok)
        assert.is_true(err:find(words, 1, true) ~= nil, err)
        assert.matches("address_spec%.lua:%d+: ", err)
      end
      local ok, err = pcall(net.dial, "127.0.0.1:1", { local_address = address })
      assert.is_false(ok)
      assert.is_true(err:find(words, 1, true) ~= nil, err)
    end)
  end

  it("is a string", function()
    for _, address in ipairs { {}, true, print } do
      assert.error_matches(function() net.listen(address) end, "string expected")
      assert.error_matches(function() net.dial(address) end, "string expected")
    end
    assert.error_matches(function() net.listen() end, "string expected")
    assert.error_matches(function() net.dial(nil) end, "string expected")
  end)

  it("comes with options of known names and types", function()
    for _, call in ipairs { net.listen, net.dial } do
      assert.error_matches(function() call("127.0.0.1:0", { colour = 1 }) end, "unknown option 'colour'")
      assert.error_matches(function() call("127.0.0.1:0", 5) end, "table expected, got number")
    end
    assert.error_matches(function() net.listen("127.0.0.1:0", { backlog = "many" }) end, "backlog")
    assert.error_matches(function() net.listen("127.0.0.1:0", { backlog = -1 }) end, "at least 0")
    assert.error_matches(function() net.listen("127.0.0.1:0", { reuseport = 1 }) end, "reuseport")
    assert.error_matches(function() net.dial("127.0.0.1:1", { local_address = 1 }) end, "local_address")
  end)
end)

describe("listen", function()
  it("on a port in use says so", support.listening(function(listener)
    local before = support.descriptors()
    assert.same({ nil, "address already in use", EADDRINUSE }, { net.listen(listener:address()) })
    assert.equal(before, support.descriptors())
  end))

  it("on a port in use works for those who both ask for reuseport", function()
    local first = assert(net.listen("127.0.0.1:0", { reuseport = true }))
    local second = assert(net.listen(first:address(), { reuseport = true }))
    assert.equal("address already in use", select(2, net.listen(first:address())))
    first:close()
    second:close()
  end)

  it("on another machine's address says so", function()
    local listener, err = net.listen("192.0.2.1:0")
    assert.is_nil(listener)
    assert.equal("cannot assign requested address", err)
  end)
end)

describe("dial", function()
  it("says that nobody listens", function()
    local before = support.descriptors()
    assert.same({ nil, "connection refused", ECONNREFUSED }, { net.dial(NOBODY) })
    assert.equal(before, support.descriptors())
  end)

  it("from a local address of the other family fails and leaves nothing behind", support.listening(function(listener)
    local before = support.descriptors()
    for _, from in ipairs { "[::1]:0", "unix:@somebody" } do
      local conn, err, errno = net.dial(listener:address(), { local_address = from })
      assert.is_nil(conn)
      assert.is_string(err)
      assert.is_number(errno)
    end
    assert.equal(before, support.descriptors())
  end))
end)

describe("a unix path", function()
  local function in_folder(body)
    return function() support.with_folder(function(folder) body(folder .. "/socket") end) end
  end

  it("names the listener; who dials has no name", in_folder(function(path)
    local listener = assert(net.listen("unix:" .. path))
    local client = assert(net.dial("unix:" .. path))
    local server = assert(listener:accept())
    assert.equal("unix:" .. path, listener:address())
    assert.equal("unix:" .. path, client:peer_address())
    assert.equal("unix:" .. path, server:local_address())
    assert.equal("unix:", client:local_address())
    assert.equal("unix:", server:peer_address())
    client:close()
    server:close()
    listener:close()
  end))

  it("is removed by close, and can be listened on again at once", in_folder(function(path)
    for _ = 1, 3 do
      local listener = assert(net.listen("unix:" .. path))
      assert.is_true(exists(path))
      local acceptor = support.parked(function() return listener:accept() end)
      listener:close()
      assert.is_false(exists(path))
      acceptor:join()
    end
  end))

  it("is not removed by a second close: it may be another's by then", in_folder(function(path)
    local listener = assert(net.listen("unix:" .. path))
    listener:close()
    touch(path)
    listener:close()
    assert.is_true(exists(path))
    os.remove(path)
  end))

  it("is removed when its listener is collected", in_folder(function(path)
    (function()
      local listener = assert(net.listen("unix:" .. path))
      assert.is_true(exists(listener:address():match("^unix:(.*)")))
    end)()
    collectgarbage()
    collectgarbage()
    assert.is_false(exists(path))
  end))

  it("stays where unlink = false asks for it", in_folder(function(path)
    local listener = assert(net.listen("unix:" .. path, { unlink = false }))
    listener:close()
    assert.is_true(exists(path))
    assert.same({ nil, "connection refused", ECONNREFUSED }, { net.dial("unix:" .. path) })
    os.remove(path)
  end))

  it("is not removed by the connections that were accepted there", in_folder(function(path)
    local listener = assert(net.listen("unix:" .. path))
    local client = assert(net.dial("unix:" .. path))
    local server = assert(listener:accept())
    server:close()
    client:close()
    assert.is_true(exists(path))
    listener:close()
  end))

  it("that is a file already is not taken over", in_folder(function(path)
    touch(path)
    assert.same({ nil, "address already in use", EADDRINUSE }, { net.listen("unix:" .. path) })
    assert.is_true(exists(path))
    os.remove(path)
  end))

  it("that is not there, or no folder for it, is said to be so", in_folder(function(path)
    assert.same({ nil, "no such file or directory", ENOENT }, { net.dial("unix:" .. path) })
    assert.same({ nil, "no such file or directory", ENOENT }, { net.listen("unix:" .. path .. "/deep") })
  end))

  it("may be as long as the system's structure has room for", function()
    support.with_folder(function(folder)
      local longest = folder .. "/" .. ("x"):rep(107 - #folder - 1)
      local listener = assert(net.listen("unix:" .. longest))
      assert.equal("unix:" .. longest, listener:address())
      local client = assert(net.dial(listener:address()))
      assert(listener:accept()):close()
      client:close()
      listener:close()
      assert.is_false(exists(longest))
    end)
  end)

  it("with a full queue makes dial wait until there is room, or its time is up", in_folder(function(path)
    local address = "unix:" .. path
    local listener = assert(net.listen(address, { backlog = 1 }))
    local clients = {}
    for _ = 1, 2 do clients[#clients + 1] = assert(net.dial(address)) end
    assert.same({ nil, "timeout" }, { net.dial(address, { timeout = 0.01 }) })
    local late = support.parked(function() return net.dial(address) end)
    for _ = 1, 3 do assert(listener:accept()):close() end
    local _, conn = late:join()
    clients[#clients + 1] = assert(conn)
    for _, client in ipairs(clients) do client:close() end
    listener:close()
  end))
end)

describe("an abstract unix name", function()
  local name = ("unix:@moonpark-spec-%d"):format(support.pid())

  it("is nobody's file and is free again after close", function()
    for _ = 1, 2 do
      local listener = assert(net.listen(name))
      assert.equal(name, listener:address())
      assert.same({ nil, "address already in use", EADDRINUSE }, { net.listen(name) })
      local client = assert(net.dial(name))
      local server = assert(listener:accept())
      assert.equal(name, client:peer_address())
      client:write("abstract")
      assert.equal("abstract", server:read())
      client:close()
      server:close()
      listener:close()
    end
    assert.same({ nil, "connection refused", ECONNREFUSED }, { net.dial(name) })
  end)

  it("may be as long as the system's structure has room for", function()
    local longest = name .. ("x"):rep(107 - (#name - #"unix:"))
    local listener = assert(net.listen(longest))
    assert.equal(longest, listener:address())
    assert(net.dial(longest)):close()
    listener:close()
  end)
end)

describe("an error of the system", function()
  it("comes in words that do not depend on the user's language", function()
    local result = process.run({ process.interpreter, "-e", [[
      os.setlocale("")
      local moonpark = require "moonpark"
      moonpark.run(function() print(moonpark.net.dial("]] .. NOBODY .. [[")) end)
    ]] }, { env = { LC_ALL = "de_DE.UTF-8", LANGUAGE = "de" } })
    assert.equal(("nil\tconnection refused\t%d\n"):format(ECONNREFUSED), result.out)
  end)
end)
