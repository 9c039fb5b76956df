-- SPDX-License-Identifier: MIT
-- secure.lua - middleware: fields that make browsers careful. Each can be changed, or omitted with false; a handler's
-- own value takes precedence.

local M = {}

local defaults = {
  ["X-Content-Type-Options"] = "nosniff",
  ["X-Frame-Options"] = "SAMEORIGIN",
  ["Referrer-Policy"] = "strict-origin-when-cross-origin",
  ["Cross-Origin-Opener-Policy"] = "same-origin",
  ["Content-Security-Policy"] = "default-src 'self'; object-src 'none'; base-uri 'self'; frame-ancestors 'self'",
}

--- Sets such fields on every response. Strict-Transport-Security is not among them, as there is no TLS here: what does
--- TLS in front should send it.
---@param fields? table<string, string|false> more, others, or false for none of that name
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
function M.new(fields)
  local all, names = {}, {}
  for name, value in pairs(defaults) do all[name:lower()] = { name, value } end
  for name, value in pairs(fields or {}) do all[name:lower()] = { name, value } end
  for name, pair in pairs(all) do
    if pair[2] then names[#names + 1] = name end
  end
  table.sort(names)
  return function(_, res, next)
    for _, name in ipairs(names) do res:set(all[name][1], all[name][2]) end
    return next()
  end
end

return M
