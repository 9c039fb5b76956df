-- SPDX-License-Identifier: MIT
-- h1_fold_spec.lua - folded fields in heads and trailer sections of responses (obs-fold, RFC 9112 5.2), alone. Bytes
-- are parsed where memory ends.

local ffi = require "ffi"
local edge = require "support.edge"
local units = require "support.units"
local lib = units.lib

local head = ffi.new("struct http_head")
local LINE = "HTTP/1.1 200 OK\r\n"

-- Parses -> the fields as "name: value" lines, nil where the bytes are incomplete, or false and what is wrong; then the
-- bytes as they are now.
local function parse(parser, bytes)
  local at = edge.place(bytes)
  local got = parser(head, at, #bytes)
  local now = ffi.string(at, #bytes)
  if got == 0 then return nil, nil, now end
  if got < 0 then return false, ffi.string(lib.h1_parse_words(got)), now end
  assert.equal(got, head.length)
  local lines = {}
  for i = 0, head.count - 1 do
    local f = head.fields[i]
    lines[i + 1] = ffi.string(at + f.name.at, f.name.length) .. ": " .. ffi.string(at + f.value.at, f.value.length)
  end
  return table.concat(lines, "\n"), got, now
end

local function response(bytes) return parse(lib.h1_fold_response, bytes) end

-- Fields of a trailer section are read one after another; the head here has places for them.
local function trailers(bytes)
  return parse(function(into, at, n)
    local from, field, got = ffi.new("size_t[1]"), ffi.new("struct http_field"), lib.h1_fold_trailers(at, n)
    into.count = 0
    while got > 0 and lib.h1_parse_trailer(field, at, n, from) == 1 and field.name.length > 0 do
      into.fields[into.count], into.count = field, into.count + 1
    end
    into.length = from[0]
    return got
  end, bytes)
end

-- The fields are these in a head and in a trailer section, with anything behind them.
local function are(expected, fields)
  local bytes = fields .. "\r\n"
  for _, behind in ipairs { "", " b\r\n c\r\n\r\n" } do
    local got, length, now = response(LINE .. bytes .. behind)
    assert.equal(expected, got, length)
    assert.equal(#LINE + #bytes, length)
    assert.equal(behind, now:sub(length + 1))
    assert.equal(#LINE + #bytes + #behind, #now)
    assert.is_nil(now:sub(1, length):find("\n[ \t]"))
    got, length = trailers(bytes .. behind)
    assert.equal(expected, got)
    assert.equal(#bytes, length)
  end
end

describe("a folded field", function()
  it("has a space for each fold, with the white space around it", function()
    are("X: a b", "X: a\r\n b\r\n")
    are("X: a b", "X: a \t\r\n\t \tb \r\n")
    are("X: a b c\nY: d", "X: a\r\n b\r\n c\r\nY: d\r\n")
    are("A: 1\nX: a, b\nY: c d\nZ: 2", "A: 1 \r\nX: a,\r\n b\r\nY: c\r\n d\r\nZ: 2\t\r\n")
    local a, b = ("a"):rep(40), ("b"):rep(40)
    are("X: " .. a .. " " .. b, "X: " .. a .. "\r\n" .. (" "):rep(30) .. b .. "\r\n")
  end)

  it("may have lines of white space alone", function()
    are("X: a", "X: a\r\n \r\n")
    are("X: a\nY: b", "X: a\r\n \t \r\nY: b\r\n")
    are("X: a  b", "X: a\r\n \r\n b\r\n")
    are("X: b", "X:\r\n b\r\n")
    are("X: ", "X:\r\n \r\n")
    are("X: b", "X: \r\n\t\r\n\t\r\n b\r\n")
  end)

  it("may be what frames the message", function()
    assert.truthy(response(LINE .. "Content-Length:\r\n 5\r\n\r\n"))
    assert.equal(5, tonumber(head.content_length))
    assert.truthy(response(LINE .. "Transfer-Encoding:\r\n chunked\r\n\r\n"))
    assert.is_true(head.chunked)
    assert.same({ false, "invalid content-length" }, { (response(LINE .. "Content-Length: 1\r\n 2\r\n\r\n")),
      (select(2, response(LINE .. "Content-Length: 1\r\n 2\r\n\r\n"))) })
  end)

  it("counts as one", function()
    are("X: a" .. (" b"):rep(300), "X: a\r\n" .. (" b\r\n"):rep(300))
    local got, why = response(LINE .. ("X: a\r\n b\r\n"):rep(101) .. "\r\n")
    assert.same({ false, "too many fields" }, { got, why })
  end)

  it("is nothing in front of the first field", function()
    for _, fields in ipairs { " X: a\r\n", "\tX: a\r\nY: b\r\n c\r\n", " \r\nX: a\r\n", " \r\n" } do
      assert.same({ false, "invalid field name" }, { (response(LINE .. fields .. "\r\n")),
        (select(2, response(LINE .. fields .. "\r\n"))) })
      assert.is_false((trailers(fields .. "\r\n")))
    end
  end)

  it("is looked at as strictly as any other", function()
    for fields, why in pairs {
      ["X\r\n : a\r\n"] = "invalid field name", ["X\r\n a: b\r\n"] = "invalid field name",
      ["X: a\r\n b\r\nY : c\r\n"] = "invalid field name", ["X: a\r\n b\0\r\n"] = "invalid field value",
      ["X: a\r\n b\nY: c\r\n"] = "bare CR or LF", ["X: a\r\n b\rc\r\n"] = "bare CR or LF",
      ["X: a\n b\r\n"] = "bare CR or LF",
      ["X: a\r\n\v b\r\n"] = "invalid field name", ["X: a\r\r\n b\r\n"] = "bare CR or LF",
    } do
      local got, words = response(LINE .. fields .. "\r\n")
      assert.same({ false, why }, { got, words }, fields)
      assert.is_false((trailers(fields .. "\r\n")), fields)
    end
    assert.is_false((trailers "X: a\r\n b\r\nHost:\r\n c\r\n\r\n"))
  end)

  it("is not there before its section is: nothing is changed until then", function()
    local fields = "X: a\r\n b\r\n\tc\r\nY: d\r\n \r\n\r\n"
    for n = 0, #fields - 1 do
      local got, _, now = trailers(fields:sub(1, n))
      assert.is_nil(got, n)
      assert.equal(fields:sub(1, n), now)
      got, _, now = response(LINE .. fields:sub(1, n))
      assert.is_nil(got, n)
      assert.equal(LINE .. fields:sub(1, n), now)
    end
  end)

  it("costs no more than its length: thousands in one field", function()
    local many = 5000
    local got = response(LINE .. "X: a" .. ("\r\n        b"):rep(many) .. "\r\n\r\n")
    assert.equal("X: a" .. (" b"):rep(many), got)
  end)

  it("is any other reader's, whatever the fields are: a long random run", function()
    local random = units.random(17)
    local parts = { " ", "\t", "\r\n ", "\r\n\t", "a", "b:c", ",", "\r\nN: ", "\r\nM:" }
    for _ = 1, 3000 do
      local pieces = { "X:" }
      for _ = 1, random(12) do pieces[#pieces + 1] = parts[random(#parts)] end
      local fields = table.concat(pieces)
      local plain = fields:gsub("[ \t]*\r\n[ \t]+", "\1"):gsub("\1", " ")
      local expected = {}
      for line in (plain .. "\r\n"):gmatch("(.-)\r\n") do
        local name, value = line:match("^(%u):[ \t]*(.-)[ \t]*$")
        expected[#expected + 1] = name .. ": " .. value
      end
      are(table.concat(expected, "\n"), fields .. "\r\n")
    end
  end)
end)

describe("a message without folds", function()
  it("stays as it is, byte for byte", function()
    for _, bytes in ipairs { LINE .. "X: a \r\nY:\tb\t\r\n\r\n", LINE .. "\r\n", LINE .. "X a\r\n b\r\n\r\n",
      "SSH-2.0\r\n\r\n" } do
      local _, _, now = response(bytes)
      assert.equal(bytes, now)
    end
  end)
end)
