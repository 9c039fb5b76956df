-- SPDX-License-Identifier: MIT
-- multipart.lua - the bytes are a body whose boundary is "b", and the bodies of parts that are written.
--
-- However it is cut, it has the same parts, or is refused for the same reason behind the same parts. What is taken has
-- the parts that a reader finds which goes by lines. Parts that are written are read back as they were, and again when
-- what was read is written; but where a line of theirs begins with the boundary: that is another part, or refused.

local multipart = require "moonpark.http.multipart"
local support = require "support.multipart"

local CUTS = 12 -- that are tried of one body, evenly; of one that is a byte longer they are elsewhere
local MOST_PARTS, MOST_WRITTEN = 20, 4

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
  local parts = multipart.parts(source_of(bytes, first, step), "b", { max_parts = MOST_PARTS, max_head = 300 },
    function(err) failure = err end)
  for part in parts do
    local data = part:body()
    assert(part.name and not (part.filename or ""):find "[/\\%c]", "a path as the name of a file")
    list[#list + 1] = { name = part.name, filename = part.filename, type = part.type, body = data or false }
    if not data then break end
  end
  assert(#list <= MOST_PARTS, "more parts than allowed")
  return list, failure
end

local function same(a, b)
  assert(#a == #b, "another number of parts")
  for i = 1, #a do
    for _, what in ipairs { "name", "filename", "type", "body" } do
      assert(a[i][what] == b[i][what], "another " .. what .. " of a part")
    end
  end
end

-- The parts, and why they end; whatever pieces they come in.
local function read_in_pieces(bytes)
  local whole, failure = read_all(bytes, #bytes + 1, 1)
  local function compare(first, step)
    local parts, why = read_all(bytes, first, step)
    assert(why == failure, ("%s, not %s"):format(tostring(why), tostring(failure)))
    same(whole, parts)
  end
  compare(1, 1)
  local apart = math.ceil(#bytes / CUTS)
  for cut = 1 + #bytes % math.max(apart, 1), #bytes, apart do compare(cut, #bytes) end
  return whole, failure
end

-- What was taken, another reader must not take for something else.
local function cut_by_lines(bytes, parts)
  local sections, ended = support.sections(bytes, "b")
  assert(sections and ended, "others find no end, or more behind it")
  assert(#sections == #parts, "others find another number of parts")
  for i, section in ipairs(sections) do assert(support.body(section) == parts[i].body, "others find another body") end
end

-- Parts of the bytes: their bodies end with a zero byte. What begins with "f" is a file.
local function parts_of(bytes)
  local parts, clean = {}, true
  for body in (bytes .. "\0"):gmatch("(%Z*)%z") do
    local i = #parts + 1
    if i > MOST_WRITTEN then break end
    parts[i] = { name = "n" .. i, filename = body:sub(1, 1) == "f" and "file" or nil, body = body,
      bare = body == "" and i % 2 == 1 }
    clean = clean and not support.has_boundary(body, "b")
  end
  return parts, clean
end

local function write_and_read(bytes)
  local parts, clean = parts_of(bytes)
  local text = support.write(parts, "b")
  local found, failure = read_in_pieces(text)
  if not failure then cut_by_lines(text, found) end
  if not clean then return end
  assert(not failure, failure)
  same(parts, found)
  text = support.write(found, "b")
  same(parts, (read_all(text, #text + 1, 1)))
end

return function(bytes)
  local parts, failure = read_in_pieces(bytes)
  if not failure then cut_by_lines(bytes, parts) end
  write_and_read(bytes)
end
