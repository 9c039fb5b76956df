-- SPDX-License-Identifier: MIT
-- support/multipart.lua - multipart as others write and cut it, to hold our reader against.

local M = {}

--- The sections between the boundaries, as a reader finds them that goes by lines, whatever ends these (Python's email
--- does, PHP nearly): each line that begins with "--" and the boundary is one. And was the last one there?
--- nil where more follow the last one.
---@param text string
---@param boundary string
---@return string[]|nil sections each with its head, and with the line end in front of the next boundary
---@return boolean ended
function M.sections(text, boundary)
  local dash, sections, from, at, ended = "--" .. boundary, {}, nil, 1, false
  while at <= #text do
    local line_end = text:find("[\r\n]", at) or #text
    local next_line = line_end + (text:sub(line_end, line_end + 1) == "\r\n" and 2 or 1)
    if text:sub(at, at + #dash - 1) == dash then
      if ended then return nil, true end
      if from then sections[#sections + 1] = text:sub(from, at - 1) end
      ended = text:sub(at + #dash, at + #dash + 1) == "--"
      from = next_line
    end
    at = next_line
  end
  return sections, ended
end

--- The body of such a section; nil where its head does not end.
---@param section string
---@return string|nil
function M.body(section)
  local head_end = section:match("\r\n\r\n()")
  if not head_end then return nil end
  return section:sub(head_end, -3)
end

--- Does a line of the text begin with that boundary? The first one, too.
---@param text string
---@param boundary string
---@return boolean
function M.has_boundary(text, boundary)
  local dash = "--" .. boundary
  text = "\n" .. text
  return text:find("\n" .. dash, 1, true) ~= nil or text:find("\r" .. dash, 1, true) ~= nil
end

--- A body of those parts.
---@param parts {name: string, filename?: string, body: string, bare?: boolean}[] bare: there is none in front of the
--- next boundary, not even an empty one
---@param boundary string
---@return string
function M.write(parts, boundary)
  local out = {}
  for _, part in ipairs(parts) do
    out[#out + 1] = ('--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s'):format(boundary, part.name,
      part.filename and ('; filename="%s"'):format(part.filename) or "", part.bare and "" or part.body .. "\r\n")
  end
  return table.concat(out) .. "--" .. boundary .. "--\r\n"
end

return M
