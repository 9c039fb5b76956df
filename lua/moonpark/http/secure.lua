-- SPDX-License-Identifier: MIT
-- secure.lua - middleware: fields that make browsers careful. Each can be changed, or omitted with false; a handler's
-- own value takes precedence.

local before = require("moonpark.http.middleware").before
local http_fields = require "moonpark.http.fields"

local M = {}

local defaults = {
  ["X-Content-Type-Options"] = "nosniff",
  ["X-Frame-Options"] = "SAMEORIGIN",
  ["Referrer-Policy"] = "strict-origin-when-cross-origin",
  ["Cross-Origin-Opener-Policy"] = "same-origin",
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

--- Sets such fields on every response. Strict-Transport-Security is not among them, as there is no TLS here: what does
--- TLS in front should send it.
---@param fields? table<string, string|false> more, others, or false for none of that name
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
function M.new(fields)
  check(fields)
  local all, names = {}, {}
  for name, value in pairs(defaults) do all[name:lower()] = { name, value } end
  for name, value in pairs(fields or {}) do all[name:lower()] = { name, value } end
  for name, pair in pairs(all) do
    if pair[2] then names[#names + 1] = name end
  end
  table.sort(names)
  return before(function(_, res)
    for i = 1, #names do
      local pair = all[names[i]]
      res:set(pair[1], pair[2])
    end
  end)
end

return M
