-- SPDX-License-Identifier: MIT
-- outside.lua - raises an error that pcall caught again, at the line of the caller's caller. Otherwise the error would
-- name our own function, if that cannot call the core by a tail call.

--- Call it with pcall's results, from the public function itself, and never as a tail call: it counts levels.
return function(ok, ...)
  if ok then return ... end
  local err = ...
  if type(err) == "string" then err = err:gsub("^[^\n:]*:%d+: ", "") end
  error(err, 3)
end
