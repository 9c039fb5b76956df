-- SPDX-License-Identifier: MIT
-- res:events: server-sent events as they arrive.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.file_response"

-- The data of a chunked body.
local function unchunk(body)
  local pieces = {}
  for size, at in body:gmatch("(%x+)\r\n()") do
    local n = tonumber(size, 16)
    if n > 0 and body:sub(at + n, at + n + 1) == "\r\n" then pieces[#pieces + 1] = body:sub(at, at + n - 1) end
  end
  return table.concat(pieces)
end

-- What a client gets of a handler that is handed the events.
local function stream_of(fn, fields)
  local answer
  support.served(function(_, res) fn(assert(res:events()), res) end, function(ask)
    answer = ask("GET", "/", fields)
  end)()
  return unchunk(answer.body), answer
end

describe("res:events", function()
  local cases = {
    { "a text", "a", "data: a\n\n" },
    { "a number", 1, "data: 1\n\n" },
    { "nothing", "", "data: \n\n" },
    { "several lines", "a\nb", "data: a\ndata: b\n\n" },
    { "any kind of line end", "a\r\nb\rc\n\nd", "data: a\ndata: b\ndata: c\ndata: \ndata: d\n\n" },
    { "a line end at the end", "a\n", "data: a\ndata: \n\n" },
    { "what looks like a field", "a\nevent: x\n\nid: y", "data: a\ndata: event: x\ndata: \ndata: id: y\n\n" },
    { "all there is", { event = "e", id = 7, retry = 1500, data = "a" }, "event: e\nid: 7\nretry: 1500\ndata: a\n\n" },
    { "an id alone", { id = "x" }, "id: x\n\n" },
  }
  for _, case in ipairs(cases) do
    it("sends " .. case[1], function()
      assert.equal(case[3], stream_of(function(events) assert(events:send(case[2])) end))
    end)
  end

  it("sends comments", function()
    assert.equal(": a\n: b\n\n:\n\n", stream_of(function(events)
      assert(events:comment("a\nb"))
      assert(events:comment())
    end))
  end)

  it("sends comments that are text or numbers, and raises for the rest", function()
    assert.equal(": 5\n\n", stream_of(function(events)
      assert(events:comment(5))
      for _, wrong in ipairs { {}, false, print } do
        local ok, err = pcall(function() events:comment(wrong) end)
        assert.is_false(ok)
        assert.matches("^[^\n]-events_spec.lua:%d+: comment: a string or a number expected, got " .. type(wrong), err)
      end
    end))
  end)

  it("goes on behind an event that has raised, as it may where there is no memory", function()
    assert.equal("data: b\n\n", stream_of(function(events)
      local x = events.x
      events.x = setmetatable({ write = function() error("not enough memory", 0) end }, { __index = function(_, name)
        return function(_, ...) return x[name](x, ...) end
      end })
      assert.has_error(function() events:send("a") end, "not enough memory")
      events.x = x
      assert.is_true(moonpark.timeout(5, events.send, events, "b"))
    end))
  end)

  it("says what it is, and that nobody may keep it", function()
    local _, answer = stream_of(function() end)
    assert.equal(200, answer.status)
    assert.equal("text/event-stream", answer.fields["content-type"])
    assert.equal("no-cache", answer.fields["cache-control"])
    assert.equal("chunked", answer.fields["transfer-encoding"])
    assert.equal("0\r\n\r\n", answer.body)
  end)

  it("knows the last event that a client has seen", function()
    local id = "none"
    stream_of(function(events) id = events.last_event_id end, { ["Last-Event-ID"] = "41" })
    assert.equal("41", id)
    stream_of(function(events) id = events.last_event_id end)
    assert.is_nil(id)
  end)

  local wrong = {
    { "must be one line", { event = "a\nb" } }, { "must be one line", { id = "a\rb" } },
    { "must be one line", { id = "a\0b" } }, { "whole number of milliseconds", { retry = 1.5 } },
    { "whole number of milliseconds", { retry = -1 } }, { "whole number of milliseconds", { retry = "1" } },
    { "unknown option 'dta'", { dta = "a" } }, { "a string or a table expected, got nil" },
    { "a string or a table expected, got boolean", true }, { "a string or a table expected, got function", print },
    { "an event needs data, an id, a name or a retry time", {} },
    { "option 'data' must be a string or number, not a table", { data = { price = 5 } } },
    { "option 'data' must be a string or number, not a boolean", { data = false } },
    { "option 'data' must be a string or number, not a function", { data = print } },
    { "option 'data' must be a string or number, not a userdata", { data = require("cjson").null, id = 1 } },
    { "option 'event' must be a string or number, not a boolean", { event = false, data = "a" } },
    { "option 'event' must be a string or number, not a table", { event = {}, data = "a" } },
    { "option 'id' must be a string or number, not a boolean", { id = false, data = "a" } },
    { "option 'id' must be a string or number, not a table", { id = setmetatable({}, { __tostring = print }) } },
    { "must be one line", { id = "a\n" } }, { "must be one line", { event = "\0" } },
    { "must be one line", { event = "a\rdata: b" } },
    { "whole number of milliseconds", { retry = false } }, { "whole number of milliseconds", { retry = 0 / 0 } },
    { "whole number of milliseconds", { retry = math.huge } },
    { "unknown option '1'", { "a" } },
  }
  for i, case in ipairs(wrong) do
    it(("raises where an event would be another: %d, %s"):format(i, case[1]), function()
      local ok, err
      local text = stream_of(function(events) ok, err = pcall(function() events:send(case[2]) end) end)
      assert.is_false(ok)
      assert.matches("events_spec.lua:%d+: .*" .. case[1], err)
      assert.equal("", text)
    end)
  end

  it("raises for options that it does not know", function()
    for text, options in pairs { ["unknown option 'hartbeat'"] = { hartbeat = 1 },
      ["must be a positive number of seconds"] = { heartbeat = 0 } } do
      local ok, err
      support.served(function(_, res) ok, err = pcall(function() res:events(options) end) res:send() end,
        function(ask) ask("GET", "/") end)()
      assert.is_false(ok)
      assert.matches(text, err, 1, true)
    end
  end)

  it("reach the client as they are sent", function()
    local go = moonpark.chan(1)
    support.served(function(_, res)
      local events = assert(res:events())
      for name in go:iter() do assert(events:send(name)) end
    end, function(_, server)
      local conn = support.dial(server)
      assert(conn:write(support.request("GET", "/")))
      assert(conn:read_until("\r\n\r\n"))
      for _, name in ipairs { "one", "two" } do
        go:send(name)
        assert.equal(("%x"):format(#name + 8), conn:read_line())
        assert.equal("data: " .. name .. "\n\n\r\n", conn:read_exactly(#name + 10))
      end
      go:close()
      assert.equal("0\r\n\r\n", conn:read_all())
      conn:close()
    end)()
  end)

  it("end when the client leaves", function()
    local how = moonpark.chan(1)
    support.served(function(_, res)
      local events = assert(res:events { heartbeat = 60 })
      local slept, why = moonpark.sleep(30)
      local sent, err = events:send("x")
      moonpark.shield(function() how:send { slept, why, sent, err } end)
    end, function(_, server)
      local conn = support.dial(server)
      assert(conn:write(support.request("GET", "/")))
      assert(conn:read_until("\r\n\r\n"))
      conn:close()
      assert.same({ nil, "canceled", nil, "canceled" }, how:recv())
    end)()
  end)

  it("have heartbeats while nothing happens", function()
    local stop = moonpark.event()
    support.served(function(_, res)
      assert(res:events { heartbeat = 0.001 })
      stop:wait()
    end, function(_, server)
      local conn = support.dial(server)
      assert(conn:write(support.request("GET", "/")))
      assert(conn:read_until("\r\n\r\n"))
      for _ = 1, 3 do
        assert.equal("3", conn:read_line())
        assert.equal(":\n\n\r\n", conn:read_exactly(5))
      end
      stop:set()
      assert.matches("0\r\n\r\n$", conn:read_all())
      conn:close()
    end)()
  end)

  it("mix no heartbeat into an event", function()
    support.served(function(_, res)
      local events = assert(res:events { heartbeat = 0.0005 })
      for i = 1, 20 do
        assert(events:send(("x"):rep(20000) .. i))
        moonpark.sleep(0.0005)
      end
    end, function(ask)
      local text, n = unchunk(ask("GET", "/").body):gsub(":\n\n", ""), 0
      for number in text:gmatch("data: x+(%d+)\n\n") do
        n = n + 1
        assert.equal(n, tonumber(number))
      end
      assert.equal(20, n)
    end)()
  end)

  it("leave no heartbeat behind where the handler fails", function()
    support.served(function(_, res)
      assert(res:events { heartbeat = 60 })
      error("as asked")
    end, function(ask, _, logged)
      assert.is_nil(ask("GET", "/").body:find("0\r\n\r\n", 1, true))
      assert.matches("as asked", table.remove(logged))
    end)()
  end)

  it("are closed by hand, and then take nothing more", function()
    local sent, err
    assert.equal("data: a\n\n", (stream_of(function(events)
      events:send("a")
      events:close()
      sent, err = events:send("b")
      events:close()
    end)))
    assert.same({ nil, "closed" }, { sent, err })
  end)

  -- As a heartbeat is, where the client reads slowly: it was the handler's close that raised then, or its return.
  for name, ending in pairs { ["are closed"] = function(events) assert(events:close()) end,
    ["end with their handler"] = function() end } do
    it(name .. " behind what is on its way to a client that reads slowly", function()
      local much, sent = ("x"):rep(1e7), nil
      support.served(function(_, res)
        local events = assert(res:events())
        moonpark.go(function() sent = events:send(much) end)
        moonpark.yield()
        ending(events)
      end, function(_, server)
        local conn = assert(net.dial(server:address()))
        assert(conn:write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
        moonpark.sleep(0.02) -- until the server cannot send more
        local all = assert(conn:read_all())
        conn:close()
        assert.is_true(sent)
        assert.is_true(unchunk(all:match("\r\n\r\n(.*)$")) == "data: " .. much .. "\n\n")
        assert.equal("\r\n0\r\n\r\n", all:sub(-7))
      end)()
    end)
  end

  it("are a head alone for HEAD", function()
    local sent, err
    support.served(function(_, res) sent, err = assert(res:events()):send("a") end, function(ask)
      local answer = ask("HEAD", "/")
      assert.equal(200, answer.status)
      assert.equal("", answer.body)
      assert.same({ nil, "closed" }, { sent, err })
    end)()
  end)
end)
