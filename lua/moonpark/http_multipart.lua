-- SPDX-License-Identifier: MIT
-- http_multipart.lua - multipart/form-data (RFC 7578, RFC 2046 5.1) as a stream: one part after another, each read in
-- pieces, never more held than a piece and a boundary.
--
-- Strict, as what two readers could cut in two ways is refused: lines end with CR LF, a boundary stands at the start of
-- a line and ends it, a part has one Content-Disposition of form-data with one name, and the last boundary must come.
-- Only blanks behind a boundary, a preamble and an epilogue are passed over, as the RFC wants it.

local http_fields = require "moonpark.http_fields"
local gather = require "moonpark.http_gather"

local fs, task -- loaded when a part is saved first

local M = {}

local defaults = { max_parts = 1000, max_head = 8192, max_part = math.huge }
local PREAMBLE_MAX = 8192   -- bytes in front of the first boundary
local FIELD_MAX = 1048576   -- bytes that part:body() holds, where nothing else is said
local EPILOGUE_MAX = 65536  -- bytes behind the last boundary
local BLANKS_MAX = 64       -- behind a boundary

---------------------------------------------------------------------------------------------------
-- field values with parameters

-- The parameters of a value, each `name=token` or `name="quoted"`. nil where it is anything else.
-- Browsers write %22 for a quote in a name and leave backslashes alone (WHATWG), older ones write \": both are read
-- as they are meant; a lone backslash, as in a Windows path, stays.
-- Goes on where it is, and copies no rest: a head may be full of parameters.
local function parameters(text)
  local found, at = {}, text:find("%S")
  while at do
    local name, from = text:match("^;%s*([^%s=;\"]+)=()", at)
    if not name then return nil end
    local value, after = text:match('^"([^"\\]*)"()', from)
    if not value and text:sub(from, from) == '"' then
      local stop = from + 1
      while true do -- to the quote that no backslash hides
        stop = text:find('["\\]', stop)
        if not stop then return nil end
        if text:sub(stop, stop) == '"' then break end
        stop = stop + (text:find('^["\\]', stop + 1) and 2 or 1)
      end
      value, after = text:sub(from + 1, stop - 1):gsub('\\(["\\])', "%1"), stop + 1
    end
    if not value then value, after = text:match('^([^%s;"]+)()', from) end
    name = name:lower()
    if not value or found[name] then return nil end
    found[name], at = value, text:find("%S", after)
  end
  return found
end

--- The boundary of a Content-Type of multipart/form-data; nil where it is another type or has none that is allowed.
---@param content_type string|nil
---@return string|nil
function M.boundary(content_type)
  local kind, rest = (content_type or ""):match("^%s*([^;%s]+)(.*)$")
  if not kind or kind:lower() ~= "multipart/form-data" then return nil end
  local found = parameters(rest)
  local boundary = found and found.boundary
  -- RFC 2046: 1 to 70 of these, the last no blank
  if not boundary or boundary == "" or #boundary > 70 then return nil end
  if boundary:find("[^%w'()+_,%-./:=? ]") or boundary:find(" $") then return nil end
  return boundary
end

---------------------------------------------------------------------------------------------------
-- the stream: bytes that have come and are not taken yet

-- What a task is in the middle of cannot be read by another one: each would get a half of it.
local function check_reader(self)
  if self.is_read then error("another task reads this body", 3) end
end

local function pull(self)
  self.is_read = true
  local ran, data, err, errno = pcall(self.source)
  self.is_read = false
  if not ran then error(data, 0) end
  return data, err, errno
end

-- One more piece. true; nil at the body's end, which is a failure everywhere but behind the last boundary.
local function fill(self)
  local data, err, errno = pull(self)
  if data then
    self.held = self.held == "" and data or self.held .. data
    return true
  end
  self.errno = errno
  return nil, err == "eof" and "malformed multipart" or err
end

local function fail(self, err)
  self.err = self.err or err
  if self.on_failure then self.on_failure(self.err) end
  return nil, self.err, self.errno
end

-- What follows a delimiter: "next" part, "last", or nil and why. Takes the rest of its line.
local function take_delimiter(self)
  while true do
    local last, blanks_end = self.held:match("^(%-?%-?)[ \t]*()")
    local line_end = self.held:sub(blanks_end, blanks_end + 1)
    if last == "--" then return "last" end
    if blanks_end > BLANKS_MAX then return nil, "malformed multipart" end
    if last == "" and line_end == "\r\n" then
      self.held = self.held:sub(blanks_end + 2)
      return "next"
    end
    local may_become = last == "" and (line_end == "" or line_end == "\r") or self.held == "-"
    if not may_become then return nil, "malformed multipart" end
    local ok, err = fill(self)
    if not ok then return nil, err end
  end
end

-- The bytes of the part that are certain: in front of a delimiter, or of what may become one. -> bytes, is a delimiter
-- next. Nothing is certain while fewer bytes are there than a delimiter has.
local function certain(self, max)
  local held, delimiter = self.held, self.delimiter
  local at = held:find(delimiter, 1, true)
  local n = at and at - 1 or 0
  if not at then
    n = #held
    local from = math.max(1, n - #delimiter + 2)
    local cr = held:find("\r", from, true)
    while cr do -- a tail that the delimiter begins with
      if held:sub(cr) == delimiter:sub(1, #held - cr + 1) then
        n = cr - 1
        break
      end
      cr = held:find("\r", cr + 1, true)
    end
  end
  if n > max then return held:sub(1, max), false end
  return held:sub(1, n), at ~= nil
end

-- The next 1..max bytes of the part; nil at its end, nil and err where it is broken.
local function take(self, max)
  while true do
    local data, ended = certain(self, max)
    if data ~= "" then
      self.held = self.held:sub(#data + 1)
      return data
    end
    if ended then
      self.held = self.held:sub(#self.delimiter + 1)
      local what, err = take_delimiter(self)
      if not what then return nil, err end
      self.state = what
      return nil
    end
    local ok, err = fill(self)
    if not ok then return nil, err end
  end
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

local function parse_head(text)
  local headers = {}
  for line in text:gmatch("(.-)\r\n") do
    if not add_field(headers, line) then return nil end
  end
  return headers
end

-- Only its last part is a name: some clients send the path that the file has there.
local function bare_name(filename)
  return filename and filename:match("[^/\\]*$"):gsub("%c", "_")
end

local function describe(headers)
  local kind, rest = (headers["content-disposition"] or ""):match("^([^;%s]+)(.*)$")
  local found = kind and kind:lower() == "form-data" and parameters(rest)
  if not found or not found.name then return nil end
  local name = found.name:gsub("%%22", '"'):gsub("%%0[dD]%%0[aA]", "\r\n")
  return name, found.filename and found.filename:gsub("%%22", '"') or nil
end

-- The bytes up to the empty line, which is taken too.
local function take_head(self)
  local from = 1
  while true do
    if self.held:sub(1, 2) == "\r\n" then
      self.held = self.held:sub(3)
      return ""
    end
    local stop = self.held:find("\r\n\r\n", from, true)
    if stop and stop <= self.max_head then
      local text = self.held:sub(1, stop + 1)
      self.held = self.held:sub(stop + 4)
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
---@param max? integer bytes at the most; 65536
---@return string|nil data
---@return string? err "eof" at its end; "part too long", "malformed multipart", "part is over", ...
---@return integer? errno
function Part:read(max)
  local stream = self.stream
  check_reader(stream)
  if stream.err then return nil, stream.err, stream.errno end
  if stream.part ~= self then return nil, "part is over" end
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
---@param max? integer bytes at the most; 1 MiB
---@return string|nil data
---@return string? err "part too long", ...; then the loop over the parts ends too
---@return integer? errno
function Part:body(max)
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

--- Writes what is left of the part to a new file. A file that is not complete is removed again.
---@param path string must not be there yet
---@param progress? fun(bytes: integer) called after each piece
---@return integer|nil bytes
---@return string? err
---@return integer? errno
function Part:save(path, progress)
  check_reader(self.stream)
  fs = fs or require "moonpark.fs"
  task = task or require "moonpark.task"
  -- shielded: a cancelled open may leave a file that nobody knows of
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

-- Passes over what nobody has read of the part.
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
  self.held = "\r\n" -- a delimiter begins with the line end in front of it, and the body may begin with one
  local passed = 0
  while true do
    local data, err = take(self, 65536)
    if err then return nil, err end
    if not data then return true end
    passed = passed + #data
    if passed > PREAMBLE_MAX then return nil, "malformed multipart" end
  end
end

-- Behind the last boundary may stand lines that mean nothing.
local function take_epilogue(self)
  local line, passed, data, err = self.held:sub(3), 0, nil, nil
  self.held = ""
  while passed <= EPILOGUE_MAX do
    data, err = pull(self)
    if not data then break end
    passed = passed + #data
    if #line < BLANKS_MAX then line = line .. data:sub(1, BLANKS_MAX) end
  end
  if err and err ~= "eof" then return nil, err end
  if data or not (line:sub(1, BLANKS_MAX) .. "\r\n"):find("^[ \t]*\r\n") then return nil, "malformed multipart" end
  return true
end

local function begin_part(self)
  self.count = self.count + 1
  if self.count > self.max_parts then return fail(self, "too many parts") end
  local text, err = take_head(self)
  if not text then return fail(self, err) end
  local headers = parse_head(text)
  if not headers then return fail(self, "malformed multipart") end
  local name, filename = describe(headers)
  if not name then return fail(self, "malformed multipart") end
  return setmetatable({ name = name, filename = bare_name(filename), type = headers["content-type"],
    headers = headers, size = 0, stream = self }, Part)
end

-- The next part; nil at the end, nil and err where it is broken.
local function next_part(self)
  if self.is_read then error("another task reads this body", 2) end
  if self.err then return nil, self.err, self.errno end
  if self.state == "over" then return nil end
  if self.state == "start" then
    local ok, err = take_preamble(self)
    if not ok then return fail(self, err) end
  elseif not skip(self) then
    return nil, self.err, self.errno
  end
  self.part = nil
  if self.state == "last" then
    self.state = "over"
    local ok, err = take_epilogue(self)
    if not ok then return fail(self, err) end
    return nil
  end
  self.part = begin_part(self)
  return self.part, self.err, self.errno
end

local function option_of(options, name)
  local value = options and options[name]
  if value == nil then return defaults[name] end
  if type(value) ~= "number" or value ~= value or value < 0 then
    error(("%s: a number from 0 on expected, got %s"):format(name, tostring(value)), 3)
  end
  return value
end

--- for part in http_multipart.parts(source, boundary) do ... end
---@param source fun(): string|nil, string?, integer? a piece of the body; nil and "eof" at its end
---@param boundary string
---@param options? {max_parts?: integer, max_head?: integer, max_part?: number}
---@param on_failure? fun(err: string)
---@return fun(): moonpark.http.part|nil, string?, integer?
function M.parts(source, boundary, options, on_failure)
  local stream = { source = source, delimiter = "\r\n--" .. boundary, state = "start", held = "",
    count = 0, on_failure = on_failure, max_parts = option_of(options, "max_parts"),
    max_head = option_of(options, "max_head"), max_part = option_of(options, "max_part") }
  return function() return next_part(stream) end
end

return M
