-- SPDX-License-Identifier: MIT
-- Unix streams: who the peer is, abstract names, permissions of a path, paths that a dead server has left.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local fds = require "support.fds"
local process = require "support.process"
local support = require "support.net"

local EADDRINUSE, ECONNREFUSED, EACCES = 98, 111, 13
local ROOT = fds.user() == 0
local NOBODY = 65534 -- a user and a group

local function in_folder(body)
  return function() support.with_folder(function(folder) body(folder .. "/socket", folder) end) end
end

local function exists(path) return os.execute(("test -e '%s'"):format(path)) == 0 end

-- Leaves what a server leaves that was killed: a socket file that nobody holds.
local function abandon(path)
  local listener = assert(net.listen("unix:" .. path, { unlink = false }))
  listener:close()
  assert.is_true(exists(path))
end

-- Somebody listens there and answers.
local function assert_served(listener, address)
  local client = assert(net.dial(address))
  local server = assert(listener:accept())
  assert(client:write("served"))
  assert.equal("served", server:read_exactly(6))
  client:close()
  server:close()
end

local function script(text, ...)
  return { process.interpreter, "-e", [[
    local moonpark = require "moonpark"
    local net = moonpark.net
    moonpark.run(function() ]] .. text .. [[ end)]], "-", ... }
end

-- A child without any rights, and without anything of this tree, which it might not be able to read: dials, says
-- "connected" or the errno, and waits for the end.
local function dial_as_nobody(path)
  return process.start({ "setpriv", "--reuid=" .. NOBODY, "--regid=" .. NOBODY, "--clear-groups",
    "luajit", "-e", [[
      local ffi = require "ffi"
      ffi.cdef [=[
        struct un { unsigned short family; char path[108]; };
        int socket(int family, int type, int protocol);
        int connect(int fd, const struct un *address, unsigned length);
        long read(int fd, void *bytes, size_t n);
      ]=]
      local fd, address = ffi.C.socket(1, 1, 0), ffi.new("struct un", 1)
      address.path = arg[1]
      local r = ffi.C.connect(fd, address, ffi.sizeof(address))
      print(r == 0 and "connected" or ffi.errno())
      ffi.C.read(fd, ffi.new "char[1]", 1)
    ]], "-", path }, { env = { LUA_PATH = false, LUA_CPATH = false, LD_PRELOAD = false, LD_LIBRARY_PATH = false } })
end

describe("peer_credentials", function()
  after_each(process.stop_all)

  it("tells process, user and group of the other end, on both sides", support.on("unix", function(a, b)
    local own = { pid = fds.process(), uid = fds.user(), gid = fds.group() }
    assert.same(own, a:peer_credentials())
    assert.same(own, b:peer_credentials())
  end))

  it("are those of a child that dials", in_folder(function(path)
    local listener = assert(net.listen("unix:" .. path))
    local child = process.start(script([[
      local conn = assert(net.dial("unix:" .. arg[1]))
      conn:read()
    ]], path))
    local conn = assert(listener:accept())
    assert.same({ pid = child.pid, uid = fds.user(), gid = fds.group() }, conn:peer_credentials())
    conn:close()
    listener:close()
    assert.equal(0, (child:wait()))
  end))

  if ROOT then
    it("are the user's who dials, whoever that is", in_folder(function(path, folder)
      fds.chmod(folder, "755")
      local listener = assert(net.listen("unix:" .. path, { mode = "0666" }))
      local child = dial_as_nobody(path)
      local conn = assert(listener:accept())
      assert.same({ pid = child.pid, uid = NOBODY, gid = NOBODY }, conn:peer_credentials())
      conn:close()
      listener:close()
      assert.equal(0, (child:wait()))
    end))
  end

  for _, name in ipairs { "tcp", "pipe" } do
    it("of a " .. name .. " connection are refused in words", support.on(name, function(a)
      assert.same({ nil, "not a unix socket" }, { a:peer_credentials() })
    end))
  end

  it("of a closed connection are not known any more", support.on("unix", function(a)
    a:close()
    assert.same({ nil, "closed" }, { a:peer_credentials() })
  end))

  it("is a method of connections: a listener raises", support.listening(function(listener)
    local a, b = net.pipe()
    local ok, err = pcall(a.peer_credentials, listener)
    a:close()
    b:close()
    assert.is_false(ok)
    assert.is_truthy(err:find("connection expected, got a listener", 1, true))
  end))
end)

describe("an abstract name", function()
  local count = 0
  local function name(rest)
    count = count + 1
    return ("unix:@moonpark-%d-%d-%s"):format(fds.process(), count, rest)
  end

  for what, bytes in pairs {
    spaces = "a b", slashes = "/a/b", colons = "a:b:c", ["every byte but zero"] = "\1\127\128\255\n",
  } do
    it("may have " .. what, function()
      local address = name(bytes)
      local listener = assert(net.listen(address))
      assert.equal(address, listener:address())
      assert_served(listener, address)
      listener:close()
    end)
  end

  it("ends where it ends: a longer one is another", function()
    local address = name "x"
    local short, long = assert(net.listen(address)), assert(net.listen(address .. "x"))
    assert_served(short, address)
    assert_served(long, address .. "x")
    short:close()
    assert.same({ nil, "connection refused", ECONNREFUSED }, { net.dial(address) })
    long:close()
  end)

  it("has 1 to 106 bytes behind its @", function()
    local address = name ""
    local longest = address .. ("n"):rep(106 + #"unix:@" - #address)
    local listener = assert(net.listen(longest))
    assert_served(listener, longest)
    listener:close()
    assert.has_error(function() net.listen(longest .. "n") end)
  end)

  it("has no permissions to be set", function()
    local ok, err = pcall(net.listen, name "m", { mode = "0600" })
    assert.is_false(ok)
    assert.is_truthy(err:find("option 'mode' is for unix paths only", 1, true))
  end)
end)

describe("the option mode", function()
  for _, case in ipairs {
    { "0600", "600" }, { "0660", "660" }, { "0666", "666" }, { "777", "777" }, { 384, "600" }, { "0000", "0" },
    { 0, "0" },
  } do
    local mode, bits = unpack(case)
    it(("%s gives the path %s, whatever the umask"):format(type(mode) == "string" and '"' .. mode .. '"' or mode, bits),
      in_folder(function(path)
        for _, umask in ipairs { "000", "022", "077", "777" } do
          fds.with_umask(umask, function()
            local listener = assert(net.listen("unix:" .. path, { mode = mode }))
            assert.equal(bits, fds.permissions(path))
            listener:close()
          end)
        end
      end))
  end

  it("left out, leaves it to the umask", in_folder(function(path)
    fds.with_umask("027", function()
      local listener = assert(net.listen("unix:" .. path))
      assert.equal("750", fds.permissions(path))
      listener:close()
    end)
  end))

  it("does not change the process's umask", in_folder(function(path)
    fds.with_umask("027", function()
      assert(net.listen("unix:" .. path, { mode = "0666" })):close()
      local listener = assert(net.listen("unix:" .. path))
      assert.equal("750", fds.permissions(path))
      listener:close()
    end)
  end))

  for _, wrong in ipairs { "rw", "0999", "01777", "-600", "", "0660 ", -1, 512, 0.5, 660, true, {}, 0 / 0 } do
    it(("%s raises at the caller's line"):format(tostring(wrong):gsub("0x%x+", "0x...")), in_folder(function(path)
      local ok, err = pcall(function() net.listen("unix:" .. path, { mode = wrong }) end)
      assert.is_false(ok)
      assert.is_truthy(err:find("unix_spec.lua:%d+: listen: option 'mode' must be permission bits"), err)
      assert.is_false(exists(path))
    end))
  end

  it("raises for a TCP address", function()
    local ok, err = pcall(function() net.listen("127.0.0.1:0", { mode = "0600" }) end)
    assert.is_false(ok)
    assert.is_truthy(err:find("unix_spec.lua:%d+: listen: option 'mode' is for unix paths only"), err)
  end)

  -- A library that looks at the path in the moment after bind, before anything else can happen.
  local shim = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
typedef int bind_t(int fd, const struct sockaddr *a, socklen_t n);
int bind(int fd, const struct sockaddr *a, socklen_t n)
{
    int r = ((bind_t *)dlsym(RTLD_NEXT, "bind"))(fd, a, n);
    struct stat st;
    if (r == 0 && a->sa_family == AF_UNIX && stat(((const struct sockaddr_un *)a)->sun_path, &st) == 0)
        fprintf(stderr, "bound with %o\n", (unsigned)st.st_mode & 0777);
    return r;
}
]]

  it("holds from the very moment in which the path is there", in_folder(function(path, folder)
    local library = folder .. "/shim.so"
    local build = { "sh", "-c", '${CC:-cc} -shared -fPIC -o "$0" -x c - -ldl', library }
    local built = process.run(build, { stdin = shim })
    assert.equal(0, built.status, built.err)
    local preload = library
    if os.getenv "LD_PRELOAD" then preload = os.getenv "LD_PRELOAD" .. ":" .. library end
    for _, case in ipairs { { "0600", "000", "600" }, { "0600", "022", "600" }, { "0666", "022", "644" } } do
      local mode, umask, bound = unpack(case)
      fds.with_umask(umask, function()
        local r = process.run(script([[
          local listener = assert(net.listen("unix:" .. arg[1], { mode = arg[2] }))
          io.write("listens\n")
          listener:close()
        ]], path, mode), { env = { LD_PRELOAD = preload } })
        assert.equal("listens\n", r.out, r.err)
        assert.is_truthy(r.err:find("bound with " .. bound .. "\n", 1, true), r.err)
      end)
    end
    os.remove(library)
  end))

  if ROOT then
    it("keeps others out", in_folder(function(path, folder)
      fds.chmod(folder, "755")
      for mode, answer in pairs { ["0600"] = tostring(EACCES), ["0666"] = "connected" } do
        local listener = assert(net.listen("unix:" .. path, { mode = mode }))
        local child = dial_as_nobody(path)
        if answer == "connected" then assert(listener:accept()):close() end
        local _, out, err = child:wait()
        assert.equal(answer .. "\n", out, err)
        listener:close()
      end
    end))
  end
end)

describe("a socket file that a dead server has left", function()
  after_each(process.stop_all)

  it("is replaced", in_folder(function(path)
    abandon(path)
    local listener = assert(net.listen("unix:" .. path))
    assert_served(listener, "unix:" .. path)
    listener:close()
    assert.is_false(exists(path))
  end))

  it("is replaced where its server was killed", in_folder(function(path)
    local child = process.start(script([[
      local listener = assert(net.listen("unix:" .. arg[1]))
      io.write("listens\n")
      io.flush()
      listener:accept()
    ]], path))
    assert.equal("listens", child:line())
    child:kill("KILL")
    child:wait()
    assert.is_true(exists(path))
    local listener = assert(net.listen("unix:" .. path, { mode = "0600" }))
    assert.equal("600", fds.permissions(path))
    assert_served(listener, "unix:" .. path)
    listener:close()
  end))

  it("is replaced in a folder that is named by a relative path", in_folder(function(path, folder)
    abandon(path)
    local r = process.run(script([[
      local listener = assert(net.listen("unix:socket"))
      print(listener:address())
      listener:close()
    ]]), { cwd = folder })
    assert.equal("unix:socket\n", r.out, r.err)
    assert.is_false(exists(path))
  end))

  local function assert_refused(path)
    assert.same({ nil, "address already in use", EADDRINUSE }, { net.listen("unix:" .. path) })
    assert.is_true(exists(path) or os.execute("test -L " .. path) == 0)
  end

  it("is not one where somebody listens, who notices nothing", in_folder(function(path)
    local listener = assert(net.listen("unix:" .. path))
    assert_refused(path)
    assert_refused(path)
    assert(listener:set_deadline(moonpark.now() - 1))
    assert.same({ nil, "timeout" }, { listener:accept() })
    assert(listener:set_deadline(nil))
    assert_served(listener, "unix:" .. path)
    listener:close()
  end))

  it("is not one where the queue of who listens is full", in_folder(function(path)
    local listener = assert(net.listen("unix:" .. path, { backlog = 1 }))
    local clients = {}
    for i = 1, 2 do clients[i] = assert(net.dial("unix:" .. path)) end
    assert_refused(path)
    for _, client in ipairs(clients) do client:close() end
    listener:close()
  end))

  it("is not one where a datagram socket is bound", in_folder(function(path)
    local socket = assert(net.packet("unixgram:" .. path))
    assert_refused(path)
    socket:close()
  end))

  it("is not a file, a folder, a FIFO or a link", in_folder(function(path, folder)
    for make, remove in pairs {
      ["echo precious > '%s'"] = "rm '%s'", ["mkdir '%s'"] = "rmdir '%s'", ["mkfifo '%s'"] = "rm '%s'",
      ["ln -s nowhere '%s'"] = "rm '%s'",
    } do
      os.execute(make:format(path))
      assert_refused(path)
      os.execute(remove:format(path))
    end
    abandon(folder .. "/other")
    fds.symlink(folder .. "/other", path)
    assert_refused(path)
    assert.is_true(exists(folder .. "/other"))
    os.remove(path)
    os.remove(folder .. "/other")
  end))

  it("stays where the folder is locked by somebody else; a free path is listened on all the same",
    in_folder(function(path, folder)
      abandon(path)
      local lock = fds.lock(folder)
      assert_refused(path)
      local listener = assert(net.listen("unix:" .. path .. "2"))
      assert_served(listener, "unix:" .. path .. "2")
      listener:close()
      fds.close(lock)
      assert(net.listen("unix:" .. path)):close()
    end))

  -- Several processes that are told at once to listen there.
  it("is taken over by one of several servers that start at once", in_folder(function(path)
    local ROUNDS, SERVERS = 10, 3
    local servers = {}
    for i = 1, SERVERS do
      servers[i] = process.start(script([[
        io.stdout:setvbuf("line")
        print("ready")
        while io.read() do
          local listener, err = net.listen("unix:" .. arg[1])
          print(listener and "listens" or err)
          io.read()
          if listener then
            local conn = assert(listener:accept())
            conn:write(arg[2])
            conn:close()
            listener:close()
          end
          print("done")
        end
      ]], path, i), { stdin = true })
      assert.equal("ready", servers[i]:line())
    end
    for _ = 1, ROUNDS do
      abandon(path)
      for _, server in ipairs(servers) do server:write("go\n") end
      local winner
      for i, server in ipairs(servers) do
        local answer = server:line()
        if answer == "listens" then
          assert.is_nil(winner, "two servers listen")
          winner = i
        else
          assert.equal("address already in use", answer)
        end
      end
      assert.is_number(winner, "nobody listens")
      local conn = assert(net.dial("unix:" .. path))
      for _, server in ipairs(servers) do server:write("stop\n") end
      assert.equal(tostring(winner), conn:read_all())
      conn:close()
      for _, server in ipairs(servers) do assert.equal("done", server:line()) end
    end
    for _, server in ipairs(servers) do
      server:close_stdin()
      assert.equal(0, (server:wait()))
    end
  end))
end)

describe("closing a unix listener", function()
  it("leaves a path that another has bound meanwhile", in_folder(function(path)
    local first = assert(net.listen("unix:" .. path))
    os.remove(path)
    local second = assert(net.listen("unix:" .. path))
    first:close()
    assert_served(second, "unix:" .. path)
    second:close()
    assert.is_false(exists(path))
  end))

  it("leaves a path that has become a file, and does not mind that it is gone", in_folder(function(path)
    local listener = assert(net.listen("unix:" .. path))
    os.remove(path)
    os.execute(("echo precious > '%s'"):format(path))
    listener:close()
    assert.is_true(exists(path))
    os.remove(path)
    listener = assert(net.listen("unix:" .. path))
    os.remove(path)
    listener:close()
  end))

  it("leaves the path where unlink = false asks for it", in_folder(function(path)
    abandon(path)
    os.remove(path)
  end))

  it("of a packet socket leaves what another has bound there meanwhile, too", in_folder(function(path)
    local first = assert(net.packet("unixgram:" .. path))
    os.remove(path)
    local second = assert(net.packet("unixgram:" .. path))
    first:close()
    assert.is_true(exists(path))
    second:close()
    assert.is_false(exists(path))
  end))
end)
