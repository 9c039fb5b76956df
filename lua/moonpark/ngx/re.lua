-- SPDX-License-Identifier: MIT
-- re.lua - ngx.re: match, find, gmatch, sub, gsub and split on PCRE2.

local pcre = require "moonpark.ngx.pcre"
local words = require "moonpark.ngx.words"

local M = {}

local BEHIND = "pcre_exec() failed: -24" -- where ctx.pos is behind the end

local compile, exec, span = pcre.compile, pcre.exec, pcre.span

local function text_of(value) return type(value) == "string" and value or tostring(value) end

-- The groups of a match into a table, by number and by name; false: it has not matched.
local function fill(pattern, subject, n, result)
  for i = 0, pattern.captures do
    local from, to = nil, nil
    if i < n then from, to = span(pattern, i) end
    result[i] = from and subject:sub(from + 1, to) or false
  end
  for name, numbers in pairs(pattern.names or {}) do
    local found = {}
    for _, number in ipairs(numbers) do
      if result[number] then found[#found + 1] = result[number] end
    end
    if #numbers > 1 then result[name] = #found > 0 and found or false
    else result[name] = result[numbers[1]] end
  end
  return result
end

-- Where a match begins to look: from 0; nil: behind the end.
local function start_of(subject, ctx)
  local pos = ctx and ctx.pos or 1
  if pos <= 0 then pos = 1 end
  if pos > #subject + 1 then return nil end
  return pos - 1
end

--- match(subject, regex[, options[, ctx[, result table]]]) -> captures | nil | nil, err
function M.match(subject, regex, options, ctx, result)
  subject, regex = text_of(subject), text_of(regex)
  local pattern, err = compile(regex, options or "")
  if not pattern then return nil, err end
  local from = start_of(subject, ctx)
  if not from then return nil, BEHIND end
  local n, why = exec(pattern, subject, from)
  if not n then return nil, why end
  if n == 0 then return nil end
  if ctx then ctx.pos = select(2, span(pattern, 0)) + 1 end
  return fill(pattern, subject, n, result or {})
end

--- find(subject, regex[, options[, ctx[, group]]]) -> from, to | nil | nil, nil, err
function M.find(subject, regex, options, ctx, group)
  subject, regex = text_of(subject), text_of(regex)
  local pattern, err = compile(regex, options or "")
  if not pattern then return nil, nil, err end
  group = group or 0
  if group > pattern.captures then return nil, nil, "nth out of bound" end
  local from = start_of(subject, ctx)
  if not from then return nil, nil, BEHIND end
  local n, why = exec(pattern, subject, from)
  if not n then return nil, nil, why end
  if n == 0 then return nil end
  if ctx then ctx.pos = select(2, span(pattern, 0)) + 1 end
  local first, last
  if group < n then first, last = span(pattern, group) end
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
  subject, regex, options = text_of(subject), text_of(regex), options or ""
  local pattern, err = compile(regex, options)
  if not pattern then return nil, err end
  local utf, offset = options:lower():find("u", 1, true) ~= nil, 0
  return function()
    if not offset or offset > #subject then return nil end
    local n, why = exec(pattern, subject, offset)
    if not n or n == 0 then
      offset = nil
      return nil, why
    end
    local from, to = span(pattern, 0)
    local found = fill(pattern, subject, n, {})
    offset = to > from and to or to + width(subject, to, utf)
    return found
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

local function expand(parts, pattern, subject, n)
  local out = {}
  for i, part in ipairs(parts) do
    if type(part) == "string" then out[i] = part
    else
      local from, to = nil, nil
      if part < n then from, to = span(pattern, part) end
      out[i] = from and subject:sub(from + 1, to) or ""
    end
  end
  return table.concat(out)
end

-- fn(n) -> the text in the place of the present match
local function replacer_of(replace, pattern, subject, name)
  if type(replace) == "function" then
    return function(n)
      local value = replace(fill(pattern, subject, n, {}))
      local kind = type(value)
      if kind == "string" or kind == "number" then return tostring(value) end
      words.misuse(("bad argument #3 to '%s' (string or number expected from the replace function, got %s)")
        :format(name, kind))
    end
  end
  if type(replace) ~= "string" and type(replace) ~= "number" then
    words.misuse(("bad argument #3 to '%s' (string, number, or function expected, got %s)"):format(name, type(replace)))
  end
  local parts, err = read_template(tostring(replace))
  if not parts then return nil, err end
  return function(n) return expand(parts, pattern, subject, n) end
end

local function substitute(subject, regex, replace, options, most, name)
  subject, regex, options = text_of(subject), text_of(regex), options or ""
  local pattern, err = compile(regex, options)
  if not pattern then return nil, nil, err end
  local replacement, wrong = replacer_of(replace, pattern, subject, name)
  if not replacement then return nil, nil, wrong end
  local utf = options:lower():find("u", 1, true) ~= nil
  local out, count, offset, copied = {}, 0, 0, 0
  while count < most and offset <= #subject do
    local n, why = exec(pattern, subject, offset)
    if not n then return nil, nil, why end
    if n == 0 then break end
    local from, to = span(pattern, 0)
    count = count + 1
    out[#out + 1] = subject:sub(copied + 1, from)
    out[#out + 1] = replacement(n) -- a function may match with the same pattern
    copied = to
    offset = to > from and to or to + width(subject, to, utf)
  end
  if count == 0 then return subject, 0 end
  out[#out + 1] = subject:sub(copied + 1)
  return table.concat(out), count
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

--- split(subject, regex[, options[, ctx[, most[, result table]]]]) -> a list
function M.module.split(subject, regex, options, ctx, most, result)
  subject, regex, options = text_of(subject), text_of(regex), options or ""
  local pattern, err = compile(regex, options)
  if not pattern then return nil, err end
  local utf = options:lower():find("u", 1, true) ~= nil
  result, most = result or {}, most or 0
  local from = start_of(subject, ctx)
  if not from then return { subject } end
  local begin, offset, n = from, from, 0
  if #subject == 0 then
    result[1] = nil
    return result
  end
  while most <= 0 or n < most - 1 do
    local found, why = exec(pattern, subject, offset)
    if not found then return nil, why end
    if found == 0 then break end
    local first, last = span(pattern, 0)
    if last == first then -- an empty one splits between characters
      if first >= #subject then break end
      if first == begin then
        first = first + width(subject, first, utf)
        last = first
        if first >= #subject then break end
      end
    end
    n = n + 1
    result[n] = subject:sub(begin + 1, first)
    for i = 1, found - 1 do
      local a, b = span(pattern, i)
      if a then
        n = n + 1
        result[n] = subject:sub(a + 1, b)
      end
    end
    begin, offset = last, last
    if ctx then ctx.pos = last + 1 end
    if last >= #subject then break end
  end
  if begin < #subject then
    n = n + 1
    result[n] = subject:sub(begin + 1)
    if ctx then ctx.pos = #subject + 1 end
  end
  result[n + 1] = nil
  return result
end

--- opt(name, value): jit_stack_size is PCRE2's own here.
function M.module.opt(name)
  if name ~= "jit_stack_size" then error("unrecognized option name", 2) end
end

return M
