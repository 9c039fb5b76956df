-- SPDX-License-Identifier: MIT
-- test_server.lua - the program behind the test server of specs (spec.lua): serves the application of this folder, and
-- on a second port runs Lua code that the specs send. It ends when its standard input does.

local http = require "moonpark.http"
local netpoll = require "moonpark.netpoll"
local task = require "moonpark.task"

local M = {}

-- Runs the request's body, and answers with what that prints.
local function run_code()
  local ngx = require("moonpark.ngx").ngx
  local lines, before = {}, print
  print = function(...) -- luacheck: ignore 121
    local values = { ... }
    for i = 1, select("#", ...) do values[i] = tostring(values[i]) end
    lines[#lines + 1] = table.concat(values, "\t")
  end
  ngx.req.read_body()
  local chunk, err = loadstring(ngx.req.get_body_data() or "")
  local ok = chunk ~= nil
  if chunk then ok, err = pcall(chunk) end
  print = before -- luacheck: ignore 121
  if not ok then
    ngx.status = 500
    lines[#lines + 1] = tostring(err)
  end
  ngx.print(table.concat(lines, "\n"))
end

local function serve(handler, name)
  local address = ("127.0.0.1:%d"):format(os.getenv(name))
  local ok, err = http.serve(handler, { address = address })
  if not ok then
    io.stderr:write(("moonpark: lapis: cannot listen on %s: %s\n"):format(address, err))
    os.exit(1)
  end
end

local function end_with_input()
  local pd = assert(netpoll.open(0))
  pd:wait_level "r"
  os.exit(0)
end

--- Returns never. MOONPARK_LAPIS_PORT and MOONPARK_LAPIS_RUN_PORT say where it listens.
---@param application fun(): moonpark.http.router|nil, string? the face's
function M.run(application)
  task.run(function()
    task.go(end_with_input):name "standard input"
    local router, err = application()
    if not router then
      io.stderr:write("moonpark: lapis: ", err, "\n")
      os.exit(1)
    end
    task.go(serve, router, "MOONPARK_LAPIS_PORT")
    serve(http.ngx(run_code), "MOONPARK_LAPIS_RUN_PORT")
  end)
end

return M
