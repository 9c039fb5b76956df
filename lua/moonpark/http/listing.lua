-- SPDX-License-Identifier: MIT
-- listing.lua - the content of a folder as a page. File names may hold anything: all of them are
-- escaped, in the text and in the link.

local url = require "moonpark.url"

local M = {}

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- Text for HTML, in elements and in quoted attributes.
---@param text string
---@return string
function M.escape(text) return (text:gsub("[&<>\"']", entities)) end

local PAGE = [[
<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>%s</title>
</head>
<body>
<h1>%s</h1>
<ul>
%s</ul>
</body>
</html>
]]

-- With "./" in front a name like "a:b" is not taken for a scheme.
local function line_of(entry)
  local slash = entry.type == "directory" and "/" or ""
  return ('<li><a href="./%s%s">%s%s</a></li>\n'):format(url.encode(entry.name), slash, M.escape(entry.name), slash)
end

--- The page. Folders come first, then everything else, each in the order of their names.
---@param path string the folder's, as the client knows it
---@param entries {name: string, type: string|nil}[]
---@return string html
function M.page(path, entries)
  local lines = {}
  if path ~= "/" then lines[1] = '<li><a href="../">../</a></li>\n' end
  for _, folders in ipairs { true, false } do
    for _, entry in ipairs(entries) do
      if (entry.type == "directory") == folders then lines[#lines + 1] = line_of(entry) end
    end
  end
  local title = M.escape(path)
  return PAGE:format(title, title, table.concat(lines))
end

return M
