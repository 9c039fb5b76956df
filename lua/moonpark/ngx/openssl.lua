-- SPDX-License-Identifier: MIT
-- openssl.lua - resty.openssl.ssl, as far as libraries ask it for the certificate of a cosocket's peer. The original
-- looks for OpenSSL's connection in nginx's memory.

local core = require "moonpark.core"
local ffi = require "ffi"
local words = require "moonpark.ngx.words"

local M = {}

local Certificate = {}
Certificate.__index = Certificate

function Certificate:to_PEM() return self.own:pem() end

function Certificate:get_signature_name() return self.own:getsignaturename() end

-- What is not there raises by its name.
local function absent(title)
  return function(_, name)
    if type(name) ~= "string" or name:find "^__" then return nil end
    words.misuse(("%s.%s is not there on moonpark"):format(title, name))
  end
end

setmetatable(Certificate, { __index = absent "resty.openssl.x509" })

local Connection = setmetatable({}, { __index = absent "resty.openssl.ssl" })
Connection.__index = Connection

--- The certificate that the peer has shown -> certificate | nil, err
function Connection:get_peer_certificate()
  local raw = not self.conn:is_closed() and core.tls_raw(self.conn)
  if not raw then return nil, "closed" end
  local own = require("moonpark.luasec.library").ssl.SSL_get1_peer_certificate(ffi.cast("void *", raw))
  if own == nil then return nil, "the peer has no certificate" end
  return setmetatable({ own = require("moonpark.luasec.x509").of(own) }, Certificate)
end

M.ssl = setmetatable({}, { __index = absent "resty.openssl.ssl" })

--- from_socket(cosocket) -> its TLS connection | nil, err
function M.ssl.from_socket(socket)
  local conn = type(socket) == "table" and socket.conn
  if not conn then return nil, "closed" end
  if not conn:tls() then return nil, "the socket has no TLS" end
  return setmetatable({ conn = conn }, Connection)
end

return M
