-- SPDX-License-Identifier: MIT
-- client_upload: bodies that are on their way up while the answer comes down.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local cut = require "support.http_cut"
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

  it("in chunks is answered although the server has closed before its last chunk is written", function()
    local answered = core.event()
    local server = peers.scripted(function(conn)
      conn:read_until "1\r\nx\r\n"
      conn:write "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!"
      conn:setoption("linger", 0)
      conn:close()
      answered:set() -- the body ends before the client's loop hears of the answer
    end)
    local pieces = { "x" }
    local answer, err = client:post(server.url, { body = function()
      if not pieces[1] then answered:wait() end
      return table.remove(pieces)
    end })
    assert.same({ 413, "no!" }, answer and { answer.status, answer.body } or err)
    assert.same({ open = 0, idle = 0 }, client:stats())
  end)

  it("has pieces of text or numbers; the rest raises where the body's function is", function()
    local server = peers.serve(function(req, res) res:send(req:body()) end)
    local function body_of(piece)
      local pieces = { "a", piece }
      return function() return table.remove(pieces, 1) end
    end
    assert.equal("a42", assert(client:post(server.url, { body = body_of(42) })).body)
    for _, wrong in ipairs { {}, { 1 }, false, print } do
      local body = body_of(wrong)
      local ok, err = pcall(client.post, client, server.url, { body = body })
      assert.is_false(ok)
      assert.equal(("%s:%d: a piece of the body must be a string, not a %s"):format(debug.getinfo(body, "S").short_src,
        debug.getinfo(body, "S").linedefined, type(wrong)), err)
      ok, err = pcall(client.post, client, server.url, { body = { read = body_of(wrong) } })
      assert.same({ false, "a piece of the body must be a string, not a " .. type(wrong) }, { ok, err })
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

describe("a body that ends in the middle on its way up", function()
  after_each(peers.stop_all)

  local BIG = ("x"):rep(16000000) -- more than the buffers of both sides hold

  -- Gives that, and then what ends it.
  local function pieces(ends)
    local n = 0
    return function()
      n = n + 1
      if n == 1 then return BIG end
      return ends()
    end
  end

  local function endless() return BIG end

  local ways = {
    ["a text"] = { body = BIG },
    ["a text that waits for 100 Continue"] = { body = BIG, expect = true },
    ["pieces in chunks"] = { body = endless },
    ["pieces of a known length"] = { body = endless, length = 10 * #BIG },
    ["pieces that wait for 100 Continue"] = { body = endless, expect = true },
    ["what has read()"] = { body = { read = endless } },
  }

  local function with(options, more)
    local all = {}
    for _, one in ipairs { options, more } do
      for name, value in pairs(one) do all[name] = value end
    end
    return all
  end

  -- What ends a request: ending(url, options, came) -> nil, err; came: the server has its head.
  local endings = {
    ["by its timeout"] = function(url, options) return http.post(url, with(options, { timeout = 0.02 })) end,
    ["by io_timeout"] = function(url, options) return http.post(url, with(options, { io_timeout = 0.01 })) end,
    ["by a timeout around it"] = function(url, options) return moonpark.timeout(0.02, http.post, url, options) end,
    ["with its task"] = function(url, options, came)
      return cut.interrupted(function() return http.post(url, options) end, function(task)
        came:wait()
        task:cancel()
      end)
    end,
  }

  local own_ends = {
    ["that raises"] = { body = function() return pieces(function() error("as asked", 0) end) end },
    ["that fails"] = { body = function() return pieces(function() return nil, "as asked" end) end },
    ["that is too short"] = { body = function() return pieces(function() return nil end) end, length = #BIG + 1 },
    ["that is too long"] = { body = function() return pieces(function() return "xx" end) end, length = #BIG + 1 },
  }

  -- The request as a server gets it that reads the body only once the request is over, or at once. Time may be up
  -- before anything of it has come.
  local function received(at_once, ask)
    local came, over, got = moonpark.event(), moonpark.event(), { whole = false }
    local server = peers.scripted(function(conn)
      local head = (conn:read_until("\r\n\r\n") or "") .. "\r\n\r\n"
      came:set()
      if head:find("100-continue", 1, true) then conn:write("HTTP/1.1 100 Continue\r\n\r\n") end
      if not at_once then over:wait() end
      local parts = {}
      for piece in function() return (conn:read()) end do parts[#parts + 1] = piece end
      got = cut.framed { head = head, body = table.concat(parts), whole = false }
    end)
    ask(server.url, came)
    over:set()
    server.stop()
    return got
  end

  for what, ending in pairs(endings) do
    it(what .. " is no whole one for the server, and nothing follows it", function()
      for way, options in pairs(ways) do
        local got = received(false, function(url, came)
          local answer, err = ending(url, options, came)
          assert.is_nil(answer, way)
          assert.is_truthy(err == "timeout" or err == "canceled", way .. ": " .. tostring(err))
        end)
        assert.is_false(got.whole, way)
      end
    end)
  end

  for what, case in pairs(own_ends) do
    it("by itself, one " .. what .. ", is no whole one for the server", function()
      local got = received(true, function(url)
        assert.is_false((pcall(function() assert(http.post(url, { body = case.body(), length = case.length })) end)))
      end)
      assert.is_false(got.whole)
    end)
  end
end)
