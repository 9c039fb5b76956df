-- SPDX-License-Identifier: MIT
-- multipart.lua - multipart/form-data (RFC 7578, RFC 2046 5.1) as a stream: one part after another, each read in
-- pieces, never holding more than a piece and a boundary.
--
-- Strict: anything that two readers could split differently is refused. Every line that begins with "--" and the
-- boundary is a boundary line. It follows CR LF, never CR or LF alone, and has nothing else on it; none may be in a
-- part's head or follow the last one, which is required. A part has one Content-Disposition of form-data with one name.
-- Only blanks after a boundary, a preamble and an epilogue are skipped, as the RFC demands.

local http_fields = require "moonpark.http.fields"
local gather = require("moonpark.http.whole_body").gather
local check_bytes = require("moonpark.options").check_bytes
local url = require "moonpark.url"

local fs, task -- loaded when a part is saved first

local M = {}

local defaults = { max_parts = 1000, max_head = 8192, max_part = math.huge }
local PREAMBLE_MAX = 8192   -- bytes in front of the first boundary
local FIELD_MAX = 1048576   -- the default maximum of part:body()
local EPILOGUE_MAX = 65536  -- bytes after the last boundary
local BLANKS_MAX = 64       -- after a boundary

---------------------------------------------------------------------------------------------------
-- field values with parameters

local TOKEN = "[%w!#$%%&'*+%-.^_`|~]+"

-- The quoted text whose quote stands at `from`, and what follows it; nil if it has no end, or where readers that
-- know of no backslashes, or of \" alone, would end it elsewhere and find other parameters behind it.
-- Browsers write %22 for a quote in a name and leave backslashes alone (WHATWG), others write \": both are read as
-- they are meant; a lone backslash, as in a Windows path, stays.
local function quoted(text, from)
  local value, after = text:match('^"([^"\\]*)"()', from)
  if value then return value, after end
  local stop = from + 1
  while true do -- to the quote that no backslash hides
    stop = text:find('["\\]', stop)
    if not stop then return nil end
    if text:sub(stop, stop) == '"' then break end
    stop = stop + (text:find('^["\\]', stop + 1) and 2 or 1)
  end
  value = text:sub(from + 1, stop - 1)
  local escaped = value:find('\\"', 1, true)
  if value:sub(-1) == "\\" or escaped and value:find(";", escaped, true) then return nil end
  return value:gsub('\\(["\\])', "%1"), stop + 1
end

-- The parameters of a value, each `name=token` or `name="quoted"`. nil if it is anything else.
-- Goes on where it is, and copies no rest: a head may be full of parameters.
local function parameters(text)
  local found, at = {}, text:find("%S")
  while at do
    local name, from = text:match("^;%s*(" .. TOKEN .. ")=()", at)
    if not name then return nil end
    local value, after
    if text:sub(from, from) == '"' then value, after = quoted(text, from)
    else value, after = text:match("^(" .. TOKEN .. ")()", from) end
    name = name:lower()
    if not value or found[name] then return nil end
    found[name], at = value, text:find("%S", after)
  end
  return found
end

-- Is one of RFC 2231's and 8187's among them: `boundary*=`, `name*0=`? Some readers put it in the plain one's place.
local function has_extended(found)
  for name in pairs(found) do
    if name:find("*", 1, true) then return true end
  end
  return false
end

--- The boundary of a Content-Type of multipart/form-data; nil if it is another type or has none that is allowed.
---@param content_type string|nil
---@return string|nil
function M.boundary(content_type)
  local kind, rest = (content_type or ""):match("^%s*([^;%s]+)(.*)$")
  if not kind or kind:lower() ~= "multipart/form-data" then return nil end
  local found = parameters(rest)
  local boundary = found and not has_extended(found) and found.boundary
  -- RFC 2046: 1 to 70 of these, the last no blank
  if not boundary or boundary == "" or #boundary > 70 then return nil end
  if boundary:find("[^%w'()+_,%-./:=? ]") or boundary:find(" $") then return nil end
  return boundary
end

---------------------------------------------------------------------------------------------------
-- the stream: bytes that have come and are not taken yet

-- What a task is in the middle of cannot be read by another one: each would get a half of it.
local function check_reader(self)
  if self.is_read then error("another task is reading this body", 3) end
end

local function pull(self)
  self.is_read = true
  local ran, data, err, errno = pcall(self.source)
  self.is_read = false
  if not ran then error(data, 0) end
  return data, err, errno
end

-- One more piece. true; nil, "eof" at the body's end.
local function fill(self)
  local data, err, errno = pull(self)
  if data then
    self.held = self.held == "" and data or self.held .. data
    return true
  end
  self.errno = errno
  return nil, err
end

-- The body's end is a failure everywhere except after the last boundary.
local function fail(self, err)
  self.err = self.err or err == "eof" and "malformed multipart" or err
  if self.on_failure then self.on_failure(self.err) end
  return nil, self.err, self.errno
end

-- What follows a boundary: "next" part, "last", or nil and why. Takes its line, but the line end of the last one.
local function take_line(self)
  while true do
    local last, blanks_end = self.held:match("^(%-?%-?)[ \t]*()")
    if blanks_end > BLANKS_MAX then return nil, "malformed multipart" end
    local line_end = self.held:sub(blanks_end, blanks_end + 1)
    if line_end == "\r\n" and last ~= "-" then
      self.held = self.held:sub(last == "" and blanks_end + 2 or blanks_end)
      return last == "" and "next" or "last"
    end
    local may_become = last ~= "-" and (line_end == "" or line_end == "\r") or self.held == "-"
    if not may_become then return nil, "malformed multipart" end
    local ok, err = fill(self)
    if not ok then
      if err ~= "eof" or last ~= "--" or line_end ~= "" then return nil, err end
      self.held = ""
      return "last"
    end
  end
end

-- Where the line end in front of the first boundary is, and what follows the boundary; nil if there is none. false
-- in place of the latter where that line end is CR or LF alone.
local function find_boundary(self)
  local held = self.held
  local lf, cr = held:find(self.after_lf, 1, true), held:find(self.after_cr, 1, true)
  if cr and not (lf and lf < cr) then return cr, false end
  if not lf then return nil end
  if held:sub(lf - 1, lf - 1) ~= "\r" then return lf, false end
  return lf - 1, lf + #self.after_lf
end

-- How many of the bytes are the part's for certain, where no boundary is among them: the last line end and what follows
-- it may become one.
local function count_certain(held, dash)
  local n = #held
  local line_end, rest = held:match("()[\r\n]([^\r\n]*)$", math.max(1, n - #dash + 1))
  if not line_end or rest ~= dash:sub(1, #rest) then return n end
  return line_end - (held:sub(line_end - 1, line_end) == "\r\n" and 2 or 1)
end

-- The next 1..max bytes in front of a boundary; nil at one, which is taken, but not the rest of its line; nil and err
-- where there is neither. Where a head's empty line was read last (`at_line`), its line end is still the first that is
-- held: a boundary may follow at once, and else it is passed over.
local function take_bytes(self, max)
  while true do
    local from, after = find_boundary(self)
    local n = math.min(from and from - 1 or count_certain(self.held, self.dash), self.at_line and 2 or max)
    if n > 0 then
      local data = self.held:sub(1, n)
      self.held = self.held:sub(n + 1)
      if not self.at_line then return data end
      self.at_line = false
    elseif from then
      if not after then return nil, "malformed multipart" end
      self.held, self.at_line = self.held:sub(after), false
      return nil
    else
      local ok, err = fill(self)
      if not ok then return nil, err end
    end
  end
end

-- The next 1..max bytes of the part; nil at its end, nil and err if it is broken.
local function take(self, max)
  local data, err = take_bytes(self, max)
  if data or err then return data, err end
  self.state, err = take_line(self)
  return nil, err
end

---------------------------------------------------------------------------------------------------
-- heads of parts

local function add_field(headers, line)
  local name, value = line:match("^([%w!#$%%&'*+%-.^_`|~]+):(.*)$")
  if not name or value:find("[%z\1-\8\10-\31\127]") then return nil end
  name = name:lower()
  if headers[name] then return nil end
  headers[name] = http_fields.trim(value)
  return true
end

local function parse_head(self, text)
  local headers, dash = {}, self.dash
  for line in text:gmatch("(.-)\r\n") do
    if line:sub(1, #dash) == dash or not add_field(headers, line) then return nil end
  end
  return headers
end

-- Only its last part is a name: some clients send the path that the file has there.
local function bare_name(filename)
  return filename and filename:match("[^/\\]*$"):gsub("%c", "_")
end

-- RFC 7578 4.2 forbids filename*, but some clients add it beside filename: that is no matter while both are the same.
local function drop_same_name(found)
  local extended = found["filename*"]
  if not extended then return end
  local name = extended:match("^[uU][tT][fF]%-8'[^']*'(.*)$")
  if name and url.decode(name) == found.filename then found["filename*"] = nil end
end

-- RFC 7578 4.7: not to be used. These say that the bytes are what they are; of others some readers would decode them.
local plain_encodings = { ["7bit"] = true, ["8bit"] = true, binary = true }

local function describe(headers)
  local encoding = headers["content-transfer-encoding"]
  if encoding and not plain_encodings[encoding:lower()] then return nil end
  local kind, rest = (headers["content-disposition"] or ""):match("^([^;%s]+)(.*)$")
  local found = kind and kind:lower() == "form-data" and parameters(rest)
  if not found or not found.name then return nil end
  drop_same_name(found)
  if has_extended(found) then return nil end
  local name = found.name:gsub("%%22", '"'):gsub("%%0[dD]%%0[aA]", "\r\n")
  return name, found.filename and found.filename:gsub("%%22", '"') or nil
end

-- The lines up to the empty one, of which nothing but the line end stays: it may be that of a boundary.
local function take_head(self)
  local from = 1
  while true do
    if self.held:sub(1, 2) == "\r\n" then return nil, "malformed multipart" end
    local stop = self.held:find("\r\n\r\n", from, true)
    if stop and stop <= self.max_head then
      local text = self.held:sub(1, stop + 1)
      self.held, self.at_line = self.held:sub(stop + 2), true
      return text
    end
    if stop or #self.held > self.max_head + 4 then return nil, "part head too long" end
    from = math.max(1, #self.held - 2)
    local ok, err = fill(self)
    if not ok then return nil, err end
  end
end

---------------------------------------------------------------------------------------------------
-- parts

---@class moonpark.http.part
---@field name string
---@field filename string|nil as the client calls it, without a path; not to be trusted as the name of a file here
---@field type string|nil its Content-Type
---@field headers table<string, string> names in lower case
---@field size integer bytes that were read so far
local Part = {}
Part.__index = Part

--- Some of the part, as it comes.
---@param max? integer bytes at most; 65536
---@return string|nil data
---@return string? err "eof" at its end; "part too long", "malformed multipart", "part has already finished", ...
---@return integer? errno
function Part:read(max)
  local stream = self.stream
  check_bytes(max, 1)
  check_reader(stream)
  if stream.err then return nil, stream.err, stream.errno end
  if stream.part ~= self then return nil, "part has already finished" end
  if self.ended then return nil, "eof" end
  local data, err = take(stream, max or 65536)
  if err then return fail(stream, err) end
  if not data then
    self.ended = true
    return nil, "eof"
  end
  self.size = self.size + #data
  if self.size > stream.max_part then return fail(stream, "part too long") end
  return data
end

local function refuse_excess(self) return fail(self.stream, "part too long") end

--- What is left of the part.
---@param max? integer bytes at most; 1 MiB
---@return string|nil data
---@return string? err "part too long", ...; then the loop over the parts ends too
---@return integer? errno
function Part:body(max)
  check_bytes(max, 0)
  check_reader(self.stream)
  return gather(self, max or FIELD_MAX, refuse_excess)
end

local function copy_to(self, file, progress)
  while true do
    local data, err, errno = self:read()
    if not data then
      if err == "eof" then return true end
      return nil, err, errno
    end
    local ok, why, number = file:write(data)
    if not ok then return nil, why, number end
    if progress then progress(self.size) end
  end
end

--- Writes the rest of the part to a new file. An incomplete file is removed again.
---@param path string must not be there yet
---@param progress? fun(bytes: integer) called after each piece
---@return integer|nil bytes
---@return string? err
---@return integer? errno
function Part:save(path, progress)
  check_reader(self.stream)
  fs = fs or require "moonpark.fs"
  task = task or require "moonpark.task"
  -- shielded: a cancelled open may leave an unknown file behind
  local file, err, errno = task.shield(fs.open, path, "wx")
  if not file then return nil, err, errno end
  local called, ok
  called, ok, err, errno = pcall(copy_to, self, file, progress)
  local closed, close_err, close_errno = file:close()
  if called and ok and closed then return self.size end
  task.shield(fs.remove, path)
  if not called then error(ok, 0) end
  if ok then return nil, close_err, close_errno end
  return nil, err, errno
end

-- Skips the unread rest of the part.
local function skip(self)
  local part = self.part
  if not part or part.ended then return true end
  while true do
    local data, err = part:read()
    if not data then return err == "eof" or nil end
  end
end

-- In front of the first boundary may stand lines that mean nothing.
local function take_preamble(self)
  self.held, self.at_line = "\r\n", true -- the body may begin with a boundary
  local passed = 0
  while true do
    local data, err = take(self, 65536)
    if err then return nil, err end
    if not data then return true end
    passed = passed + #data
    if passed > PREAMBLE_MAX then return nil, "malformed multipart" end
  end
end

-- Behind the last boundary may stand lines that mean nothing, but no boundary: some readers continue there.
local function take_epilogue(self)
  local passed = 0
  while passed <= EPILOGUE_MAX do
    local data, err = take_bytes(self, 65536)
    if err == "eof" then return true end
    if not data then return nil, err or "malformed multipart" end
    passed = passed + #data
  end
  return nil, "malformed multipart"
end

local function begin_part(self)
  self.count = self.count + 1
  if self.count > self.max_parts then return fail(self, "too many parts") end
  local text, err = take_head(self)
  if not text then return fail(self, err) end
  local headers = parse_head(self, text)
  if not headers then return fail(self, "malformed multipart") end
  local name, filename = describe(headers)
  if not name then return fail(self, "malformed multipart") end
  return setmetatable({ name = name, filename = bare_name(filename), type = headers["content-type"],
    headers = headers, size = 0, stream = self }, Part)
end

-- The next part; nil at the end, nil and err if it is broken.
local function next_part(self)
  if self.is_read then error("another task is reading this body", 2) end
  if self.err then return nil, self.err, self.errno end
  if self.state == "ended" then return nil end
  if self.state == "start" then
    local ok, err = take_preamble(self)
    if not ok then return fail(self, err) end
  elseif not skip(self) then
    return nil, self.err, self.errno
  end
  self.part = nil
  if self.state == "last" then
    self.state = "ended"
    local ok, err = take_epilogue(self)
    if not ok then return fail(self, err) end
    return nil
  end
  self.part = begin_part(self)
  return self.part, self.err, self.errno
end

--- What it takes.
---@class moonpark.http.multipart.options
---@field max_parts? integer parts of a body; 1000
---@field max_head? integer bytes of a part's head; 8192
---@field max_part? integer bytes of a part; no limit

M.known = { max_parts = "count", max_head = "count", max_part = "count" }

local function limit_of(options, name) return options and options[name] or defaults[name] end

--- for part in http_multipart.parts(source, boundary) do ... end
---@param source fun(): string|nil, string?, integer? a piece of the body; nil and "eof" at its end
---@param boundary string
---@param options? moonpark.http.multipart.options
---@param on_failure? fun(err: string)
---@return fun(): moonpark.http.part|nil, string?, integer?
function M.parts(source, boundary, options, on_failure)
  local dash = "--" .. boundary
  local stream = { source = source, dash = dash, after_lf = "\n" .. dash, after_cr = "\r" .. dash, state = "start",
    held = "", at_line = false, count = 0, on_failure = on_failure, max_parts = limit_of(options, "max_parts"),
    max_head = limit_of(options, "max_head"), max_part = limit_of(options, "max_part") }
  return function() return next_part(stream) end
end

return M
