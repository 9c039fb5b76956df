-- SPDX-License-Identifier: MIT
-- Responses that end in the middle: every way to write one, and everything that ends a write.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local cut = require "support.http_cut"
local fs = require "moonpark.fs"
local servers = require "support.http"
local support = require "support.net"

local BIG, NOISE = cut.BIG, cut.NOISE

---------------------------------------------------------------------------------------------------
-- the ways to write: begin(res, path) is what comes before, and returns what writes

local function compressed(coding)
  return function(res)
    http.compress()({}, res, function() end)
    res.type = "text/plain"
    assert(res:write("first " .. coding))
    return function() return res:write(NOISE) end
  end
end

local ways = {
  ["write"] = function(res) return function() return res:write(BIG) end end,
  ["write behind a first piece"] = function(res)
    assert(res:write "first")
    return function() return res:write(BIG) end
  end,
  ["write of small pieces"] = function(res)
    return function()
      while true do
        local ok, err, errno = res:write(("x"):rep(1000))
        if not ok then return nil, err, errno end
      end
    end
  end,
  ["write of several texts"] = function(res) return function() return res:write(BIG, 1, BIG) end end,
  ["write with a length"] = function(res)
    assert(res:begin(#BIG + 10))
    return function() return res:write(BIG) end
  end,
  ["send"] = function(res) return function() return res:send(BIG) end end,
  ["json"] = function(res) return function() return res:json { BIG } end end,
  ["fail"] = function(res) return function() return res:fail(404, BIG) end end,
  ["events:send"] = function(res)
    local events = assert(res:events())
    assert(events:send "first")
    return function() return events:send(BIG) end, events
  end,
  ["events:comment"] = function(res)
    local events = assert(res:events())
    return function() return events:comment(BIG) end, events
  end,
  ["file"] = function(res, path) return function() return res:file(path) end end,
  ["ranges of a file"] = function(res, path) return function() return res:file(path) end end,
  ["gzip"] = compressed "gzip",
  ["brotli"] = compressed "br",
}

-- Later calls: each is told what the first failure was.
local function later_calls(res, events, path)
  local calls = {
    function() return res:write "SECOND" end,
    function() return res:write(BIG) end,
    function() return res:write "" end,
    function() return res:send "SECOND" end,
    function() return res:json {} end,
    function() return res:fail(500) end,
    function() return res:begin(5) end,
    function() return res:file(path) end,
    function() return res:events() end,
    function() return res:finish() end,
    function() return res:finish() end,
    function() return res:write "SECOND" end,
  }
  if events then
    for i, call in ipairs { function() return events:send "SECOND" end, function() return events:comment() end,
      function() return events:close() end, function() return events:close() end,
      function() return events:send "SECOND" end } do table.insert(calls, i, call) end
  end
  return calls
end

---------------------------------------------------------------------------------------------------
-- what ends a write that has begun: (write, client, is_begun, seconds) -> nil, err, errno as the write has failed

local endings = {
  ["timeout"] = function(write, _, _, seconds)
    local met
    local results = { moonpark.timeout(seconds, function()
      met = { write() }
      return unpack(met, 1, 3)
    end) }
    assert.same({ nil, "timeout" }, results)
    return unpack(met, 1, 3)
  end,
  ["a cancelled task"] = function(write, _, is_begun)
    return cut.interrupted(write, function(task) task:cancel() end, is_begun)
  end,
  ["a cancelled scope"] = function(write, _, is_begun)
    local met
    moonpark.scope(function(scope)
      scope:go(function() met = { write() } end)
      while not is_begun() do moonpark.sleep(0.001) end
      moonpark.yield()
      scope:cancel()
    end)
    return unpack(met, 1, 3)
  end,
  ["io_timeout"] = function(write) return write() end,
  ["a client that resets"] = function(write, client, is_begun)
    return cut.interrupted(write, function()
      client:setoption("linger", 0)
      client:close()
    end, is_begun)
  end,
}

local fields = { ["brotli"] = "Accept-Encoding: br", ["ranges of a file"] = "Range: bytes=0-9,20-999990" }

-- One response, written that way and ended so: what the handler has met, what the client has got, and the log's line.
local function response(way, ending, version, path)
  local met, line, done = { later = {} }, nil, moonpark.event()
  local client
  local log = http.logger { format = "pairs", write = function(text) line = text end }
  local function handler(res)
    local write, events = ways[way](res, path)
    local seconds = way:find "file" and 0.5 or 0.01 -- a file is still to be opened, perhaps by a thread
    met.first = { endings[ending](write, client, function() return res:is_begun() end, seconds) }
    for i, call in ipairs(later_calls(res, events, path)) do met.later[i] = { call() } end
    met.sent = { res:sent() }
  end
  local server = cut.start(function(req, res)
    met.ran, met.wrong = pcall(log, req, res, function() return handler(res) end)
    done:set()
  end, { io_timeout = ending == "io_timeout" and 0.01 or 60 })
  client = server:dial()
  local request = "GET / HTTP/%s\r\nHost: a\r\n%s\r\nConnection: keep-alive\r\n\r\n"
  assert(client:write(request:format(version, fields[way] or "Accept-Encoding: gzip")))
  assert(done:wait())
  if ending ~= "a client that resets" then met.client = cut.received(client) end
  client:close()
  servers.stop_all()
  met.line = line
  return met
end

-- A response in which one write has failed never goes on.
local function check(met, what, version)
  assert.is_true(met.ran, what .. ": " .. tostring(met.wrong))
  local err = met.first[2]
  assert.is_nil(met.first[1], what)
  assert.is_string(err, what)
  for i, results in ipairs(met.later) do
    assert.same({ nil, err, met.first[3] }, { results[1], results[2], results[3] }, what .. ", call " .. i)
  end
  assert.equal(err, met.sent[3], what)
  assert.matches("failed=" .. (err:find " " and '"' .. err .. '"' or err), met.line, 1, true)
  assert.matches((" bytes=%d "):format(met.sent[2]), met.line, 1, true)
  local client = met.client
  if not client then return end
  assert.is_false(client.whole, what)
  assert.is_nil(client.body:find("SECOND", 1, true), what)
  local by_its_end = version == "1.0" and not client.head:find("Content-Length", 1, true)
  assert.equal(by_its_end and "connection reset by peer" or "eof", client.err, what)
  if not by_its_end then assert.equal(#client.body, met.sent[2], what) end
end

describe("a response that is cut off in the middle", function()
  after_each(servers.stop_all)

  for ending in pairs(endings) do
    for _, version in ipairs { "1.1", "1.0" } do
      it(("by %s stays so, HTTP/%s: each call says why, and the client sees it"):format(ending, version), function()
        support.with_folder(function(folder)
          local path = folder .. "/big"
          assert(fs.write(path, BIG))
          for way in pairs(ways) do check(response(way, ending, version, path), way .. " by " .. ending, version) end
          assert(fs.remove(path))
        end)
      end)
    end
  end

  -- Serves one request with that handler; what its client gets.
  local function served(handler, request, options)
    local ran, wrong
    local done = moonpark.event()
    local server = cut.start(function(req, res)
      ran, wrong = pcall(handler, req, res)
      done:set()
      if not ran then error(wrong, 0) end
    end, options)
    local client = server:dial()
    assert(client:write(request or "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    done:wait()
    local got = cut.received(client)
    client:close()
    got.log = server:take_log()
    servers.stop_all()
    return got
  end

  local OLD = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

  it("by its handler's error is no whole one, and the log says so", function()
    for _, request in ipairs { false, OLD } do
      local line
      local log = http.logger { format = "pairs", write = function(text) line = text end }
      local got = served(function(req, res)
        log(req, res, function()
          res:write "first"
          error "as asked"
        end)
      end, request or nil)
      assert.is_false(got.whole)
      assert.matches("as asked", got.log)
      assert.matches(" status=200 bytes=5 seconds=%S+ failed=closed$", line)
    end
  end)

  it("because it falls short of its length raises that again", function()
    local got = served(function(_, res)
      assert(res:begin(5))
      assert(res:write "abc")
      for _, call in ipairs { function() res:finish() end, function() res:write "de" end, function() res:finish() end,
        function() res:send "x" end } do
        assert.equal("response body is shorter than its Content-Length",
          (select(2, pcall(call)):gsub("^spec/http/cut_spec.lua:%d+: ", "")))
      end
    end)
    assert.same({ "abc", false }, { got.body, got.whole })
  end)

  it("does not count what was to lead a write that has failed", function()
    local sent
    served(function(_, res)
      assert(res:begin(30000))
      assert(res.x:lead(res.serial, "--boundary"))
      assert.same({ nil, "timeout" }, { moonpark.timeout(0, res.write, res, ("x"):rep(20000)) })
      sent = { res:sent() }
    end)
    assert.same({ 200, 0, "canceled" }, sent)
  end)

  it("by its server's end is none that ends with the connection", function()
    local writing = moonpark.event()
    local server = servers.start(function(_, res)
      res:write "first"
      writing:set()
      moonpark.sleep(3600)
    end)
    local client = server:dial()
    assert(client:write(OLD))
    writing:wait()
    server.server:close()
    local got = cut.received(client)
    assert.same({ false, "connection reset by peer" }, { got.whole, got.err })
    client:close()
  end)

  it("of which a task that was left behind still writes is no whole one", function()
    local results
    for _, request in ipairs { false, OLD } do
      local task
      local got = served(function(_, res)
        task = moonpark.go(function() results = { res:write(BIG) } end)
        moonpark.yield()
      end, request or nil)
      assert(task:join())
      assert.is_false(got.whole)
      assert.same({ nil, "closed" }, results)
    end
  end)
end)

describe("what was not begun can still be answered:", function()
  after_each(servers.stop_all)

  -- What a client that reads gets of that handler.
  local function ask(handler, options)
    local server = cut.start(handler, options)
    local answer = server:ask "GET / HTTP/1.1"
    servers.stop_all()
    return answer
  end

  it("a large body that is sent too late is not sent at all", function()
    local met
    local answer = ask(function(_, res)
      met = { moonpark.timeout(0, function()
        moonpark.yield()
        return res:send(BIG)
      end) }
      met[3] = res:is_begun()
      res:fail(504)
    end)
    assert.same({ nil, "timeout", false }, met)
    assert.same({ 504, "Gateway Timeout\n" }, { answer.status, answer.body })
  end)

  it("so is that of a request whose time is up", function()
    local met
    local answer = ask(function(_, res)
      moonpark.sleep(3600)
      met = { res:send(BIG) }
    end, { request_timeout = 0.01 })
    assert.same({ nil, "canceled" }, met)
    assert.equal(503, answer.status)
  end)

  it("an event that had to wait for another one, and did not get its turn", function()
    local met
    local go_on = moonpark.event()
    local server = cut.start(function(_, res)
      local events = assert(res:events())
      local first = moonpark.go(function() return events:send(BIG) end)
      moonpark.yield()
      met = { moonpark.timeout(0, events.send, events, "never") }
      go_on:set()
      met[3] = select(2, first:join())
      met[4] = events:send "last"
    end)
    local client = server:dial()
    assert(client:write "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    go_on:wait()
    local got = cut.received(client)
    client:close()
    assert.same({ nil, "timeout", true, true }, met)
    assert.is_true(got.whole)
    assert.is_true(got.body == "data: " .. BIG .. "\n\ndata: last\n\n")
  end)
end)

describe("a compressed stream", function()
  after_each(servers.stop_all)

  it("has one writer at a time, and nothing that another one wanted to write", function()
    local decode = require "moonpark.http.decode"
    for coding in pairs { gzip = true, br = true } do
      local wrong = {}
      local go_on = moonpark.event()
      local server = cut.start(function(req, res)
        http.compress()(req, res, function() end)
        res.type = "text/plain"
        local first = moonpark.go(function() return res:write(NOISE) end)
        while first:status() == "ready" do moonpark.yield() end
        wrong[1] = select(2, pcall(function() res:write(("second"):rep(1000)) end))
        wrong[2] = select(2, pcall(function() res:finish() end))
        go_on:set()
        assert(select(2, first:join()))
        assert(res:write "last")
      end)
      local client = server:dial()
      assert(client:write("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: " .. coding ..
        "\r\nConnection: close\r\n\r\n"))
      go_on:wait()
      local got = cut.received(client)
      client:close()
      servers.stop_all()
      for i = 1, 2 do
        assert.matches("^spec/http/cut_spec.lua:%d+: another task is writing this response$", wrong[i])
      end
      local decoder, parts = decode.new(coding), {}
      decoder:push(got.body)
      for data in function() return decoder:pull() end do parts[#parts + 1] = data end
      assert.is_true(got.whole and decoder:is_complete())
      assert.is_true(table.concat(parts) == NOISE .. "last")
    end
  end)

  it("goes on where it is begun again, which raises", function()
    local decode = require "moonpark.http.decode"
    local wrong
    local server = servers.start(function(req, res)
      http.compress()(req, res, function() end)
      res.type = "text/plain"
      assert(res:write "first ")
      wrong = select(2, pcall(function() res:begin() end))
      assert(res:write "last")
    end)
    local answer = server:ask "GET / HTTP/1.1\nAccept-Encoding: gzip"
    local decoder = decode.new "gzip"
    decoder:push(answer.body)
    assert.equal("first last", decoder:pull())
    assert.matches("response has already begun", wrong)
  end)

  it("whose encoder fails is cut off, whatever its handler does", function()
    for _, failing in ipairs { "piece", "last" } do
      local met = {}
      local stream = { piece = function(_, data) return data end, last = function() return "end" end }
      stream[failing] = function() error("as asked", 0) end
      local broken = { begin = function() return nil, stream end }
      local server = cut.start(function(_, res)
        res.transform = broken
        met[1] = { pcall(res.write, res, "first") }
        met[2] = { pcall(res.finish, res) }
        met[3] = { res:write "SECOND" }
        met[4] = { res:finish() }
      end)
      local client = server:dial()
      assert(client:write "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      local got = cut.received(client)
      client:close()
      servers.stop_all()
      local raised = failing == "piece" and met[1] or met[2]
      assert.is_false(raised[1])
      assert.matches("as asked$", raised[2])
      assert.same({ { nil, "closed" }, { nil, "closed" } }, { met[3], met[4] })
      assert.is_false(got.whole)
      assert.is_nil(got.body:find("SECOND", 1, true))
    end
  end)
end)

---------------------------------------------------------------------------------------------------

describe("a long random run of writes, some of which are ended,", function()
  after_each(servers.stop_all)

  local ROUNDS = core.hard and 5 or 60
  local SIZES = { 10, 1000, 16384, 16385, 100000, 500000 }

  local function counted(n)
    local lines = {}
    for i = 1, n do lines[i] = ("%07d\n"):format(i) end
    return table.concat(lines)
  end

  local BODY = counted(core.hard and 2000 or 200000)

  local function write(res, random, piece)
    local how = random(6)
    if how == 1 then return moonpark.timeout(random(4) / 1000, res.write, res, piece) end
    if how > 2 then return res:write(piece) end
    local task = moonpark.go(res.write, res, piece)
    moonpark.yield()
    if random(3) == 1 then task:cancel() end
    return select(2, task:join())
  end

  -- Writes the first bytes of BODY; goes on for a while where a write has failed.
  local function answer(res, random, met)
    local at, failures = 0, 0
    met.total = random(#BODY)
    if met.kind == "length" then assert(res:begin(met.total)) end
    while at < met.total and failures < 3 do
      local n = math.min(met.total - at, SIZES[random(#SIZES)])
      local ok = write(res, random, BODY:sub(at + 1, at + n))
      if met.failed then assert.is_nil(ok) end
      if ok then at = at + n else failures, met.failed = failures + 1, true end
    end
    met.finish = { res:finish() }
    met.sent = { res:sent() }
  end

  local function unpacked(text)
    local decoder, parts = require("moonpark.http.decode").new "gzip", {}
    decoder:push(text)
    for data in function() return decoder:pull() or nil end do parts[#parts + 1] = data end
    return table.concat(parts)
  end

  local function check_round(got, met)
    local text = met.kind == "gzip" and got.body ~= "" and unpacked(got.body) or got.body
    assert.is_true(BODY:sub(1, #text) == text, met.kind) -- nothing is missing in the middle
    local failure = met.sent[3]
    assert.equal(met.failed ~= nil, failure ~= nil, met.kind)
    assert.equal(failure == nil, got.whole, met.kind)
    if not failure then assert.equal(met.total, #text, met.kind) end
    if failure then assert.same({ nil, failure }, { met.finish[1], met.finish[2] }) end
    if met.kind ~= "old" then assert.equal(#got.body, met.sent[2], met.kind) end
  end

  it("gives each client a beginning of the body, and a whole one only if none has failed", function()
    local seed, kinds = 20240229, { "chunks", "length", "gzip", "old" }
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return math.floor(seed / 1024) % n + 1
    end
    for round = 1, ROUNDS do
      local met, done = { kind = kinds[round % #kinds + 1] }, moonpark.event()
      local server = cut.start(function(req, res)
        if met.kind == "gzip" then http.compress()(req, res, function() end) end
        met.ran, met.wrong = pcall(answer, res, random, met)
        done:set()
      end, { io_timeout = 0.05 })
      local client = server:dial()
      assert(client:write(("GET / HTTP/1.%d\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
        :format(met.kind == "old" and 0 or 1)))
      if random(2) == 1 then moonpark.sleep(random(60) / 1000) end -- a client that reads late
      local got = cut.received(client)
      done:wait()
      client:close()
      servers.stop_all()
      assert(met.ran, met.wrong)
      check_round(got, met)
    end
  end)
end)
