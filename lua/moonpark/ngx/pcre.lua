-- SPDX-License-Identifier: MIT
-- pcre.lua - PCRE2 by FFI: compiles patterns with the option letters of ngx.re, and matches. See pcre2api(3).

local ffi = require "ffi"
local shared_library = require "moonpark.shared_library"
local words = require "moonpark.ngx.words"

ffi.cdef [[
  typedef struct moonpark_pcre2_code moonpark_pcre2_code;
  typedef struct moonpark_pcre2_data moonpark_pcre2_data;
  moonpark_pcre2_code *pcre2_compile_8(const char *, size_t, uint32_t, int *, size_t *, void *);
  void pcre2_code_free_8(moonpark_pcre2_code *);
  int pcre2_jit_compile_8(moonpark_pcre2_code *, uint32_t);
  moonpark_pcre2_data *pcre2_match_data_create_from_pattern_8(const moonpark_pcre2_code *, void *);
  void pcre2_match_data_free_8(moonpark_pcre2_data *);
  size_t *pcre2_get_ovector_pointer_8(moonpark_pcre2_data *);
  int pcre2_match_8(const moonpark_pcre2_code *, const char *, size_t, size_t, uint32_t, moonpark_pcre2_data *, void *);
  int pcre2_pattern_info_8(const moonpark_pcre2_code *, uint32_t, void *);
  int pcre2_get_error_message_8(int, char *, size_t);
  int pcre2_dfa_match_8(const moonpark_pcre2_code *, const char *, size_t, size_t, uint32_t, moonpark_pcre2_data *,
    void *, int *, size_t);
]]

local M = {}

-- PCRE2's numbers
local CAPTURECOUNT, NAMECOUNT, NAMEENTRYSIZE, NAMETABLE = 4, 17, 18, 19
local ANCHORED, CASELESS, DOTALL, DUPNAMES = 0x80000000, 8, 32, 64
local EXTENDED, MULTILINE, JAVASCRIPT, UTF, NO_UTF_CHECK = 128, 1024, 0x200 + 2, 0x80000, 0x40000000
local JIT_COMPLETE, NOMATCH = 1, -1
local UNSET = ffi.cast("size_t", -1)
local BAD_UTF = -10 -- PCRE's number for all of PCRE2's
local MOST_KEPT = 1024 -- compiled patterns: lua_regex_cache_max_entries

local letters = {
  a = ANCHORED, i = CASELESS, s = DOTALL, m = MULTILINE, x = EXTENDED, u = UTF, U = UTF + NO_UTF_CHECK, D = DUPNAMES,
  J = JAVASCRIPT, j = 0, o = 0, d = 0,
}

local library

local function load_library()
  library = shared_library.load("libpcre2-8.so.0", "pcre2-8")
  if not library then error("ngx.re needs PCRE2: install libpcre2-8-0", 0) end
  return library
end

---@class moonpark.ngx.pattern
---@field code any
---@field data any
---@field ovector any
---@field captures integer groups without the whole
---@field names table<string, integer[]>|false
---@field check integer options of each match
---@field dfa boolean

local function names_of(code)
  local pcre, count, size, at = library, ffi.new("uint32_t[1]"), ffi.new("uint32_t[1]"), ffi.new("const char *[1]")
  pcre.pcre2_pattern_info_8(code, NAMECOUNT, count)
  if count[0] == 0 then return false end
  pcre.pcre2_pattern_info_8(code, NAMEENTRYSIZE, size)
  pcre.pcre2_pattern_info_8(code, NAMETABLE, at)
  local names = {}
  for i = 0, count[0] - 1 do
    local entry = at[0] + i * size[0]
    local number = bit.band(entry[0], 255) * 256 + bit.band(entry[1], 255)
    local name = ffi.string(entry + 2)
    names[name] = names[name] or {}
    table.insert(names[name], number)
  end
  return names
end

local function message_of(number)
  local text = ffi.new("char[256]")
  library.pcre2_get_error_message_8(number, text, 256)
  return ffi.string(text)
end

local function read_options(options)
  local flags, jit, dfa = 0, false, false
  for letter in options:gmatch "." do
    local flag = letters[letter]
    if not flag then words.misuse(('unknown flag "%s" (flags "%s")'):format(letter, options)) end
    flags = bit.bor(flags, flag)
    jit, dfa = jit or letter == "j", dfa or letter == "d"
  end
  return flags, jit, dfa
end

local function compile(regex, options)
  local pcre = library or load_library()
  local flags, jit, dfa = read_options(options)
  local number, offset = ffi.new("int[1]"), ffi.new("size_t[1]")
  local code = pcre.pcre2_compile_8(regex, #regex, ffi.cast("uint32_t", flags), number, offset, nil)
  if code == nil then
    local at = tonumber(offset[0])
    local where = at >= #regex and ('in "%s"'):format(regex)
      or ('in "%s" at "%s"'):format(regex, regex:sub(at + 1))
    return nil, ("pcre_compile() failed: %s %s"):format(message_of(number[0]), where)
  end
  code = ffi.gc(code, pcre.pcre2_code_free_8)
  if jit and not dfa then pcre.pcre2_jit_compile_8(code, JIT_COMPLETE) end
  local data = ffi.gc(pcre.pcre2_match_data_create_from_pattern_8(code, nil), pcre.pcre2_match_data_free_8)
  local count = ffi.new("uint32_t[1]")
  pcre.pcre2_pattern_info_8(code, CAPTURECOUNT, count)
  return { code = code, data = data, ovector = pcre.pcre2_get_ovector_pointer_8(data),
    captures = dfa and 0 or tonumber(count[0]), names = not dfa and names_of(code), dfa = dfa,
    check = options:find("U", 1, true) and NO_UTF_CHECK or 0, work = dfa and ffi.new("int[100]") or nil }
end

local kept, count = {}, 0

--- The compiled pattern; with the letter "o" it is kept.
---@param regex string
---@param options string
---@return moonpark.ngx.pattern|nil
---@return string? err
function M.compile(regex, options)
  local of_options = kept[options]
  local found = of_options and of_options[regex]
  if found then return found end
  local pattern, err = compile(regex, options)
  if not pattern then return nil, err end
  if options:find("o", 1, true) then
    if count >= MOST_KEPT then kept, count = {}, 0 end
    kept[options] = kept[options] or {}
    kept[options][regex] = pattern
    count = count + 1
  end
  return pattern
end

--- Matches from the offset on -> the number of groups that are known, 0 where there is no match | nil, err. The offsets
--- are in pattern.ovector.
---@param pattern moonpark.ngx.pattern
---@param subject string
---@param offset integer from 0
---@return integer|nil
---@return string? err
function M.exec(pattern, subject, offset)
  local n
  if pattern.dfa then
    n = library.pcre2_dfa_match_8(pattern.code, subject, #subject, offset, pattern.check, pattern.data, nil,
      pattern.work, 100)
    if n == 0 or n > 1 then n = 1 end
  else
    n = library.pcre2_match_8(pattern.code, subject, #subject, offset, pattern.check, pattern.data, nil)
  end
  if n > 0 then return n end
  if n == NOMATCH then return 0 end
  return nil, ("pcre_exec() failed: %d"):format(n <= -3 and n >= -28 and BAD_UTF or n)
end

--- Where group i is: from (0 ...), to (behind it); nil: it has not matched.
function M.span(pattern, i)
  local from = pattern.ovector[2 * i]
  if from == UNSET then return nil end
  return tonumber(from), tonumber(pattern.ovector[2 * i + 1])
end

return M
