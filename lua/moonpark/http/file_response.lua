-- SPDX-License-Identifier: MIT
-- file_response.lua - res:file: a file as a response, or the part of it that the client does not have yet.
--
-- A plain request for a file costs open, fstat, one write of the head with the first bytes, and close.
-- Opening waits for a helper thread if the path is not in the kernel's caches. A file whose name does not tell its type
-- is looked at, once.

local core = require "moonpark.core"
local fs = require "moonpark.fs"
local http_conditions = require "moonpark.http.conditions"
local http_date = require "moonpark.http.date"
local http_fields = require "moonpark.http.fields"
local http_types = require "moonpark.http.types"
local check_options = require("moonpark.options").check
local raise_outside = require "moonpark.outside"

local M = {}

--- [exchange] = fn(text): where its server logs
---@type table<userdata, fun(text: string)>
M.logs = setmetatable({}, { __mode = "k" })

local function log(res, ...)
  local write = M.logs[res.x]
  if write then write(string.format(...)) end
end

---------------------------------------------------------------------------------------------------
-- finding

-- errno -> status; what is not here is our own trouble
local statuses = {
  [1] = 403,  -- EPERM
  [2] = 404,  -- ENOENT
  [13] = 403, -- EACCES
  [18] = 404, -- EXDEV: it leads out of the root
  [20] = 404, -- ENOTDIR
  [21] = 404, -- EISDIR
  [36] = 404, -- ENAMETOOLONG
  [40] = 404, -- ELOOP
}

--- The status that tells a client why a file could not be opened.
---@param err string
---@param errno integer|nil
---@return integer
function M.status_of(err, errno)
  if err == "not a regular file" then return 404 end
  return statuses[errno] or 503
end

---@class moonpark.http.file
---@field handle userdata
---@field size number
---@field modified number
---@field etag string
---@field coding string|nil

local function open(path, root)
  local handle, size, modified, etag = core.http_file(path, root)
  if not handle then return nil, size, modified end
  return { handle = handle, size = size, modified = modified, etag = etag }
end

local siblings = { { coding = "br", suffix = ".br" }, { coding = "gzip", suffix = ".gz" } }

-- The compressed file next to this one that the client prefers, unless it is older than this one.
local function open_sibling(plain, path, root, accepted)
  local weights = http_fields.weights(accepted)
  local best, best_weight = nil, 0
  for _, sibling in ipairs(siblings) do
    local weight = http_fields.coding_weight(weights, sibling.coding)
    local wanted = weight > best_weight and weight >= (weights.identity or 0)
    local file = wanted and open(path .. sibling.suffix, root)
    if file and file.modified >= plain.modified then
      if best then best.handle:close() end
      best, best_weight, file.coding = file, weight, sibling.coding
    elseif file then
      file.handle:close()
    end
  end
  return best
end

---------------------------------------------------------------------------------------------------
-- what is in a file whose name does not say it

local LOOKS_MAX = 1000
local looks, look_count = {}, 0 -- [etag .. path] = type: the same files are asked for again and again

local function first_bytes(file)
  local wanted = math.min(file.size, http_types.LOOKED_AT)
  if wanted == 0 then return "" end
  local peeked, fd = file.handle:peek(wanted)
  if peeked then return peeked end
  local opened = fs.open(("/proc/self/fd/%d"):format(fd)) -- by a thread: it waits for the disk
  if not opened then return nil end
  local bytes, err = opened:read_at(0, wanted)
  opened:close()
  return bytes or err == "eof" and "" or nil
end

-- The type by the first bytes. A file that cannot be looked at (no /proc) has the unknown one.
local function look(file, path)
  local key = file.etag .. path
  if looks[key] then return looks[key] end
  local bytes = first_bytes(file)
  if not bytes then return http_types.UNKNOWN end
  if look_count >= LOOKS_MAX then looks, look_count = {}, 0 end
  looks[key], look_count = http_types.of_bytes(bytes, #bytes >= file.size), look_count + 1
  return looks[key]
end

-- Browsers shall not guess anew what such a text might be.
local function type_of(res, file, path, given)
  local kind = given or http_types.of(path)
  if kind ~= http_types.UNKNOWN or given then return kind end
  res:set("X-Content-Type-Options", "nosniff")
  return look(file, path)
end

---------------------------------------------------------------------------------------------------
-- the head

local DATES_MAX = 1000
local dates, date_count = {}, 0

-- Dates of the same files are asked for again and again.
local function date_of(seconds)
  local text = dates[seconds]
  if text then return text end
  if date_count >= DATES_MAX then dates, date_count = {}, 0 end
  text = http_date.format(seconds)
  dates[seconds], date_count = text, date_count + 1
  return text
end

--- The value of a Content-Disposition field that has a file of that name saved (RFC 6266; 8187 for what is not ASCII).
---@param name string UTF-8
---@return string
function M.disposition(name)
  name = name:gsub("^.*[/\\]", ""):gsub("[%c\127]", "_")
  local plain = name:gsub("[\128-\255]+", "_"):gsub('["%%;]', "_")
  local text = ('attachment; filename="%s"'):format(plain)
  if plain == name then return text end
  return text .. "; filename*=UTF-8''" .. name:gsub("[^%w!#$&+%-.^_`|~]", function(c)
    return ("%%%02X"):format(c:byte())
  end)
end

-- What every answer about a file has, 304 too (RFC 9110 15.4.5). No file is newer than the answer (8.8.2.1).
local function set_validators(res, file, options)
  local fields = http_fields.of_response(res)
  http_fields.set(fields, "ETag", file.etag)
  http_fields.set(fields, "Last-Modified", date_of(math.min(file.modified, math.floor(core.time()))))
  if options.cache_control then http_fields.set(fields, "Cache-Control", options.cache_control) end
end

local function set_content(res, file, path, options)
  local fields = res.fields
  http_fields.set(fields, "Accept-Ranges", "bytes")
  if file.coding then http_fields.set(fields, "Content-Encoding", file.coding) end
  local download = options.download
  if download then
    http_fields.set(fields, "Content-Disposition", M.disposition(download == true and path or download))
  end
end

---------------------------------------------------------------------------------------------------
-- sending

-- Whoever waits for the rest of a file that has become shorter sees its connection end.
local function send_part(res, file, path, offset, length)
  local x, serial = res.x, res.serial
  local ok, err, errno = x:sendfile(serial, file.handle, offset, length)
  if ok == false then
    ok, err, errno = x:flush()
    if ok then ok, err, errno = x:sendfile(serial, file.handle, offset, length) end
  end
  if ok then return true end
  if err == "unexpected eof" then
    log(res, "%s became shorter while it was being sent; the connection was cut", path)
  end
  return nil, err, errno
end

local function begin(res, length)
  res:prepare()
  return res.x:begin(res.serial, res.status, length, res.type, res.fields)
end

local function send_whole(res, file, path)
  local ok, err, errno = begin(res, file.size)
  if not ok or file.size == 0 then return ok, err, errno end
  return send_part(res, file, path, 0, file.size)
end

local function content_range(range, size) return ("bytes %.0f-%.0f/%.0f"):format(range[1], range[2], size) end

local function send_range(res, file, path, range)
  res.status = 206
  res:set("Content-Range", content_range(range, file.size))
  local length = range[2] - range[1] + 1
  local ok, err, errno = begin(res, length)
  if not ok then return nil, err, errno end
  return send_part(res, file, path, range[1], length)
end

local boundaries = 0

local function new_boundary()
  boundaries = boundaries + 1
  return ("moonpark-%.0f-%d"):format(core.now() * 1e9 % 1e15, boundaries)
end

-- RFC 9110 14.6: multipart/byteranges. Each part's head goes with the bytes of the file behind it.
local function send_ranges(res, file, path, ranges)
  local boundary, kind = new_boundary(), res.type
  local heads, total, last = {}, 0, ("\r\n--%s--\r\n"):format(boundary)
  for i, range in ipairs(ranges) do
    local before = i > 1 and "\r\n" or ""
    heads[i] = ("%s--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n"):format(before, boundary, kind,
      content_range(range, file.size))
    total = total + #heads[i] + range[2] - range[1] + 1
  end
  res.status, res.type = 206, "multipart/byteranges; boundary=" .. boundary
  local x, serial = res.x, res.serial
  local ok, err, errno = begin(res, total + #last)
  for i, range in ipairs(ranges) do
    if ok then ok, err, errno = x:lead(serial, heads[i]) end
    if ok then ok, err, errno = send_part(res, file, path, range[1], range[2] - range[1] + 1) end
  end
  if not ok then return nil, err, errno end
  return x:lead(serial, last)
end

-- 304 and 412 have no body, 416 has no use for one.
local function refuse(res, status)
  res.status, res.type = status, nil
  return begin(res, 0)
end

local function send_asked(res, file, path, options)
  local req = res.request
  local asked = {
    if_match = req:header "if-match", if_unmodified_since = req:header "if-unmodified-since",
    if_none_match = req:header "if-none-match", if_modified_since = req:header "if-modified-since",
  }
  local status = http_conditions.check(asked, file.etag, file.modified)
  if status then return refuse(res, status) end
  set_content(res, file, path, options)
  local range = req.method == "GET" and req:header "range"
  if not range or not http_conditions.range_holds(req:header "if-range", file.etag, file.modified) then
    return send_whole(res, file, path)
  end
  local ranges = http_conditions.ranges(range, file.size)
  if ranges == "none" then
    res:set("Content-Range", ("bytes */%.0f"):format(file.size))
    return refuse(res, 416)
  end
  if not ranges then return send_whole(res, file, path) end
  if #ranges == 1 then return send_range(res, file, path, ranges[1]) end
  return send_ranges(res, file, path, ranges)
end

---------------------------------------------------------------------------------------------------

local known = { root = "string", type = "string", cache_control = "string", download = "boolean|string",
  precompressed = "boolean" }

--- Opens the file for this request: the path's, or a compressed one next to it.
---@param res moonpark.http.response gets its type, and the Vary field
---@param path string
---@param options table as file()'s
---@return moonpark.http.file|nil
---@return string? err
---@return integer? errno
function M.open(res, path, options)
  if res.x:phase(res.serial) ~= "unsent" then error("response has already begun", 0) end
  local file, err, errno = open(path, options.root)
  if not file then return nil, err, errno end
  local kind = type_of(res, file, path, res.type or options.type)
  res.type = kind
  if options.precompressed and res.status == 200 and http_types.is_compressible(kind) then
    res:vary "Accept-Encoding"
    local accepted = res.request:header "accept-encoding"
    local better = accepted and open_sibling(file, path, options.root, accepted)
    if better then
      file.handle:close()
      file = better
    end
  end
  return file
end

local function send(res, file, path, options)
  set_validators(res, file, options)
  res.transform = nil -- its bytes go from the file to the socket, and nobody sees them on their way
  local method = res.request.method
  if res.status == 200 and (method == "GET" or method == "HEAD") then return send_asked(res, file, path, options) end
  set_content(res, file, path, options)
  return send_whole(res, file, path)
end

--- Sends what M.open has opened, and closes it.
---@param res moonpark.http.response
---@param file moonpark.http.file
---@param path string
---@param options table
---@return true|nil
---@return string? err
---@return integer? errno
function M.send(res, file, path, options)
  if rawget(res, 1) then res[6] = true end -- see http/response.lua
  local ran, ok, err, errno = pcall(send, res, file, path, options)
  file.handle:close()
  if not ran then error(ok, 0) end
  if not ok then return nil, err, errno end
  return res.x:finish(res.serial)
end

--- Responds for a file that could not be opened: 404, 403, or 503 if the fault is ours, which is logged.
---@param res moonpark.http.response
---@param path string
---@param err string
---@param errno integer|nil
function M.fail(res, path, err, errno)
  local status = M.status_of(err, errno)
  if status == 503 and err ~= "canceled" then log(res, "cannot open %s: %s", path, err) end
  res.type = nil
  res:fail(status)
end

---@class moonpark.http.file_options
---@field root? string the path is one below this folder, and cannot lead out of it, by ".." and links neither
---@field type? string the Content-Type; else res.type, or what the extension says
---@field cache_control? string "public, max-age=3600", ...
---@field download? boolean|string the browser saves it, under this name
---@field precompressed? boolean clients that accept it get path.br or path.gz instead

--- Sends a file: Content-Type by its extension, ETag and Last-Modified, and as the request asks: 304, 412, a range,
--- several, 416. If it cannot be opened, the client gets 404, 403 or 503.
---@param self moonpark.http.response
---@param path string
---@param options? moonpark.http.file_options
---@return true|nil
---@return string? err "no such file or directory", "is a directory", "permission denied", "unexpected eof", ...
---@return integer? errno
function M.file(self, path, options)
  if type(path) ~= "string" then
    error(("bad argument #1 to 'file' (path expected, got %s)"):format(type(path)), 2)
  end
  if path:find("\0", 1, true) then error("bad argument #1 to 'file' (path contains a zero byte)", 2) end
  options = check_options("file", options, known)
  local failure, number = self.x:failure(self.serial)
  if failure then return nil, failure, number end -- whatever may have become of the file
  local file, err, errno = raise_outside(pcall(M.open, self, path, options))
  if not file then
    raise_outside(pcall(M.fail, self, path, err, errno))
    return nil, err, errno
  end
  local ok
  ok, err, errno = raise_outside(pcall(M.send, self, file, path, options))
  return ok, err, errno
end

return M
