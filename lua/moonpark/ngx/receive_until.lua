-- SPDX-License-Identifier: MIT
-- receive_until.lua - the iterators of receiveuntil: data up to a pattern, whole or in pieces of a size. What was
-- searched is not searched again, as long as nobody else has read.

local M = {}

local LONGEST = 2 ^ 52

-- The piece that follows finds the bytes as this one leaves them, if `reading` is still nil then.
local function ended(self, state)
  self.reading, self.iterator = nil, state
end

-- How many bytes at the end of `data` may begin the pattern.
local function begun(data, pattern)
  for n = math.min(#data, #pattern - 1), 1, -1 do
    if data:sub(-n) == pattern:sub(1, n) then return n end
  end
  return 0
end

-- A failure hands over what came, but for what may begin the pattern: after a timeout that is there for the next call.
local function failed(self, conn, state, err)
  self.reading, state.searched = false, 0
  local _, word, data = state.partial(self, conn, err)
  local n = begun(data, state.pattern)
  if n == 0 then return nil, word, data end
  if not self.read_closed and not conn:is_closed() then conn:unread(data:sub(-n)) end
  return nil, word, data:sub(1, -n - 1)
end

-- All up to the pattern.
local function whole(self, conn, state)
  local data, err = conn:read_until(state.pattern, LONGEST)
  if not data then return failed(self, conn, state, err) end
  self.reading = false
  return state.inclusive and data .. state.pattern or data
end

-- The pattern begins at `at`: a piece of what is before it; then the rest, which may be empty, and the pattern with it;
-- behind that comes nil.
local function up_to(self, conn, state, at, size)
  ended(self, state)
  if at >= size then
    state.searched = at - size
    return conn:read_exactly(size)
  end
  local data = conn:read_exactly(state.inclusive and at + #state.pattern or at)
  if not state.inclusive then conn:skip(#state.pattern) end
  state.over, state.searched = true, 0
  return data
end

-- What is received does not hold the pattern: where it may begin.
local function candidate(conn, pattern)
  local received = conn:buffered() or 0
  local n = math.min(received, #pattern - 1)
  if n == 0 then return received end
  return received - begun(conn:peek(n, received - n) or "", pattern)
end

-- At most size bytes. A piece leaves as soon as the pattern cannot begin in it.
local function piece(self, conn, state, size, searched)
  while true do
    local at = conn:find(state.pattern, searched)
    if at then return up_to(self, conn, state, at, size) end
    searched = candidate(conn, state.pattern)
    if searched >= size then
      ended(self, state)
      state.searched = searched - size
      return conn:read_exactly(size)
    end
    local ok, err = conn:fill((conn:buffered() or 0) + 1, LONGEST)
    if not ok then return failed(self, conn, state, err) end
  end
end

--- A reader for receive.lua: fn(socket, connection, size or nil) -> data | nil at the pattern's end | nil, err, partial
---@param pattern string
---@param inclusive boolean
---@param partial fun(socket, conn, err): nil, string, string
---@return function
function M.new(pattern, inclusive, partial)
  local state = { pattern = pattern, inclusive = inclusive, partial = partial, searched = 0, over = false }
  return function(self, conn, size)
    if state.over then
      state.over = false
      self.reading = false
      return nil, nil, nil
    end
    if not size then return whole(self, conn, state) end
    return piece(self, conn, state, size, self.iterator == state and state.searched or 0)
  end
end

return M
