-- SPDX-License-Identifier: MIT
-- chat_spec.lua - examples/chat.lua as its users meet it.

local moonpark = require "moonpark"
local example = require "support.example"
local process = require "support.process"

local MOST_LINES = 200000 -- that a talker says to fill all buffers of one who does not read
local AHEAD = 50          -- lines on their way; a mailbox holds 100

describe("examples/chat.lua", function()
  local chat, conns

  before_each(function()
    chat, conns = example.start("chat.lua"), {}
  end)

  after_each(function()
    for _, conn in ipairs(conns) do conn:close() end
    chat:stop()
    process.stop_all()
  end)

  local function dial()
    local conn = chat:dial()
    table.insert(conns, conn)
    return conn
  end

  local function say(conn, line) assert(conn:write(line, "\n")) end

  local function expect(conn, ...)
    for _, line in ipairs { ... } do assert.equal(line, conn:read_line()) end
  end

  local function join(name)
    local conn = dial()
    assert.matches("^Here: .* Your name%?$", conn:read_line())
    say(conn, name)
    expect(conn, "Welcome, " .. name .. ".")
    return conn
  end

  -- A member on a real client: bash, with its connection as descriptor 3.
  local function shell(script)
    return process.start { "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/" .. chat.port .. "; " .. script }
  end

  it("tells everybody what one says, and that one not", function()
    local ann, bob = join "ann", join "bob"
    expect(ann, "* bob has joined")
    local cid = join "cid"
    expect(ann, "* cid has joined")
    expect(bob, "* cid has joined")
    say(ann, "hello")
    expect(bob, "ann: hello")
    expect(cid, "ann: hello")
    say(bob, "hi, ann")
    expect(ann, "bob: hi, ann")
    expect(cid, "bob: hi, ann")
  end)

  it("talks to a real client", function()
    local ann = join "ann"
    local bob = shell [[read -r line <&3; echo "$line"; printf 'bob\nhello from a shell\n' >&3; head -n 2 <&3]]
    expect(ann, "* bob has joined", "bob: hello from a shell")
    say(ann, "hello, shell")
    local status, out, err = bob:wait()
    assert.same({ 0, "Here: ann. Your name?\nWelcome, bob.\nann: hello, shell\n", "" }, { status, out, err })
    expect(ann, "* bob has left")
  end)

  it("says who is there, and who leaves", function()
    local ann, bob = join "ann", join "bob"
    expect(ann, "* bob has joined")
    expect(dial(), "Here: ann, bob. Your name?")
    bob:close()
    expect(ann, "* bob has left")
    expect(dial(), "Here: ann. Your name?")
    ann:close()
  end)

  it("gives a member who has stopped talking what was said before", function()
    local ann, bob = join "ann", join "bob"
    say(bob, "good-bye")
    bob:close_write()
    expect(ann, "* bob has joined", "bob: good-bye", "* bob has left")
    assert.same({ nil, "eof" }, { bob:read_line() })
  end)

  it("asks again for a name that is taken or is none, and gives up", function()
    join "ann"
    local other = dial()
    expect(other, "Here: ann. Your name?")
    say(other, "ann")
    expect(other, "The name ann is taken. Your name?")
    say(other, "two words")
    expect(other, "A name is 1 to 20 letters, digits, - and _. Your name?")
    say(other, "")
    expect(other, "A name is 1 to 20 letters, digits, - and _. Your name?")
    assert.same({ nil, "eof" }, { other:read_line() })
  end)

  it("lets a name be taken again once its member has left", function()
    local ann, bob = join "ann", join "bob"
    bob:close()
    expect(ann, "* bob has joined", "* bob has left")
    join "bob"
    expect(ann, "* bob has joined")
  end)

  it("passes no control characters on, and no empty lines", function()
    local ann, bob = join "ann", join "bob"
    say(bob, "\27[2Jcleared\a")
    say(bob, "\r")
    say(bob, "that was all")
    expect(ann, "* bob has joined", "bob: [2Jcleared", "bob: that was all")
  end)

  it("ends who sends a line without an end", function()
    local ann, bob = join "ann", join "bob"
    bob:write(("x"):rep(5000))
    expect(ann, "* bob has joined", "* bob has left")
  end)

  -- Says lines until stop() is true, and never more than a mailbox holds ahead of those who listen: who is slow is not
  -- left to the machine. -> how many
  local function talk(conn, stop, heard)
    local n, filler = 0, ("."):rep(900)
    while n < MOST_LINES and not stop() do
      while n - heard() >= AHEAD and not stop() do moonpark.sleep(0.0005) end
      n = n + 1
      say(conn, n .. " " .. filler)
    end
    return n
  end

  -- Reads the talker's lines, checks that none is missing, calls hears(n) for each, and left() when the slow one is
  -- told to have left.
  local function follow(conn, hears, left)
    local expected = 1
    for line in conn:lines() do
      if line == "* slow has left" then
        left()
      elseif line == "ann: done" then
        return expected - 1
      else
        if tonumber(line:match "^ann: (%d+) %.+$") ~= expected then
          error(("line %d expected, got: %s"):format(expected, line:sub(1, 60)), 0)
        end
        hears(expected)
        expected = expected + 1
      end
    end
    error("disconnected after line " .. expected - 1, 0)
  end

  it("disconnects who does not read, and nobody else misses a line", function()
    local ann, bob = join "ann", join "bob"
    local slow = join "slow"
    expect(ann, "* bob has joined", "* slow has joined")
    expect(bob, "* slow has joined")
    slow:setoption("rcvbuf", 4096)
    local gone, last = false, 0
    local follower = moonpark.go(follow, bob, function(n) last = n end, function() gone = true end)
    local function is_over() return gone or follower:status() ~= "parked" and follower:status() ~= "ready" end
    local said = talk(ann, is_over, function() return last end)
    say(ann, "done")
    local ok, heard = follower:join()
    assert.is_true(ok, heard)
    assert.is_true(gone)
    assert.equal(said, heard)
    expect(ann, "* slow has left")
  end)
end)
