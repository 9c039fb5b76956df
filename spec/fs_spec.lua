-- SPDX-License-Identifier: MIT
-- What moonpark.fs promises of whole files, names and directories. Open files, threads and watches: spec/fs/.

local fs = require "moonpark.fs"
local files = require "support.fs"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"

local in_folder = files.in_folder

local ENOENT, EEXIST, ENOTDIR, EISDIR, EXDEV, EINVAL, ENOTEMPTY = 2, 17, 20, 21, 18, 22, 39
local missing = { nil, "no such file or directory", ENOENT }

local function bytes_of(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

local function mode_of(path) return ("%o"):format(assert(fs.stat(path)).mode) end

describe("fs.read", function()
  it("gives all that is in a file", in_folder(function(folder)
    local bytes = ("\0\r\n\255"):rep(1000)
    assert.is_true(fs.write(folder .. "/a", bytes))
    assert.equal(bytes, fs.read(folder .. "/a"))
    assert.is_true(fs.write(folder .. "/a", ""))
    assert.equal("", fs.read(folder .. "/a"))
  end))

  it("reads what does not tell its size", in_folder(function(folder)
    assert.equal(bytes_of("/proc/self/cmdline"), fs.read("/proc/self/cmdline"))
    local path = files.fifo(folder .. "/fifo")
    local task = moonpark.go(fs.read, path)
    local file = assert(fs.open(path, "w"))
    assert(file:write("through a FIFO"))
    file:close()
    local _, data = task:join()
    assert.equal("through a FIFO", data)
  end))

  it("refuses more than max, and takes as much as that", in_folder(function(folder)
    assert(fs.write(folder .. "/a", "12345"))
    assert.equal("12345", fs.read(folder .. "/a", 5))
    assert.same({ nil, "too long" }, { fs.read(folder .. "/a", 4) })
    assert.same({ nil, "too long" }, { fs.read("/proc/self/status", 4) })
    assert.same({ nil, "too long" }, { fs.read(folder .. "/a", 0) })
    assert(fs.write(folder .. "/a", ""))
    assert.equal("", fs.read(folder .. "/a", 0))
  end))

  it("tells a missing file from a directory", in_folder(function(folder)
    assert.same(missing, { fs.read(folder .. "/a") })
    assert.same({ nil, "is a directory", EISDIR }, { fs.read(folder) })
    assert(fs.write(folder .. "/a", ""))
    assert.same({ nil, "not a directory", ENOTDIR }, { fs.read(folder .. "/a/b") })
    assert.same(missing, { fs.read("") })
    assert.same({ nil, "file name too long", 36 }, { fs.read(folder .. "/" .. ("x"):rep(256)) })
  end))

  it("gives no more than what is there while others cut the file short", in_folder(function(folder)
    local path = folder .. "/a"
    assert(fs.write(path, ""))
    moonpark.scope(function(scope)
      scope:go(function()
        for i = 1, 50 do assert(fs.write(path, ("x"):rep(i % 5 * 1000))) end
      end)
      for _ = 1, 50 do
        local data = assert(fs.read(path))
        assert.is_true(#data <= 4000 and not data:find("[^x]"))
      end
    end)
  end))
end)

describe("fs.write", function()
  it("makes a file or replaces what it holds", in_folder(function(folder)
    assert.is_true(fs.write(folder .. "/a", "first and long"))
    assert.equal("first and long", bytes_of(folder .. "/a"))
    assert.is_true(fs.write(folder .. "/a", 42))
    assert.equal("42", bytes_of(folder .. "/a"))
  end))

  it("gives a new file permissions, less the umask, and leaves those of an old one", in_folder(function(folder)
    files.with_umask(18, function()
      assert(fs.write(folder .. "/a", ""))
      assert(fs.write(folder .. "/b", "", { mode = "666" }))
      assert(fs.write(folder .. "/c", "", { mode = 384 }))
      assert(fs.write(folder .. "/c", "", { mode = "644" }))
    end)
    assert.same({ "644", "644", "600" }, { mode_of(folder .. "/a"), mode_of(folder .. "/b"), mode_of(folder .. "/c") })
  end))

  it("fails where there is a directory, or none to hold it", in_folder(function(folder)
    assert.same({ nil, "is a directory", EISDIR }, { fs.write(folder, "x") })
    assert.same(missing, { fs.write(folder .. "/b/a", "x") })
  end))

  describe("atomically", function()
    local atomic = { atomic = true }

    it("replaces a file, and leaves nothing beside it", in_folder(function(folder)
      assert.is_true(fs.write(folder .. "/a", "one", atomic))
      assert.is_true(fs.write(folder .. "/a", "two", atomic))
      assert.equal("two", bytes_of(folder .. "/a"))
      assert.same({ "a" }, fs.list(folder))
    end))

    it("lets who has the old file open go on with it", in_folder(function(folder)
      assert(fs.write(folder .. "/a", "old"))
      local file = assert(fs.open(folder .. "/a"))
      assert(fs.write(folder .. "/a", "new", atomic))
      assert.equal("old", file:read_at(0, 10))
      file:close()
    end))

    it("hands on the permissions of what it replaces, unless told others", in_folder(function(folder)
      files.with_umask(18, function()
        assert(fs.write(folder .. "/a", "", atomic))
        assert.equal("644", mode_of(folder .. "/a"))
        assert(fs.write(folder .. "/a", "", { atomic = true, mode = "600" }))
        assert.equal("600", mode_of(folder .. "/a"))
        assert(fs.write(folder .. "/a", "", atomic))
        assert.equal("600", mode_of(folder .. "/a"))
      end)
    end))

    it("replaces nothing but files: no FIFO, device or what leads to one", in_folder(function(folder)
      files.fifo(folder .. "/fifo")
      files.symlink("fifo", folder .. "/link")
      for _, name in ipairs { "fifo", "link" } do
        assert.same({ nil, "not a regular file" }, { fs.write(folder .. "/" .. name, "x", atomic) })
        assert.same({ nil, "not a regular file" },
          { fs.write(folder .. "/" .. name, "x", { atomic = true, mode = "600" }) })
      end
      assert.equal("fifo", fs.stat(folder .. "/fifo").type)
      assert.same({ "fifo", "link" }, fs.list(folder))
    end))

    it("fails where it cannot, and leaves nothing", in_folder(function(folder)
      assert(fs.mkdir(folder .. "/d"))
      assert.same({ nil, "is a directory", EISDIR }, { fs.write(folder .. "/d", "x", atomic) })
      assert.same({ "d" }, fs.list(folder))
      assert.same(missing, { fs.write(folder .. "/e/a", "x", atomic) })
    end))
  end)
end)

describe("fs.append", function()
  it("adds at the end, whoever else does", in_folder(function(folder)
    assert.is_true(fs.append(folder .. "/a", "one"))
    assert.is_true(fs.append(folder .. "/a", " two"))
    moonpark.scope(function(scope)
      for _ = 1, 20 do scope:go(fs.append, folder .. "/a", "!") end
    end)
    assert.equal("one two" .. ("!"):rep(20), bytes_of(folder .. "/a"))
  end))
end)

-- A body that runs a script of its own on a file system of 64 KiB, in name spaces of its own.
local function on_full_device(script)
  return in_folder(function(folder)
    local inside = ("mount -t tmpfs -o size=64k none %s && exec %s -e '%s'"):format(folder, process.interpreter, script)
    local r = process.run({ "unshare", "-m", "sh", "-c", inside }, { env = { FOLDER = folder } })
    if r.err:find("unshare", 1, true) or r.err:find("mount", 1, true) then
      io.stderr:write("\nno file system could be filled: ", r.err, "\n")
      return pending("a small file system cannot be mounted here: " .. r.err)
    end
    assert.same({ 0, "", "" }, { r.status, r.out, r.err })
  end)
end

describe("a full device", function()
  after_each(process.stop_all)

  it("fails a write with its own words, and an atomic one leaves the old file and nothing else", on_full_device [[
    local fs = require("moonpark").fs
    require("moonpark").run(function()
      local path, data = os.getenv("FOLDER") .. "/a", ("x"):rep(100000)
      assert(fs.write(path, "old"))
      local ok, err, errno = fs.write(path, data, { atomic = true })
      assert(not ok and err == "no space left on device" and errno == 28, err)
      assert(fs.read(path) == "old")
      assert(#fs.list(os.getenv("FOLDER")) == 1)
      ok, err, errno = fs.write(path, data)
      assert(not ok and err == "no space left on device" and errno == 28, err)
      ok, err = fs.append(path, data)
      assert(not ok and err == "no space left on device", err)
      local file = assert(fs.open(path, "w"))
      local n, why, number, written = file:write(data)
      assert(not n and why == "no space left on device" and number == 28 and written < 65537 and written > 0)
      file:close()
    end)
  ]])
end)

describe("fs.stat", function()
  it("tells what a path leads to", in_folder(function(folder)
    assert(fs.write(folder .. "/a", "12345", { mode = "600" }))
    local st = assert(fs.stat(folder .. "/a"))
    assert.equal("file", st.type)
    assert.equal(5, st.size)
    assert.equal(384, st.mode)
    assert.is_true(st.inode > 0 and st.uid >= 0 and st.gid >= 0)
    assert.is_true(math.abs(st.mtime - os.time()) < 3600)
    assert.equal("directory", assert(fs.stat(folder)).type)
    assert.equal("device", assert(fs.stat("/dev/null")).type)
    assert.equal("fifo", assert(fs.stat(files.fifo(folder .. "/fifo"))).type)
    local listener = assert(net.listen("unix:" .. folder .. "/s"))
    assert.equal("socket", assert(fs.stat(folder .. "/s")).type)
    listener:close()
    assert.same(missing, { fs.stat(folder .. "/none") })
  end))

  it("follows links, unless told not to", in_folder(function(folder)
    assert(fs.write(folder .. "/a", "12345"))
    local link = files.symlink("a", folder .. "/link")
    assert.equal("file", assert(fs.stat(link)).type)
    assert.equal("link", assert(fs.stat(link, { follow = false })).type)
    files.symlink("nowhere", folder .. "/lost")
    assert.same(missing, { fs.stat(folder .. "/lost") })
    files.symlink("round", folder .. "/round")
    assert.same({ nil, "too many levels of symbolic links", 40 }, { fs.stat(folder .. "/round") })
  end))
end)

describe("fs.list", function()
  it("gives the names in order", in_folder(function(folder)
    assert.same({}, fs.list(folder))
    for _, name in ipairs { "b", "a", "Z", "a b", ".hidden", "\255", "line\nfeed" } do
      assert(fs.write(folder .. "/" .. name, ""))
    end
    assert.same({ ".hidden", "Z", "a", "a b", "b", "line\nfeed", "\255" }, fs.list(folder))
  end))

  it("tells types too", in_folder(function(folder)
    assert(fs.write(folder .. "/a", ""))
    assert(fs.mkdir(folder .. "/b"))
    files.symlink("a", folder .. "/c")
    files.fifo(folder .. "/d")
    assert.same({ { name = "a", type = "file" }, { name = "b", type = "directory" }, { name = "c", type = "link" },
      { name = "d", type = "fifo" } }, fs.list(folder, { types = true }))
  end))

  it("tells sizes and times too, and of links their own", in_folder(function(folder)
    assert(fs.write(folder .. "/a b", ("x"):rep(12345)))
    assert(fs.write(folder .. "/b", ""))
    assert(fs.mkdir(folder .. "/c"))
    files.symlink("nowhere at all", folder .. "/d")
    local list = fs.list(folder, { sizes = true })
    local names = {}
    for i, entry in ipairs(list) do
      local info = assert(fs.stat(folder .. "/" .. entry.name, { follow = false }))
      assert.same({ info.type, info.size, info.mtime }, { entry.type, entry.size, entry.mtime })
      names[i] = entry.name
    end
    assert.same({ "a b", "b", "c", "d" }, names)
    assert.same({ 12345, 0, 14 }, { list[1].size, list[2].size, list[4].size })
  end))

  it("takes directories that one system call does not", in_folder(function(folder)
    local names = {}
    for i = 1, 700 do
      names[i] = ("%04d"):format(i) .. ("x"):rep(100)
      assert(io.open(folder .. "/" .. names[i], "w")):close()
    end
    assert.same(names, fs.list(folder))
    local list = fs.list(folder, { sizes = true })
    for i, entry in ipairs(list) do assert.same({ names[i], 0 }, { entry.name, entry.size }) end
    assert.equal(700, #list)
  end))

  it("fails for what is none", in_folder(function(folder)
    assert.same(missing, { fs.list(folder .. "/none") })
    assert(fs.write(folder .. "/a", ""))
    assert.same({ nil, "not a directory", ENOTDIR }, { fs.list(folder .. "/a") })
  end))
end)

describe("fs.rename", function()
  it("moves, and replaces a file", in_folder(function(folder)
    assert(fs.write(folder .. "/a", "1"))
    assert(fs.write(folder .. "/b", "2"))
    assert.is_true(fs.rename(folder .. "/a", folder .. "/b"))
    assert.same({ "b" }, fs.list(folder))
    assert.equal("1", fs.read(folder .. "/b"))
    assert.same(missing, { fs.rename(folder .. "/a", folder .. "/b") })
    assert(fs.mkdir(folder .. "/d"))
    assert.same({ nil, "is a directory", EISDIR }, { fs.rename(folder .. "/b", folder .. "/d") })
  end))

  it("does not cross file systems", in_folder(function(folder)
    assert(fs.write(folder .. "/a", "1"))
    assert.same({ nil, "invalid cross-device link", EXDEV }, { fs.rename(folder .. "/a", "/proc/a") })
  end))
end)

describe("fs.remove", function()
  it("takes files, links and empty directories", in_folder(function(folder)
    assert(fs.write(folder .. "/a", ""))
    files.symlink("a", folder .. "/link")
    assert(fs.mkdir(folder .. "/d"))
    assert.is_true(fs.remove(folder .. "/link"))
    assert.same({ "a", "d" }, fs.list(folder))
    assert.is_true(fs.remove(folder .. "/a"))
    assert.is_true(fs.remove(folder .. "/d"))
    assert.same({}, fs.list(folder))
    assert.same(missing, { fs.remove(folder .. "/a") })
    assert.same(missing, { fs.remove(folder .. "/a", { recursive = true }) })
  end))

  it("takes what is in a directory only when told to", in_folder(function(folder)
    assert(fs.mkdir(folder .. "/d/e/f", { parents = true }))
    assert(fs.write(folder .. "/d/e/a", ""))
    assert(fs.write(folder .. "/d/b", ""))
    assert.same({ nil, "directory not empty", ENOTEMPTY }, { fs.remove(folder .. "/d") })
    assert.is_true(fs.remove(folder .. "/d", { recursive = true }))
    assert.same({}, fs.list(folder))
  end))

  it("touches nothing of a tree that cannot be removed by that name", in_folder(function(folder)
    assert(fs.mkdir(folder .. "/d/e", { parents = true }))
    for _, name in ipairs { "/d/.", "/d/./", "/d/e/..", "/d/e/..//" } do
      assert.same({ nil, "invalid argument", EINVAL }, { fs.remove(folder .. name, { recursive = true }) })
    end
    assert.same({ "e" }, fs.list(folder .. "/d"))
    assert(fs.mkdir(folder .. "/d/..."))
    assert(fs.mkdir(folder .. "/d/x."))
    for _, name in ipairs { "/d/...", "/d/x.", "/d/" } do
      assert.is_true(fs.remove(folder .. name, { recursive = true }))
    end
    assert.same({}, fs.list(folder))
  end))

  it("does not follow links out of the tree", in_folder(function(folder)
    assert(fs.mkdir(folder .. "/d"))
    assert(fs.mkdir(folder .. "/kept"))
    assert(fs.write(folder .. "/kept/a", ""))
    files.symlink("../kept", folder .. "/d/link")
    files.symlink("kept", folder .. "/link")
    assert.is_true(fs.remove(folder .. "/d", { recursive = true }))
    assert.is_true(fs.remove(folder .. "/link", { recursive = true }))
    assert.same({ "a" }, fs.list(folder .. "/kept"))
  end))

  it("takes trees that are deeper than a path may be long", in_folder(function(folder)
    local name = ("d"):rep(200)
    local tree, above = folder .. "/" .. name, folder .. "/above"
    assert(fs.mkdir(tree))
    for _ = 1, 50 do
      assert(fs.write(tree .. "/file", ""))
      assert(fs.mkdir(above))
      assert(fs.rename(tree, above .. "/" .. name))
      assert(fs.rename(above, tree))
    end
    assert.same({ nil, "directory not empty", ENOTEMPTY }, { fs.remove(tree) })
    assert.is_true(fs.remove(tree, { recursive = true }))
    assert.same({}, fs.list(folder))
  end))
end)

describe("fs.mkdir", function()
  it("makes one, with the permissions it is told", in_folder(function(folder)
    files.with_umask(18, function()
      assert.is_true(fs.mkdir(folder .. "/a"))
      assert.is_true(fs.mkdir(folder .. "/b", { mode = "700" }))
    end)
    assert.same({ "755", "700" }, { mode_of(folder .. "/a"), mode_of(folder .. "/b") })
    assert.same({ nil, "file exists", EEXIST }, { fs.mkdir(folder .. "/a") })
    assert.same(missing, { fs.mkdir(folder .. "/c/d") })
  end))

  it("makes those above it too, and is content with what is there", in_folder(function(folder)
    assert.is_true(fs.mkdir(folder .. "//a/b///c/", { parents = true }))
    assert.is_true(fs.mkdir(folder .. "/a/b/c", { parents = true }))
    assert(fs.write(folder .. "/f", ""))
    assert.same({ nil, "file exists", EEXIST }, { fs.mkdir(folder .. "/f", { parents = true }) })
    assert.same({ nil, "file exists", EEXIST }, { fs.mkdir(folder .. "/f/g", { parents = true }) })
  end))
end)

describe("misuse", function()
  local function raises(words, fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    assert.is_truthy(err:find(words, 1, true), err)
  end

  it("of paths raises, and says where", function()
    for name, fn in pairs { read = fs.read, write = fs.write, append = fs.append, stat = fs.stat, list = fs.list,
      remove = fs.remove, rename = fs.rename, mkdir = fs.mkdir, open = fs.open, watch = fs.watch } do
      raises(("bad argument #1 to '%s' (path contains a zero byte)"):format(name), fn, "a\0b", "x")
      raises(("bad argument #1 to '%s' (path expected, got nil)"):format(name), fn, nil, "x")
      raises("fs_spec.lua:", function() fn("a\0b", "x") end)
    end
    raises("bad argument #2 to 'rename' (path contains a zero byte)", fs.rename, "a", "b\0c")
  end)

  it("of options and numbers raises", function()
    raises("write: unknown option 'atomc'", fs.write, "a", "b", { atomc = true })
    raises("write: option 'atomic' must be a boolean, not a number", fs.write, "a", "b", { atomic = 1 })
    raises("bad argument #3 to 'write' (table expected, got string)", fs.write, "a", "b", "600")
    raises("bad argument #2 to 'write' (string expected, got nil)", fs.write, "a")
    for _, mode in ipairs { "888", "", 4096, -1, 1.5, true, 0 / 0 } do
      raises("option 'mode' must be permission bits", fs.mkdir, "a", { mode = mode })
    end
    raises("whole number of at least 0 expected", fs.read, "a", -1)
    raises("unknown mode 'rw'", fs.open, "a", "rw")
    raises("watch: option 'events' has an unknown event 'opened'", fs.watch, "a", { events = { "opened" } })
    raises("watch: option 'events' is empty", fs.watch, "a", { events = {} })
    raises("fs_spec.lua:", function() fs.read("a", -1) end)
    raises("fs_spec.lua:", function() fs.write("a", "b", { atomc = true }) end)
  end)

  it("outside of tasks raises, and says where", function()
    local r = process.run({ process.interpreter, "-e", [[
      local fs = require("moonpark").fs
      local ok, err = pcall(function()
        fs.read("/")
      end)
      io.write(err)
    ]] })
    assert.equal([[(command line):4: must be called in a task (inside moonpark.run)]],
      (r.out:gsub("^%b[]", "(command line)"):gsub("^%(command line%):%d+", "(command line):4")))
  end)
end)
