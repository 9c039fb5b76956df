-- SPDX-License-Identifier: MIT
-- re.lua - ngx.re: match, find, gmatch, sub, gsub and split on PCRE2.

local ffi = require "ffi"
local new_table = require "table.new"
local pcre = require "moonpark.ngx.pcre"
local words = require "moonpark.ngx.words"

local M = {}

local BEHIND = "pcre_exec() failed: -24" -- where ctx.pos is behind the end

local compile, exec, span, STEP = pcre.compile, pcre.exec, pcre.span, pcre.STEP
local sub, max = string.sub, math.max
local copy, cast = ffi.copy, ffi.cast

local function text_of(value) return type(value) == "string" and value or tostring(value) end

-- The named groups; false: it has not matched.
local function fill_names(pattern, result)
  local names = pattern.names
  for i = 1, #names, 2 do
    local name, value = names[i], result[names[i + 1]]
    if not pattern.lists then result[name] = value
    elseif value then
      local list = result[name]
      if i == 1 or names[i - 2] ~= name or not list then result[name] = { value } else list[#list + 1] = value end
    end
  end
end

-- The groups of a match into a table, by number and by name; false: it has not matched.
local function fill(pattern, subject, n, result)
  local ovector, captures, names = pattern.ovector, pattern.captures, pattern.names
  result = result or new_table(captures, #names > 0 and #names or 0)
  result[0] = sub(subject, ovector[0] + 1, ovector[STEP])
  for i = 1, captures do
    local from = i < n and ovector[2 * i * STEP] or -1
    result[i] = from >= 0 and sub(subject, from + 1, ovector[(2 * i + 1) * STEP])
  end
  if #names > 0 then fill_names(pattern, result) end
  return result
end

-- Where a match begins to look: from 0; nil: behind the end.
local function start_of(subject, ctx, name)
  if type(ctx) ~= "table" then
    words.misuse(("bad argument #4 to '%s' (table expected, got %s)"):format(name, type(ctx)))
  end
  local pos = ctx.pos or 1
  if type(pos) ~= "number" then
    words.misuse(("bad argument #4 to '%s' (number expected as pos, got %s)"):format(name, type(pos)))
  end
  if pos <= 0 then pos = 1 end
  if pos > #subject + 1 then return nil end
  return pos - 1
end

--- match(subject, regex[, options[, ctx[, result table]]]) -> captures | nil | nil, err
function M.match(subject, regex, options, ctx, result)
  if type(subject) ~= "string" then subject = tostring(subject) end
  if result ~= nil and type(result) ~= "table" then words.misuse "bad argument #5 to 'match' (res is not a table)" end
  local pattern, err = compile(regex, options or "")
  if not pattern then return nil, err end
  local from = ctx == nil and 0 or start_of(subject, ctx, "match")
  if not from then return nil, BEHIND end
  local n, why = exec(pattern, subject, from)
  if n == 0 then return nil end
  if not n then return nil, why end
  if ctx then ctx.pos = pattern.ovector[STEP] + 1 end
  return fill(pattern, subject, n, result)
end

--- find(subject, regex[, options[, ctx[, group]]]) -> from, to | nil | nil, nil, err
function M.find(subject, regex, options, ctx, group)
  if type(subject) ~= "string" then subject = tostring(subject) end
  local pattern, err = compile(regex, options or "")
  if not pattern then return nil, nil, err end
  if group == nil then group = 0
  elseif type(group) ~= "number" then
    words.misuse(("bad argument #5 to 'find' (number expected, got %s)"):format(type(group)))
  end
  if group > pattern.captures then return nil, nil, "nth out of bound" end
  local from = ctx == nil and 0 or start_of(subject, ctx, "find")
  if not from then return nil, nil, BEHIND end
  local n, why = exec(pattern, subject, from)
  if n == 0 then return nil end
  if not n then return nil, nil, why end
  if ctx then ctx.pos = pattern.ovector[STEP] + 1 end
  if group >= n then return nil, nil end
  local first, last = span(pattern, max(group - group % 1, 0))
  if not first then return nil, nil end
  return first + 1, last
end

-- How many bytes the character at that offset has, for patterns of UTF-8.
local function width(subject, offset, utf)
  local byte = utf and subject:byte(offset + 1)
  if not byte or byte < 0xC0 then return 1 end
  return byte < 0xE0 and 2 or byte < 0xF0 and 3 or 4
end

--- gmatch(subject, regex[, options]) -> an iterator of captures
function M.gmatch(subject, regex, options)
  subject = text_of(subject)
  local pattern, err = compile(regex, options or "")
  if not pattern then return nil, err end
  local offset, again = 0, false
  return function()
    if not offset or offset > #subject then return nil end
    local n, why = exec(pattern, subject, offset, again)
    if not n or n == 0 then
      offset = nil
      if why then return nil, why end
      return nil
    end
    local from, to = span(pattern, 0)
    again, offset = true, to > from and to or to + width(subject, to, pattern.utf)
    return fill(pattern, subject, n)
  end
end

---------------------------------------------------------------------------------------------------
-- replacing

-- "$1", "${1}", "$0", "$$" of a replacement -> a list of strings and numbers | nil, err
local function read_template(text)
  local parts, at = {}, 1
  while at <= #text do
    local dollar = text:find("$", at, true)
    if not dollar then
      parts[#parts + 1] = text:sub(at)
      break
    end
    if dollar > at then parts[#parts + 1] = text:sub(at, dollar - 1) end
    local digits, behind = text:match("^{(%d+)}()", dollar + 1)
    if not digits then digits, behind = text:match("^(%d+)()", dollar + 1) end
    if digits then parts[#parts + 1] = tonumber(digits)
    elseif text:sub(dollar + 1, dollar + 1) == "$" then
      parts[#parts + 1], behind = "$", dollar + 2
    else
      return nil, "failed to compile the replacement template"
    end
    at = behind
  end
  return parts
end

local templates, template_count = {}, 0
local MOST_TEMPLATES = 256

local function template_of(text)
  local parts = templates[text]
  if parts then return parts end
  local err
  parts, err = read_template(text)
  if not parts then return nil, err end
  if template_count >= MOST_TEMPLATES then templates, template_count = {}, 0 end
  templates[text], template_count = parts, template_count + 1
  return parts
end

-- Where texts are put together: nobody else runs meanwhile.
local KEPT = 65536 -- bytes of the one that is kept
local kept_buffer = ffi.new("char[?]", KEPT)
local buffer, buffer_size = kept_buffer, KEPT

local function make_room(used, more)
  local size = math.max(buffer_size * 2, used + more)
  local larger = ffi.new("char[?]", size)
  ffi.copy(larger, buffer, used)
  buffer, buffer_size = larger, size
end

local function add(used, from, length)
  if used + length > buffer_size then make_room(used, length) end
  copy(buffer + used, from, length)
  return used + length
end

local function add_template(used, parts, pattern, start, n)
  local ovector = pattern.ovector
  for i = 1, #parts do
    local part = parts[i]
    if type(part) == "string" then used = add(used, part, #part)
    elseif part < n then
      local from = ovector[2 * part * STEP]
      local length = ovector[(2 * part + 1) * STEP] - from
      if from >= 0 and length > 0 then used = add(used, start + from, length) end
    end
  end
  return used
end

-- n: of the first match, which has been made.
local function substitute_template(subject, pattern, parts, most, n)
  local start, ovector, size = cast("const char *", subject), pattern.ovector, #subject
  local used, count, copied, err = 0, 0, 0, nil
  buffer, buffer_size = kept_buffer, KEPT
  while n and n > 0 do
    local from, to = ovector[0], ovector[STEP]
    count = count + 1
    if from > copied then used = add(used, start + copied, from - copied) end
    used = add_template(used, parts, pattern, start, n)
    copied = to
    local offset = to > from and to or to + width(subject, to, pattern.utf)
    if count >= most or offset > size then break end
    n, err = exec(pattern, subject, offset, true)
  end
  if not n then return nil, nil, err end
  if copied < size then used = add(used, start + copied, size - copied) end
  return ffi.string(buffer, used), count
end

-- What a function has returned, as text. To return nothing is a mistake, to return nil is not.
local function text_of_result(name, ...)
  if select("#", ...) == 0 then
    words.misuse(("bad argument #3 to '%s' (value expected from the replace function)"):format(name))
  end
  return text_of((...))
end

-- A function may match with the same pattern.
local function substitute_calls(subject, pattern, replace, most, n, name)
  local out, length, count, copied, err = {}, 0, 0, 0, nil
  while n and n > 0 do
    local from, to = span(pattern, 0)
    count = count + 1
    out[length + 1] = sub(subject, copied + 1, from)
    out[length + 2] = text_of_result(name, replace(fill(pattern, subject, n)))
    copied, length = to, length + 2
    local offset = to > from and to or to + width(subject, to, pattern.utf)
    if count >= most or offset > #subject then break end
    n, err = exec(pattern, subject, offset, true)
  end
  if not n then return nil, nil, err end
  out[length + 1] = sub(subject, copied + 1)
  return table.concat(out), count
end

local function substitute(subject, regex, replace, options, most, name)
  if type(subject) ~= "string" then subject = tostring(subject) end
  local pattern, err = compile(regex, options or "")
  if not pattern then return nil, nil, err end
  local parts
  if type(replace) ~= "function" then
    parts, err = template_of(text_of(replace))
    if not parts then return nil, nil, err end
  end
  local n, why = exec(pattern, subject, 0)
  if n == 0 then return subject, 0 end
  if not n then return nil, nil, why end
  if parts then return substitute_template(subject, pattern, parts, most, n) end
  return substitute_calls(subject, pattern, replace, most, n, name)
end

--- sub(subject, regex, replacement[, options]) -> text, count | nil, nil, err
function M.sub(subject, regex, replace, options) return substitute(subject, regex, replace, options, 1, "sub") end

--- gsub(subject, regex, replacement[, options])
function M.gsub(subject, regex, replace, options)
  return substitute(subject, regex, replace, options, math.huge, "gsub")
end

---------------------------------------------------------------------------------------------------
-- the module ngx.re

M.module = {}

-- The first match from begin on that is not empty there -> n, from, to | 0 | nil, err
local function next_separator(pattern, subject, begin, again)
  local n, err = exec(pattern, subject, begin, again)
  if not n or n == 0 then return n, err end
  local from, to = span(pattern, 0)
  if to > begin then return n, from, to end
  begin = begin + width(subject, begin, pattern.utf) -- an empty one splits between characters
  if begin > #subject then return 0 end
  n, err = exec(pattern, subject, begin, true)
  if not n or n == 0 then return n, err end
  return n, span(pattern, 0)
end

local function add_groups(pattern, subject, n, result, length)
  for i = 1, n - 1 do
    local from, to = span(pattern, i)
    if from then
      length = length + 1
      result[length] = sub(subject, from + 1, to)
    end
  end
  return length
end

--- split(subject, regex[, options[, ctx[, most[, result table]]]]) -> a list | nil, err. Empty pieces at the end are
--- left out, unless there is a number of the most.
function M.module.split(subject, regex, options, ctx, most, result)
  subject = text_of(subject)
  most = most or 0
  if type(most) ~= "number" then
    words.misuse(("bad argument #5 to 'split' (number expected, got %s)"):format(type(most)))
  end
  if result ~= nil and type(result) ~= "table" then words.misuse "bad argument #6 to 'split' (res is not a table)" end
  local pattern, err = compile(regex, options or "")
  if not pattern then return nil, err end
  result = result or {}
  local begin, length, pieces, again = ctx == nil and 0 or start_of(subject, ctx, "split"), 0, 1, false
  if not begin or begin >= #subject then
    result[1] = nil
    return result
  end
  local empty = 0
  while most <= 0 or pieces < most do
    local n, from, to = next_separator(pattern, subject, begin, again)
    if not n then return nil, from end
    if n == 0 then break end
    result[length + 1] = sub(subject, begin + 1, from)
    length = add_groups(pattern, subject, n, result, length + 1)
    begin, pieces, again, empty = to, pieces + 1, true, to == from and 1 or 0
  end
  length = length + 1
  result[length] = sub(subject, begin + 1)
  result[length + 1] = nil
  while most <= 0 and result[length] == "" do
    result[length] = nil
    length = length - 1
  end
  if ctx then ctx.pos = begin + empty end
  return result
end

--- opt(name, value): jit_stack_size, in bytes, before anything is compiled.
function M.module.opt(name, value)
  if name ~= "jit_stack_size" then words.misuse "unrecognized option name" end
  if type(value) ~= "number" then
    words.misuse(("bad argument #2 to 'opt' (number expected, got %s)"):format(type(value)))
  end
  local ok, err = pcre.set_jit_stack(value)
  if not ok then words.misuse(err) end
end

return M
