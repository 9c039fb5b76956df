-- SPDX-License-Identifier: MIT
-- stdout_spec.lua - lines for the standard output, as the logger writes them: when they leave, and in what pieces.

local process = require "support.process"

-- What a script that has `core` writes, whatever becomes of it.
local function written(script, stdout)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write('local moonpark, core = require "moonpark", require "moonpark.core"\n', script)
  file:close()
  local child = process.moonpark(path)
  local sanitizer = (os.getenv "ASAN_OPTIONS" or "") .. ":quarantine_size_mb=1" -- what was freed is kept there
  local r = process.run({ "sh", "-c", '"$@"' .. (stdout or ""), "sh", unpack(child) },
    { env = { ASAN_OPTIONS = sanitizer } })
  os.remove(path)
  return r
end

describe("stdout_line", function()
  it("writes its lines in their order at the end of the turn, after what the script has printed", function()
    local out = written('core.stdout_line "1" io.write "a\\n" core.stdout_line "2" moonpark.sleep(0.001) print "b"').out
    assert.equal("a\n1\n2\nb\n", out)
  end)

  it("loses none if the script calls os.exit", function()
    assert.equal("a\n", written('core.stdout_line "a" os.exit(0)').out)
    assert.equal("a\n", written('core.stdout_line "a" os.exit(0, true)').out)
    assert.equal("a\n", written('core.stdout_line "a" error "b"').out)
  end)

  it("writes whole lines, many at once, so that those of several processes do not mix", function()
    local r = written [[
      local ffi = require "ffi"
      ffi.cdef "int socketpair(int, int, int, int *); int dup2(int, int); long recv(int, void *, size_t, int);"
      local ends, bytes = ffi.new "int[2]", ffi.new "char[100000]"
      assert(ffi.C.socketpair(1, 5, 0, ends) == 0) -- of records: what one write has written
      ffi.C.dup2(ends[0], 1)
      for i = 1, 200 do core.stdout_line(("x"):rep(i)) end
      core.stdout_line(("y"):rep(4095))
      moonpark.sleep(0.01)
      local lines, records = 0, 0
      while true do
        local n = tonumber(ffi.C.recv(ends[1], bytes, 100000, 0x40)) -- without waiting
        if n < 0 then break end
        local record = ffi.string(bytes, n)
        assert(record:sub(-1) == "\n", "a piece of a line")
        lines, records = lines + select(2, record:gsub("\n", "")), records + 1
      end
      io.stderr:write(lines, records <= 8 and " in a few" or " in " .. records)
    ]]
    assert.equal("201 in a few", r.err)
  end)

  it("keeps no memory for a long line", function()
    local r = written([[
      local function used() return tonumber(io.open("/proc/self/statm"):read "*a":match "%d+ (%d+)") * 4096 end
      local before = used()
      core.stdout_line(("x"):rep(5e7))
      moonpark.sleep(0)
      core.stdout_flush()
      for _ = 1, 2 do collectgarbage() end
      io.stderr:write(tostring(used() - before < 3e7))
    ]], " > /dev/null")
    assert.equal("true", r.err)
  end)

  it("ends the program if nobody reads, as print does", function()
    local r = written([[
      require("moonpark").go(function() while moonpark.yield() do core.stdout_line "x" end end)
    ]], " | true")
    assert.equal("", r.err)
    local status = written("while moonpark.yield() do core.stdout_line 'x' end",
      " | true; echo $? >&2").err -- of the pipe's last command: the first has ended, too, or this would hang
    assert.equal("0\n", status)
  end)

  it("does not hold up the loop while nobody reads, and counts what is lost", function()
    local r = written([[
      local ffi = require "ffi"
      ffi.cdef "int pipe2(int *, int); int dup2(int, int); long read(int, void *, size_t);"
      local ends, bytes = ffi.new "int[2]", ffi.new "char[65536]"
      assert(ffi.C.pipe2(ends, 0x800) == 0 and ffi.C.dup2(ends[1], 1) == 1)
      for _ = 1, 3000 do
        for _ = 1, 10 do core.stdout_line(("x"):rep(99)) end
        moonpark.yield()
      end
      local lines = 0
      moonpark.sleep(0.001) -- the turn ends
      repeat
        local done, n = core.writer_flush(0), tonumber(ffi.C.read(ends[0], bytes, 65536))
        if n > 0 then lines = lines + select(2, ffi.string(bytes, n):gsub("\n", "")) end
        moonpark.sleep(0)
      until done and n <= 0
      core.writer_flush(2)
      io.stderr:write(lines)
    ]])
    local lost, lines = r.err:match
      "^moonpark: (%d+) lines for the standard output were lost: the queue was full\n(%d+)$"
    assert.equal(30000, tonumber(lost) + tonumber(lines), r.err)
  end)

  it("is nobody's failure if it cannot write", function()
    for _, stdout in ipairs { " > /dev/full", " >&-", "" } do
      local r = written('for _ = 1, 100 do core.stdout_line(("x"):rep(99)) end io.stderr:write "ok"', stdout)
      assert.same({ "ok", 0 }, { r.err, r.status })
    end
  end)
end)
