-- SPDX-License-Identifier: MIT
-- multipart.lua - the bytes are a body whose boundary is "b". In one piece, in two and a byte at a time it has the
-- same parts, or is refused for the same reason behind the same parts.

local multipart = require "moonpark.http_multipart"

-- A source that gives n bytes first, then as many a time.
local function source_of(bytes, first, step)
  local at = 1
  return function()
    if at > #bytes then return nil, "eof" end
    local piece = bytes:sub(at, at + (at == 1 and first or step) - 1)
    at = at + #piece
    return piece
  end
end

local function read_all(bytes, first, step)
  local list, failure = {}, nil
  local parts = multipart.parts(source_of(bytes, first, step), "b", { max_parts = 20, max_head = 300 },
    function(err) failure = err end)
  for part in parts do
    local data = part:body()
    assert(part.name and not (part.filename or ""):find "[/\\%c]", "a path as the name of a file")
    list[#list + 1] = { part.name, part.filename or false, part.type or false, data or false }
    if not data then break end
  end
  assert(#list <= 20, "more parts than allowed")
  return list, failure
end

local function same(a, b)
  assert(#a == #b, "another number of parts")
  for i = 1, #a do
    for k = 1, 4 do assert(a[i][k] == b[i][k], "another part") end
  end
end

return function(bytes)
  local whole, failure = read_all(bytes, #bytes + 1, 1)
  local function compare(first, step)
    local parts, why = read_all(bytes, first, step)
    assert(why == failure, ("%s, not %s"):format(tostring(why), tostring(failure)))
    same(whole, parts)
  end
  compare(1, 1)
  for cut = 2 + #bytes % 7, math.min(#bytes, 60), 7 do compare(cut, #bytes) end
end
