-- SPDX-License-Identifier: MIT
-- words.lua - failures of TLS in OpenSSL's words, which LuaSec hands on.

local library = require "moonpark.luasec.library"

local M = {}

-- By the words that moonpark has for OpenSSL's.
local of_openssl = {
  ["no shared cipher"] = "no shared cipher", ["no client certificate"] = "peer did not return a certificate",
  ["unsupported version"] = "unsupported protocol", ["not TLS"] = "wrong version number",
  ["client certificate required"] = "tlsv13 alert certificate required",
  ["no shared protocol"] = "no application protocol", ["refused by the peer"] = "sslv3 alert handshake failure",
  ["the peer does not know our issuer"] = "tlsv1 alert unknown ca",
  ["the peer refused our certificate"] = "sslv3 alert bad certificate",
  ["the peer says our certificate has expired"] = "sslv3 alert certificate expired",
}

local function openssl(err)
  local words = err:match "^handshake failure: (.*)$" or err:match "^tls: (.*)$"
  return words and (of_openssl[words] or words)
end

--- Of a handshake that has failed.
---@param err string moonpark's word
---@param raw ffi.cdata*|nil OpenSSL's connection
---@return string
function M.of_handshake(err, errno, raw)
  if err == "closed" or err == "canceled" then return err end
  if raw and not errno and library.ssl.SSL_get_verify_result(raw) ~= 0 and not openssl(err) then
    return "certificate verify failed"
  end
  return M.of_bytes(err, errno)
end

--- Of a read or a write. A stream that ends without close_notify may have been cut: that is no "closed".
function M.of_bytes(err, errno)
  if err == "eof" then return "closed" end
  if err == "unexpected eof" then return "unexpected eof while reading" end
  if errno then return require("moonpark.luasocket.words").of(err, errno) end
  return openssl(err) or err
end

return M
