-- SPDX-License-Identifier: MIT
-- support/form_model.lua - queries, forms and cookies by Lua's patterns: slow, short, and what the C core is compared
-- with.

local M = {}

--- The text decoded, or nil: a '%' without two hexadecimal digits.
function M.decode(text, plus)
  if text:gsub("%%%x%x", ""):find("%", 1, true) then return nil end
  if plus then text = text:gsub("%+", " ") end
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- {{name, value}, ...}; parts that cannot be decoded stay as they are.
function M.pairs(text)
  local list = {}
  for part in text:gmatch("[^&]+") do
    local name, value = part:match("^([^=]*)=?(.*)$")
    list[#list + 1] = { M.decode(name, true) or name, M.decode(value, true) or value }
  end
  return list
end

--- The last value of each name.
function M.values(text)
  local values = {}
  for _, pair in ipairs(M.pairs(text)) do values[pair[1]] = pair[2] end
  return values
end

--- The first value of each name of a Cookie field.
function M.cookies(text)
  local cookies = {}
  for part in text:gmatch("[^;]+") do
    local name, value = part:match("^%s*([^=%s]+)%s*=%s*(.*)$")
    if name and cookies[name] == nil then
      value = value:gsub("%s+$", "")
      cookies[name] = value:match('^"(.*)"$') or value
    end
  end
  return cookies
end

return M
