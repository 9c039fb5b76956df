-- SPDX-License-Identifier: MIT
-- support/run.lua - runs spec files and other checks one after another, and counts. The Makefile calls it:
--
--   run.lua specs NAME COMMAND... -- FILE...   busted on each file, in a process of its own: NAME says in which
--                                              build, COMMAND is what runs a Lua script there
--   run.lua check NAME COMMAND...              a command that must exit with 0: counts as one
--   run.lua sum                                adds up all that ran since the last sum: "N passed, N failed"
--
-- Files share the processors with others, and a few tests have failed for that alone. So `sum` runs a file that failed
-- once more, alone, if it is one of a few: what passes then counts as passed, and is named UNSTEADY. That is a fault,
-- too, in the test or in what it tests; the first failure's report stands where it happened.
--
-- Only what was seen to pass counts as passed. A process that crashes, hangs, ends without a word or runs no test
-- is a failure, whatever its status. `specs` and `check` exit with 0 so that the next part runs; `sum` exits with 1
-- where anything failed.

local RUN = assert(os.getenv "MOONPARK_RUN", "MOONPARK_RUN is not set: where this run keeps its files")
local RESULTS = RUN .. ".results" -- a line for each part: passed, failed, pending, and its name
local TALLY = RUN .. ".tally-"    -- and a spec file's name: of one that runs now
local OUTPUT = RUN .. ".output"   -- of the check that runs now
local AGAIN = RUN .. ".again"     -- a line of Lua for each file that failed: what ran it
local AGAIN_MOST = 10             -- files that are run again; more have not failed by chance
local LIMIT = tonumber(os.getenv "SPEC_LIMIT") or 120 -- seconds a spec file may take

-- In the foreground, so that Ctrl-C reaches it. A test has a minute: the ten seconds of moonpark.testing are for people
-- who wait, and a machine that does something else as well takes them away.
local BUSTED = "MOONPARK_TEST_TIMEOUT=${MOONPARK_TEST_TIMEOUT:-60} MOONPARK_TALLY=%s timeout --foreground -k 10 %d "
  .. "%s /usr/bin/busted --helper=moonpark.testing --output=spec/support/tally.lua %s </dev/null"

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function quote_all(words)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = quote(word) end
  return table.concat(quoted, " ")
end

local function read(path)
  local file = io.open(path)
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text
end

os.execute("mkdir -p " .. quote(RUN:match("^(.*)/") or ".")) -- a new clone has no build yet

-- The status of a shell command; a signal's is 128 and its number. Interrupted, this program ends too.
local function execute(command)
  local raw = os.execute(command)
  local status = raw % 256 == 0 and raw / 256 or 128 + raw % 128
  if status == 130 then os.exit(status) end
  return status
end

local function append(path, text)
  local file = assert(io.open(path, "a"))
  file:write(text)
  file:close()
end

local function record(name, passed, failed, pending)
  append(RESULTS, ("%d %d %d %s\n"):format(passed, failed, pending, name))
end

---------------------------------------------------------------------------------------------------
-- specs

local counts = { success = "passed", failure = "failed", error = "failed", pending = "pending" }

-- What the tally says: counts, the test that was running when it stopped, and whether it came to its end.
local function read_tally(text)
  local seen = { passed = 0, failed = 0, pending = 0, ended = false, running = nil }
  for what, name in text:gmatch("(%w+)\t([^\n]*)\n") do
    local kind = counts[what]
    if kind then
      seen[kind] = seen[kind] + 1
      if name == seen.running then seen.running = nil end
    end
    if what == "start" then seen.running = name end
    seen.ended = what == "end"
  end
  return seen
end

-- Why a file failed as a whole, or nil.
local function complaint(seen, status, limit)
  if status == 124 then return ("still running after %d s"):format(limit) end
  if status > 128 then return ("ended by signal %d"):format(status - 128) end
  if not seen.ended then return ("ended early with status %d"):format(status) end
  if status ~= 0 and seen.failed == 0 then return ("status %d, though no test failed"):format(status) end
  if seen.passed + seen.failed + seen.pending == 0 then return "no test ran" end
end

-- A file in a process of its own. -> { passed =, failed =, pending = }
local function run_file(name, command, path, limit)
  io.stdout:write(("%-8s %-34s "):format(name, path))
  io.stdout:flush()
  local tally = TALLY .. path:gsub("[^%w]", "-") -- several files may run at once
  os.remove(tally)
  local began = os.time()
  local status = execute(BUSTED:format(quote(tally), limit, quote_all(command), quote(path)))
  local seen = read_tally(read(tally))
  os.remove(tally)
  local why = complaint(seen, status, limit)
  if why then
    seen.failed = seen.failed + 1
    print(("\nFAILED: %s %s: %s%s"):format(name, path, why, seen.running and ", in: " .. seen.running or ""))
  end
  print(("%4d passed%s%s  %d s"):format(seen.passed, seen.failed > 0 and (", %d failed"):format(seen.failed) or "",
    seen.pending > 0 and (", %d pending"):format(seen.pending) or "", os.time() - began))
  return seen
end

-- In one write: several files may fail at once.
local function remember(name, command, path)
  local words = {}
  for i, word in ipairs(command) do words[i] = ("%q"):format(word) end
  append(AGAIN, ("again { %q, %q, %d, { %s } }\n"):format(name, path, LIMIT, table.concat(words, ", ")))
end

local function specs(name, ...)
  local command, files = {}, {}
  local into = command
  for _, word in ipairs { ... } do
    if word == "--" then into = files else into[#into + 1] = word end
  end
  for _, path in ipairs(files) do
    local seen = run_file(name, command, path, LIMIT)
    record(name .. " " .. path, seen.passed, seen.failed, seen.pending)
    if seen.failed > 0 then remember(name, command, path) end
  end
  if #files == 0 then
    print(("%-8s FAILED: no spec files"):format(name))
    record(name, 0, 1, 0)
  end
end

---------------------------------------------------------------------------------------------------
-- checks and the sum

local function check(name, ...)
  io.stdout:write(("%-43s "):format(name))
  io.stdout:flush()
  local status = execute(("%s >%s 2>&1 </dev/null"):format(quote_all { ... }, quote(OUTPUT)))
  if status == 0 then
    print("   1 passed")
    return record(name, 1, 0, 0)
  end
  print(("FAILED with status %d:\n%s"):format(status, read(OUTPUT)))
  record(name, 0, 1, 0)
end

-- What failed beside others, alone: [name and path] = what was seen.
local function run_again()
  local files, seen = {}, {}
  local chunk = assert(loadstring(read(AGAIN)))
  setfenv(chunk, { again = function(file) files[#files + 1] = file end })()
  if #files > AGAIN_MOST then return seen end
  for _, file in ipairs(files) do
    local name, path, limit, command = unpack(file)
    print(("once more, alone: %s %s"):format(name, path))
    seen[name .. " " .. path] = run_file(name, command, path, limit)
  end
  return seen
end

local function sum()
  local passed, failed, pending = 0, 0, 0
  local alone = run_again()
  for p, f, q, name in read(RESULTS):gmatch("(%d+) (%d+) (%d+) ([^\n]*)\n") do
    local again = f ~= "0" and alone[name]
    if again and again.failed == 0 then
      print(("UNSTEADY: %s of %s failed beside others and passed alone"):format(f, name))
      p, f, q = again.passed, "0", again.pending
    end
    passed, failed, pending = passed + p, failed + f, pending + q
    if f ~= "0" then print(("%s of %s failed"):format(f, name)) end
  end
  for _, path in ipairs { RESULTS, OUTPUT, AGAIN } do os.remove(path) end
  if passed + failed == 0 then failed = 1 end -- nothing ran
  if pending > 0 then print(("%d pending (not counted)"):format(pending)) end
  print(("%d passed, %d failed"):format(passed, failed))
  os.exit(failed == 0 and 0 or 1)
end

local parts = { specs = specs, check = check, sum = sum }
local part = parts[arg[1]] or error("specs, check or sum expected")
part(unpack(arg, 2))
