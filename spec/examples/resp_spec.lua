-- SPDX-License-Identifier: MIT
-- resp_spec.lua - examples/lib/resp.lua alone: no connection, so every cut is where the spec makes it.

package.path = require("support.process").root .. "/examples/lib/?.lua;" .. package.path

local resp = require "resp"

-- Feeds the pieces one after another. -> the requests, the error or nil
local function read(pieces)
  local reader, requests = resp.reader(), {}
  for _, piece in ipairs(pieces) do
    reader:feed(piece)
    local args, count = reader:next()
    while args do
      table.insert(requests, { unpack(args, 1, count) })
      args, count = reader:next()
    end
    if count then return requests, count end
  end
  return requests
end

-- A connection that keeps what is written.
local function sink()
  return {
    writes = {},
    write = function(self, ...)
      table.insert(self.writes, table.concat { ... })
      return #self.writes[#self.writes]
    end,
  }
end

describe("resp.reader", function()
  local stream = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n" .. "*0\r\n" .. "PING  'a b'\r\n\r\n" .. "*1\r\n$0\r\n\r\n"
    .. "*3\r\n$3\r\nSET\r\n$12\r\nk\r\n*1\r\n$-1\r\n\r\n$120\r\n" .. ("0123456789"):rep(12) .. "\r\n"
  local requests = { { "GET", "k" }, { "PING", "a b" }, { "" },
    { "SET", "k\r\n*1\r\n$-1\r\n", ("0123456789"):rep(12) } }

  it("reads all requests of one piece", function() assert.same(requests, read { stream }) end)

  it("reads the same from two pieces, wherever they are cut", function()
    for cut = 1, #stream - 1 do
      assert.same(requests, read { stream:sub(1, cut), stream:sub(cut + 1) })
    end
  end)

  it("reads the same from single bytes", function()
    local bytes = {}
    for i = 1, #stream do bytes[i] = stream:sub(i, i) end
    assert.same(requests, read(bytes))
  end)

  it("finds the same error wherever the pieces are cut", function()
    local wrong = "*1\r\n$4\r\nPING\r\n*1\r\n$-7\r\n"
    for cut = 1, #wrong - 1 do
      local got, err = read { wrong:sub(1, cut), wrong:sub(cut + 1) }
      assert.same({ { { "PING" } }, "invalid bulk length" }, { got, err })
    end
  end)

  it("knows how much of a value is missing, its CRLF included", function()
    local reader = resp.reader()
    reader:feed "*2\r\n$4\r\nECHO\r\n$536870912\r\nabc"
    assert.is_nil(reader:next())
    assert.equal(536870912 + 2 - 3, reader.missing)
    reader:feed "*"
    assert.equal(0, reader.missing)
  end)
end)

describe("resp.answers", function()
  it("sends what has been collected with one write, and once", function()
    local answers, conn = resp.answers(), sink()
    answers:status "OK"
    answers:error "not\r\nso"
    answers:array(4)
    answers:integer(-7)
    answers:bulk "a\r\nb"
    answers:bulk(42)
    answers:bulk(nil)
    assert(answers:send(conn))
    assert(answers:send(conn))
    assert.same({ "+OK\r\n-ERR not  so\r\n*4\r\n:-7\r\n$4\r\na\r\nb\r\n$2\r\n42\r\n$-1\r\n" }, conn.writes)
  end)

  it("sends very much in several writes", function()
    local answers, conn, expected = resp.answers(), sink(), {}
    for i = 1, 300 do
      local value = (i .. " "):rep(2000)
      answers:bulk(value)
      expected[i] = ("$%d\r\n%s\r\n"):format(#value, value)
    end
    assert(answers:send(conn))
    assert.is_true(#conn.writes > 1)
    assert.is_true(table.concat(conn.writes) == table.concat(expected))
  end)

  it("tells when a write fails", function()
    for _, size in ipairs { 1, 2 * 1024 * 1024 } do
      local answers = resp.answers()
      answers:bulk(("x"):rep(size))
      assert.same({ nil, "broken pipe" }, { answers:send { write = function() return nil, "broken pipe" end } })
    end
  end)
end)
