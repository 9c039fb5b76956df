-- SPDX-License-Identifier: MIT
-- receive_until.lua - the iterators of receiveuntil: data up to a pattern, whole or in pieces of a size. What was
-- searched is not searched again.

local M = {}

local LONGEST = 2 ^ 52

-- All up to the pattern.
local function whole(self, conn, state)
  local data, err = conn:read_until(state.pattern, LONGEST)
  if not data then return state.failed(self, conn, err) end
  return state.inclusive and data .. state.pattern or data
end

-- The pattern begins at `at`: a piece of what is before it; then the rest, which may be empty, and the pattern with it;
-- behind that comes nil.
local function up_to(conn, state, at, size)
  if at >= size then
    state.searched = state.searched - size
    return conn:read_exactly(size)
  end
  local data = conn:read_exactly(state.inclusive and at + #state.pattern or at)
  if not state.inclusive then conn:skip(#state.pattern) end
  state.over, state.searched = true, 0
  return data
end

-- At most size bytes. A piece may leave once the pattern cannot begin in it.
local function piece(self, conn, state, size)
  if state.over then
    state.over = false
    return nil, nil, nil
  end
  while true do
    local at = conn:find(state.pattern, state.searched)
    if at then
      state.searched = at
      return up_to(conn, state, at, size)
    end
    local safe = (conn:buffered() or 0) - #state.pattern + 1
    state.searched = math.max(0, safe)
    if safe >= size then
      state.searched = state.searched - size
      return conn:read_exactly(size)
    end
    local ok, err = conn:fill(math.max(1, (conn:buffered() or 0) + 1), LONGEST)
    if not ok then
      state.searched = 0
      return state.failed(self, conn, err)
    end
  end
end

--- A reader for tcp.lua: fn(socket, connection, size or nil) -> data | nil at the pattern's end | nil, err, partial
---@param pattern string
---@param inclusive boolean
---@param failed fun(socket, conn, err): nil, string, string
---@return function
function M.new(pattern, inclusive, failed)
  local state = { pattern = pattern, inclusive = inclusive, failed = failed, searched = 0, over = false }
  return function(self, conn, size)
    if size and size > 0 then return piece(self, conn, state, size) end
    if state.over then
      state.over = false
      return nil, nil, nil
    end
    return whole(self, conn, state)
  end
end

return M
