-- SPDX-License-Identifier: MIT
-- ahead.lua - what a socket has received ahead of what it was asked for. tcp_spec.lua runs this script as it runs
-- behaviours.lua.

local tell = dofile(arg[0]:match "^(.*/)" .. "tell.lua")
local calls = tell.calls

if arg[1] == "façade" then require("moonpark.compat").install "socket" end

local socket = require "socket"

local server = assert(socket.bind("127.0.0.1", 0))
local client = assert(socket.connect("127.0.0.1", (select(2, server:getsockname()))))
local peer = assert(server:accept())

calls("peer", peer, { { "send", "abc\ndef" } })
calls("client", client, { { "dirty" }, { "receive", "*l" }, { "dirty" }, { "receive", 2 }, { "dirty" },
  { "receive", 1 }, { "dirty" } })
for _, one in ipairs { client, peer, server } do one:close() end
