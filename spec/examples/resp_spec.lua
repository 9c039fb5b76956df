-- SPDX-License-Identifier: MIT
-- resp_spec.lua - examples/lib/resp.lua over an in-memory connection: every cut is where the spec makes it.

package.path = require("support.process").root .. "/examples/lib/?.lua;" .. package.path

local net = require "moonpark.net"
local resp = require "resp"

-- Feeds the pieces one after another. -> the requests; the error or nil; the reader
local function read(pieces)
  local conn, peer = net.pipe()
  local reader, requests, wrong = resp.reader(conn), {}, nil
  for _, piece in ipairs(pieces) do
    assert(peer:write(piece))
    assert(conn:fill(conn:buffered() + #piece)) -- a pipe gives a small piece whole
    repeat
      local args, count = reader:next()
      if args then table.insert(requests, { unpack(args, 1, count) }) end
      if not args then wrong = count end
    until not args
  end
  conn:close()
  peer:close()
  return requests, wrong, reader
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

  it("knows how much of a value must come, its CRLF included", function()
    local _, _, reader = read { "*2\r\n$4\r\nECHO\r\n$536870912\r\nabc" }
    assert.equal(#"$536870912\r\n" + 536870912 + 2, reader.needed)
    _, _, reader = read { "PING\r\n" }
    assert.equal(1, reader.needed)
  end)

  it("refuses a value that does not end where its length says, and one that is left out", function()
    local got, wrong = read { "PING\r\n*1\r\n$1\r\nab\r\n" }
    assert.same({ { { "PING" } }, "expected CRLF behind a bulk" }, { got, wrong })
    assert.equal("invalid bulk length", (select(2, read { "*2\r\n$1\r\na\r\n$-1\r\n" })))
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
    for i = 1, 700 do
      local value = (i .. " "):rep(1000)
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
