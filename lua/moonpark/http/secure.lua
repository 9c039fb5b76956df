-- SPDX-License-Identifier: MIT
-- secure.lua - middleware: fields that make browsers careful. Each can be changed, or omitted with false; a handler's
-- own value takes precedence. Strict-Transport-Security goes only over TLS: browsers must ignore it otherwise (RFC 6797
-- 7.2), and a site that has no TLS yet must not promise it.

local before = require("moonpark.http.middleware").before
local http_fields = require "moonpark.http.fields"
local is_secure = require("moonpark.http.request").is_secure

local M = {}

local defaults = {
  ["X-Content-Type-Options"] = "nosniff",
  ["X-Frame-Options"] = "SAMEORIGIN",
  ["Referrer-Policy"] = "strict-origin-when-cross-origin",
  ["Cross-Origin-Opener-Policy"] = "same-origin",
  ["Strict-Transport-Security"] = "max-age=31536000",
  ["Content-Security-Policy"] = "default-src 'self'; object-src 'none'; base-uri 'self'; frame-ancestors 'self'",
}

local function check(fields)
  if fields == nil then return end
  if type(fields) ~= "table" then error("secure_headers: table of fields expected, got " .. type(fields), 3) end
  for name, value in pairs(fields) do
    if not http_fields.is_name(name) then
      error(("secure_headers: header name expected, got %q"):format(tostring(name)), 3)
    end
    if value ~= false and not http_fields.is_value(value) then
      error(("secure_headers: header '%s' must be a line of text, or false"):format(name), 3)
    end
  end
end

--- Sets such fields on every response; Strict-Transport-Security, of a year, on those over TLS. If something in front
--- does TLS, it should send that one.
---@param fields? table<string, string|false> more, others, or false for none of that name
---@return moonpark.http.middleware
function M.new(fields)
  check(fields)
  local all, names, strict = {}, {}
  for name, value in pairs(defaults) do all[name:lower()] = { name, value } end
  for name, value in pairs(fields or {}) do all[name:lower()] = { name, value } end
  strict, all["strict-transport-security"] = all["strict-transport-security"], nil
  for name, pair in pairs(all) do
    if pair[2] then names[#names + 1] = name end
  end
  table.sort(names)
  return before(function(req, res)
    for i = 1, #names do
      local pair = all[names[i]]
      res:set(pair[1], pair[2])
    end
    if strict[2] and is_secure(req) then res:set(strict[1], strict[2]) end
  end)
end

return M
