-- SPDX-License-Identifier: MIT
-- kv_spec.lua - examples/kv.lua under real Redis clients, and byte by byte.

local moonpark = require "moonpark"
local example = require "support.example"
local process = require "support.process"
local support = require "support.net"

-- A request as clients send it.
local function request(...)
  local pieces = { "*" .. select("#", ...) .. "\r\n" }
  for _, word in ipairs { ... } do table.insert(pieces, ("$%d\r\n%s\r\n"):format(#word, word)) end
  return table.concat(pieces)
end

local function bulk(value) return ("$%d\r\n%s\r\n"):format(#value, value) end

local NIL, OK, SYNTAX = "$-1\r\n", "+OK\r\n", "-ERR syntax error\r\n"
local NO_INTEGER = "-ERR value is not an integer or out of range\r\n"
local OVERFLOW = "-ERR increment or decrement would overflow\r\n"

local function wrong_number(name) return ("-ERR wrong number of arguments for '%s' command\r\n"):format(name) end

describe("examples/kv.lua", function()
  local kv, conn

  setup(function() kv = example.start("kv.lua") end)

  teardown(function()
    kv:stop()
    process.stop_all()
  end)

  before_each(function()
    conn = kv:dial()
    conn:write(request("FLUSHALL"))
    assert.equal(OK, conn:read_exactly(#OK))
  end)

  after_each(function() conn:close() end)

  -- Sends bytes and expects exactly those bytes back.
  local function exchange(bytes, answer)
    assert(conn:write(bytes))
    assert.equal(answer, conn:read_exactly(#answer))
  end

  -- Sends one command, given as words with single blanks between them.
  local function command(words, answer)
    local list = {}
    for word in words:gmatch "%S+" do table.insert(list, word) end
    exchange(request(unpack(list)), answer)
  end

  local function cli(...) return process.run { "redis-cli", "-p", kv.port, ... } end

  -- What the server sends until it closes.
  local function last_words(bytes)
    assert(conn:write(bytes))
    return conn:read_all()
  end

  describe("under Redis' own clients", function()
    it("answers redis-cli", function()
      assert.equal("OK\n", cli("set", "greeting", "hello").out)
      assert.equal("hello\n", cli("get", "greeting").out)
      assert.equal("1\n", cli("incr", "visits").out)
      assert.equal("\n", cli("get", "nothing").out)
      assert.equal("ERR wrong number of arguments for 'get' command\n\n", cli("get").out)
    end)

    it("answers redis-cli's session line by line", function()
      local session = "mset a 1 b 2\nmget a b c\nexpire a 100\nttl b\nset \"two words\" x\nkeys two*\ndbsize\n"
      local r = process.run({ "redis-cli", "--no-raw", "-p", kv.port }, { stdin = session })
      assert.equal(0, r.status)
      assert.equal('OK\n1) "1"\n2) "2"\n3) (nil)\n(integer) 1\n(integer) -1\nOK\n1) "two words"\n(integer) 3\n', r.out)
    end)

    it("takes redis-cli's mass insertion", function()
      local requests = {}
      for i = 1, 2000 do requests[i] = request("SET", "key" .. i, "value" .. i) end
      local r = process.run({ "redis-cli", "-p", kv.port, "--pipe" }, { stdin = table.concat(requests) })
      assert.equal(0, r.status, r.out .. r.err)
      assert.matches("errors: 0, replies: 2000", r.out)
      command("DBSIZE", ":2000\r\n")
    end)

    it("stands redis-benchmark, with and without pipelines", function()
      for _, pipeline in ipairs { 1, 16 } do
        local r = process.run { "redis-benchmark", "-p", kv.port, "-n", 1600, "-c", 10, "-P", pipeline, "-r", 100,
          "--csv", "-t", "ping_inline,ping_mbulk,set,get,incr,mset" }
        assert.equal(0, r.status, r.err)
        for _, test in ipairs { "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET %(10 keys%)" } do
          assert.matches('"' .. test .. '","[%d.]+"', r.out)
        end
        assert.is_nil(r.out:find("Error", 1, true))
      end
      assert.is_true(tonumber(cli("dbsize").out) > 100)
    end)
  end)

  describe("as a protocol", function()
    it("answers all requests of one read with one write", function()
      assert(conn:write((request("PING") .. "PING\r\n" .. request("ECHO", "x")):rep(100)))
      local answer = ("+PONG\r\n+PONG\r\n" .. bulk "x"):rep(100)
      local got = conn:read()
      assert.equal(#answer, #got)
      assert.is_true(answer == got)
    end)

    it("takes a request in pieces, wherever it is cut", function()
      local bytes = request("SET", "key", "a\r\nb") .. "GET 'key'\r\n" .. request("MGET", "key", "") .. "*0\r\n"
        .. request("ECHO", ("0123456789"):rep(12))
      local answer = OK .. bulk "a\r\nb" .. "*2\r\n" .. bulk "a\r\nb" .. NIL .. bulk(("0123456789"):rep(12))
      for cut = 1, #bytes - 1 do
        assert(conn:write(bytes:sub(1, cut)))
        support.settle()
        exchange(bytes:sub(cut + 1), answer)
      end
      for i = 1, #bytes do
        assert(conn:write(bytes:sub(i, i)))
        support.settle()
      end
      assert.equal(answer, conn:read_exactly(#answer))
    end)

    it("takes a line as a person types it", function()
      exchange("PING\n", "+PONG\r\n")
      exchange("  set   'a b'  \"c\\x41\\n\\\"\" \r\n", OK)
      exchange("get \"a b\"\r\n", bulk 'cA\n"')
      exchange("echo 'it\\'s'\r\n", bulk "it's")
      exchange("echo ''\r\n", bulk "")
      exchange("\r\n\r\n\nping\r\n", "+PONG\r\n")
    end)

    it("takes no notice of empty requests", function() exchange("*0\r\n*-1\r\n" .. request("PING"), "+PONG\r\n") end)

    it("keeps any bytes, in keys and values", function()
      local key, value = "k\0\r\n\255", "\0*1\r\n$-1\r\n\200"
      exchange(request("SET", key, value), OK)
      exchange(request("GET", key), bulk(value))
      exchange(request("EXISTS", "k"), ":0\r\n")
      exchange(request("KEYS", "k*"), "*1\r\n" .. bulk(key))
      exchange(request("SET", "", ""), OK)
      exchange(request("GET", ""), bulk "")
    end)

    it("takes values that are longer than any read, and gives them back", function()
      local value = support.random_bytes(3 * 1024 * 1024)
      exchange(request("SET", "long", value) .. request("PING"), OK .. "+PONG\r\n")
      assert(conn:write(request("MGET", "long", "none", "long")))
      local answer = "*3\r\n" .. bulk(value) .. NIL .. bulk(value)
      assert.is_true(conn:read_exactly(#answer) == answer)
    end)

    it("takes a request of many arguments", function()
      local words = {}
      for i = 1, 20000 do words[i] = "key" .. i end
      local pieces = { request("MSET", unpack(words, 1, 6000)), request("DEL", unpack(words, 1, 6000)) }
      exchange(pieces[1] .. pieces[2], OK .. ":3000\r\n")
    end)

    local errors = {
      ["a number of arguments that is none"] = { "*x\r\n", "invalid multibulk length" },
      ["no number of arguments"] = { "*\r\n", "invalid multibulk length" },
      ["a number with a plus"] = { "*+1\r\n", "invalid multibulk length" },
      ["a number with a leading zero"] = { "*01\r\n", "invalid multibulk length" },
      ["a number that ends in a bare CR"] = { "*1\rx", "invalid multibulk length" },
      ["too many arguments"] = { "*1048577\r\n", "invalid multibulk length" },
      ["far too many arguments"] = { "*99999999999999999999\r\n", "invalid multibulk length" },
      ["a number of arguments without an end"] = { "*" .. ("1"):rep(70000), "too big mbulk count string" },
      ["an argument without its length"] = { "*1\r\nPING\r\n", "expected '$', got 'P'" },
      ["a line break as an argument"] = { "*1\r\n\r\n", "expected '$', got ' '" },
      ["a negative length"] = { "*1\r\n$-1\r\n", "invalid bulk length" },
      ["a length that is none"] = { "*1\r\n$4x\r\n", "invalid bulk length" },
      ["a value over 512 MB"] = { "*1\r\n$536870913\r\n", "invalid bulk length" },
      ["values that are too long together"] =
        { "*3\r\n$4\r\nMSET\r\n$1048576\r\n" .. ("x"):rep(1048576) .. "\r\n$536870912\r\n", "invalid bulk length" },
      ["a length without an end"] = { "*1\r\n$" .. ("1"):rep(70000), "too big bulk count string" },
      ["a line without an end"] = { ("x"):rep(70000), "too big inline request" },
      ["a quote that is not closed"] = { 'echo "x\r\n', "unbalanced quotes in request" },
      ["a quote that is closed in a word"] = { "echo 'x'y\r\n", "unbalanced quotes in request" },
    }
    for what, case in pairs(errors) do
      it("refuses " .. what .. " and closes", function()
        assert.equal("-ERR Protocol error: " .. case[2] .. "\r\n", last_words(case[1]))
      end)
    end

    it("answers what came before an error, and nothing behind it", function()
      assert.equal("+PONG\r\n-ERR Protocol error: invalid bulk length\r\n",
        last_words(request("PING") .. "*1\r\n$-5\r\n" .. request("PING")))
    end)

    it("answers what came before the end, and forgets what is not complete", function()
      assert(conn:write(request("SET", "a", "1") .. "*2\r\n$3\r\nGET\r\n$100\r\nabc"))
      conn:close_write()
      assert.equal(OK, conn:read_all())
    end)

    it("lets a client that does not read its answers wait alone", function()
      local other = kv:dial()
      local value = ("x"):rep(1024 * 1024)
      exchange(request("SET", "long", value), OK)
      assert(other:write(request("GET", "long"):rep(32)))
      exchange(request("PING"), "+PONG\r\n")
      local answer = bulk(value)
      for _ = 1, 32 do assert.is_true(other:read_exactly(#answer) == answer) end
      other:close()
    end)
  end)

  describe("as commands", function()
    it("does not mind how a name is written", function()
      command("ping", "+PONG\r\n")
      command("PiNg", "+PONG\r\n")
    end)

    it("PING answers PONG or its argument; ECHO its argument", function()
      command("PING", "+PONG\r\n")
      command("PING hello", bulk "hello")
      command("PING a b", wrong_number "ping")
      command("ECHO hello", bulk "hello")
      command("ECHO", wrong_number "echo")
    end)

    it("says so when it does not know a command, with what was given", function()
      command("NOSUCH a b", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n")
      exchange(request("NO\r\nSUCH"), "-ERR unknown command 'NO  SUCH', with args beginning with: \r\n")
      local args = "'" .. ("y"):rep(100) .. "' '" .. ("z"):rep(25) .. "' "
      exchange(request(("x"):rep(200), ("y"):rep(100), ("z"):rep(200), "w"),
        "-ERR unknown command '" .. ("x"):rep(128) .. "', with args beginning with: " .. args .. "\r\n")
    end)

    it("SET, GET, EXISTS and DEL", function()
      command("GET a", NIL)
      command("SET a 1", OK)
      command("SET a 2", OK)
      command("GET a", bulk "2")
      command("EXISTS a b a", ":2\r\n")
      command("DEL a b a", ":1\r\n")
      command("GET a", NIL)
      command("SET a", wrong_number "set")
      command("GET a b", wrong_number "get")
      command("DEL", wrong_number "del")
      command("EXISTS", wrong_number "exists")
    end)

    it("SET with NX only where there is nothing, with XX only where there is something", function()
      command("SET a 1 XX", NIL)
      command("SET a 1 NX", OK)
      command("SET a 2 nx", NIL)
      command("GET a", bulk "1")
      command("SET a 3 xx", OK)
      command("GET a", bulk "3")
      command("SET a 4 NX XX", SYNTAX)
    end)

    it("SET with GET answers what was there", function()
      command("SET a 1 GET", NIL)
      command("SET a 2 GET", bulk "1")
      command("SET a 3 NX GET", bulk "2")
      command("GET a", bulk "2")
    end)

    it("SET refuses options that make no sense", function()
      command("SET a 1 WHAT", SYNTAX)
      command("SET a 1 EX", SYNTAX)
      command("SET a 1 EX 10 PX 10", SYNTAX)
      command("SET a 1 EX 10 KEEPTTL", SYNTAX)
      command("SET a 1 EX ten", NO_INTEGER)
      command("SET a 1 EX 1.5", NO_INTEGER)
      for _, time in ipairs { "EX 0", "PX -1", "EX 9223372036854775807" } do
        command("SET a 1 " .. time, "-ERR invalid expire time in 'set' command\r\n")
      end
      command("GET a", NIL)
    end)

    it("MSET and MGET", function()
      command("MSET a 1 b 2 a 3", OK)
      command("MGET a nothing b", "*3\r\n" .. bulk "3" .. NIL .. bulk "2")
      command("MSET a 1 b", wrong_number "mset")
      command("MSET a", wrong_number "mset")
      command("MGET", wrong_number "mget")
    end)

    it("INCR and INCRBY count from 0, up and down", function()
      command("INCR n", ":1\r\n")
      command("INCRBY n 41", ":42\r\n")
      command("INCRBY n -50", ":-8\r\n")
      command("GET n", bulk "-8")
      command("MGET n", "*1\r\n" .. bulk "-8")
      command("SET n 7 GET", bulk "-8")
      command("INCR n", ":8\r\n")
      command("INCR", wrong_number "incr")
      command("INCRBY n", wrong_number "incrby")
    end)

    it("count with 64 bits, and change nothing where that is not enough", function()
      command("INCRBY n 99999999999999", ":99999999999999\r\n")
      command("INCR n", ":100000000000000\r\n")
      command("INCRBY n -1", ":99999999999999\r\n")
      command("SET n 9007199254740993", OK)
      command("INCR n", ":9007199254740994\r\n")
      command("SET n 9223372036854775806", OK)
      command("INCR n", ":9223372036854775807\r\n")
      command("INCR n", OVERFLOW)
      command("GET n", bulk "9223372036854775807")
      command("INCRBY n -9223372036854775808", ":-1\r\n")
      command("INCRBY n -9223372036854775807", ":-9223372036854775808\r\n")
      command("INCRBY n -1", OVERFLOW)
      command("INCRBY n 9223372036854775807", ":-1\r\n")
    end)

    it("count nothing that is not an integer, and by nothing that is none", function()
      local none = { "x", "1.5", "1e3", "0x10", "+1", "01", "-0", "--1", "inf", "nan", "9223372036854775808",
        "-9223372036854775809", "99999999999999999999999", "1\0", " 1", "1 ", "" }
      for _, text in ipairs(none) do
        exchange(request("SET", "n", text), OK)
        exchange(request("INCR", "n"), NO_INTEGER)
        exchange(request("INCRBY", "other", text), NO_INTEGER)
      end
      command("EXISTS other", ":0\r\n")
    end)

    it("EXPIRE and TTL", function()
      command("EXPIRE a 100", ":0\r\n")
      command("TTL a", ":-2\r\n")
      command("SET a 1", OK)
      command("TTL a", ":-1\r\n")
      command("EXPIRE a 100000", ":1\r\n")
      assert(conn:write(request("TTL", "a")))
      local left = tonumber(conn:read_line():match "^:(%d+)$")
      assert.is_true(left > 99000 and left <= 100000)
      command("EXPIRE a 0", ":1\r\n")
      command("GET a", NIL)
      command("SET a 1", OK)
      command("EXPIRE a -5", ":1\r\n")
      command("EXISTS a", ":0\r\n")
      command("EXPIRE a x", NO_INTEGER)
      command("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n")
      command("EXPIRE a", wrong_number "expire")
    end)

    it("a new value expires when it is told to, not when the old one would have", function()
      command("SET a 1 EX 1000", OK)
      command("INCR a", ":2\r\n")
      command("SET a 3 KEEPTTL", OK)
      command("EXPIRE a 2000", ":1\r\n")
      assert(conn:write(request("TTL", "a")))
      assert.is_true(tonumber(conn:read_line():match "^:(%d+)$") > 1000)
      command("SET a 4", OK)
      command("TTL a", ":-1\r\n")
      command("SET b 1 EX 1000", OK)
      command("MSET b 2", OK)
      command("TTL b", ":-1\r\n")
    end)

    -- Asks until the answer is that one.
    local function ask_until(words, answer)
      local got
      repeat
        assert(conn:write(request(unpack(words))))
        got = conn:read()
      until got == answer or not moonpark.sleep(0.002)
      assert.equal(answer, got)
    end

    it("a key that has expired is not there, not before", function()
      local since = moonpark.now()
      command("SET a 1 PX 50", OK)
      ask_until({ "GET", "a" }, NIL)
      assert.is_true(moonpark.now() - since >= 0.05)
      command("EXISTS a", ":0\r\n")
      command("TTL a", ":-2\r\n")
      command("INCR a", ":1\r\n")
      command("TTL a", ":-1\r\n")
      command("SET b 1 PX 1", OK)
      ask_until({ "KEYS", "b" }, "*0\r\n")
      command("SET b 2 NX", OK)
    end)

    it("a key that has expired goes although nobody asks for it", function()
      command("MSET stays 1 moved 1", OK)
      command("SET soon 1 PX 1", OK)
      repeat -- until it is moved before it has expired
        command("SET moved 1 PX 10", OK)
        assert(conn:write(request("EXPIRE", "moved", "1000")))
      until conn:read() == ":1\r\n"
      command("SET later 1 PX 30", OK)
      ask_until({ "DBSIZE" }, ":2\r\n")
      command("EXISTS stays moved soon later", ":2\r\n")
    end)

    it("KEYS matches patterns", function()
      local cases = {
        ["*"] = "a1 a2 b1 b[ xa*", ["a*"] = "a1 a2", ["*1"] = "a1 b1", ["?1"] = "a1 b1", ["a"] = "", ["a?"] = "a1 a2",
        ["[ab]1"] = "a1 b1", ["[^a]1"] = "b1", ["[a-c]?"] = "a1 a2 b1 b[", ["[c-a]2"] = "a2", ["b\\["] = "b[",
        ["*\\*"] = "xa*", ["x*a*"] = "xa*", ["**1"] = "a1 b1", ["b[[]"] = "b[", ["a[12"] = "a1 a2", [""] = "",
        ["[]1"] = "", ["a[^]"] = "a1 a2", ["[\\a]1"] = "a1",
      }
      command("MSET a1 1 a2 1 b1 1 b[ 1 xa* 1", OK)
      for pattern, expected in pairs(cases) do
        assert(conn:write(request("KEYS", pattern)))
        local keys = {}
        for i = 1, tonumber(conn:read_line():sub(2)) do
          conn:read_line()
          keys[i] = conn:read_line()
        end
        table.sort(keys)
        assert.same({ pattern, expected }, { pattern, table.concat(keys, " ") })
      end
    end)

    it("KEYS takes no pattern longer than it must", function()
      exchange(request("SET", ("a"):rep(2000), "1"), OK)
      exchange(request("KEYS", ("*a"):rep(100) .. "b"), "*0\r\n")
    end)

    it("DBSIZE and FLUSHALL", function()
      command("DBSIZE", ":0\r\n")
      command("MSET a 1 b 2 c 3", OK)
      command("SET a 2 EX 100", OK)
      command("DEL b", ":1\r\n")
      command("DBSIZE", ":2\r\n")
      command("FLUSHALL later", SYNTAX)
      command("FLUSHALL async", OK)
      command("DBSIZE", ":0\r\n")
      command("SET a 1", OK)
      command("TTL a", ":-1\r\n")
    end)

    it("INFO tells how it is", function()
      command("MSET a 1 b 2", OK)
      command("EXPIRE a 100", ":1\r\n")
      local info
      repeat info = cli("info").out until info:find "connected_clients:2\r" -- those before us may be on their way out
      assert.matches("db0:keys=2,expires=1", info)
      assert.matches("total_commands_processed:%d+", info)
    end)

    it("COMMAND tells each command's name and how many words it takes", function()
      local r = process.run { "redis-cli", "--no-raw", "-p", kv.port, "command" }
      assert.matches('"incrby"\n *2%) %(integer%) 3\n', r.out)
      command("COMMAND DOCS", "*0\r\n")
      command("COMMAND WHAT", "-ERR unknown subcommand 'WHAT'\r\n")
    end)

    it("CONFIG GET tells the settings that match", function()
      command("CONFIG GET save", "*2\r\n" .. bulk "save" .. bulk "")
      command("CONFIG GET APPEND*", "*2\r\n" .. bulk "appendonly" .. bulk "no")
      command("CONFIG GET nothing", "*0\r\n")
      command("CONFIG GET", wrong_number "config|get")
      command("CONFIG SET save x", "-ERR unknown subcommand 'SET'\r\n")
    end)
  end)
end)
