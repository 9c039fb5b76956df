-- SPDX-License-Identifier: MIT
-- pem.lua - certificates and keys as an option gives them: PEM itself, or the name of a file that holds it.

local M = {}

--- The PEM, and what to call it in messages; or nil and one line that says why there is none.
---@param value string PEM, or the path of a file
---@param option string the option's name, for PEM that is no file
---@return string|nil pem
---@return string name or the message
function M.read(value, option)
  if value:find("-----BEGIN", 1, true) then return value, option end
  return M.file(value)
end

--- What the file holds, and its name; or nil and one line that says why not.
---@param value string a path
---@return string|nil bytes
---@return string name or the message
function M.file(value)
  local file, err = io.open(value, "rb")
  local text
  if file then
    text, err = file:read("*a")
    file:close()
  end
  if text then return text, value end
  return nil, ("%s: %s"):format(value, (err or "cannot be read"):gsub("^.*: ", ""):lower())
end

return M
