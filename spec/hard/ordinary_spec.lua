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

testing.timeout(120)

-- File by file: parts of full names.
local left_out = {
  ["cli"] = {
    "SIGQUIT prints what every task is doing",              -- sight: it may come after a turn, which is one task
  },
  ["fault"] = {
    "resumed behind moonpark's back",                       -- pieces: its read has to wait here
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
  ["net/read"] = {
    "read_until without its delimiter keeps what came",     -- pieces
    "puts a CRLF together that comes in two pieces",        -- pieces, sight
    "wait_readable knows of bytes that are buffered",       -- pieces
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
  ["net/write"] = {
    "strings in one call, in their order",                  -- volume: a unix socket holds few pieces
    "of nothing at all tells the peer nothing",             -- sight
    "sends ten megabytes to a slow reader",                 -- volume, and so on
    "that the peer ends half-way",
    "that is cancelled half-way",
    "that we close half-way",
    "of one task is not mixed with another's",
    "wait_writable waits until something fits",
    "does not wait for a read of the same end",             -- pieces, and so on
    "an in-memory pair holds as many bytes in each direction",
  },
  ["testing"] = {
    "lets tasks of setup and before_each go on",            -- pieces, and so on
    "leaves a spec alone that requires moonpark.testing without the helper",
    "testing.pair hands out bytes in the chosen pieces",
    "testing.pair holds `capacity` bytes in each direction", -- sight
  },
  ["examples/kv"] = {
    "answers all requests of one read with one write",      -- pieces
    "takes values that are longer than any read",           -- volume
    "lets a client that does not read its answers wait alone", -- volume
    "a key that has expired",                               -- pieces
  },
}

-- Files that have nothing to say here: of the tree, not of the build; and short reads, of which there are none.
local whole = { ["floors"] = true, ["source"] = true, ["rock"] = true, ["net/short_read"] = true }

local function escaped(text) return (text:gsub("%p", "%%%0")) end

local function run(poller, file)
  local command = { process.interpreter, "/usr/bin/busted", "--helper=moonpark.testing", "--output=plainTerminal" }
  for _, name in ipairs(left_out[file] or {}) do command[#command + 1] = "--filter-out=" .. escaped(name) end
  command[#command + 1] = "spec/" .. file .. "_spec.lua"
  return process.run(command, { cwd = process.root, env = { MOONPARK_POLLER = poller } })
end

local function specs()
  local files = {}
  local list = assert(io.popen(("cd '%s/spec' && ls *_spec.lua net/*_spec.lua examples/*_spec.lua"):format(process.root)))
  for line in list:lines() do
    local file = line:match("^(.*)_spec%.lua$")
    if not whole[file] then files[#files + 1] = file end
  end
  list:close()
  return files
end

describe("in the hard build,", function()
  after_each(process.stop_all)

  it("what is left out exists", function()
    assert.is_table(core.hard, "MODE=hard is needed")
    -- TODO
  end)

  for _, poller in ipairs { "epoll", "poll" } do
    for _, file in ipairs(specs()) do
      it(("spec/%s_spec.lua passes over %s"):format(file, poller), function()
        local r = run(poller, file)
        assert.equal(0, r.status, r.out .. r.err)
        assert.is_true(tonumber(r.out:match("(%d+) success")) > 0)
      end)
    end
  end
end)
