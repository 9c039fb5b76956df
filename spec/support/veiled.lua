-- SPDX-License-Identifier: MIT
-- support/veiled.lua - loaded before a spec file (luajit -lsupport.veiled), it veils every stream that is dialled or
-- accepted in this process: see veil.lua. So both ends of every connection that a spec makes by moonpark.net are, and
-- the specs of HTTP need not know.

local core = require "moonpark.core"
local veil = require "support.veil"

veil.manner.seed = tonumber(os.getenv "VEIL_SEED") or 1
veil.manner.odds, veil.manner.record = 6, 4096 -- megabytes pass in these specs

local dial, listen = core.dial, core.listen

local function veiled(conn, ...)
  if conn then assert(veil.one(conn, false)) end
  return conn, ...
end

function core.dial(...) return veiled(dial(...)) end

function core.listen(...)
  local listener, err, errno = listen(...)
  if listener then veil.listener(listener) end
  return listener, err, errno
end
