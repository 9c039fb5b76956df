-- SPDX-License-Identifier: MIT
-- writer_spec.lua - lines for a descriptor: in order, whole, counted where they are lost, and nobody waits for them.

local ffi = require "ffi"
local units = require "support.units"

local lib, C = units.lib, ffi.C

ffi.cdef [[
int writer_spec_fcntl(int fd, int command, ...) __asm__("fcntl");
int writer_spec_rename(const char *from, const char *to) __asm__("rename");
int writer_spec_symlink(const char *target, const char *path) __asm__("symlink");
]]

local O_WRONLY, O_RDWR, O_CREAT, O_APPEND, O_NONBLOCK, O_CLOEXEC = 1, 2, 0x40, 0x400, 0x800, 0x80000
local F_GETFL, F_SETFL, F_GETPIPE_SZ = 3, 4, 1032
local ENOBUFS = 105
local MOST = 1048576
local LONG = 60 * 10 ^ 9  -- ns: nothing here takes so long
local AT_ONCE = 0

local opened, folders

local function descriptor(fd)
  assert(fd >= 0, "errno " .. ffi.errno())
  opened[#opened + 1] = fd
  return fd
end

-- Where to read, without waiting; where to write, blocking: a descriptor as a program gets it.
local function pipe()
  local fds = ffi.new "int[2]"
  assert(C.pipe2(fds, O_CLOEXEC) == 0)
  C.writer_spec_fcntl(fds[0], F_SETFL, ffi.new("int", O_NONBLOCK))
  return descriptor(fds[0]), descriptor(fds[1])
end

local function folder()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir " .. path))
  folders[#folders + 1] = path
  return path
end

local function content(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function writer_of(fd, path, most)
  local w = lib.writer_open(fd, path, most or MOST)
  assert(w ~= nil)
  return w
end

local function put(w, text, patience)
  local part = ffi.new("struct units_iovec[1]")
  part[0].iov_base, part[0].iov_len = ffi.cast("void *", text), #text
  return lib.writer_put(w, part, 1, patience or AT_ONCE)
end

local function counts(w)
  local c = ffi.new "struct writer_counts"
  lib.writer_count(w, c)
  lib.writer_check(w)
  return c
end

-- Reads until nothing is pending.
local function drain(w, fd)
  local parts = {}
  repeat
    local done = lib.writer_flush(w, AT_ONCE)
    repeat
      local text = units.read(fd, 65536)
      parts[#parts + 1] = text
    until not text or text == ""
  until done
  return table.concat(parts)
end

local function close(w) lib.writer_close(w, LONG) end

describe("a writer", function()
  local blocks

  before_each(function()
    opened, folders = {}, {}
    blocks = lib.sys_allocated()
  end)

  after_each(function()
    units.close(unpack(opened))
    for _, path in ipairs(folders) do os.execute("rm -r " .. path) end
  end)

  it("writes lines in their order, and keeps nothing", function()
    local reader, fd = pipe()
    local w = writer_of(fd)
    for i = 1, 100 do assert.equal(0, put(w, i .. "\n")) end
    local want = {}
    for i = 1, 100 do want[i] = i .. "\n" end
    assert.equal(table.concat(want), drain(w, reader))
    assert.same({ 292, 0, 0, 0 }, { tonumber(counts(w).written), tonumber(counts(w).lost), tonumber(counts(w).pending),
      counts(w).error })
    close(w)
    assert.equal(blocks, lib.sys_allocated())
  end)

  it("takes lines while a pipe is full, without waiting, and loses none that fit", function()
    local reader, fd = pipe()
    local room = C.writer_spec_fcntl(fd, F_GETPIPE_SZ)
    local w, sent = writer_of(fd), {}
    while #table.concat(sent) < room + 300000 do
      local line = ("%06d %s\n"):format(#sent, ("x"):rep(#sent * 7 % 900))
      sent[#sent + 1] = line
      for _ = 1, 9 do sent[#sent + 1] = "short\n" end
      for i = #sent - 9, #sent do assert.equal(0, put(w, sent[i])) end
    end
    assert.is_false(lib.writer_flush(w, AT_ONCE))
    assert.is_true(counts(w).pending > 0)
    assert.is_true(table.concat(sent) == drain(w, reader), "something is missing, or not in its place")
    close(w)
  end)

  it("loses what does not fit, and says at that place how much", function()
    local reader, fd = pipe()
    local w = writer_of(fd, nil, 20000)
    assert.equal(0, lib.writer_tell(w, "[%n lost: %r]\n", w))
    units.write(fd, ("x"):rep(C.writer_spec_fcntl(fd, F_GETPIPE_SZ) - 4096) .. ("y"):rep(4095) .. "\n")
    local line, sent, lost = ("z"):rep(99) .. "\n", 0, 0
    while lost < 7 do
      local r = put(w, line)
      if r == 0 then sent = sent + 1 else lost = lost + 1 end
      if r ~= 0 then assert.equal(-ENOBUFS, r) end
    end
    assert.equal(7, tonumber(counts(w).lost))
    local text = drain(w, reader)
    assert.equal(0, put(w, "after\n"))
    text = text .. drain(w, reader)
    local before = text:match "y\n(.*)%[7 lost: the queue was full%]\nafter\n$"
    assert.equal(line:rep(sent), before)
    close(w)
  end)

  it("tells of lost lines as soon as others flow, even if none follows", function()
    local reader, fd = pipe()
    local w = writer_of(fd, nil, 100)
    lib.writer_tell(w, "[%n]\n", w)
    units.write(fd, ("x"):rep(C.writer_spec_fcntl(fd, F_GETPIPE_SZ) - 1) .. "\n")
    put(w, "kept\n")
    for _ = 1, 3 do put(w, ("l"):rep(99) .. "\n") end
    assert.matches("kept\n%[3%]\n$", drain(w, reader))
    close(w)
  end)

  it("takes a line that is longer than the queue, if nothing is waiting", function()
    local reader, fd = pipe()
    local w, long = writer_of(fd, nil, 100), ("x"):rep(200000) .. "\n"
    assert.equal(0, put(w, long))
    assert.is_true(long == drain(w, reader))
    close(w)
  end)

  it("never makes the descriptor non-blocking, and copes with one that somebody else has made so", function()
    local reader, fd = pipe()
    local w = writer_of(fd)
    put(w, "a\n")
    assert.equal("a\n", drain(w, reader))
    assert.equal(0, bit.band(C.writer_spec_fcntl(fd, F_GETFL), O_NONBLOCK))
    C.writer_spec_fcntl(fd, F_SETFL, ffi.new("int", O_NONBLOCK))
    local long = (("x"):rep(99) .. "\n"):rep(5000)
    assert.equal(0, put(w, long))
    assert.is_true(long == drain(w, reader))
    close(w)
  end)

  it("writes pieces of whole lines, so that those of several processes do not mix", function()
    local fds = ffi.new "int[2]"
    assert(C.socketpair(1, 5 + O_CLOEXEC, 0, fds) == 0) -- of records: what one write has written
    descriptor(fds[0])
    descriptor(fds[1])
    local w, lines = writer_of(fds[0]), {}
    for i = 1, 200 do lines[i] = ("x"):rep(i) .. "\n" end
    lines[201] = ("y"):rep(9000) .. "\n"
    lines[202] = "z\n"
    put(w, table.concat(lines), LONG)
    C.writer_spec_fcntl(fds[1], F_SETFL, ffi.new("int", O_NONBLOCK))
    local got, records = {}, 0
    for record in function() return units.read(fds[1], 65536) end do
      assert.equal("\n", record:sub(-1))
      got[#got + 1], records = record, records + 1
    end
    assert.equal(table.concat(lines), table.concat(got))
    assert.is_true(records < 12, records .. " writes")
    close(w)
  end)

  it("counts what cannot be written, and says so once writing works again", function()
    local place = folder()
    local path = place .. "/log"
    assert(C.writer_spec_symlink("/dev/full", path) == 0)
    local w = writer_of(C.open(path, O_WRONLY + O_APPEND + O_CLOEXEC), path)
    lib.writer_tell(w, "[%n lost: %r]\n", w)
    for _ = 1, 3 do put(w, "a\nb\n", LONG) end
    assert.same({ 6, 0 }, { tonumber(counts(w).lost), tonumber(counts(w).pending) })
    assert.is_true(counts(w).error < 0)
    os.remove(path)
    put(w, "c\n", LONG)
    put(w, "d\n", LONG)
    assert.equal("[6 lost: no space left on device]\nc\nd\n", content(path))
    assert.equal(0, counts(w).error)
    close(w)
  end)

  it("survives a pipe without a reader", function()
    local reader, fd = pipe()
    local w = writer_of(fd)
    put(w, "a\n", LONG)
    C.close(reader)
    table.remove(opened, #opened - 1)
    put(w, "b\n", LONG)
    put(w, "c\n", LONG)
    assert.same({ 2, 2 }, { tonumber(counts(w).written), tonumber(counts(w).lost) })
    close(w)
  end)

  it("tells another writer, where its own output has another form", function()
    local reader, fd = pipe()
    local errors_reader, errors_fd = pipe()
    local w, errors = writer_of(fd, nil, 100), writer_of(errors_fd)
    lib.writer_tell(w, "%t: %n lost\n", errors)
    units.write(fd, ("x"):rep(C.writer_spec_fcntl(fd, F_GETPIPE_SZ) - 1) .. "\n")
    put(w, "kept\n")
    for _ = 1, 3 do put(w, ("l"):rep(99) .. "\n") end
    assert.matches("x\nkept\n$", drain(w, reader))
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ: 3 lost\n$", drain(errors, errors_reader))
    close(w)
    close(errors)
    assert.equal(blocks, lib.sys_allocated())
  end)

  it("goes to a new file if its own is renamed or removed, and stays at the old one if there can be none", function()
    local place = folder()
    local path = place .. "/log"
    local function new() return C.open(path, O_WRONLY + O_APPEND + O_CREAT + O_CLOEXEC, ffi.new("int", 420)) end
    local w = writer_of(new(), path)
    put(w, "1\n", LONG)
    assert(C.writer_spec_rename(path, path .. ".1") == 0)
    put(w, "2\n", LONG)
    os.remove(path)
    put(w, "3\n", LONG)
    assert.same({ "1\n", "3\n" }, { content(path .. ".1"), content(path) })
    assert(C.writer_spec_rename(place, place .. ".old") == 0)
    put(w, "4\n", LONG)
    assert.equal("3\n4\n", content(place .. ".old/log"))
    assert(C.writer_spec_rename(place .. ".old", place) == 0)
    close(w)
  end)

  it("is closed even if its pipe is stuck", function()
    local reader, fd = pipe()
    local w = writer_of(fd)
    units.write(fd, ("x"):rep(C.writer_spec_fcntl(fd, F_GETPIPE_SZ)))
    put(w, "stuck\n")
    assert.is_false(lib.writer_flush(w, 1e6))
    lib.writer_close(w, 1e6)
    while (units.read(reader, 65536) or "") ~= "" do end -- the abandoned thread ends
  end)

  it("is waited for only once at the end, if nothing has been written since", function()
    local reader, fd = pipe()
    local w = writer_of(fd)
    units.write(fd, ("x"):rep(C.writer_spec_fcntl(fd, F_GETPIPE_SZ)))
    put(w, ("y"):rep(5000) .. "\n" .. ("z"):rep(200000) .. "\n")
    assert.is_false(lib.writer_finish(w, 1e6))
    assert.is_false(lib.writer_finish(w, LONG)) -- would hang
    while counts(w).written == 0 do units.read(reader, 4096) end
    assert.is_false(lib.writer_finish(w, 1e6)) -- it looks again
    drain(w, reader)
    assert.is_true(lib.writer_finish(w, LONG))
    close(w)
  end)

  it("waits for a line only if no other is waiting, unless it is to wait for all", function()
    local reader, fd = pipe()
    local w = writer_of(fd)
    units.write(fd, ("x"):rep(C.writer_spec_fcntl(fd, F_GETPIPE_SZ)))
    put(w, "first\n", 1e6) -- waits in vain
    put(w, "second\n", LONG) -- would hang
    assert.matches("first\nsecond\n$", drain(w, reader))
    put(w, "third\n", -1)
    assert.equal("third\n", units.read(reader))
    close(w)
  end)

  it("writes to a terminal", function()
    local master = descriptor(C.open("/dev/ptmx", O_RDWR + O_CLOEXEC))
    local w = writer_of(master)
    assert.equal(0, put(w, "a\n", LONG))
    assert.equal(2, tonumber(counts(w).written))
    close(w)
  end)
end)
