-- SPDX-License-Identifier: MIT
-- listing.lua - what is in a folder, as a page: names in natural order, sizes and times.
--
-- A file may have any name, so every name is escaped, in the text and in the link.

local core = require "moonpark.core"
local fs = require "moonpark.fs"
local listing_page = require "moonpark.http.listing_page"
local url = require "moonpark.url"
local utf8 = require "moonpark.utf8"

local M = {}

local TURN = 500 -- rows that are made before other tasks run

---------------------------------------------------------------------------------------------------
-- what is there

-- A link is shown as what it leads to, if that is served.
local function followed(entry, place)
  local path, root = place.path .. entry.name, place.root
  local handle, size, modified = core.http_file(path, root)
  entry.type = "file"
  if not handle then
    handle = core.http_folder(path, root)
    entry.type, size, modified = "directory", nil, nil
  end
  if not handle then return nil end
  handle:close()
  entry.size, entry.mtime = size, modified or entry.mtime
  return entry
end

-- The entry as it is shown; nil: it is not served.
local function shown(entry, place)
  if not place.hidden and entry.name:sub(1, 1) == "." then return nil end
  if entry.type == "link" then return followed(entry, place) end
  return (entry.type == "file" or entry.type == "directory") and entry or nil
end

-- "a10" comes after "a9": a number is compared by its length first.
local function natural_key(name)
  return (name:lower():gsub("0*(%d+)", function(digits) return ("%03d%s"):format(#digits, digits) end))
end

local function before(a, b)
  if a.type ~= b.type then return a.type == "directory" end
  if a.key ~= b.key then return a.key < b.key end
  return a.name < b.name
end

---@class moonpark.http.listing.place
---@field path string of the folder, below the root: "" or "a/b/"
---@field root string|nil nothing outside of it is shown
---@field hidden boolean|nil names that begin with "." too

--- What is served of a folder, in its order.
---@param place moonpark.http.listing.place
---@return {name: string, type: "file"|"directory", size: number|nil, mtime: number|nil}[]|nil
---@return string? err
---@return integer? errno
function M.read(place)
  local handle, fd, errno = core.http_folder(place.root and place.path == "" and "." or place.path, place.root)
  if not handle then return nil, fd, errno end
  local entries, err
  entries, err, errno = fs.list("/proc/self/fd/" .. fd, { sizes = true })
  handle:close()
  if not entries then return nil, err, errno end
  local list = {}
  for _, entry in ipairs(entries) do
    entry = shown(entry, place)
    if entry then
      entry.key = natural_key(entry.name)
      list[#list + 1] = entry
    end
  end
  table.sort(list, before)
  return list
end

---------------------------------------------------------------------------------------------------
-- as HTML

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- What stands for control bytes: U+2400 and what follows it.
for byte = 0, 31 do entities[string.char(byte)] = "\226\144" .. string.char(128 + byte) end
entities["\127"] = "\226\144\161"

local function escape(text) return (utf8.mended(text):gsub("[%c\127&<>\"']", entities)) end

local units = { "kB", "MB", "GB", "TB", "PB" }

local function size_text(bytes)
  if bytes < 1000 then return ("%d B"):format(bytes) end
  local unit = 0
  repeat bytes, unit = bytes / 1000, unit + 1 until bytes < 999.5 or unit == #units
  return (bytes < 9.95 and "%.1f %s" or "%.0f %s"):format(bytes, units[unit])
end

-- With "./" before it a name like "a:b" is not taken for a scheme. No request for a control byte or a backslash is
-- answered, so there is no link.
local function name_cell(name, slash)
  local text = escape(name) .. slash
  if name:find "[%c\127\\]" then return text end
  return ('<a href="./%s%s">%s</a>'):format(url.encode(name), slash, text)
end

local function row_of(entry)
  local folder = entry.type == "directory"
  local size, time = not folder and entry.size, entry.mtime and math.floor(entry.mtime)
  return ('<tr class="%s"><td>%s</td>%s%s</tr>\n'):format(folder and "d" or "f",
    name_cell(entry.name, folder and "/" or ""),
    size and ('<td data-v="%.0f">%s</td>'):format(size, size_text(size)) or "<td></td>",
    time and ('<td data-v="%.0f">%s</td>'):format(time, os.date("!%Y-%m-%d %H:%M", time)) or "<td></td>")
end

-- The path's folders as links, each up to its place.
local function path_links(path)
  local names = {}
  for name in path:gmatch "[^/]+" do names[#names + 1] = name end
  local parts = { #names == 0 and "/" or ('<a href="./%s">/</a>'):format(("../"):rep(#names)) }
  for i, name in ipairs(names) do
    local up = ("../"):rep(#names - i)
    parts[#parts + 1] = i < #names and ('<a href="./%s">%s</a><i>/</i>'):format(up, escape(name)) or escape(name)
  end
  return table.concat(parts)
end

local function counted(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end

local function sum_of(entries)
  local folders, files, bytes = 0, 0, 0
  for _, entry in ipairs(entries) do
    if entry.type == "directory" then folders = folders + 1 else
      files, bytes = files + 1, bytes + (entry.size or 0)
    end
  end
  local parts = {}
  if folders > 0 then parts[#parts + 1] = counted(folders, "folder") end
  if files > 0 then parts[#parts + 1] = counted(files, "file") .. ", " .. size_text(bytes) end
  return #parts > 0 and table.concat(parts, ", ") or "empty"
end

--- The page of a folder.
---@param path string as the client knows it, decoded
---@param entries table[] from M.read
---@return string|nil
---@return string? err "canceled"
function M.page(path, entries)
  local rows = {}
  if path ~= "/" then rows[1] = '<tr class="up"><td colspan="3"><a href="../">Parent folder</a></td></tr>\n' end
  if #entries == 0 then rows[#rows + 1] = '<tr class="none"><td colspan="3">This folder is empty</td></tr>\n' end
  for i, entry in ipairs(entries) do
    rows[#rows + 1] = row_of(entry)
    if i % TURN == 0 then
      local ok, err = core.yield()
      if not ok then return nil, err end
    end
  end
  local title = escape(path)
  return listing_page.page { title = title, path = path_links(path), sum = sum_of(entries), rows = table.concat(rows) }
end

--- The Content-Security-Policy of such a page.
M.POLICY = listing_page.POLICY

return M
