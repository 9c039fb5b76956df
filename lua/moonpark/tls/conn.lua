-- SPDX-License-Identifier: MIT
-- conn.lua - TLS over connections: for net.dial, for start_tls, and what can be asked about it.

local contexts = require "moonpark.tls.context"
local core = require "moonpark.core"
local options_of = require "moonpark.options"

local M = {}

--- For tables of options.
M.server = { function(value) return contexts.is(value, "server") end, "must be a context made by tls.server" }
M.client = { function(value) return type(value) == "boolean" or contexts.is(value, "client") end,
  "must be true or a context made by tls.client" }

--- The host in an address, whom the certificate must be for; nil if it has none.
---@param address string
---@return string|nil
function M.host(address)
  if address:find("^unix:") then return nil end
  local host = address:match("^%[(.-)%]:%d+$") or address:match("^(.*):[^:]*$")
  if host == "" then return "localhost" end
  return host and host:gsub("%%.*$", "")
end

-- TLS over conn, which is closed if that fails.
local function shake(conn, context, name, deadline, protocol)
  local ok, err, errno = core.tls_cover(conn, context.core, name, protocol and string.char(#protocol) .. protocol)
  if ok and deadline then ok, err, errno = conn:set_deadline(deadline) end
  if ok then ok, err, errno = core.handshake(conn) end
  if ok and deadline then ok, err, errno = conn:set_deadline(nil) end
  if ok then return conn end
  conn:close()
  return nil, err, errno
end

--- A client's TLS over a connection that was dialled.
---@param conn moonpark.connection
---@param context moonpark.tls_context|true
---@param name string|nil
---@param deadline number|nil
---@param protocol string|nil offered by ALPN if the context does not say what is
---@return moonpark.connection|nil
---@return string? err
---@return integer? errno
function M.secure(conn, context, name, deadline, protocol)
  local err
  if context == true then context, err = contexts.default() end
  if not context then
    conn:close()
    return nil, err
  end
  return shake(conn, context, name, deadline, protocol)
end

---@class moonpark.start_tls.options
---@field context moonpark.tls_context|true made by tls.server or tls.client; true: a client's
---@field server_name? string whom the certificate must be for; a client's needs it

local start_options = {
  context = { function(value) return contexts.is(value, "server") or M.client[1](value) end,
    "must be true or a context made by tls.server or tls.client" },
  server_name = "string",
}

--- Goes on in TLS, and shakes hands. Nothing may be read or written meanwhile, and no byte that was received may be
--- left: what came before TLS is not protected by it (CVE-2011-0411). If it fails, the connection is closed.
---@param conn moonpark.connection
---@param options moonpark.start_tls.options|moonpark.tls_context|true or the context alone
---@return true|nil
---@return string? err
---@return integer? errno
function M.start_tls(conn, options)
  if start_options.context[1](options) then options = { context = options } end
  options = options_of.check("start_tls", options, start_options, 2, 1)
  local context = options.context
  if not context then error("start_tls: option 'context' is needed", 2) end
  local serves = contexts.is(context, "server")
  if not serves and not options.server_name and not (context ~= true and context.options.insecure) then
    error("start_tls: option 'server_name' is needed: whom the certificate must be for", 2)
  end
  local ok, err, errno = M.secure(conn, context, options.server_name)
  return ok and true, err, errno
end

return M
