-- SPDX-License-Identifier: MIT
-- gather.lua - a body that comes in pieces as one text, with a limit.

--- Everything that source:read() still gives. If that fails, the bytes it gave are lost, and so must be the rest.
---@generic T
---@param source T
---@param max integer bytes at most
---@param refuse fun(source: T): nil, string is called once more has come, and its results are returned
---@param read? fun(source: T): string|nil, string?, integer? in place of its method
---@return string|nil
---@return string? err
---@return integer? errno
return function(source, max, refuse, read)
  read = read or source.read
  local pieces, total = {}, 0
  while true do
    local data, err, errno = read(source)
    if not data then
      if err ~= "eof" then return nil, err, errno end
      return table.concat(pieces)
    end
    total = total + #data
    if total > max then return refuse(source) end
    pieces[#pieces + 1] = data
  end
end
