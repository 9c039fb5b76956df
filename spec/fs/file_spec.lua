-- SPDX-License-Identifier: MIT
-- What an open file promises.

local core = require "moonpark.core"
local ffi = require "ffi"
local fs = require "moonpark.fs"
local files = require "support.fs"
local moonpark = require "moonpark"
local support = require "support.net"

local in_folder = files.in_folder

ffi.cdef "int file_spec_truncate(const char *path, long length) __asm__(\"truncate\");"

-- A body(file, path) with a file that holds `bytes`, opened in that way.
local function with_file(bytes, how, body)
  return in_folder(function(folder)
    local path = folder .. "/a"
    assert(fs.write(path, bytes))
    local file = assert(fs.open(path, how))
    body(file, path)
    assert.is_true(file:close())
  end)
end

-- All that read gives up to the end, in pieces of at most n.
local function read_all(file, n)
  local pieces = {}
  while true do
    local piece, err = file:read(n)
    if not piece then return table.concat(pieces), err end
    assert(#piece >= 1 and #piece <= n)
    pieces[#pieces + 1] = piece
  end
end

describe("an open file", function()
  it("is read from its start to its end, piece by piece", with_file("some bytes", "r", function(file)
    local data, err = read_all(file, 3)
    assert.same({ "some bytes", "eof" }, { data, err })
    assert.same({ nil, "eof" }, { file:read() })
  end))

  it("is read anywhere, whatever was read before", with_file("0123456789", "r", function(file)
    assert.equal("345", file:read_at(3, 3))
    assert.equal("0", file:read(1))
    assert.equal("89", file:read_at(8, 100))
    assert.same({ nil, "eof" }, { file:read_at(10, 1) })
    assert.same({ nil, "eof" }, { file:read_at(1e12, 1) })
    assert.equal("1", file:read(1))
  end))

  it("is written where it stands, or anywhere", with_file("0123456789", "r+", function(file, path)
    assert.equal(2, file:write("ab"))
    assert.equal(3, file:write_at(5, "xyz"))
    assert.equal(1, file:write(7))
    assert.equal(0, file:write(""))
    assert.equal("ab734xyz89", fs.read(path))
    assert.equal(2, file:write_at(12, "!!"))
    assert.equal("ab734xyz89\0\0!!", fs.read(path))
  end))

  it("tells its size, and goes where it is told", with_file("0123456789", "r+", function(file)
    assert.equal(10, file:size())
    assert.equal(0, file:seek())
    assert.equal(4, file:seek("set", 4))
    assert.equal("4", file:read(1))
    assert.equal(3, file:seek("cur", -2))
    assert.equal(9, file:seek("end", -1))
    assert.equal("9", file:read(1))
    assert.same({ nil, "invalid argument", 22 }, { file:seek("set", -1) })
    assert.is_true(file:sync())
  end))

  it("gives what is left where it shrinks", with_file("0123456789", "r", function(file, path)
    assert.equal(10, file:size())
    assert.equal(0, ffi.C.file_spec_truncate(path, 3))
    assert.equal(3, file:size())
    assert.equal("012", file:read_at(0, 10))
    assert.same({ nil, "eof" }, { file:read_at(5, 5) })
  end))

  it("may be removed meanwhile", with_file("still here", "r", function(file, path)
    assert(fs.remove(path))
    assert.equal("still here", file:read_at(0, 100))
  end))

  it("is opened as it is told", in_folder(function(folder)
    local path = folder .. "/a"
    assert.same({ nil, "no such file or directory", 2 }, { fs.open(path) })
    assert.same({ nil, "no such file or directory", 2 }, { fs.open(path, "r+") })
    assert.same({ nil, "is a directory", 21 }, { fs.open(folder) })
    assert.same({ nil, "is a directory", 21 }, { fs.open(folder, "w") })
    local file
    local function open(how, options) file = assert(fs.open(path, how, options)) end
    open("wx", { mode = "600" })
    assert.same({ nil, "bad file descriptor", 9 }, { file:read() })
    assert.equal(3, file:write("one"))
    file:close()
    assert.equal(384, fs.stat(path).mode)
    assert.same({ nil, "file exists", 17 }, { fs.open(path, "wx") })
    open("r")
    assert.same({ nil, "bad file descriptor", 9, 0 }, { file:write("x") })
    file:close()
    open("a+")
    assert.equal(3, file:write("two"))
    assert.equal("onetwo", file:read_at(0, 10))
    file:close()
    open("w+")
    assert.equal(0, file:size())
    file:close()
  end))

  it("has a descriptor that its children do not inherit", with_file("x", "r", function(file, path)
    assert.is_true(file:fd() > 2)
    assert.matches("flags:%s+%d*2%d%d%d%d%d%d\n", fs.read("/proc/self/fdinfo/" .. file:fd())) -- O_CLOEXEC
    assert.equal("file " .. path, tostring(file))
  end))

  it("reads many pieces at once", with_file(("0123456789"):rep(10), "r", function(file)
    local got = {}
    moonpark.scope(function(scope)
      for i = 0, 9 do scope:go(function() got[i + 1] = file:read_at(10 * i, 10) end) end
    end)
    assert.equal(("0123456789"):rep(10), table.concat(got))
  end))
end)

describe("closing a file", function()
  it("gives its descriptor back, and is harmless twice", with_file("x", "r", function(file)
    local before = support.descriptors()
    assert.is_true(file:close())
    assert.equal(before - 1, support.descriptors())
    assert.is_true(file:close())
    assert.is_true(file:is_closed())
    assert.equal("closed file", tostring(file))
  end))

  it("fails every operation from then on", with_file("x", "r+", function(file)
    assert.is_false(file:is_closed())
    file:close()
    for name, arguments in pairs { read = {}, read_at = { 0, 1 }, write = { "x" }, write_at = { 0, "x" }, size = {},
      seek = {}, sync = {}, fd = {} } do
      assert.same({ nil, "closed" }, { file[name](file, unpack(arguments)) }, name)
    end
  end))

  it("lets an operation that is under way end, and only then gives the descriptor back", in_folder(function(folder)
    local path = files.fifo(folder .. "/fifo")
    local file = assert(fs.open(path, "r+"))
    local before = support.descriptors()
    local reader = support.parked(file.read, file)
    assert.is_true(file:close())
    assert.same({ nil, "closed" }, { file:read() })
    assert.equal(before, support.descriptors())
    local close = files.feed(path, "l")
    local _, data = reader:join()
    close()
    assert.equal("l", data)
    assert.equal(before - 1, support.descriptors())
  end))

  it("happens in a cancelled task too", with_file("x", "r", function(file)
    local before = support.descriptors()
    local task = moonpark.go(function()
      moonpark.sleep(3600)
      return file:close()
    end)
    task:cancel()
    local _, ok = task:join()
    assert.is_true(ok)
    assert.equal(before - 1, support.descriptors())
  end))

  it("happens where waiting is impossible", with_file("x", "r", function(file)
    local before = support.descriptors()
    table.sort({ 1, 2 }, function()
      file:close()
      return false
    end)
    assert.equal(before - 1, support.descriptors())
  end))

  it("is done by the collector for a file that nobody has any more", in_folder(function(folder)
    assert(fs.write(folder .. "/a", "x"))
    local before = support.descriptors()
    do
      assert(fs.open(folder .. "/a"))
      assert.equal(before + 1, support.descriptors())
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, support.descriptors())
    assert.same({}, core.files())
  end))
end)

describe("misuse of a file", function()
  it("raises, and says where", with_file("x", "r", function(file)
    local function raises(words, ...)
      local ok, err = pcall(...)
      assert.is_false(ok)
      assert.is_truthy(err:find(words, 1, true), err)
    end
    raises("file expected, got no value", file.read)
    raises("file expected, got table", file.close, {})
    raises("whole number of at least 1 expected", file.read, file, 0)
    raises("whole number of at least 0 expected", file.read_at, file, -1, 1)
    raises("number expected, got no value", file.read_at, file, 1)
    raises("string expected", file.write, file, {})
    raises("invalid option 'middle'", file.seek, file, "middle")
    raises("whole number expected", file.seek, file, "set", 0.5)
    raises("whole number expected", file.seek, file, "set", 0 / 0)
    raises("file_spec.lua:", function() local _ = file:read(0) end)
  end))
end)
