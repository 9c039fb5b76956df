-- SPDX-License-Identifier: MIT
-- ssl.lua - sslhandshake and setclientcert of cosockets.

local call = require("moonpark.in_task").call
local tcp = require("moonpark.ngx.tcp").class
local tls = require "moonpark.tls"
local words = require "moonpark.ngx.words"

local contexts = {} -- [verify][the certificate's file, or ""] = a context: its sessions are resumed

local function context_of(verify, cert, key)
  local kind = verify and "verify" or "none"
  contexts[kind] = contexts[kind] or {}
  local name = (cert or "") .. "\0" .. (key or "")
  local found = contexts[kind][name]
  if not found then
    local err
    found, err = tls.client { insecure = not verify or nil, cert = cert, key = key }
    if not found then return nil, err end
    contexts[kind][name] = found
  end
  return found
end

-- As nginx words it.
local function explained(err)
  if err:find "is for .*, not " then return "certificate host mismatch" end
  if err == "unknown issuer" then return "20: unable to get local issuer certificate" end
  if err == "certificate has expired" then return "10: certificate has expired" end
  if err:find "^self%-signed" then return "18: self-signed certificate" end
  if err == "timeout" or err == "closed" or err == "canceled" then return err end
  if err == "eof" then return "closed" end
  return "handshake failed"
end

local function shake(self, context, name)
  local conn = self.conn
  conn:set_timeout(self.connect_timeout)
  local ok, err = conn:start_tls { context = context, server_name = name }
  if ok then ok, err = conn:handshake() end
  if not ok then
    self:close()
    return nil, explained(err)
  end
  conn:set_timeout(nil)
  return true
end

--- sslhandshake([session[, server name[, verify]]]) -> a session, or true where false was given | nil, err. Sessions
--- are kept with the server's name, so the one that is given only says whether one is wanted.
function tcp:sslhandshake(session, server_name, verify)
  if not self.conn then return nil, "closed" end
  if self.reading then return nil, "socket busy reading" end
  if self.writing then return nil, "socket busy writing" end
  if self.conn:tls() then return session ~= false and {} or true end
  if server_name ~= nil and type(server_name) ~= "string" then
    words.misuse(("bad argument #2 to 'sslhandshake' (string expected, got %s)"):format(type(server_name)))
  end
  local context, err = context_of(verify, self.cert, self.key)
  if not context then return nil, err end
  local ok, why = call(shake, self, context, server_name)
  if not ok then return nil, why end
  return session ~= false and {} or true
end

--- setclientcert(cert, key): files in PEM, for the next handshake.
function tcp:setclientcert(cert, key)
  self.cert, self.key = cert, key
  return true
end
