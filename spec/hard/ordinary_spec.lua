-- SPDX-License-Identifier: MIT
-- The ordinary specs once more, in the hard build: with buffers and budgets of 1, one byte a read and a write, and a
-- waiter woken for nothing in each turn, everything still does what it promises.
--
-- Left out, by name, is what says something that does not hold there. Three reasons:
--   pieces   it says what one read() or one write to the system brings: here that is one byte
--   volume   it moves so much that one byte at a time takes too long, or fills what the kernel holds for us
--   sight    it looks at a task's state, which a false wake changes for a moment

local core = require "moonpark.core"
local testing = require "moonpark.testing"
local process = require "support.process"

testing.timeout(600)

-- File by file: parts of full names.
local left_out = {
  ["cli"] = {
    "SIGQUIT and SIGUSR1",                                  -- sight: a turn is one task here
  },
  ["fault"] = {
    "resumed without moonpark's knowledge",                       -- pieces: its read has to wait here
  },
  ["http/server"] = {
    "pipelined requests leaves in one write",               -- pieces
    "are served by one worker",                             -- pieces: the server runs between two bytes
    "are all answered when the server shuts down",          -- pieces
    "streams to a client that reads slowly",                -- volume
  },
  ["http/limits"] = {
    "is cut off when a write takes longer",                 -- volume
    "whose answer was whole when its handler returned",     -- volume
  },
  ["http/body"] = {
    "is gone on with by a second loop",                     -- pieces
    "that comes in many chunks goes on after io_timeout",   -- volume: a byte at a time takes longer than that
  },
  ["http/request"] = {
    "while a string is made of its body",                   -- pieces: no string is long enough for a finalizer
  },
  ["lua/json"] = {
    "is not kept if it was much",                           -- volume: nothing is little enough to be kept
  },
  ["http/proxy_ways"] = {
    "to a client of HTTP/1.0",                              -- pieces: what was not sent yet goes with the reset
    "of a request's body, to the target",                   -- pieces
  },
  ["http/quiet"] = {
    "does not count the time of another handler",           -- pieces: its head is half there when the time passes
  },
  ["http/relaying"] = {
    "lets the target refuse the body unseen",               -- pieces
    "when the handler gives up waiting for it",
    "an upload that the client cuts off",
    "lets a target be silent while a body goes up",
  },
  ["ws/socket"] = {
    "a message may be received in pieces",                  -- pieces
  },
  ["ws/group"] = {
    "to all members but the one that is left out",          -- pieces: what one write does not take waits for a receive
    "drops what has no room",                               -- volume
  },
  ["http/time"] = {
    "however long nothing came before it",                  -- sight: a turn is one task here
  },
  ["http/clients"] = {
    "uploads in chunks, and with 100-continue",             -- volume, and so on
    "Node's fetch",
    "Python's http.client",
  },
  ["http/events"] = {
    "behind what is on its way to a client",                -- volume
  },
  ["http/cut"] = {
    "each call says why, and the client sees it",           -- volume, and so on
    "a task that was left behind still writes",
    "an event that had to wait for another one",
    "has one writer at a time",
  },
  ["http/client_upload"] = {
    "is no whole one for the server",                       -- volume
    "before its last chunk is written",                     -- pieces: the reset is met within it
  },
  ["http/https"] = {
    "sends a large file whole",                             -- volume
  },
  ["http/idle"] = {
    "leave in one write",                                   -- pieces
  },
  ["http/ending"] = {
    "flushes its answers does not tell of a head",          -- volume
  },
  ["http/slow"] = {
    "read their answers",                                   -- volume
    "slowly hold nobody up",                                -- time: the quick one is as slow there
    "a client that takes its time",                         -- volume
  },
  ["http/pool"] = {
    "are not kept where more has come than an answer",      -- pieces
  },
  ["net/address"] = {
    "an abstract unix name is nobody's file",               -- pieces
  },
  ["net/close"] = {
    "wins over data that came in the same turn",            -- pieces
    "by the peer comes after the data that it sent",        -- pieces
    "fails a parked write with closed",                     -- volume, and so on: a full pipe
    "fails a reader and a writer that are parked",
    "fails waits for readiness",
    "fails those who queue behind the first",
    "by the peer ends a parked write",
    "fails a write that is parked",
    "a reset by the peer ends a parked read and a parked write",
  },
  ["net/conn"] = {
    "carries a megabyte unchanged",                         -- volume
  },
  ["net/copy"] = {
    "that nobody reads",                                    -- volume
    "keeps its memory",                                     -- volume
  },
  ["net/layer"] = {
    "has received what nobody has read",                    -- pieces: nothing is read ahead
  },
  ["net/read"] = {
    "read_until without its delimiter keeps what came",     -- pieces
    "puts a CRLF together that comes in two pieces",        -- pieces, sight
    "wait_readable knows of bytes that are buffered",       -- pieces
  },
  ["net/sendfile"] = {
    "sends a large file unchanged",                         -- volume, and so on: see spec/hard/moving_spec.lua
    "is not mixed with another task's writes",
    "does not end the process by SIGPIPE",
    "goes on when it is closed meanwhile",
    "half-way,",
    "waits for its turn behind a write",
    "lets other tasks run after its share",
    "keeps its memory",
  },
  ["net/relay"] = {
    "does not give up on who reads slowly",                 -- volume, and so on
    "does not give up on who reads a splice slowly",
  },
  ["net/timeout"] = {
    "that comes while nobody reads fails a write",          -- volume
    "cleared again leaves a write waiting",                 -- volume
    "cleared again leaves a read waiting",                  -- sight, and so on
    "taken away from under a parked read",
    "moved away in the very turn in which it woke the reader",
    "limits the time in the queue behind another task",
    "does not touch an operation that is under way",
  },
  ["net/tls"] = {
    "carries a megabyte unchanged",                         -- volume, and so on: see spec/hard/tls_spec.lua
    "sends large writes and small pieces whole",
    "sends a file, and copies",
    "few of them go on in one turn",
    "says which end has come",                              -- a unix socket holds few pieces
    "refuses plain bytes that were received before it",     -- pieces: nothing is read ahead
  },
  ["net/tls_interop"] = {
    "talks to Python's ssl",                                -- volume
  },
  ["net/tls_cut"] = {
    "at whatever byte that is",                             -- volume
  },
  ["net/write"] = {
    "strings in one call, in their order",                  -- volume: a unix socket holds few pieces
    "of nothing at all tells the peer nothing",             -- sight
    "sends ten megabytes to a slow reader",                 -- volume, and so on
    "that the peer ends half-way",
    "that is cancelled half-way",
    "that we close half-way",
    "of one task is not mixed with another's",
    "wait_writable waits until something fits",
    "one write is one system call",                         -- pieces
    "does not wait for a read of the same end",             -- pieces, and so on
    "an in-memory pair holds as many bytes in each direction",
  },
  ["examples/upload"] = {
    "takes files from curl as they are",                    -- volume
  },
  ["examples/tail"] = {
    "tells a client that is too slow",                      -- volume
  },
  ["process"] = {
    "hands no connection over that holds bytes already",    -- pieces: nothing is read ahead
    "the dump names the keeper",                            -- sight
  },
  ["http/file_response"] = {
    "cuts the connection where the file becomes shorter",   -- volume, and so on
    "stops where the client leaves",
    "sends a large range unchanged",
  },
  ["examples/files"] = {
    "lets a running download finish after Ctrl-C",          -- volume
  },
  ["examples/pipeline"] = {
    "carries any bytes, however many",                      -- volume
  },
  ["examples/proxy"] = {
    "carries a megabyte unchanged",                         -- volume, and so on
    "lets ten tasks write against a short deadline",
    "lets a slow reader wait alone",
  },
  ["examples/kv"] = {
    "answers all requests of one read with one write",      -- pieces
    "takes values that are longer than any read",           -- volume
    "lets a client that does not read its answers wait alone", -- volume
    "refuses values that are too long together",            -- volume
    "stands redis-benchmark",                               -- volume
    "a key that has expired",                               -- pieces
  },
}

-- Whole files: about short reads, of which there are none here; and what a test
-- left behind, in words (sight).
local whole = { ["net/short_read"] = true, ["testing"] = true }

local function escaped(text) return (text:gsub("%p", "%%%0")) end

local function busted(file, poller, ...)
  local command = { process.interpreter, "/usr/bin/busted", "--helper=moonpark.testing", "--output=plainTerminal", ... }
  command[#command + 1] = "spec/" .. file .. "_spec.lua"
  return process.run(command, { cwd = process.root, env = { MOONPARK_POLLER = poller } })
end

local function run(file, poller)
  local options = {}
  for i, name in ipairs(left_out[file] or {}) do options[i] = "--filter-out=" .. escaped(name) end
  return busted(file, poller, unpack(options))
end

-- What sees the poller; all else runs over both in the release build, and takes minutes here.
local near = { "^loop/", "^net/accept$", "^net/close$", "^net/conn$", "^net/dial$", "^net/layer$", "^net/lost$",
  "^net/packet$", "^net/read$", "^net/short_read$", "^net/timeout$", "^net/write$", "^select$", "^task$" }

local function meets_the_poller(file)
  for _, pattern in ipairs(near) do
    if file:find(pattern) then return true end
  end
  return false
end

local function specs(poller)
  local files = {}
  local list = assert(io.popen(("cd '%s/spec' && find . -name '*_spec.lua' -not -path './hard/*' -not -path './tree/*' "
    .. "-printf '%%P\\n' | sort"):format(process.root)))
  for line in list:lines() do
    local file = line:match("^(.*)_spec%.lua$")
    if not whole[file] and (poller == "epoll" or meets_the_poller(file)) then files[#files + 1] = file end
  end
  list:close()
  return files
end

describe("in the hard build,", function()
  after_each(process.stop_all)

  it("what is left out exists", function()
    assert.is_table(core.hard, "MODE=hard is needed")
    for file, names in pairs(left_out) do
      local list = busted(file, "epoll", "--list").out
      for _, name in ipairs(names) do
        assert.is_truthy(list:find(name, 1, true), ("%s: no test is called '%s'"):format(file, name))
      end
    end
  end)

  for _, poller in ipairs { "epoll", "poll" } do
    for _, file in ipairs(specs(poller)) do
      it(("spec/%s_spec.lua passes over %s"):format(file, poller), function()
        local r = run(file, poller)
        assert.equal(0, r.status, r.out .. r.err)
        assert.is_true(tonumber(r.out:match("(%d+) success")) > 0)
      end)
    end
  end
end)
