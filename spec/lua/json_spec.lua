-- SPDX-License-Identifier: MIT
-- json_spec.lua - values to JSON in C: what is written, what is refused, and that both are as lua-cjson has them, but
-- for slashes.

local core = require "moonpark.core"
local cjson = require "cjson.safe"
local units = require "support.units"

local encode, null = core.json_encode, cjson.null
local INT_MAX = 2 ^ 31 - 1

-- lua-cjson as the library configures it: the reference.
local reference = cjson.new()
reference.encode_max_depth(100)
reference.encode_sparse_array(false, 2, 8)

local function nested(levels)
  local value = {}
  for _ = 2, levels do value = { value } end
  return value
end

local function refusal(value)
  local text, why = encode(value)
  assert.is_nil(text)
  return why
end

describe("a value as JSON", function()
  it("is a number with 14 digits, a string, true, false or null", function()
    assert.equal("42", encode(42))
    assert.equal("-0.5", encode(-0.5))
    assert.equal("1e+20", encode(1e20))
    assert.equal('"text"', encode "text")
    assert.equal("true", encode(true))
    assert.equal("false", encode(false))
    assert.equal("null", encode(nil))
    assert.equal("null", encode(null))
  end)

  it("is an array if all keys are whole numbers from 1 on; holes are null", function()
    assert.equal("[1,2,3]", encode { 1, 2, 3 })
    assert.equal('[[],{"a":[true]}]', (encode { nested(1), { a = { true } } }:gsub("{}", "[]")))
    assert.equal("[1,null,3]", encode { 1, nil, 3 })
    assert.equal("[null,null,null,null,null,null,null,8]", encode { [8] = 8 })
  end)

  it("else is an object, and numbers are turned into names", function()
    assert.equal("{}", encode {})
    assert.equal('{"a":1}', encode { a = 1 })
    assert.equal('{"0":1}', encode { [0] = 1 })
    assert.equal('{"-1":1}', encode { [-1] = 1 })
    assert.equal('{"1.5":1}', encode { [1.5] = 1 })
    assert.equal('{"2147483648":1}', encode { [INT_MAX + 1] = 1 })
    local mixed = { [encode { 1, a = 2 }] = true }
    assert.is_true(mixed['{"1":1,"a":2}'] or mixed['{"a":2,"1":1}'])
  end)

  it("has all fields in the order of next()", function()
    local value, pieces = {}, {}
    for i = 1, 50 do value["name" .. i] = i end
    for name, number in pairs(value) do pieces[#pieces + 1] = ('"%s":%d'):format(name, number) end
    assert.equal("{" .. table.concat(pieces, ",") .. "}", encode(value))
  end)

  it("has strings of any bytes; control bytes, DEL, quotes and backslashes are escaped", function()
    assert.equal([["\"\\/\b\f\n\r\t"]], encode '"\\/\b\f\n\r\t')
    assert.equal([["\u0000\u0001\u001f\u007f"]], encode "\0\1\31\127")
    assert.equal('"\195\169 \255"', encode "\195\169 \255")
    assert.equal([[{"a/b":"https://example.org/a/"}]], encode { ["a/b"] = "https://example.org/a/" })
  end)

  it("has no text that ends a script: a slash is escaped behind '<', and nowhere else", function()
    assert.equal([["<\/script>"]], encode "</script>")
    assert.equal([["/<<\/<\/b><\/<<"]], encode "/<</</b></<<")
    for n = 0, 40 do -- across the sixteen bytes that are looked at together
      local before = ("x"):rep(n)
      assert.equal('"' .. before .. '<\\/"', encode(before .. "</"))
      assert.equal('"' .. before .. '<"', encode(before .. "<"))
      assert.equal('"' .. before .. '< /"', encode(before .. "< /"))
    end
  end)

  it("does not ask metatables", function()
    local function never() error "called" end
    local meta = { __index = never, __len = never, __pairs = never, __tostring = never, __call = never }
    assert.equal("{}", encode(setmetatable({}, meta)))
    assert.equal("[1,2]", encode(setmetatable({ 1, 2 }, meta)))
  end)

  it("does not turn the keys of the table into strings", function()
    local value = { [1.5] = 1, [2.5] = 2 }
    encode(value)
    assert.same({ [1.5] = 1, [2.5] = 2 }, value)
  end)
end)

describe("no JSON", function()
  it("are NaN and infinities", function()
    for _, x in ipairs { 0 / 0, 1 / 0, -1 / 0 } do
      assert.equal("Cannot serialise number: must not be NaN or Inf", refusal(x))
      assert.equal("Cannot serialise number: must not be NaN or Inf", refusal { a = { x } })
    end
    assert.equal("Cannot serialise number: must not be NaN or Inf", refusal { [1 / 0] = 1 })
  end)

  it("are functions, threads, userdata and cdata", function()
    local values = { ["function"] = print, thread = coroutine.create(print), userdata = io.stdout,
      cdata = require("ffi").new("int64_t", 1) }
    for kind, value in pairs(values) do
      assert.equal(("Cannot serialise %s: type not supported"):format(kind), refusal(value))
      assert.equal(("Cannot serialise %s: type not supported"):format(kind), refusal { a = { 1, value } })
    end
    assert.equal("Cannot serialise userdata: type not supported", refusal(core.parked))
  end)

  it("are keys that are neither strings nor numbers", function()
    for kind, key in pairs { boolean = true, table = {}, ["function"] = print, userdata = null } do
      local why = ("Cannot serialise %s: table key must be a number or string"):format(kind)
      assert.equal(why, refusal { [key] = 1 })
    end
  end)

  it("are arrays with more holes than items", function()
    local sparse = "Cannot serialise table: excessively sparse array"
    assert.equal(sparse, refusal { [9] = 9 })
    assert.equal(sparse, refusal { 1, 2, 3, [1000] = 1 })
    assert.equal(sparse, refusal { [INT_MAX] = 1 })
    assert.is_string(encode { 1, 2, 3, 4, 5, [12] = 12 })
  end)

  it("are more than 100 levels, and tables in themselves", function()
    assert.equal(("["):rep(99) .. "{}" .. ("]"):rep(99), encode(nested(100)))
    assert.equal("Cannot serialise, excessive nesting (101)", refusal(nested(101)))
    local endless = {}
    endless.again = endless
    assert.equal("Cannot serialise, excessive nesting (101)", refusal(endless))
  end)

  it("is nothing at all: an error", function()
    assert.has_error(function() encode() end, "bad argument #1 to 'encode' (value expected)")
  end)

  it("is refused without consequences for the next value", function()
    assert.is_nil(encode { ("x"):rep(1000), print })
    assert.equal("[1]", encode { 1 })
  end)
end)

---------------------------------------------------------------------------------------------------
-- beside lua-cjson

-- lua-cjson escapes every slash, the core only one behind '<'.
local function with_plain_slashes(text)
  if not text then return nil end
  text = text:gsub("\\(.)", function(byte) return byte == "/" and "/" or nil end)
  return (text:gsub("</", "<\\/"))
end

local function same(value)
  local text, why = reference.encode(value)
  text = with_plain_slashes(text)
  local got, got_why = encode(value)
  if got ~= text or got_why ~= why then
    error(("%s; lua-cjson: %s"):format(tostring(got or got_why), tostring(text or why)), 2)
  end
  return text
end

-- Makes values of all kinds. Whole keys from 2^31 on are left out: lua-cjson counts places with an int.
local function new_maker(random)
  local make

  local function some_number()
    local kind = random(8)
    if kind <= 3 then return random(100) - 20 end
    if kind == 4 then return (random(2000000) - 1000000) / 100 end
    if kind == 5 then return random(2 ^ 31 - 2) * 10 ^ (random(40) - 20) end
    if kind == 6 then return 2 ^ (random(140) - 70) end
    if kind == 7 then return 10 ^ random(20) - random(3) end
    local nan, inf = random(10) == 1 and 0 / 0 or 1, random(10) == 1 and 1 / 0 or 2
    return ({ 0, -0.0, 1e308, 5e-324, 2 ^ 53, nan, inf })[random(7)]
  end

  local function some_string()
    local bytes, any, first, count = {}, random(3) == 1, 97, 26
    if random(4) == 1 then first, count = 47, 14 end -- slashes, digits, '<'
    for i = 1, random(random(4) == 1 and 70 or 12) - 1 do
      bytes[i] = any and random(256) - 1 or first - 1 + random(count)
    end
    return string.char(unpack(bytes))
  end

  local function some_key()
    local kind = random(40)
    if kind <= 28 then return some_string() end
    if kind == 29 then return random(2) == 1 end
    local x = some_number()
    return x == x and x < INT_MAX and x or 1
  end

  local function some_table(depth)
    local value, kind = {}, random(4)
    for i = 1, random(9) - 1 do
      local key = (kind == 1 and some_key()) or (kind == 2 and random(14)) or (kind == 3 and i) or some_string()
      value[key] = make(depth + 1)
    end
    return value
  end

  function make(depth)
    local kind = random(24)
    if kind <= 9 and depth < 5 then return some_table(depth) end
    if kind <= 15 then return some_number() end
    if kind <= 20 then return some_string() end
    return ({ true, false, null, random(12) == 1 and print or 1 })[kind - 20]
  end

  return make
end

describe("beside lua-cjson, the text and the refusals are the same, but for slashes", function()
  it("for each byte in a string, and at each place in a long one", function()
    for byte = 0, 255 do
      same(string.char(byte))
      for length = 0, 40 do same(("x"):rep(length) .. string.char(byte) .. ("y"):rep(40 - length)) end
    end
    same(("\0"):rep(10000))
    same(("text "):rep(10000))
  end)

  it("for lists with each number of places and items", function()
    for places = 1, 30 do
      for items = 1, places do
        local list = { [places] = "last" }
        for i = 1, items - 1 do list[i] = i end
        same(list)
        list.name = true
        same(list)
      end
    end
  end)

  it("for each number of levels", function()
    for levels = 1, 110 do same(nested(levels)) end
  end)

  it("for thousands of random values", function()
    local random, texts = units.random(20231), 0
    local make = new_maker(random)
    for _ = 1, 20000 do texts = texts + (same(make(0)) and 1 or 0) end
    assert.is_true(texts > 10000 and texts < 19900, texts .. " texts")
  end)

  it("for random values deep in others", function()
    local random = units.random(77)
    local make = new_maker(random)
    for _ = 1, 2000 do
      local value = make(3)
      for _ = 1, 60 + random(40) do value = random(2) == 1 and { value } or { a = 1, b = value } end
      same(value)
    end
  end)

  it("for what it has decoded", function()
    for _, text in ipairs { "[]", "{}", "[[[]]]", '{"a":[1,2,{"b":null}]}', '["\\u00e9\\u0000",-1.5e-7]' } do
      same(cjson.decode(text))
    end
  end)
end)

---------------------------------------------------------------------------------------------------
-- the buffer

describe("the memory of the text", function()
  local function blocks() return core.stats().blocks end

  it("is used again", function()
    encode { "a" }
    local before = blocks()
    for i = 1, 1000 do encode { i } end
    assert.equal(before, blocks())
  end)

  it("is not kept if it was much", function()
    encode { 1 }
    local before = blocks()
    assert.equal(1000004, #encode { ("x"):rep(1000000) })
    assert.equal(before - 1, blocks())
  end)

  it("may grow without end", function()
    local list = {}
    for i = 1, 100000 do list[i] = i end
    assert.equal("[" .. table.concat(list, ",") .. "]", encode(list))
  end)

  it("belongs to one call: a finalizer that runs in the middle of one gets its own", function()
    local ran, before = 0, collectgarbage("setpause", 100)
    local function drop()
      local object = newproxy(true)
      getmetatable(object).__gc = function()
        ran = ran + 1
        assert.equal(20004, #encode { ("f"):rep(20000) })
      end
    end
    for i = 1, 20000 do
      if i % 10 == 0 then drop() end
      assert.equal(('["%d","text"]'):format(i), encode { tostring(i), "text" })
    end
    collectgarbage()
    collectgarbage("setpause", before)
    assert.is_true(ran > 1000)
  end)

  it("is found wherever the stack ends", function()
    local function down(n)
      if n == 0 then return encode(nested(100)) end
      return (down(n - 1))
    end
    local want = encode(nested(100))
    for n = 1, 200 do
      assert.equal(want, coroutine.wrap(down)(n))
    end
  end)
end)
