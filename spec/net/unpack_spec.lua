-- SPDX-License-Identifier: MIT
-- unpack: each letter of a format, what is not there yet, what is wrong, and every cut of some messages.

local net = require "moonpark.net"
local support = require "support.net"

local function list(...) return { n = select("#", ...), ... } end

-- What conn:unpack(format) gives for those bytes, as a list with its length in n.
local function unpacked(bytes, format, offset)
  local a, b = net.pipe()
  if #bytes > 0 then
    assert(b:write(bytes))
    assert(a:fill(#bytes))
  end
  local function ended(fine, ...)
    a:close()
    b:close()
    if not fine then error(..., 0) end
    return list(...)
  end
  return ended(pcall(a.unpack, a, format, offset))
end

-- {format, bytes, values ...}; all bytes are used.
local cases = {
  { "b", "\255", -1 }, { "B", "\255", 255 },
  { "h", "\254\255", -2 }, { "H", "\1\2", 0x201 }, { ">H", "\1\2", 0x102 }, { "<H", "\1\2", 0x201 },
  { "i", "\255\255\255\255", -1 }, { "I", "\255\255\255\255", 2 ^ 32 - 1 },
  { "I3", "\1\2\3", 0x30201 }, { ">I3", "\1\2\3", 0x10203 }, { ">i3", "\255\255\254", -2 },
  { "I1", "\200", 200 }, { "i1", "\200", -56 }, { ">I5", "\1\0\0\0\0", 2 ^ 32 },
  { "I8", "\255\255\255\255\255\255\31\0", 2 ^ 53 - 1 }, { ">I8", ("\255"):rep(8), 2 ^ 64 },
  { ">i8", "\128" .. ("\0"):rep(7), -2 ^ 63 },
  { "f", "\0\0\192\63", 1.5 }, { ">f", "\192\32\0\0", -2.5 }, { ">d", "\63\240\0\0\0\0\0\0", 1 },
  { "d", "\0\0\0\0\0\0\240\127", math.huge },
  { "x B", "\7\8", 8 }, { "c3", "a\0b", "a\0b" }, { "c0", "", "" }, { "z", "abc\0", "abc" }, { "zz", "\0x\0", "", "x" },
  { "s1", "\3abc", "abc" }, { ">s2", "\0\1a", "a" }, { "s4", "\0\0\0\0", "" },
  { ">S4", "\255\255\255\255", nil }, { ">S4", "\0\0\0\1a", "a" }, { "S1B", "\255\9", nil, 9 },
  { "D", "0\r\n", 0 }, { "D", "7\r\n", 7 }, { "D", "-12\r\n", -12 }, { "D", "999999999999999\r\n", 999999999999999 },
  { "S", "3\r\nabc\r\n", "abc" }, { "S", "0\r\n\r\n", "" }, { "S", "-1\r\n", nil },
  { "v", "\250", 250 }, { "v", "\252\1\2", 0x201 }, { "v", "\253\1\2\3", 0x30201 }, { "v", "\251", nil },
  { "v", "\254\0\0\0\0\1\0\0\0", 2 ^ 32 },
  { "V", "\2ab", "ab" }, { "VVV", "\251\0\1c", nil, "", "c" }, { "V", "\252\1\0a", "a" },
  { "'ab'B", "ab\1", 1 }, { "B''", "\1", 1 }, { "'('B", "(\1", 1 },
  { "B(B)", "\2ab", 2, 97, 98 }, { "B(B)B", "\0\5", 0, 5 }, { "b(B)", "\255", -1 },
  { "D('$'S)", "1\r\n$1\r\na\r\n", 1, "a" },
  { ">H(S4)", "\0\2\0\0\0\1a\255\255\255\255", 2, "a", nil }, { "B(z)B(z)", "\1a\0\1b\0", 1, "a", 1, "b" },
  { " B  B ", "\1\2", 1, 2 }, { "<H>H<H", "\1\0\0\1\1\0", 1, 1, 1 }, { "v(B)", "\1\3", 1, 3 },
  -- a message of each protocol
  { "'*'D('$'S)", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", 2, "GET", "k" },
  { "<I3B", "\5\0\0\1", 5, 1 },
  { ">c1I4", "T\0\0\0\8", "T", 8 },
  { ">BBI8c4", "\130\255\0\0\0\0\0\1\0\0mask", 130, 255, 65536, "mask" },
}

describe("unpack", function()
  for _, case in ipairs(cases) do
    local format, bytes = case[1], case[2]
    local count = table.maxn(case)
    it(("gives what %q says"):format(format .. " of " .. bytes), function()
      local values = unpacked(bytes, format)
      assert.equal(#bytes, values[1])
      for i = 3, math.max(count, values.n + 1) do assert.equal(case[i], values[i - 1]) end
      assert.same(values.n, unpacked(bytes .. "more", format).n)
      assert.equal(#bytes + 2, unpacked("--" .. bytes, format, 2)[1])
    end)

    it(("of every beginning of %q asks for more, and never for too much"):format(format .. " of " .. bytes), function()
      for cut = 0, #bytes - 1 do
        local values = unpacked(bytes:sub(1, cut), format)
        assert.equal(2, values.n)
        assert.is_nil(values[1])
        assert.is_true(values[2] > cut and values[2] <= #bytes, format)
      end
    end)
  end

  it("refuses bytes that are not what the format says", function()
    local wrong = {
      { "D", "x" }, { "D", "\r\n" }, { "D", "01\r\n" }, { "D", "-0\r\n" }, { "D", "--1\r\n" }, { "D", "+1\r\n" },
      { "D", "1\n" }, { "D", "1\rx" }, { "D", " 1\r\n" }, { "D", "1 \r\n" }, { "D", "1000000000000000" },
      { "D", "-\r\n" }, { "D", "-01\r\n" }, { "S", "-2\r\n" }, { "S", "1\r\nabc" }, { "S", "1\r\na\rx" }, { "S", "x" },
      { "S1", "\254" }, { ">S2", "\128\0" }, { "v", "\255" }, { "V", "\255" }, { "'ab'", "x" }, { "'ab'", "ax" },
      { "B('$'S)", "\2$0\r\n\r\n+" },
    }
    for _, case in ipairs(wrong) do
      assert.same({ case, list(nil, "malformed message") }, { case, unpacked(case[2], case[1]) })
    end
  end)

  it("makes no more than 250 values, whatever the peer says", function()
    assert.equal(251, unpacked("\249" .. ("x"):rep(249), "B(B)").n)
    assert.same(list(nil, "too long"), unpacked("\250" .. ("x"):rep(250), "B(B)"))
    assert.same(list(nil, "too long"), unpacked("\251", "B(B)"))
    assert.same(list(nil, "too long"), unpacked("999999999999999\r\n", "D(B)"))
    assert.same(list(nil, "too long"), unpacked(("\255"):rep(8), "I8('')"))
    assert.equal(2, unpacked("\250", "B('')").n)
    assert.same(list(nil, "too long"), unpacked("\130" .. ("x"):rep(260), "B(BB)"))
  end)

  it("asks for what a count says, also if nobody can ever have that much", function()
    assert.same(list(nil, 1008), unpacked("1000\r\n", "S"))
    assert.same(list(nil, 2 ^ 32 + 3), unpacked("\255\255\255\255", "s4"))
    assert.is_true(unpacked(("\255"):rep(8), "s8")[2] >= 2 ^ 63)
    assert.is_true(unpacked("\254" .. ("\255"):rep(8), "V")[2] >= 2 ^ 63)
  end)

  it("begins at an offset, which may lie behind what is buffered", function()
    assert.same(list(3, 99), unpacked("abc", "B", 2))
    assert.same(list(nil, 4), unpacked("abc", "B", 3))
    assert.same(list(nil, 101), unpacked("abc", "B", 100))
  end)

  it("raises for a format that is none, whatever is buffered", function()
    local formats = { "q", "I0", "I9", "I10000000000", "s", "s9", "S9", "S0", "c", "c1000000000", "'ab", "(B)", "z(B)",
      "B(", "B(B", "B)", "B(B(B))", "B((B))", "B>(B)", "\0", "!", "=B", "B'" }
    for _, format in ipairs(formats) do
      for _, bytes in ipairs { "", "\1\2\3" } do
        assert.error_matches(function() unpacked(bytes, format) end, "format")
      end
    end
    assert.error_matches(function() unpacked("", ("B"):rep(65)) end, "too much for a format")
    assert.equal(65, unpacked(("x"):rep(64), ("B"):rep(64)).n)
    assert.error_matches(function() unpacked("", nil) end, "string expected")
    assert.error_matches(function() unpacked("", "B", -1) end, "at least 0")
  end)
end)

describe("unpack_all", function()
  it("fills a table with as many as have come, and says where they end", support.on("pipe", function(a, b)
    b:write("\1a\2bc\0\3d")
    a:fill(8)
    local values = { "old", "old", "old", "old" }
    assert.same({ 6, 6 }, { a:unpack_all(values, "B(B)") })
    assert.same({ 1, 97, 2, 98, 99, 0 }, { unpack(values, 1, 6) })
    assert.same({ nil, 9 }, { a:unpack_all(values, "B(B)", 6) })
    assert.equal(8, a:buffered())
  end))

  it("puts nil where a value is left out, over what was there", support.on("pipe", function(a, b)
    b:write("\255\1a")
    a:fill(3)
    local values = { "old", "old", "old" }
    assert.same({ 3, 2 }, { a:unpack_all(values, "S1") })
    assert.same({ nil, "a", "old" }, { unpack(values, 1, 3) })
  end))

  it("stops before what is malformed, which the next call says", support.on("pipe", function(a, b)
    b:write("1\r\n2\r\nx")
    a:fill(7)
    local values = {}
    assert.same({ 6, 2 }, { a:unpack_all(values, "D") })
    assert.same({ nil, "malformed message" }, { a:unpack_all(values, "D", 6) })
  end))

  it("stops after some 250 values, and goes on from there", support.on("pipe", function(a, b)
    b:write(("x"):rep(1000))
    a:fill(1000)
    local values, at, total = {}, 0, 0
    repeat
      local last, n = a:unpack_all(values, "BB", at)
      assert.is_true(n <= 252 and n == last - at)
      at, total = last, total + n
    until at == 1000
    assert.equal(1000, total)
  end))

  it("of a format without values ends after one", support.on("pipe", function(a, b)
    b:write("xx")
    a:fill(2)
    assert.same({ 1, 0 }, { a:unpack_all({}, "x") })
    assert.same({ nil, 1 }, { a:unpack_all({}, "") })
  end))

  it("raises where there is no table", support.on("pipe", function(a)
    assert.error_matches(function() a:unpack_all("B") end, "table expected")
    assert.error_matches(function() a:unpack_all({}, "q") end, "no format")
  end))
end)
