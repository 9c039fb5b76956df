-- SPDX-License-Identifier: MIT
-- http_upload: bodies that are on their way up while the answer comes down.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local peers = require "support.http_client"

describe("a large body", function()
  local client

  before_each(function() client = http.client() end)
  after_each(function()
    client:close()
    peers.stop_all()
  end)

  -- More than the buffers of both sides hold; the hard build reads a byte at a time.
  local LARGE = core.hard and 40000 or 16000000

  local function endless() return ("x"):rep(65536) end

  -- Reads the head alone, says that, and reads no more until it is told to.
  local function deaf(text)
    local over = core.event()
    return peers.scripted(function(conn)
      conn:read_until "\r\n\r\n"
      conn:write(text)
      over:wait()
    end), over
  end

  it("is given up where the server refuses it without reading it", function()
    for _, body in ipairs { ("x"):rep(LARGE), endless } do
      local server, over = deaf "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!"
      local answer = assert(client:post(server.url, { body = body }))
      assert.same({ 413, "no!" }, { answer.status, answer.body })
      assert.same({ open = 0, idle = 0 }, client:stats())
      over:set()
    end
  end)

  it("goes on up while an answer that accepts it comes down", function()
    local server = peers.serve(function(req, res)
      for piece in req:chunks() do res:write(piece) end
    end, { max_body = 2 * LARGE })
    local body = ("0123456789abcdef"):rep(LARGE / 16)
    local answer = assert(client:post(server.url, { body = body }))
    assert.is_true(answer.body == body)
    local sent, got = 0, 0
    answer = assert(client:post(server.url, { stream = true, body = function()
      sent = sent + 1
      return sent <= LARGE / 10000 and ("y"):rep(10000) or nil
    end }))
    for piece in answer:chunks() do got = got + #piece end
    assert.equal(LARGE, got)
    assert.is_nil(answer.body_error)
    assert.same({ open = 1, idle = 1 }, client:stats())
  end)

  it("ends, and its connection, where the answer is over before it", function()
    local server, over = deaf(peers.ok "enough")
    assert.equal("enough", assert(client:post(server.url, { body = endless })).body)
    assert.same({ open = 0, idle = 0 }, client:stats())
    local answer = assert(client:post(server.url, { body = endless, stream = true }))
    answer:close()
    assert.same({ open = 0, idle = 0 }, client:stats())
    over:set()
  end)

  it("is not late while it is sent: the answer's time begins behind it", function()
    local go_on = core.event()
    local server = peers.scripted(function(conn)
      conn:read_until "\r\n\r\n"
      go_on:wait()
      conn:read_exactly(LARGE)
      conn:write "HTTP/1.1 100 Continue\r\n\r\n"
      conn:read()
    end)
    local asked = 0
    local answer, err = client:put(server.url, { head_timeout = 0.01, length = LARGE, body = function()
      asked = asked + 1
      if asked > 1 then return nil end
      moonpark.sleep(0.05) -- longer than the head may take
      go_on:set()
      return ("x"):rep(LARGE)
    end })
    assert.same({ nil, "timeout", 2 }, { answer, err, asked })
  end)

  it("that nobody takes ends the request at its deadline, at io_timeout, or when it is cancelled", function()
    local server, over = deaf ""
    for _, limit in ipairs { "timeout", "io_timeout" } do
      assert.same({ nil, "timeout" }, { client:post(server.url, { body = endless, [limit] = 0.02 }) })
    end
    local task = moonpark.go(function() return client:post(server.url, { body = endless }) end)
    moonpark.yield()
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    assert.same({ open = 0, idle = 0 }, client:stats())
    over:set()
  end)

  it("that raises or fails behind the answer's head fails the answer", function()
    local server, over = deaf "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    local function fails_later(how)
      local fail = core.event()
      local answer = assert(client:post(server.url, { stream = true, body = function()
        fail:wait()
        return how()
      end }))
      fail:set()
      return answer
    end
    local answer = fails_later(function() error("boom", 0) end)
    assert.same({ false, "boom" }, { pcall(answer.read, answer) })
    answer = fails_later(function() return nil, "no disk" end)
    assert.same({ nil, "no disk" }, { answer:read() })
    assert.same({ nil, "no disk" }, { client:post(server.url, { body = function() return nil, "no disk" end }) })
    assert.same({ open = 0, idle = 0 }, client:stats())
    over:set()
  end)

  it("is read in pieces from what has read(), a file of Lua's own too", function()
    local text = ("line\n"):rep(30000)
    local server = peers.scripted(function(conn)
      local _, body = peers.request(conn)
      conn:write(peers.ok(tostring(body == text)))
    end)
    local file = assert(io.tmpfile())
    file:write(text)
    file:seek "set"
    assert.equal("true", assert(client:post(server.url, { body = file })).body)
    file:close()
  end)
end)
