-- SPDX-License-Identifier: MIT
-- tcp.lua - the project that `moonpark init --tcp` writes: a server of lines. @NAME@ is its name.

local SERVER = [[
#!/usr/bin/env moonpark
-- @NAME@: answers each line with the same line in capitals.
--
--   moonpark server.lua [address]       127.0.0.1:7000 if none is given; port 0 picks a free one

local moonpark = require "moonpark"
local net = require "moonpark.net"
local systemd = require "moonpark.systemd"

local M = {}

-- A connection has a task of its own: what waits in here waits alone.
function M.handle(conn)
  for line in conn:lines() do
    if not conn:write(line:upper(), "\n") then return end
  end
end

-- The listener that systemd has opened for us, if it has, or our own.
local function listen(address)
  local sockets, err = net.inherited()
  if not sockets then return nil, err end
  if sockets[1] then return sockets[1] end
  return net.listen(address)
end

function M.main(address)
  local listener, err = listen(address)
  if not listener then
    io.stderr:write("@NAME@: cannot listen on ", address, ": ", err, "\n")
    os.exit(1)
  end
  print("listening on " .. listener:address())
  systemd.notify { ready = true, status = "listening on " .. listener:address() }
  moonpark.go(systemd.watch):name "watchdog"
  listener:serve(M.handle)
end

if ... == "server" then return M end -- the spec requires it
M.main(... or "127.0.0.1:7000")
]]

local SPEC = [[
local moonpark = require "moonpark"
local net = require "moonpark.net"
local server = require "server"

describe("@NAME@", function()
  local listener, serving

  before_each(function()
    listener = assert(net.listen "127.0.0.1:0")
    serving = moonpark.go(function() listener:serve(server.handle) end)
  end)

  after_each(function()
    listener:close()
    serving:join()
  end)

  it("answers each line in capitals", function()
    local conn = assert(net.dial(listener:address()))
    conn:write("hello\nworld\n")
    assert.equal("HELLO", conn:read_line())
    assert.equal("WORLD", conn:read_line())
    conn:close()
  end)

  it("serves many clients at once", function()
    local first = assert(net.dial(listener:address()))
    local second = assert(net.dial(listener:address()))
    second:write("second\n")
    assert.equal("SECOND", second:read_line())
    first:write("first\n")
    assert.equal("FIRST", first:read_line())
    first:close()
    second:close()
  end)
end)
]]

local README = [[
# @NAME@

A server on moonpark: it answers each line with the same line in capitals.

## Run

```
moonpark server.lua                 on 127.0.0.1:7000; Ctrl-C stops it
moonpark --watch server.lua         the same, started again when a file changes
nc 127.0.0.1 7000                   in another terminal: type a line
```

## Test

```
busted                              runs spec/
moonpark check server.lua           looks for mistakes without running it
```

## Deploy

```
moonpark init --deploy              writes units for systemd, a Dockerfile and a health check
moonpark --workers auto server.lua :7000
luarocks --lua-version 5.1 make     installs the command @NAME@
```
]]

return {
  files = {
    { path = "server.lua", text = SERVER },
    { path = "spec/server_spec.lua", text = SPEC },
  },
  readme = README,
  modules = "",
  steps = {
    "busted                  # its spec",
    "moonpark server.lua     # the server; Ctrl-C stops it",
    "nc 127.0.0.1 7000       # in another terminal: type a line",
  },
}
