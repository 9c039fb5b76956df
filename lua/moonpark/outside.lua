-- SPDX-License-Identifier: MIT
-- outside.lua - what pcall has caught, raised again at the line of who called the caller: a function of ours that
-- cannot leave the core to its caller by a tail call would else be named in its place.

--- To be called with what pcall returns, from the public function itself, and never as a tail call: it counts levels.
return function(ok, ...)
  if ok then return ... end
  local err = ...
  if type(err) == "string" then err = err:gsub("^[^\n:]*:%d+: ", "") end
  error(err, 3)
end
