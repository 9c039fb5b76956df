-- SPDX-License-Identifier: MIT
-- The echo server on luv (libuv for Lua): a callback for each chunk that arrives.
--
-- usage: luajit echo_luv.lua [PORT [try]]; prints "listening PORT" on stdout when connections are welcome.
-- The answer goes out through a write request, as luv's manual shows it. With "try" it goes out through try_write,
-- which is the least that libuv can do, and only what that leaves over takes a request.

local uv = require "luv"

local BACKLOG = 4096

local function close(client)
  if not client:is_closing() then client:close() end
end

local function write(client, data)
  client:write(data, function(err)
    if err then close(client) end
  end)
end

local function try_write(client, data)
  local sent, _, code = client:try_write(data)
  if sent == #data then return end
  if not sent and code ~= "EAGAIN" then return close(client) end
  write(client, data:sub((sent or 0) + 1))
end

local answer = arg[2] == "try" and try_write or write

local function echo(client)
  client:nodelay(true)
  client:read_start(function(err, data)
    if err or not data then return close(client) end
    answer(client, data)
  end)
end

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", tonumber(arg[1]) or 0))
assert(server:listen(BACKLOG, function(err)
  assert(not err, err)
  local client = uv.new_tcp()
  assert(server:accept(client))
  echo(client)
end))
print("listening " .. server:getsockname().port)
io.stdout:flush()
uv.run()
