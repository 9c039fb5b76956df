-- SPDX-License-Identifier: MIT
-- Descriptors: passed over unix streams, adopted by from_fd, given away by detach.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local netpoll = require "moonpark.netpoll"
local fds = require "support.fds"
local process = require "support.process"
local support = require "support.net"

local EBADF, ENOTCONN = 9, 107
local EPOLL = core.netpoll_name() == "epoll"
local MOST = 253 -- descriptors of one message

-- What is garbage is closed.
local function descriptors()
  collectgarbage()
  collectgarbage()
  return support.descriptors()
end

-- The body of an `it`, after which no more descriptors are open than before.
local function leaving_none(body)
  return function()
    local before = descriptors()
    body()
    assert.equal(before, descriptors())
  end
end

local function on_unix(body) return leaving_none(support.on("unix", body)) end

local function close_all(list) for _, fd in ipairs(list) do fd:close() end end

-- Receives until descriptors come -> all bytes, and them.
local function receive(conn)
  local bytes = ""
  while true do
    local data, list = conn:recv_fds()
    if not data then error(list, 2) end
    bytes = bytes .. data
    if list[1] then return bytes, list end
  end
end

local function assert_raises(words, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_truthy(err:find(words, 1, true), err)
end

-- Somebody answers there.
local function assert_accepts(listener, address)
  local client = assert(net.dial(address))
  local server = assert(listener:accept())
  assert(server:write("hello"))
  assert.equal("hello", client:read_exactly(5))
  client:close()
  server:close()
end

describe("send_fds and recv_fds", function()
  after_each(process.stop_all)

  it("pass a number, a connection, a listener, a packet socket and a descriptor", on_unix(function(a, b)
    local listener, packet = assert(net.listen("127.0.0.1:0")), assert(net.packet("udp:127.0.0.1:0"))
    local reader, writer = fds.pipe()
    local one, other = support.connected("127.0.0.1:0")
    local detached = assert(other:detach())
    assert.equal(1, a:send_fds("x", { reader, one, listener, packet, detached }))
    fds.close(reader)
    local address, udp = listener:address(), packet:local_address()
    one:close()
    listener:close()
    packet:close()
    detached:close()

    local data, list = receive(b)
    assert.equal("x", data)
    assert.equal(5, #list)
    local kinds = { "fd", "tcp", "tcp listener", "udp", "tcp" }
    local objects = {}
    for i, fd in ipairs(list) do
      objects[i] = assert(net.from_fd(fd))
      assert.is_truthy(tostring(objects[i]):find("^" .. kinds[i] .. " "), tostring(objects[i]))
      assert.is_true(fd:is_closed())
    end
    fds.write(writer, "through the pipe")
    fds.close(writer)
    assert.equal("through the pipe", objects[1]:read_all())
    assert(objects[2]:write("x"))
    assert.equal("x", objects[5]:read(1))
    assert_accepts(objects[3], address)
    assert.equal(udp, objects[4]:local_address())
    close_all(objects)
  end))

  it("leave the sender what it has sent", on_unix(function(a, b)
    local listener = assert(net.listen("127.0.0.1:0"))
    assert(a:send_fds("x", { listener }))
    local _, list = receive(b)
    close_all(list)
    assert_accepts(listener, listener:address())
    listener:close()
  end))

  it("give close-on-exec descriptors, with numbers of their own", on_unix(function(a, b)
    local reader, writer = fds.pipe()
    assert(a:send_fds("x", { writer, writer }))
    local _, list = receive(b)
    assert.equal(2, #list)
    for _, fd in ipairs(list) do
      assert.is_true(fds.is_cloexec(fd:number()))
      assert.is_true(fd:number() ~= writer)
    end
    close_all(list)
    fds.close(reader, writer)
  end))

  it("pass 253 at once, and no more", on_unix(function(a, b)
    local list = {}
    for i = 1, MOST do list[i] = 0 end
    assert.equal(1, a:send_fds("x", list))
    local data, got = receive(b)
    assert.equal("x", data)
    assert.equal(MOST, #got)
    close_all(got)
    list[MOST + 1] = 0
    assert_raises("1 to 253 descriptors expected", a.send_fds, a, "x", list)
  end))

  it("keep messages apart: each has its own descriptors", on_unix(function(a, b)
    local reader, writer = fds.pipe()
    for i = 1, 5 do assert(a:send_fds(tostring(i), { reader, writer })) end
    for i = 1, 5 do
      local data, list = receive(b)
      assert.equal(tostring(i), data)
      assert.equal(2, #list)
      close_all(list)
    end
    fds.close(reader, writer)
  end))

  it("bring bytes without descriptors as well", on_unix(function(a, b)
    a:write("plain")
    local data = ""
    while #data < 5 do
      local piece, list = b:recv_fds()
      assert.same({}, list)
      data = data .. piece
    end
    assert.equal("plain", data)
    a:close_write()
    assert.same({ nil, "eof" }, { b:recv_fds() })
    assert.same({ nil, "eof" }, { b:recv_fds() })
  end))

  it("hand out at first what an earlier read has left, which has no descriptors", on_unix(function(a, b)
    a:write("line\nrest")
    assert.equal("line", b:read_line())
    if b:read(0 + 1) ~= "r" then error("the rest is gone") end
    a:send_fds("!", { 0 })
    local data, list = b:recv_fds(2)
    local bytes = data
    while not list[1] do
      data, list = b:recv_fds()
      bytes = bytes .. data
    end
    assert.equal("est!", bytes)
    close_all(list)
  end))

  it("take at most max bytes; the rest comes later", on_unix(function(a, b)
    a:send_fds("abcdef", { 0 })
    local data, list = b:recv_fds(1)
    assert.equal("a", data)
    assert.equal(1, #list)
    close_all(list)
    assert.equal("bcdef", b:read_exactly(5))
  end))

  it("send the rest of long data after the descriptors", on_unix(function(a, b)
    local size = core.hard and 300 or 1000000
    local sender = moonpark.go(a.send_fds, a, ("d"):rep(size), { 0 })
    local data, list = receive(b)
    close_all(list)
    assert.equal(size - #data, #b:read_exactly(size - #data))
    assert.same({ true, size }, { sender:join() })
  end))

  it("park: the receiver until something comes, each with its deadline", on_unix(function(a, b)
    local receiver = support.parked(b.recv_fds, b)
    a:send_fds("x", { 0 })
    local _, data, list = receiver:join()
    assert.equal("x", data)
    assert.equal(1, #list)
    close_all(list)
    b:set_read_deadline(moonpark.now() - 1)
    assert.same({ nil, "timeout" }, { b:recv_fds() })
    a:set_write_deadline(moonpark.now() - 1)
    assert.same({ nil, "timeout", nil, 0 }, { a:send_fds("x", { 0 }) })
    b:set_read_deadline(nil)
    a:set_write_deadline(nil)
    receiver = support.parked(b.recv_fds, b)
    b:close()
    assert.same({ true, nil, "closed" }, { receiver:join() })
    assert.same({ nil, "closed" }, { b:recv_fds() })
    assert.same({ nil, "closed", nil, 0 }, { b:send_fds("x", { 0 }) })
  end))

  it("is refused by a peer that is gone", on_unix(function(a, b)
    b:close()
    assert.same({ nil, "broken pipe", 32, 0 }, { a:send_fds("x", { 0 }) })
  end))

  it("send what was meant, also where the sender closes it while they wait for room", on_unix(function(a, b)
    support.fill(a)
    local listener = assert(net.listen("127.0.0.1:0"))
    local address = listener:address()
    local first = support.parked(a.send_fds, a, "1", { listener })  -- waits for room
    local second = support.parked(a.send_fds, a, "2", { listener }) -- waits in the queue behind it
    listener:close()
    local reader, writer = fds.pipe() -- one of them has the listener's number now
    for _ = 1, 2 do
      local _, list = receive(b)
      local passed = assert(net.from_fd(list[1], "listener"))
      assert_accepts(passed, address)
      passed:close()
    end
    assert.same({ true, 1 }, { first:join() })
    assert.same({ true, 1 }, { second:join() })
    fds.close(reader, writer)
  end))

  it("leave nothing behind where the sender is cancelled while it waits", on_unix(function(a, b)
    support.fill(a)
    local first = support.parked(a.send_fds, a, "1", { 0, 1 })
    local second = support.parked(a.send_fds, a, "2", { 0, 1 })
    first:cancel()
    second:cancel()
    assert.same({ true, nil, "canceled", nil, 0 }, { first:join() })
    assert.same({ true, nil, "canceled", nil, 0 }, { second:join() })
    a:close()
    support.drain(b)
  end))

  it("lose nothing to a receiver that is cancelled as they come", on_unix(function(a, b)
    local receiver = support.parked(b.recv_fds, b)
    a:send_fds("x", { 0 }) -- no turn has passed: the receiver has not been woken (in the hard build it may have)
    receiver:cancel()
    local _, data, list = receiver:join()
    assert.is_true(core.hard ~= nil or (data == nil and list == "canceled"))
    if not data then data, list = receive(b) end
    assert.equal("x", data)
    close_all(list)
  end))

  it("hand them out to a receiver that is cancelled in the turn in which they came", on_unix(function(a, b)
    local receiver = support.parked(b.recv_fds, b)
    a:send_fds("x", { 0 })
    while receiver:status() ~= "ready" do moonpark.yield() end
    receiver:cancel()
    local _, data, list = receiver:join()
    assert.equal("x", data)
    close_all(list)
  end))

  it("are closed by the collector where nobody takes them", on_unix(function(a, b)
    a:send_fds("x", { 0, 1, 2 })
    assert.equal("x", (receive(b)))
  end))

  it("are closed by a read that meets them", on_unix(function(a, b)
    a:send_fds("x", { 0, 1, 2 })
    assert.equal("x", b:read())
  end))

  it("are closed where the connection ends before they are received", on_unix(function(a)
    a:send_fds("x", { 0, 1, 2 })
  end))

  it("say so where the system has no room for them all, and keep none; the bytes are there", on_unix(function(a, b)
    a:send_fds("bytes", { 0, 1 })
    a:write("more")
    local give_back = support.use_up_descriptors()
    local data, err = b:recv_fds()
    give_back()
    assert.same({ nil, "descriptors lost" }, { data, err })
    assert.equal("bytesmore", b:read_exactly(9))
  end))

  it("send through a full table of descriptors too", on_unix(function(a, b)
    local give_back = support.use_up_descriptors()
    local sent, err = a:send_fds("x", { 0 })
    give_back()
    assert.equal(1, sent, err)
    close_all((select(2, receive(b))))
  end))

  it("refuse what is closed, or has no descriptor, and send nothing then", on_unix(function(a, b)
    local closed = assert(net.listen("127.0.0.1:0"))
    closed:close()
    local one, other = net.pipe()
    local free = fds.dup(0)
    fds.close(free)
    for _, bad in ipairs { closed, one, free } do
      assert.same({ nil, "bad file descriptor", EBADF, 0 }, { a:send_fds("x", { 0, bad }) })
    end
    one:close()
    other:close()
    a:close_write()
    assert.same({ nil, "eof" }, { b:recv_fds() })
  end))

  for _, name in ipairs { "tcp", "pipe" } do
    it("need a unix socket, not a " .. name .. " connection", leaving_none(support.on(name, function(a)
      assert.same({ nil, "not a unix socket", nil, 0 }, { a:send_fds("x", { 0 }) })
      assert.same({ nil, "not a unix socket" }, { a:recv_fds() })
    end)))
  end

  it("raise for wrong arguments", on_unix(function(a, b)
    assert_raises("at least one byte expected", a.send_fds, a, "", { 0 })
    assert_raises("1 to 253 descriptors expected", a.send_fds, a, "x", {})
    assert_raises("table expected", a.send_fds, a, "x", 0)
    assert_raises("expected as descriptor 2, got string", a.send_fds, a, "x", { 0, "1" })
    for _, bad in ipairs { -1, 0.5, 1e10, 0 / 0 } do
      assert_raises("expected as descriptor 1, got an invalid number", a.send_fds, a, "x", { bad })
    end
    assert_raises("whole number of at least 1 expected", b.recv_fds, b, 0)
    assert_raises("connection expected, got a listener", function()
      local listener = assert(net.listen("127.0.0.1:0"))
      local _, err = pcall(a.recv_fds, listener)
      listener:close()
      error(err, 0)
    end)
  end))

  it("hand a listener to a child, which accepts", leaving_none(function()
    support.with_folder(function(folder)
      local control, public = assert(net.listen("unix:" .. folder .. "/s")), assert(net.listen("127.0.0.1:0"))
      local child = process.start({ process.interpreter, "-e", [[
        local moonpark = require "moonpark"
        local net = moonpark.net
        moonpark.run(function()
          local control = assert(net.dial("unix:" .. arg[1]))
          local data, list = assert(control:recv_fds())
          local listener = assert(net.from_fd(list[1], "listener"))
          local conn = assert(listener:accept())
          assert(conn:write("I am ", data, "\n"))
          conn:close()
        end)]], "-", folder .. "/s" })
      local conn = assert(control:accept())
      assert(conn:send_fds("c", { public }))
      local client = assert(net.dial(public:address()))
      public:close()
      assert.equal("I am c", client:read_line())
      client:close()
      conn:close()
      control:close()
      local status, _, err = child:wait()
      assert.equal(0, status, err)
    end)
  end))
end)

describe("a descriptor", function()
  local function with_one(body)
    return on_unix(function(a, b)
      a:send_fds("x", { 0 })
      local _, list = receive(b)
      body(list[1])
      list[1]:close()
    end)
  end

  it("has a number and says it", with_one(function(fd)
    assert.equal("descriptor " .. fd:number(), tostring(fd))
    assert.is_true(fds.is_open(fd:number()))
    assert.is_false(fd:is_closed())
  end))

  it("is closed once", with_one(function(fd)
    local number = fd:number()
    assert.is_true(fd:close())
    assert.is_false(fds.is_open(number))
    local other = fds.dup(0)
    assert.equal(number, other)
    assert.is_true(fd:close())
    assert.is_true(fds.is_open(other))
    fds.close(other)
    assert.same({ nil, "closed" }, { fd:number() })
    assert.same({ nil, "closed" }, { fd:release() })
    assert.same({ nil, "closed" }, { net.from_fd(fd) })
    assert.is_true(fd:is_closed())
    assert.equal("closed descriptor", tostring(fd))
  end))

  it("is the script's own once it is released", with_one(function(fd)
    local number = fd:release()
    assert.is_true(fd:is_closed())
    assert.is_true(fd:close())
    assert.is_true(fds.is_open(number))
    fds.close(number)
  end))

  it("has methods for itself alone", with_one(function(fd)
    assert_raises("descriptor expected, got table", fd.close, {})
  end))
end)

describe("from_fd", function()
  it("makes a connection of a unix stream socket", leaving_none(function()
    local one, other = fds.socketpair()
    local a, b = assert(net.from_fd(one)), assert(net.from_fd(other, "connection"))
    assert(a:write("hello\n"))
    assert.equal("hello", b:read_line())
    assert.equal(fds.process(), b:peer_credentials().pid)
    a:close()
    assert.same({ nil, "eof" }, { b:read() })
    b:close()
  end))

  it("makes the descriptor close-on-exec and non-blocking, and closes it in the end", leaving_none(function()
    local one, other = fds.socketpair()
    assert.is_false(fds.is_nonblocking(one))
    local a = assert(net.from_fd(one))
    assert.equal(one, a:fd())
    assert.is_true(fds.is_nonblocking(one))
    assert.is_true(fds.is_cloexec(one))
    a:close()
    assert.is_false(fds.is_open(one))
    fds.close(other)
  end))

  it("gives TCP sockets the defaults of ours", support.listening(function(listener)
    local client = assert(net.dial(listener:address()))
    client:setoption("nodelay", false)
    client:setoption("keepalive_idle", 100)
    client = assert(net.from_fd(assert(client:detach())))
    assert.is_true(client:getoption("nodelay"))
    assert.equal(15, client:getoption("keepalive_idle"))
    client:close()
  end))

  it("makes a listener of a socket that listens, whose path stays", leaving_none(function()
    support.with_folder(function(folder)
      local address = "unix:" .. folder .. "/s"
      local listener = assert(net.from_fd(assert(assert(net.listen(address)):detach()), "listener"))
      assert.equal(address, listener:address())
      assert_accepts(listener, address)
      listener:close()
      assert.is_truthy(os.remove(folder .. "/s"))
    end)
  end))

  it("makes a packet socket of a datagram socket", leaving_none(function()
    local one, other = fds.socketpair(fds.DGRAM)
    local a, b = assert(net.from_fd(one, "packet")), assert(net.from_fd(other))
    assert(a:send("datagram"))
    assert.equal("datagram", b:recv())
    a:close()
    b:close()
    local udp = assert(net.from_fd(fds.socket(fds.INET, fds.DGRAM)))
    assert.is_truthy(tostring(udp):find("^udp "))
    udp:close()
  end))

  it("makes one-way connections of the ends of a pipe", leaving_none(function()
    local reader, writer = fds.pipe()
    local r, w = assert(net.from_fd(reader)), assert(net.from_fd(writer))
    local task = support.parked(r.read_line, r)
    assert(w:write("a line\n"))
    assert.same({ true, "a line" }, { task:join() })
    w:close()
    assert.same({ nil, "eof" }, { r:read() })
    r:close()
  end))

  it("makes connections of a FIFO, an eventfd and a terminal", leaving_none(function()
    support.with_folder(function(folder)
      local fifo = assert(net.from_fd(fds.fifo(folder .. "/f")))
      fifo:write("x")
      assert.equal("x", fifo:read(1))
      fifo:close()
      os.remove(folder .. "/f")
    end)
    local event = assert(net.from_fd(fds.eventfd()))
    local task = support.parked(event.wait_readable, event)
    fds.write(event:fd(), "\1\0\0\0\0\0\0\0")
    assert.same({ true, true }, { task:join() })
    event:close()
    local master, slave = fds.terminal()
    local keyboard, program = assert(net.from_fd(master)), assert(net.from_fd(slave))
    keyboard:write("typed\n")
    assert.equal("typed", program:read_line())
    keyboard:close()
    program:close()
  end))

  -- What it refuses is untouched.
  local function refuses(words, errno, fd, ...)
    local nonblocking = fds.is_open(fd) and fds.is_nonblocking(fd)
    assert.same({ nil, words, errno }, { net.from_fd(fd, ...) })
    if fds.is_open(fd) then
      assert.equal(nonblocking, fds.is_nonblocking(fd))
      fds.close(fd)
    end
  end

  it("refuses files and folders", leaving_none(function()
    refuses("not pollable", nil, fds.open("/proc/self/exe"))
    refuses("not pollable", nil, fds.open("/", fds.FOLDER))
    if EPOLL then refuses("not pollable", nil, fds.open("/dev/null")) end
  end))

  it("refuses numbers that are no descriptor", function()
    local free = fds.dup(0)
    fds.close(free)
    assert.same({ nil, "bad file descriptor", EBADF }, { net.from_fd(free) })
    assert.same({ nil, "bad file descriptor", EBADF }, { net.from_fd(2 ^ 31) })
    for _, wrong in ipairs { -1, 0.5, 0 / 0 } do
      assert_raises("whole number of at least 0 expected", net.from_fd, wrong)
    end
    for _, wrong in ipairs { "a", {}, true } do assert_raises("number expected", net.from_fd, wrong) end
    assert_raises("invalid option 'socket'", net.from_fd, free, "socket")
  end)

  it("refuses sockets of kinds that it has nothing for", leaving_none(function()
    local one, other = fds.socketpair(fds.SEQPACKET)
    refuses("wrong kind of descriptor", nil, one)
    refuses("wrong kind of descriptor", nil, other)
    refuses("wrong kind of descriptor", nil, fds.socket(fds.NETLINK, fds.RAW))
  end))

  it("refuses what is not of the kind asked for, and leaves it as it was", leaving_none(function()
    local one, other = fds.socketpair()
    refuses("wrong kind of descriptor", nil, one, "listener")
    refuses("wrong kind of descriptor", nil, other, "packet")
    refuses("wrong kind of descriptor", nil, fds.socket(fds.INET, fds.DGRAM), "connection")
    local reader, writer = fds.pipe()
    refuses("wrong kind of descriptor", nil, reader, "listener")
    fds.close(writer)
    local fd = assert(assert(net.listen("127.0.0.1:0")):detach())
    assert.same({ nil, "wrong kind of descriptor" }, { net.from_fd(fd, "connection") })
    assert.is_false(fd:is_closed())
    fd:close()
  end))

  it("refuses a stream socket that is connected to nobody", leaving_none(function()
    refuses("transport endpoint is not connected", ENOTCONN, fds.socket(fds.INET, fds.STREAM))
    refuses("transport endpoint is not connected", ENOTCONN, fds.socket(fds.UNIX, fds.STREAM))
  end))

  it("refuses what is in use: by a connection, a listener, a pollDesc", support.on("unix", function(a, b)
    local listener = assert(net.listen("127.0.0.1:0"))
    support.settle()
    assert.same({ nil, "descriptor in use" }, { net.from_fd(a:fd()) })
    local task = support.parked(b.read, b)
    assert.same({ nil, "descriptor in use" }, { net.from_fd(b:fd()) })
    assert.same({ nil, "descriptor in use" }, { net.from_fd(listener:fd()) })
    listener:close()
    local event = fds.eventfd()
    local pd = assert(netpoll.open(event))
    assert.same({ nil, "descriptor in use" }, { net.from_fd(event) })
    pd:unblock()
    pd:close()
    assert(net.from_fd(event)):close()
    a:close()
    task:join()
  end))

  it("refuses every descriptor that the runtime uses itself", function()
    local r = process.run { process.interpreter, "-e", [[
      package.path = package.path
      local fds = require "support.fds"
      local before = {}
      for fd = 0, 50 do before[fd] = fds.is_open(fd) end
      local moonpark = require "moonpark"
      moonpark.run(function()
        local own = 0
        for fd = 0, 50 do
          if fds.is_open(fd) and not before[fd] then
            own = own + 1
            local conn, err = moonpark.net.from_fd(fd)
            assert(not conn and err == "descriptor in use", tostring(conn) .. " " .. tostring(err))
          end
        end
        assert(own >= 2, own)
      end)]] }
    assert.equal(0, r.status, r.out .. r.err)
  end)
end)

describe("detach", function()
  it("gives the descriptor away, and what was received and not read", on_unix(function(a, b)
    local number = b:fd()
    a:write("first\nsecond")
    assert.equal("first", b:read_line())
    local fd, rest = b:detach()
    if not core.hard then assert.equal("second", rest) end -- there a read brings one byte
    assert.equal(number, fd:number())
    assert.is_true(b:is_closed())
    local again = assert(net.from_fd(fd))
    rest = rest or ""
    assert.equal("second", rest .. again:read_exactly(6 - #rest))
    a:write("third")
    assert.equal("third", again:read_exactly(5))
    again:close()
  end))

  it("fails those who wait with closed", on_unix(function(a)
    local readers = {}
    for i = 1, 2 do readers[i] = support.parked(a.read, a) end
    local fd = assert(a:detach())
    for _, reader in ipairs(readers) do assert.same({ true, nil, "closed" }, { reader:join() }) end
    fd:close()
  end))

  it("of a closed one fails; so does that of a pair in memory", leaving_none(function()
    local a, b = net.pipe()
    assert.same({ nil, "operation not supported", 95 }, { a:detach() })
    a:close()
    assert.same({ nil, "closed" }, { a:detach() })
    b:close()
    assert_raises("connection, listener or packet socket expected", a.detach, {})
  end))

  it("from a handler keeps the client's connection open", leaving_none(support.listening(function(listener)
    local given
    local server = moonpark.go(function()
      return listener:serve(function(conn) given = assert(conn:detach()) end)
    end)
    local client = assert(net.dial(listener:address()))
    while not given do moonpark.yield() end
    support.settle()
    local conn = assert(net.from_fd(given))
    conn:write("still here")
    assert.equal("still here", client:read_exactly(10))
    conn:close()
    client:close()
    listener:close()
    server:join()
  end)))
end)
