-- SPDX-License-Identifier: MIT
-- support/encrypted.lua - loaded before a spec file (luajit -lsupport.encrypted), it puts TLS over every stream that is
-- dialled or accepted in this process: as support/veiled.lua does with a veil.

local core = require "moonpark.core"
local tls = require "support.tls"

local server, client = tls.server(), tls.client()
local dial, listen = core.dial, core.listen

local function encrypted(conn, ...)
  if conn then assert(core.tls_cover(conn, client.core, "host.example")) end
  return conn, ...
end

function core.dial(...) return encrypted(dial(...)) end

function core.listen(...)
  local listener, err, errno = listen(...)
  if listener then core.tls_listen(listener, server.core) end
  return listener, err, errno
end
