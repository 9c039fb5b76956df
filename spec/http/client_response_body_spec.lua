-- SPDX-License-Identifier: MIT
-- The body of a client's answer that is asked for again: after a failure, and by several tasks. It comes whole, or not
-- at all.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local cut = require "support.http_cut"
local peers = require "support.http_client"

describe("an answer's body", function()
  after_each(peers.stop_all)

  local OK = "HTTP/1.1 200 OK\r\n"
  local answers = {
    ["by its length"] = { OK .. "Content-Length: 10\r\n\r\nhello", "world" },
    ["in chunks"] = { OK .. "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n" },
    ["to the connection's end"] = { OK .. "Connection: close\r\n\r\nhello", "world" },
  }

  -- A server whose answer comes to its half; go_on() sends the rest, and ends the connection.
  local function half(pieces)
    local go_on = moonpark.event()
    local server = peers.scripted(function(conn)
      peers.request(conn)
      conn:write(pieces[1])
      go_on:wait()
      conn:write(pieces[2])
    end)
    return server, function() go_on:set() end
  end

  -- The next n bytes, however they come.
  local function piece(answer, n)
    local text = ""
    while #text < n do text = text .. assert(answer:read(n - #text)) end
    return text
  end

  for framing, pieces in pairs(answers) do
    for what, ended in pairs(cut.waits) do
      it(("that comes %s fails for good where %s has ended the wait for it"):format(framing, what), function()
        local server, go_on = half(pieces)
        local answer = assert(http.get(server.url, { stream = true }))
        assert.is_nil((ended(function() return answer:read_all() end)))
        go_on()
        for _ = 1, 2 do
          assert.same({ nil, "canceled" }, { answer:read_all() })
          assert.same({ nil, "canceled" }, { answer:json() })
          assert.same({ nil, "canceled" }, { answer:read() })
          for _ in answer:chunks() do error "a piece" end
          assert.equal("canceled", answer.body_error)
        end
      end)
    end

    it(("that comes %s is kept, and given to all tasks that ask for it"):format(framing), function()
      local server, go_on = half(pieces)
      local answer = assert(http.get(server.url, { stream = true }))
      local tasks = {}
      for i = 1, 3 do tasks[i] = moonpark.go(function() return answer:read_all() end) end
      moonpark.yield()
      for _, read in ipairs { function() answer:read() end, function() answer:chunks()() end } do
        assert.matches("^spec/http/client_response_body_spec.lua:%d+: another task is reading this body$",
          select(2, pcall(read)))
      end
      go_on()
      for _, task in ipairs(tasks) do assert.same({ true, "helloworld" }, { task:join() }) end
      assert.equal("helloworld", answer:read_all())
      assert.is_nil(answer.body)
      assert.same({ nil, "eof" }, { answer:read() })
    end)

    it(("that comes %s is not halved between two who read it"):format(framing), function()
      local server, go_on = half(pieces)
      local answer = assert(http.get(server.url, { stream = true }))
      assert.equal("hello", piece(answer, 5))
      local reader = moonpark.go(function() return answer:read() end)
      moonpark.yield()
      for _, read in ipairs { function() answer:read() end, function() answer:read_all() end } do
        assert.matches("^spec/http/client_response_body_spec.lua:%d+: another task is reading this body$",
          select(2, pcall(read)))
      end
      go_on()
      local rest = select(2, reader:join())
      assert.equal("world", rest .. answer:read_all())
    end)
  end

  it("that is longer than was asked for fails for good", function()
    for _, pieces in pairs(answers) do
      local server, go_on = half(pieces)
      go_on()
      local answer = assert(http.get(server.url, { stream = true }))
      for _, max in ipairs { 4, 100 } do assert.same({ nil, "too long" }, { answer:read_all(max) }) end
      assert.same({ nil, "too long" }, { answer:read() })
    end
  end)

  it("that is cut off fails for good", function()
    for _, framing in ipairs { "by its length", "in chunks" } do
      local server, go_on = half { answers[framing][1], "" }
      go_on()
      local answer = assert(http.get(server.url, { stream = true }))
      for _ = 1, 2 do assert.same({ nil, "unexpected eof" }, { answer:read_all() }) end
      assert.same({ nil, "unexpected eof" }, { answer:read() })
    end
  end)

  it("behind which the request's own body fails says that each time, or raises it each time", function()
    local function body_that(ends)
      local n = 0
      return function()
        n = n + 1
        if n == 1 then return "first" end
        return ends()
      end
    end
    for what, ends in pairs { raised = function() error("as asked", 0) end,
      returned = function() return nil, "as asked", 5 end } do
      local come = moonpark.event()
      local server = peers.scripted(function(conn)
        conn:read_until("first\r\n")
        conn:write(answers["by its length"][1])
        conn:read_all()
      end)
      local answer = assert(http.post(server.url, { stream = true, body = body_that(function()
        come:wait()
        return ends()
      end) }))
      assert.equal("hello", piece(answer, 5))
      come:set()
      for _ = 1, 3 do
        if what == "raised" then
          assert.same({ false, "as asked" }, { pcall(answer.read, answer) })
          assert.same({ false, "as asked" }, { pcall(answer.read_all, answer) })
        else
          assert.same({ nil, "as asked", 5 }, { answer:read() })
          assert.same({ nil, "as asked", 5 }, { answer:read_all() })
        end
      end
      server.stop()
    end
  end)

  it("ends a reader, and spares the next request, where it is closed meanwhile", function()
    local server, go_on = half(answers["in chunks"])
    local answer = assert(http.get(server.url, { stream = true }))
    assert.equal("hello", piece(answer, 5))
    local reader = moonpark.go(function() return answer:read() end)
    moonpark.yield()
    answer:close()
    assert.same({ true, nil, "closed" }, { reader:join() })
    assert.same({ nil, "closed" }, { answer:read() })
    go_on()
  end)
end)
