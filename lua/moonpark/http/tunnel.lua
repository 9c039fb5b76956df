-- SPDX-License-Identifier: MIT
-- tunnel.lua - asks a proxy to connect to another address (CONNECT, RFC 9110 9.3.6).

local core = require "moonpark.core"

local M = {}

local HEAD_MAX = 65536 -- bytes of the proxy's answer

local function head_of(reader, tunnel)
  local fields = { "Host", tunnel.address }
  if tunnel.credentials then
    fields[#fields + 1] = "Proxy-Authorization"
    fields[#fields + 1] = tunnel.credentials
  end
  return reader:request("CONNECT", tunnel.address, fields)
end

-- The status of the answer, after those that are interim.
local function ask(conn, tunnel, deadline)
  local reader = core.http_reader()
  local ok, err, errno = conn:set_deadline(deadline)
  if ok then ok, err, errno = reader:begin(conn, head_of(reader, tunnel)) end
  if not ok then return nil, err, errno end
  local status
  status, err, errno = reader:head(conn, false, HEAD_MAX, false)
  if not status then return nil, err == "eof" and "unexpected eof" or err, errno end
  if status < 200 or status >= 300 then return nil, ("proxy answered %d"):format(status) end
  ok, err, errno = conn:set_deadline(nil)
  return ok, err, errno
end

--- Makes the connection to a proxy a tunnel. If that fails it is closed.
---@param conn moonpark.connection
---@param tunnel {address: string, credentials: string|nil}
---@param deadline number
---@return moonpark.connection|nil
---@return string? err "proxy answered 407", "timeout", ...
---@return integer? errno
function M.open(conn, tunnel, deadline)
  local ok, err, errno = ask(conn, tunnel, deadline)
  if ok then return conn end
  conn:close()
  return nil, err, errno
end

return M
