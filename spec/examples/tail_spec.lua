-- SPDX-License-Identifier: MIT
-- tail_spec.lua - examples/tail.lua as its users meet it; the clients are nc.

local example = require "support.example"
local fs = require "moonpark.fs"
local process = require "support.process"
local support = require "support.net"

describe("examples/tail.lua", function()
  after_each(process.stop_all)

  -- A body(path, folder) with a path in a fresh folder, where nothing is yet.
  local function in_folder(body)
    return function()
      support.with_folder(function(folder)
        body(folder .. "/log", folder)
        for _, name in ipairs(fs.list(folder)) do fs.remove(folder .. "/" .. name) end
      end)
    end
  end

  local function start(...)
    local words = example.plain("tail.lua", ...)
    words[#words + 1] = "127.0.0.1:0"
    return example.start("tail.lua", words)
  end

  -- A client; -d: it says nothing and reads no input.
  local function client(tail) return process.start { "nc", "-d", "127.0.0.1", tail.port } end

  local function expect(nc, ...)
    for _, line in ipairs { ... } do assert.equal(line, nc:line()) end
  end

  it("sends the last lines, then what is added", in_folder(function(path)
    assert(fs.write(path, "1\n2\n3\n4\n"))
    local tail = start("-n", 2, path)
    local nc = client(tail)
    expect(nc, "3", "4")
    assert(fs.append(path, "5\n6\n"))
    expect(nc, "5", "6")
    assert(fs.append(path, "half"))
    assert(fs.append(path, " and half\n"))
    expect(nc, "half and half")
    local late = client(tail)
    expect(late, "6", "half and half")
    assert(fs.append(path, "for both\n"))
    expect(nc, "for both")
    expect(late, "for both")
    tail:stop()
  end))

  it("waits for a file that is not there yet", in_folder(function(path)
    local tail = start(path)
    local nc = client(tail)
    assert(fs.write(path, "first\n"))
    expect(nc, "first")
    tail:stop()
  end))

  it("goes on after the file was renamed and another has its name", in_folder(function(path, folder)
    assert(fs.write(path, "old 1\n"))
    local tail = start(path)
    local nc = client(tail)
    expect(nc, "old 1")
    assert(fs.append(path, "old 2\n"))
    assert(fs.rename(path, folder .. "/log.1"))
    assert(fs.write(path, "new 1\n"))
    expect(nc, "old 2", "new 1")
    assert(fs.append(folder .. "/log.1", "no longer followed\n"))
    assert(fs.append(path, "new 2\n"))
    expect(nc, "new 2")
    assert(fs.write(path, "whole\n", { atomic = true }))
    expect(nc, "whole")
    tail:stop()
  end))

  it("goes on after the file was cut short", in_folder(function(path)
    assert(fs.write(path, "a long line\n"))
    local tail = start(path)
    local nc = client(tail)
    expect(nc, "a long line")
    assert(fs.write(path, ""))
    assert(fs.append(path, "anew\n"))
    expect(nc, "anew")
    tail:stop()
  end))

  it("goes on after the file was removed", in_folder(function(path)
    assert(fs.write(path, "1\n"))
    local tail = start(path)
    local nc = client(tail)
    expect(nc, "1")
    assert(fs.remove(path))
    assert(fs.write(path, "2\n"))
    expect(nc, "2")
    tail:stop()
  end))

  it("ends a client that has closed its side", in_folder(function(path)
    assert(fs.write(path, "1\n"))
    local tail = start(path)
    local conn = tail:dial()
    assert.equal("1", conn:read_line())
    assert(conn:close_write())
    assert.same({ nil, "eof" }, { conn:read_line() })
    conn:close()
    tail:stop()
  end))

  -- Reads numbered lines up to `last` -> how many came, how many it was told to have missed
  local function count(conn, last)
    local expected, missed = 1, 0
    repeat
      local line = assert(conn:read_line())
      local gap = tonumber(line:match "^%[(%d+) lines missed%]$")
      if gap then
        missed, expected = missed + gap, expected + gap
      else
        assert(tonumber(line:match "^%d+") == expected, line)
        expected = expected + 1
      end
    until expected > last
    return last - missed, missed
  end

  it("tells a client that is too slow how much it has missed, and the others miss nothing", in_folder(function(path)
    local tail = start(path)
    local slow, fast = tail:dial(), tail:dial()
    slow:setoption("rcvbuf", 65536)
    local filler, n = ("."):rep(300), 0
    for _ = 1, 60 do
      local block = {}
      for i = 1, 1000 do block[i] = ("%d %s\n"):format(n + i, filler) end
      assert(fs.append(path, table.concat(block)))
      for i = 1, 1000 do assert.equal(n + i, tonumber(fast:read_line():match "^%d+")) end
      n = n + 1000
    end
    local came, missed = count(slow, n)
    assert.is_true(came > 0 and missed > 0, ("%d came, %d missed"):format(came, missed))
    slow:close()
    fast:close()
    tail:stop()
  end))

  it("explains itself, and says what is wrong", in_folder(function(path, folder)
    local r = process.run(example.plain("tail.lua", "--help"))
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^usage: tail.lua", r.out)
    for _, words in ipairs { {}, { "-n" }, { "-n", "x", path }, { "-n", "-1", path } } do
      r = process.run(example.plain("tail.lua", unpack(words)))
      assert.same({ 2, "" }, { r.status, r.out })
      assert.matches("^usage: tail.lua", r.err)
    end
    r = process.run(example.plain("tail.lua", folder .. "/none/log", "127.0.0.1:0"))
    assert.equal(1, r.status)
    assert.matches("^tail: cannot watch .*: no such file or directory\n$", r.err)
  end))
end)
