-- SPDX-License-Identifier: MIT
-- life_files.lua - the stages of a life with files: each call of a helper thread may fail.

local core = require "moonpark.core"
local fs = require "moonpark.fs"
local moonpark = require "moonpark"
local life_expect = require "hard.life_expect"

local expect, expect_failure = life_expect.expect, life_expect.expect_failure

local function tree(folder)
  assert(fs.mkdir(folder .. "/b/c", { parents = true }))
  assert(fs.write(folder .. "/b/c/a", "12"))
  assert(fs.append(folder .. "/b/c/a", "3", { mode = "600" }))
  expect("123", fs.read(folder .. "/b/c/a"))
  assert(fs.write(folder .. "/b/a", "old"))
  local ok, err = fs.write(folder .. "/b/a", "new", { atomic = true })
  expect(ok and "new" or "old", fs.read(folder .. "/b/a"))
  assert(ok, err)
  expect(3, assert(fs.stat(folder .. "/b/a")).size)
  assert(fs.rename(folder .. "/b/a", folder .. "/b/d"))
  local list = assert(fs.list(folder .. "/b", { types = true }))
  expect("c directory d file", ("%s %s %s %s"):format(list[1].name, list[1].type, list[2].name, list[2].type))
  expect_failure("too long", fs.read(folder .. "/b/d", 2))
  assert(fs.remove(folder .. "/b/d"))
  assert(fs.remove(folder .. "/b", { recursive = true }))
  expect_failure("no such file or directory", fs.stat(folder .. "/b"))
end

local function file(folder)
  local f = assert(fs.open(folder .. "/f", "w+"))
  expect(2, f:write("ab"))
  expect(2, f:write_at(2, "cd"))
  expect(4, f:size())
  expect(0, f:seek("set", 0))
  expect("a", f:read(1))
  expect("bcd", f:read_at(1, 10))
  assert(f:sync())
  assert(f:close())
  expect_failure("closed", f:read())
end

local function watch(folder)
  local watcher = assert(fs.watch(folder, { events = { "created", "removed" } }))
  assert(fs.write(folder .. "/w", ""))
  local event, err = watcher:next(30)
  if not event then error(err, 0) end
  expect("created w", event.event .. " " .. event.name)
  expect_failure("timeout", watcher:next(0))
  watcher:close()
end

-- A job that nobody waits for any more ends nevertheless.
local function abandoned(folder)
  local task = moonpark.go(fs.open, folder .. "/f", "w")
  assert(moonpark.yield())
  task:cancel()
  local ok, opened, err = task:join()
  if ok and not opened and err ~= "canceled" then error(err, 0) end
  if ok and opened then opened:close() end
  while core.stats().jobs > 0 do assert(moonpark.sleep(0.0001)) end
end

local function files(given)
  local folder = given.folder .. "/files"
  fs.remove(folder, { recursive = true }) -- an earlier life may have kept it
  assert(fs.mkdir(folder))
  for _, stage in ipairs { tree, file, watch, abandoned } do stage(folder) end
  assert(fs.remove(folder, { recursive = true }))
end

return files
