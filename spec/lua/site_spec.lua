-- SPDX-License-Identifier: MIT
-- site_spec.lua - reports name the script's line, however long the paths are below which moonpark and the script lie.

local ffi = require "ffi"
local process = require "support.process"
local testing = require "moonpark.testing"

local BUSTED = arg and arg[0] or "/usr/bin/busted"

ffi.cdef [[
int site_spec_mkdir(const char *path, unsigned mode) __asm__("mkdir");
int site_spec_symlink(const char *target, const char *path) __asm__("symlink");
]]

-- A folder below base, with the library in it, whose path has n bytes.
local function folder_of(base, n)
  local path = base
  while #path < n do
    local left = n - #path - 1
    path = path .. "/" .. ("d"):rep(left > 100 and 50 or math.max(left, 1))
    assert(ffi.C.site_spec_mkdir(path, 448) == 0)
  end
  assert(ffi.C.site_spec_symlink(process.root .. "/lua/moonpark", path .. "/moonpark") == 0)
  return path
end

-- Runs that text as file `name` of the folder, with the library that lies there.
local function run(folder, name, text, words)
  local path = folder .. "/" .. name
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  words = words or { process.interpreter }
  words[#words + 1] = path
  local ran = process.run(words, { cwd = folder, env = {
    LUA_PATH = ("%s/?.lua;%s/?/init.lua;;"):format(folder, folder), MOONPARK_TRACE = false } })
  return ran, function(line) return path:gsub("%p", "%%%0") .. ":" .. line end
end

local server = [[
local moonpark, net = require "moonpark", require "moonpark.net"
local http = require "moonpark.http"

moonpark.run(function()
  local listener = assert(net.listen "127.0.0.1:0")
  local serving = moonpark.go(listener.serve, listener, function(conn) conn:read_line() end) -- line 6
  local conn = assert(net.dial(listener:address()))
  while not moonpark.dump():find("parked in read_line", 1, true) do moonpark.yield() end
  print((moonpark.dump():gsub("\n%s+", " ")))
  conn:close()
  serving:cancel()
  listener:close()
  local web = assert(http.server(function(_, res)
    res:set(nil) -- line 14
  end, { address = "127.0.0.1:0" }))
  moonpark.go(web.run, web)
  http.get("http://" .. web:address() .. "/")
  web:close()
  moonpark.go(function() error "line 19" end)
end)
print(pcall(moonpark.run, function() moonpark.chan():recv() end)) -- line 21
]]

local leaking = [[
local moonpark, net = require "moonpark", require "moonpark.net"
describe("a test", function()
  it("leaks", function()
    _G.kept = assert(net.listen "127.0.0.1:0") -- line 4
    _G.serving = moonpark.go(_G.kept.serve, _G.kept, function() end) -- line 5
  end)
end)
]]

describe("below a path of any length,", function()
  for _, n in ipairs { 50, 60, 96, 250 } do
    it(("%d bytes, the dump, errors of handlers and tasks, and deadlocks name the script's line"):format(n), function()
      local ran, place = run(folder_of(testing.tempdir(), n), "app.lua", server)
      assert.matches("parked in read_line on [^\n]- started by task 2 at " .. place(6) .. "\n", ran.out)
      assert.matches("error in the handler for GET /: [^\n]*app.lua:14: header name must be a string", ran.err)
      assert.matches("uncaught error in a task: [^\n]*line 19\n.-\nstarted at:\n\t" .. place(19) .. "\n", ran.err)
      assert.matches("false\tdeadlock: .- waits in recv[^\n]*\n    at [^\n]*app.lua:21: in function", ran.out)
    end)

    it(("%d bytes, a leak is said to come from the script's line"):format(n), function()
      local ran, place = run(folder_of(testing.tempdir(), n), "leaking.lua", leaking,
        { process.interpreter, BUSTED, "--helper=moonpark.testing", "-o", "plainTerminal" })
      assert.matches("opened at " .. place(4) .. "\n", ran.out)
      assert.matches("started at " .. place(5) .. "\n", ran.out)
    end)
  end
end)
