-- SPDX-License-Identifier: MIT
-- support/tls_wire.lua - TLS as bytes (RFC 8446): a client's first message with any extension in it, and records, for
-- what no library says.
--
--   wire.hello { name = "host.example" }         the message, good for TLS 1.3; or version = 2: for 1.2
--   wire.record(wire.HANDSHAKE, bytes)           one record; bytes may be empty
--   wire.records(bytes)                          what came, as a list of { type =, bytes = }
--   wire.alert(bytes)                            the description of the first plain alert in it, or nil

local M = { CHANGE_CIPHER = 20, ALERT = 21, HANDSHAKE = 22, DATA = 23 }

function M.u8(n) return string.char(n) end
function M.u16(n) return string.char(math.floor(n / 256), n % 256) end
local function u24(n) return string.char(math.floor(n / 65536)) .. M.u16(n % 65536) end

--- bytes with their length before them, in one byte, or two.
function M.short(bytes) return M.u8(#bytes) .. bytes end
function M.long(bytes) return M.u16(#bytes) .. bytes end

function M.record(kind, bytes, version) return M.u8(kind) .. M.u16(version or 0x0303) .. M.long(bytes) end
function M.extension(kind, bytes) return M.u16(kind) .. M.long(bytes) end

--- The extension with a list of one host name.
function M.server_name(name) return M.extension(0, M.long("\0" .. M.long(name))) end

--- The extension with these protocols.
function M.alpn(list)
  local names = {}
  for i, name in ipairs(list) do names[i] = M.short(name) end
  return M.extension(16, M.long(table.concat(names)))
end

local X25519, P256, P256_SHA256, RSA_SHA256 = "\0\29", "\0\23", "\4\3", "\8\4"
local SUITES = { [3] = "\x13\1", [2] = "\xc0\x2b\xc0\x2f" }

--- What a client begins with, without a record around it.
---@param options? {name?: string, alpn?: string[], version?: 2|3, extra?: string, suites?: string}
function M.hello(options)
  options = options or {}
  local version = options.version or 3
  local extensions = {
    M.extension(10, M.long(X25519 .. P256)), M.extension(13, M.long(P256_SHA256 .. RSA_SHA256)),
    M.extension(11, "\1\0"),
    options.name and M.server_name(options.name) or "", options.alpn and M.alpn(options.alpn) or "",
    version == 3 and M.extension(43, M.short "\3\4") or "",
    version == 3 and M.extension(51, M.long(X25519 .. M.long(("\9"):rep(32)))) or "",
    options.extra or "",
  }
  local body = "\3\3" .. ("r"):rep(32) .. M.short ""
    .. M.long(options.suites or SUITES[version]) .. M.short "\0" .. M.long(table.concat(extensions))
  return "\1" .. u24(#body) .. body
end

--- Records that are whole, and what is left of one that is not.
function M.records(bytes)
  local list, at = {}, 1
  while #bytes >= at + 4 do
    local kind, high, low = bytes:byte(at), bytes:byte(at + 3, at + 4)
    local n = high * 256 + low
    if #bytes < at + 4 + n then break end
    list[#list + 1] = { type = kind, bytes = bytes:sub(at + 5, at + 4 + n) }
    at = at + 5 + n
  end
  return list, bytes:sub(at)
end

function M.alert(bytes)
  for _, record in ipairs(M.records(bytes)) do
    if record.type == M.ALERT and #record.bytes == 2 then return record.bytes:byte(2) end
  end
end

return M
