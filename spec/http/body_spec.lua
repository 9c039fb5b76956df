-- SPDX-License-Identifier: MIT
-- A body that is asked for again: after a failure, by several tasks, and piece by piece. It comes whole, or not at all.

local moonpark = require "moonpark"
local cut = require "support.http_cut"
local http = require "support.http"

local HEAD = "POST / HTTP/1.1\r\nHost: a\r\n"

-- A body that has come to its half, and the rest of it.
local framings = {
  ["by its length"] = { HEAD .. "Content-Length: 10\r\n\r\nhello", "world" },
  ["in chunks"] = { HEAD .. "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n" },
  ["in the middle of a chunk"] = { HEAD .. "Transfer-Encoding: chunked\r\n\r\na\r\nhello", "world\r\n0\r\n\r\n" },
  ["in many chunks"] = { HEAD .. "Transfer-Encoding: chunked\r\n\r\n" .. ("1\r\nx\r\n"):rep(200),
    ("1\r\ny\r\n"):rep(200) .. "0\r\n\r\n", ("x"):rep(200) .. ("y"):rep(200) },
}

local waits = cut.waits

-- Serves one request of which the first half has come; handler(req, res, go_on): go_on() sends the rest. What it has
-- returned, and the answer.
local function served(pieces, handler, options)
  local met, conn
  local server = http.start(function(req, res)
    met = { handler(req, res, function() assert(conn:write(pieces[2])) end) }
  end, options)
  conn = server:dial()
  assert(conn:write(pieces[1]))
  local answer = http.read_answer(conn)
  conn:close()
  http.stop_all()
  return met, answer
end

local function whole_of(pieces) return pieces[3] or "helloworld" end

describe("a request's body", function()
  after_each(http.stop_all)

  for framing, pieces in pairs(framings) do
    for what, ended in pairs(waits) do
      it(("that comes %s goes on where %s has ended the wait for it"):format(framing, what), function()
        local met = served(pieces, function(req, res, go_on)
          local first = { ended(function() return req:body() end) }
          local second = { ended(function() return req:body() end) }
          local failure = req.body_error
          go_on()
          local body = req:body()
          res:send ""
          return first[1], second[1], failure, body, req.body_error, req:body()
        end)
        assert.same({ nil, nil, "canceled", whole_of(pieces), nil, whole_of(pieces) }, { unpack(met, 1, 6) })
      end)
    end

    it(("that comes %s goes on after io_timeout"):format(framing), function()
      local met = served(pieces, function(req, res, go_on)
        local _, err = req:body()
        go_on()
        local body = req:body()
        res:send ""
        return err, body
      end, { io_timeout = 0.01 })
      assert.same({ "timeout", whole_of(pieces) }, met)
    end)

    it(("that comes %s is read in pieces, too, after a wait for all of it"):format(framing), function()
      local met = served(pieces, function(req, res, go_on)
        assert(not waits["a timeout"](function() return req:body() end))
        go_on()
        local all = {}
        for piece in req:chunks(3) do
          assert(#piece <= 3)
          all[#all + 1] = piece
        end
        res:send ""
        return table.concat(all), req.body_error
      end)
      assert.same({ whole_of(pieces) }, met)
    end)

    it(("that comes %s is given to all tasks that ask for it"):format(framing), function()
      local met = served(pieces, function(req, res, go_on)
        local tasks, results = {}, {}
        for i = 1, 3 do tasks[i] = moonpark.go(function() return req:body() end) end
        moonpark.yield()
        go_on()
        for i, task in ipairs(tasks) do results[i] = select(2, task:join()) end
        results[4] = req:body()
        res:send ""
        return unpack(results)
      end)
      local whole = whole_of(pieces)
      assert.same({ whole, whole, whole, whole }, met)
    end)

    it(("that comes %s is still given to the task that waits behind one that gives up"):format(framing), function()
      local met = served(pieces, function(req, res, go_on)
        local first = moonpark.go(function() return req:body() end)
        local second = moonpark.go(function() return req:body() end)
        moonpark.yield()
        first:cancel()
        local given_up = select(3, first:join())
        go_on()
        local body = select(2, second:join())
        res:send ""
        return given_up, body, req:body()
      end)
      assert.same({ "canceled", whole_of(pieces), whole_of(pieces) }, met)
    end)

    it(("that comes %s has one reader at a time"):format(framing), function()
      local met = served(pieces, function(req, res, go_on)
        local first = moonpark.go(function() return req:body() end)
        moonpark.yield()
        local met = {}
        for i, read in ipairs { function() req:read() end, function() req:chunks()() end } do
          met[i] = select(2, pcall(read))
        end
        go_on()
        met[3] = select(2, first:join())
        res:send ""
        return unpack(met)
      end)
      for i = 1, 2 do assert.matches("^spec/http/body_spec.lua:%d+: another task is reading this body$", met[i]) end
      assert.equal(whole_of(pieces), met[3])
    end)
  end

  it("is not halved between one who waits for a piece and one who asks for the whole", function()
    local met = served(framings["by its length"], function(req, res, go_on)
      local before = ""
      while #before < 5 do before = before .. req:read(5 - #before) end
      local first = moonpark.go(function() return req:read() end)
      moonpark.yield()
      local wrong = { select(2, pcall(function() req:body() end)), select(2, pcall(function() req:read() end)) }
      go_on()
      local piece = select(2, first:join())
      res:send ""
      return piece, unpack(wrong)
    end)
    assert.equal("w", met[1]:sub(1, 1))
    for i = 2, 3 do assert.matches("^spec/http/body_spec.lua:%d+: another task is reading this body$", met[i]) end
  end)

  it("that is longer than was asked for comes to who asks for more", function()
    local met = served(framings["in chunks"], function(req, res, go_on)
      go_on()
      local first, second = { req:body(4) }, { req:body(7) }
      local body = req:body(10)
      res:send ""
      return first[2], second[2], body
    end)
    assert.same({ "too long", "too long", "helloworld" }, met)
  end)

  it("that is longer than was asked for is refused as before", function()
    for _, framing in ipairs { "by its length", "in chunks" } do
      local _, answer = served(framings[framing], function(req, res, go_on)
        go_on()
        local _, err = req:body(4)
        local _, again = req:json(4)
        assert.same({ "too long", "too long" }, { err, again })
        res:refuse(err)
      end)
      assert.equal(413, answer.status)
    end
  end)

  it("as JSON or a form is whole after a failure, too", function()
    local form = "Content-Type: application/x-www-form-urlencoded\r\n"
    local function asked(head, first, rest, ask)
      return served({ HEAD .. head .. ("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n"):format(#first, first),
        ("%x\r\n%s\r\n0\r\n\r\n"):format(#rest, rest) }, function(req, res, go_on)
        assert(not waits["a timeout"](function() return ask(req) end))
        go_on()
        local value = ask(req)
        res:send ""
        return value
      end)
    end
    assert.same({ { 1, 2, 3 } }, asked("", "[1,2", ",3]", function(req) return req:json() end))
    assert.same({ { a = "1", b = "2" } }, asked(form, "a=1&", "b=2", function(req) return req:form() end))
  end)

  -- What the peer has done wrong, or the connection, stays.
  local failures = {
    ["that is malformed"] = { { framings["in chunks"][1], "zz\r\n" }, "malformed message" },
    ["whose end does not come"] = { { framings["in chunks"][1], false }, "unexpected eof" },
    ["that falls short of its length"] = { { framings["by its length"][1], false }, "unexpected eof" },
    ["that is longer than the server takes"] = { framings["in chunks"], "too long", { max_body = 7 } },
  }
  for what, case in pairs(failures) do
    it(what .. " fails in the same way whoever asks, and however often", function()
      local pieces, expected, options = case[1], case[2], case[3]
      local met, conn
      local written = moonpark.event()
      local server = http.start(function(req, res)
        met = {}
        written:wait()
        local function note(_, err) met[#met + 1] = err end
        if pieces[2] then assert(conn:write(pieces[2])) else assert(conn:close_write()) end
        for _ = 1, 2 do
          note(req:body())
          note(req:json())
          note(req:body(1e6))
        end
        for _ = 1, 2 do
          for _ in req:chunks() do end -- what has come before it
          note(nil, req.body_error)
          note(req:read())
        end
        note(req:body())
        res:refuse(req.body_error)
      end, options)
      conn = server:dial()
      assert(conn:write(pieces[1]))
      written:set()
      http.read_answer(conn)
      conn:close()
      for i = 1, 11 do assert.equal(expected, met[i], i) end
      assert.equal(11, #met)
    end)
  end

  it("of a client that resets fails in the same way from then on", function()
    local met, done, conn = {}, moonpark.event(), nil
    local server = http.start(function(req)
      moonpark.shield(function() -- for that ends the handler's waits
        conn:setoption("linger", 0)
        conn:close()
        for i = 1, 3 do met[i] = { req:body() } end
        met[4] = { req:read() }
      end)
      done:set()
    end)
    conn = server:dial()
    assert(conn:write(framings["by its length"][1]))
    done:wait()
    assert.same({ nil, "connection reset by peer", 104 }, met[1])
    for i = 2, 4 do assert.same(met[1], met[i]) end
  end)

  it("in parts is gone on with by a second loop, and fails as the first one has", function()
    local head = HEAD .. "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 150\r\n\r\n"
    local part = '--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    local met = served({ head .. part:format("first", "1"), "" }, function(req, res)
      local names, errors = {}, {}
      for _ = 1, 2 do
        moonpark.timeout(0.001, function()
          for p in req:multipart() do names[#names + 1] = p.name .. "=" .. tostring(p:body()) end
        end)
        errors[#errors + 1] = req.body_error
      end
      res:send ""
      return table.concat(names, " "), unpack(errors)
    end)
    assert.same({ "first=nil", "canceled", "canceled" }, met)
  end)

  it("in parts is not cut up between two tasks", function()
    local head = HEAD .. "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
    local first = '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1234567890'
    local rest = '1234567890\r\n--b--\r\n'
    local function chunk(text) return ("%x\r\n%s\r\n"):format(#text, text) end
    local met = served({ head .. chunk(first), chunk(rest) .. "0\r\n\r\n" }, function(req, res, go_on)
      local part = req:multipart()()
      local reader = moonpark.go(function() return part:body() end)
      moonpark.yield()
      local wrong = {}
      for i, read in ipairs { function() part:read() end, function() part:body() end, function() part:save "/none" end,
        function() req:multipart()() end } do wrong[i] = select(2, pcall(read)) end
      go_on()
      local body = select(2, reader:join())
      res:send ""
      return body, unpack(wrong)
    end)
    assert.equal("12345678901234567890", met[1])
    for i = 2, 5 do assert.matches("^spec/http/body_spec.lua:%d+: another task is reading this body$", met[i]) end
  end)

  -- Asks for it in all ways, over and over, until all of it has come: what was handed out in pieces, and the rest.
  local function collect(req, random)
    local pieces = {}
    while true do
      local how = random(4)
      local body, err
      if how == 1 then
        body, err = moonpark.timeout(random(4) / 2000, req.body, req)
      elseif how == 2 then
        local piece
        piece, err = moonpark.timeout(random(4) / 2000, req.read, req, random(100))
        pieces[#pieces + 1] = piece
        body = err == "eof" and "" or nil
      elseif how == 3 then
        local tasks, results = { moonpark.go(req.body, req), moonpark.go(req.body, req) }, {}
        moonpark.yield()
        if random(2) == 1 then tasks[random(2)]:cancel() end
        for i, task in ipairs(tasks) do results[i] = { task:join() } end
        body = results[1][2] or results[2][2]
        for i = 1, 2 do assert.is_true(results[i][2] == body or results[i][3] == "canceled") end
      else
        body, err = req:body(random(50))
        moonpark.yield()
      end
      if body then return table.concat(pieces) .. body end
      assert.is_true(err == nil or err == "timeout" or err == "too long", err)
    end
  end

  it("comes whole in a long random run, however it is asked for", function()
    local seed = 20240229
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return math.floor(seed / 1024) % n + 1
    end
    for _ = 1, 60 do
      local parts, chunked, met = {}, random(5) > 2, nil
      for i = 1, random(40) do parts[i] = (string.char(96 + random(26))):rep(random(random(8) == 1 and 5000 or 30)) end
      local whole = table.concat(parts)
      local server = http.start(function(req, res)
        met = { pcall(collect, req, random) }
        res:send ""
      end)
      local conn = server:dial()
      assert(conn:write(HEAD, chunked and "Transfer-Encoding: chunked" or "Content-Length: " .. #whole, "\r\n\r\n"))
      for _, part in ipairs(parts) do
        if chunked then conn:write(("%x\r\n"):format(#part), part, "\r\n") else conn:write(part) end
        if random(3) == 1 then moonpark.sleep(random(10) / 10000) end
      end
      if chunked then conn:write "0\r\n\r\n" end
      http.read_answer(conn)
      conn:close()
      http.stop_all()
      assert.is_true(met[1], tostring(met[2]))
      assert.is_true(met[2] == whole)
    end
  end)
end)
