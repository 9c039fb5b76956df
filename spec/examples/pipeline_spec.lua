-- SPDX-License-Identifier: MIT
-- pipeline_spec.lua - examples/pipeline.lua as its users meet it, with nc and real programs.

local moonpark = require "moonpark"
local example = require "support.example"
local process = require "support.process"
local support = require "support.net"

-- Processes whose parent is that one, zombies too.
local function children(pid)
  local file = assert(io.open(("/proc/%d/task/%d/children"):format(pid, pid)))
  local text = file:read "*a"
  file:close()
  return text
end

-- Does it run? A zombie does not.
local function runs(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  local state = file and file:read("*a"):match "%) (%a)"
  if file then file:close() end
  return state and state ~= "Z"
end

local function wait_until(look)
  local since = os.time()
  while not look() do
    assert(os.time() - since < 60, "waited in vain")
    moonpark.sleep(0.001)
  end
end

describe("examples/pipeline.lua", function()
  local server

  local function start(...)
    server = example.start("pipeline.lua", example.plain("pipeline.lua", "127.0.0.1:0", ...))
  end

  -- No program outlives its connection.
  local function stop()
    wait_until(function() return children(server.child.pid) == "" end)
    server:stop()
  end

  after_each(process.stop_all)

  it("filters what nc sends, and passes the end on in both directions", function()
    start("--", "sort")
    local nc = process.run({ "nc", "-N", "127.0.0.1", server.port }, { stdin = "b\nc\na\n" })
    assert.same({ 0, "a\nb\nc\n", "" }, { nc.status, nc.out, nc.err })
    stop()
  end)

  it("answers while the client still sends", function()
    start("--", "cat")
    local nc = process.start({ "nc", "-N", "127.0.0.1", server.port }, { stdin = true })
    for _, word in ipairs { "one", "two" } do
      nc:write(word .. "\n")
      assert.equal(word, nc:line())
    end
    nc:close_stdin()
    assert.equal(0, (nc:wait()))
    stop()
  end)

  it("has a program for each client", function()
    start("--", "sh", "-c", "echo $$; cat")
    local one, two = server:dial(), server:dial()
    local first, second = one:read_line(), two:read_line()
    assert.is_true(tonumber(first) ~= tonumber(second))
    one:write "x\n"
    assert.equal("x", one:read_line())
    one:close()
    wait_until(function() return not children(server.child.pid):find(first, 1, true) end)
    two:write "y\n"
    assert.equal("y", two:read_line())
    two:close()
    stop()
  end)

  it("carries any bytes, however many", function()
    start()
    local conn, sent = server:dial(), support.random_bytes(300000)
    local writer = moonpark.go(function()
      conn:write(sent)
      conn:close_write()
    end)
    assert.is_true(conn:read_all() == sent)
    writer:join()
    conn:close()
    stop()
  end)

  it("ends the connection with the program, though the client would go on", function()
    start("--", "head", "-n", "1")
    local conn = server:dial()
    conn:write("first\nsecond\n")
    assert.equal("first\n", conn:read_all())
    conn:close()
    stop()
  end)

  it("ends a program that writes for ever when the client leaves", function()
    start("--", "yes")
    local conn = server:dial()
    assert.equal("y", conn:read_line())
    conn:close()
    stop()
  end)

  it("ends a program that does not listen, with what it has started", function()
    start("--", "sh", "-c", "trap '' TERM; sleep inf & echo $!; yes")
    local conn = server:dial()
    local started = conn:read_line()
    assert.is_true(runs(started))
    assert.equal("y", conn:read_line())
    conn:close()
    wait_until(function() return not runs(started) end)
    stop()
  end)

  it("ends its programs when it is ended itself", function()
    server = example.start("pipeline.lua",
      process.moonpark(example.path "pipeline.lua", "127.0.0.1:0", "--", "sh", "-c", "echo $$; exec sleep inf"))
    local conn = server:dial()
    local pid = conn:read_line()
    server.child:kill "TERM"
    assert.equal(143, (server.child:wait()))
    wait_until(function() return not runs(pid) end)
    conn:close()
  end)

  it("says on stderr what it cannot start, and serves on", function()
    start("--", "moonpark-no-such-program")
    local conn = server:dial()
    assert.is_nil((conn:read()))
    assert.truthy(server.child:line "err":find("cannot start moonpark-no-such-program: no such file", 1, true))
    conn:close()
    server.child:kill "TERM"
    server.child:wait()
  end)

  it("says how it is called", function()
    local r = process.run(example.plain("pipeline.lua", "127.0.0.1:0", "--"))
    assert.same({ 2, "" }, { r.status, r.out })
    assert.matches("^usage: pipeline.lua", r.err)
  end)
end)
