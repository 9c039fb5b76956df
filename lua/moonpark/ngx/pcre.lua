-- SPDX-License-Identifier: MIT
-- pcre.lua - PCRE2 by FFI: compiles patterns with the option letters of ngx.re, and matches. See pcre2api(3).

local ffi = require "ffi"
local shared_library = require "moonpark.shared_library"
local words = require "moonpark.ngx.words"

ffi.cdef [[
  typedef struct moonpark_pcre2_code moonpark_pcre2_code;
  typedef struct moonpark_pcre2_data moonpark_pcre2_data;
  typedef struct moonpark_pcre2_context moonpark_pcre2_context;
  moonpark_pcre2_code *pcre2_compile_8(const char *, size_t, uint32_t, int *, size_t *, void *);
  void pcre2_code_free_8(moonpark_pcre2_code *);
  int pcre2_jit_compile_8(moonpark_pcre2_code *, uint32_t);
  moonpark_pcre2_data *pcre2_match_data_create_from_pattern_8(const moonpark_pcre2_code *, void *);
  void pcre2_match_data_free_8(moonpark_pcre2_data *);
  size_t *pcre2_get_ovector_pointer_8(moonpark_pcre2_data *);
  int pcre2_match_8(const moonpark_pcre2_code *, const char *, size_t, size_t, uint32_t, moonpark_pcre2_data *,
    moonpark_pcre2_context *);
  int pcre2_jit_match_8(const moonpark_pcre2_code *, const char *, size_t, size_t, uint32_t, moonpark_pcre2_data *,
    moonpark_pcre2_context *);
  int pcre2_pattern_info_8(const moonpark_pcre2_code *, uint32_t, void *);
  int pcre2_get_error_message_8(int, char *, size_t);
  int pcre2_dfa_match_8(const moonpark_pcre2_code *, const char *, size_t, size_t, uint32_t, moonpark_pcre2_data *,
    moonpark_pcre2_context *, int *, size_t);
  moonpark_pcre2_context *pcre2_match_context_create_8(void *);
  int pcre2_set_match_limit_8(moonpark_pcre2_context *, uint32_t);
  void *pcre2_jit_stack_create_8(size_t, size_t, void *);
  void pcre2_jit_stack_assign_8(moonpark_pcre2_context *, void *, void *);
  void pcre2_jit_stack_free_8(void *);
]]

local M = {}

-- PCRE2's numbers
local CAPTURECOUNT, NAMECOUNT, NAMEENTRYSIZE, NAMETABLE = 4, 17, 18, 19
local ANCHORED, CASELESS, DOTALL, DUPNAMES = 0x80000000, 8, 32, 64
local EXTENDED, MULTILINE, UTF, NO_UTF_CHECK = 128, 1024, 0x80000, 0x40000000
local JAVASCRIPT = 1 + 2 + 0x200 -- empty classes, \u, and references to groups that have not matched
local JIT_COMPLETE, NOMATCH = 1, -1
local WORKSPACE = 100 -- ints, of a match with the letter "d"
local SMALLEST_STACK = 32768

-- PCRE's number for those of PCRE2 that have another one; all kinds of bad UTF-8 are -10 there.
local BAD_UTF = -10
local of_pcre = { [-36] = -11, [-37] = -9, [-39] = -20, [-40] = -17, [-41] = -16, [-42] = -16, [-43] = -19,
  [-44] = -14, [-46] = -27, [-47] = -8, [-48] = -6, [-52] = -26, [-53] = -21, [-63] = -21 }

local letters = {
  a = ANCHORED, i = CASELESS, s = DOTALL, m = MULTILINE, x = EXTENDED, u = UTF, U = UTF + NO_UTF_CHECK, D = DUPNAMES,
  J = JAVASCRIPT, j = 0, o = 0, d = 0,
}

local library, context

local function load_library()
  library = shared_library.load("libpcre2-8.so.0", "pcre2-8")
  if not library then error("ngx.re needs PCRE2: install libpcre2-8-0", 0) end
  context = library.pcre2_match_context_create_8(nil)
  return library
end

---@class moonpark.ngx.pattern
---@field code any
---@field data any
---@field ovector any where the groups are: pairs of numbers, STEP apart; the first of an unmatched one is -1
---@field captures integer groups without the whole
---@field names (string|integer)[] a name, its group's number, ...
---@field lists boolean a name stands for the list of its groups that have matched (the letter "D")
---@field utf boolean
---@field check integer options of a first match
---@field plain boolean it is compiled to machine code, and its subjects need no check
---@field work any the workspace of the letter "d"

-- How many elements of an ovector one offset takes: it is read as 32-bit numbers, which need no box. Strings of LuaJIT
-- are shorter than that.
M.STEP = ffi.sizeof "size_t" / 4
local LOW = ffi.abi "le" and 0 or M.STEP - 1

local function names_of(code)
  local pcre, count, size, at = library, ffi.new("uint32_t[1]"), ffi.new("uint32_t[1]"), ffi.new("const char *[1]")
  local names = {}
  pcre.pcre2_pattern_info_8(code, NAMECOUNT, count)
  pcre.pcre2_pattern_info_8(code, NAMEENTRYSIZE, size)
  pcre.pcre2_pattern_info_8(code, NAMETABLE, at)
  for i = 0, count[0] - 1 do
    local entry = at[0] + i * size[0]
    names[#names + 1] = ffi.string(entry + 2)
    names[#names + 1] = bit.band(entry[0], 255) * 256 + bit.band(entry[1], 255)
  end
  return names
end

local function message_of(number)
  local text = ffi.new("char[256]")
  library.pcre2_get_error_message_8(number, text, 256)
  return ffi.string(text)
end

local function read_options(options)
  if type(options) ~= "string" then
    words.misuse(("bad options of a regular expression (string expected, got %s)"):format(type(options)))
  end
  local flags, has = 0, {}
  for letter in options:gmatch "." do
    local flag = letters[letter]
    if not flag then words.misuse(('unknown flag "%s" (flags "%s")'):format(letter, options)) end
    flags, has[letter] = bit.bor(flags, flag), true
  end
  return flags, has
end

local function compile(regex, options)
  local flags, has = read_options(options)
  if type(regex) ~= "string" then
    words.misuse(("bad regular expression (string expected, got %s)"):format(type(regex)))
  end
  local pcre = library or load_library()
  local number, offset = ffi.new("int[1]"), ffi.new("size_t[1]")
  local code = pcre.pcre2_compile_8(regex, #regex, ffi.cast("uint32_t", flags), number, offset, nil)
  if code == nil then
    local at = tonumber(offset[0])
    local where = at >= #regex and ('in "%s"'):format(regex)
      or ('in "%s" at "%s"'):format(regex, regex:sub(at + 1))
    return nil, ("pcre_compile() failed: %s %s"):format(message_of(number[0]), where)
  end
  code = ffi.gc(code, pcre.pcre2_code_free_8)
  local dfa, utf = has.d or false, (has.u or has.U) or false
  local fast = has.j and not dfa and pcre.pcre2_jit_compile_8(code, JIT_COMPLETE) == 0
  local data = pcre.pcre2_match_data_create_from_pattern_8(code, nil)
  if data == nil then return nil, "no memory" end
  data = ffi.gc(data, pcre.pcre2_match_data_free_8)
  local count = ffi.new("uint32_t[1]")
  pcre.pcre2_pattern_info_8(code, CAPTURECOUNT, count)
  local ovector = ffi.cast("const int32_t *", pcre.pcre2_get_ovector_pointer_8(data)) + LOW
  return { code = code, data = data, ovector = ovector, captures = dfa and 0 or tonumber(count[0]),
    names = dfa and {} or names_of(code), lists = has.D or false, utf = utf,
    check = has.U and NO_UTF_CHECK or 0, plain = fast and (not utf or has.U or false),
    work = dfa and ffi.new("int[?]", WORKSPACE) or false }
end

---------------------------------------------------------------------------------------------------
-- what was compiled is kept

-- Two generations, [options][regex]: a pattern that is used moves to the young one. When this has half of the most that
-- are kept, the old one goes, with what was not used since. So no number of patterns drops those that are used.
local young, old, count, most = {}, {}, 0, 1024

local function keep(regex, options, pattern)
  if most <= 0 then return end
  if count >= most / 2 then young, old, count = {}, young, 0 end
  local of_options = young[options]
  if not of_options then
    of_options = {}
    young[options] = of_options
  end
  of_options[regex], count = pattern, count + 1
end

-- One that is not among the young ones.
local function find_or_compile(regex, options)
  local of_options = old[options]
  local pattern = of_options and of_options[regex]
  if pattern then of_options[regex] = nil
  else
    local err
    pattern, err = compile(regex, options)
    if not pattern then return nil, err end
  end
  keep(regex, options, pattern)
  return pattern
end

--- The compiled pattern, with or without the letter "o".
---@param regex string
---@param options string
---@return moonpark.ngx.pattern|nil
---@return string? err
function M.compile(regex, options)
  local of_options = young[options]
  local pattern = of_options and of_options[regex]
  if pattern then return pattern end
  return find_or_compile(regex, options)
end

--- How many compiled patterns are kept, about.
---@param n integer
function M.set_most_kept(n)
  most, young, old, count = n, {}, {}, 0
end

---------------------------------------------------------------------------------------------------
-- matching

local function failed(n)
  if n == NOMATCH then return 0 end
  return nil, ("pcre_exec() failed: %d"):format(n <= -3 and n >= -28 and BAD_UTF or of_pcre[n] or n)
end

--- Matches from the offset on -> the number of groups that are known, 0 where there is no match | nil, err. The offsets
--- are in pattern.ovector.
---@param pattern moonpark.ngx.pattern
---@param subject string
---@param offset integer from 0
---@param again? boolean a match of the same subject came before: its UTF-8 has been checked
---@return integer|nil
---@return string? err
function M.exec(pattern, subject, offset, again)
  local n
  if pattern.plain then
    n = library.pcre2_jit_match_8(pattern.code, subject, #subject, offset, 0, pattern.data, context)
  else
    local check = again and pattern.utf and NO_UTF_CHECK or pattern.check
    if pattern.work then
      n = library.pcre2_dfa_match_8(pattern.code, subject, #subject, offset, check, pattern.data, context,
        pattern.work, WORKSPACE)
      if n >= 0 then return 1 end
    else
      n = library.pcre2_match_8(pattern.code, subject, #subject, offset, check, pattern.data, context)
    end
  end
  if n > 0 then return n end
  return failed(n)
end

--- Where group i is: from (0 ...), to (behind it); nil: it has not matched.
function M.span(pattern, i)
  local ovector, at = pattern.ovector, 2 * i * M.STEP
  local from = ovector[at]
  if from < 0 then return nil end
  return from, ovector[at + M.STEP]
end

---------------------------------------------------------------------------------------------------
-- limits

--- How many steps a match may try before it fails with "pcre_exec() failed: -8"; 0: as many as PCRE2 allows, ten
--- million.
---@param n integer
function M.set_match_limit(n)
  if not library then load_library() end
  library.pcre2_set_match_limit_8(context, n > 0 and n or 10000000)
end

local stack

--- How many bytes of stack a compiled match may use.
---@param size integer
---@return true|nil
---@return string? err
function M.set_jit_stack(size)
  if next(young) or next(old) then
    return nil, "changing jit stack size is not allowed when some regexs have already been compiled and cached"
  end
  if not library then load_library() end
  local new = library.pcre2_jit_stack_create_8(SMALLEST_STACK, math.max(size, SMALLEST_STACK), nil)
  if new == nil then return nil, "no memory" end
  library.pcre2_jit_stack_assign_8(context, nil, new)
  if stack then library.pcre2_jit_stack_free_8(stack) end
  stack = new
  return true
end

return M
