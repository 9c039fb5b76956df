-- SPDX-License-Identifier: MIT
-- events_spec.lua - examples/events.lua as its users meet it; the clients are curl.

local curl = require "support.curl"
local example = require "support.example"
local process = require "support.process"

describe("examples/events.lua", function()
  after_each(process.stop_all)

  local function expect(listener, ...)
    for _, line in ipairs { ... } do assert.equal(line, listener:line()) end
  end

  -- A client that has begun to listen.
  local function listen(events, ...)
    local listener = curl.start(events, "/events", "-N", ...)
    expect(listener, ": welcome", "")
    return listener
  end

  local function say(events, text)
    assert.equal("204", curl(events, "/say", "--data-binary", text, "-w", "%{http_code}").out)
  end

  it("shows all what anybody says", function()
    local events = example.start("events.lua")
    local one, two = listen(events), listen(events)
    say(events, "hello")
    for _, listener in ipairs { one, two } do expect(listener, "event: said", "id: 1", "data: hello", "") end
    two:kill("KILL")
    say(events, "two\nlines")
    expect(one, "event: said", "id: 2", "data: two", "data: lines", "")
    events:stop()
  end)

  it("sends again what a client has missed", function()
    local events = example.start("events.lua")
    for i = 1, 3 do say(events, "m" .. i) end
    local back = listen(events, "-H", "Last-Event-ID: 1")
    expect(back, "event: said", "id: 2", "data: m2", "", "event: said", "id: 3", "data: m3", "")
    local new = listen(events)
    say(events, "m4")
    expect(new, "event: said", "id: 4", "data: m4", "")
    expect(back, "event: said", "id: 4", "data: m4", "")
    events:stop()
  end)

  it("has a page for browsers, and refuses what is too long", function()
    local events = example.start("events.lua")
    local page = curl(events, "/", "-i").out
    assert.matches("Content%-Type: text/html; charset=utf%-8\r\n", page)
    assert.matches('new EventSource("/events")', page, 1, true)
    assert.equal("413", curl(events, "/say", "-d", ("x"):rep(5000), "-o", "/dev/null", "-w", "%{http_code}").out)
    events:stop()
  end)

  it("ends in order under the command, and its streams with it", function()
    local events = example.start("events.lua", process.moonpark(example.path "events.lua", "127.0.0.1:0"))
    local listener = listen(events)
    events.child:kill("TERM")
    local status, out, err = events.child:wait()
    assert.same({ 0, "listening on " .. events.address .. "\n", "" }, { status, out, err })
    local ended, rest = listener:wait()
    assert.is_true(ended == 0 or ended == 18, ended) -- 18: without the last chunk
    assert.equal(": welcome\n\n", rest)
  end)

  it("explains itself", function()
    local r = process.run(example.plain("events.lua", "--help"))
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^usage: events%.lua", r.out)
  end)
end)
