-- SPDX-License-Identifier: MIT
-- log_spec.lua - moonpark.log: what its lines look like, which are written, and whose fields they carry.

local collect = require "support.collect"
local json = require "cjson"
local log = require "moonpark.log"
local moonpark = require "moonpark"

local lines, levels

local function configure(settings)
  lines, levels = {}, {}
  settings.output = settings.output or function(line, level)
    lines[#lines + 1], levels[#levels + 1] = line, level
  end
  assert(log.configure(settings))
end

local function last() return (lines[#lines]:gsub("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ ", "", 1)) end

local function last_json()
  local line = lines[#lines]
  assert.is_nil(line:find "[%z\1-\31\127]")
  return json.decode(line)
end

local function reset()
  log.set_level()
  log.clear()
  log.configure { level = "info", format = "text", output = "stderr", color = false, fields = {} }
end

describe("a finalizer", function()
  before_each(function() configure { format = "json", level = "info" } end)
  after_each(reset)

  it("logs fields of other types than those of compiled calls", function()
    log.set { all = "lines" }
    for i = 1, 200 do log.info("compiled", { number = i, another = i }) end
    collect.within(function() log.info("late", { text = "x", flag = true }) end, function() return ("x"):rep(100) end)
    assert.same({ "late", "x", true, "lines" }, { last_json().message, last_json().text, last_json().flag,
      last_json().all })
  end)
end)

describe("a line of text", function()
  before_each(function() configure { format = "text", level = "info" } end)
  after_each(reset)

  it("has the time, the level, the logger's name, the message and the fields in the order of their names", function()
    log.info("listening", { port = 8080, address = "127.0.0.1" })
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ INFO  listening ", lines[1])
    assert.equal("INFO  listening address=127.0.0.1 port=8080", last())
    log.named("http").error("no certificate", { host = "a b", ok = false })
    assert.equal('ERROR http: no certificate host="a b" ok=false', last())
    assert.same({ "info", "error" }, levels)
  end)

  it("stays one line, and talks to no terminal", function()
    log.info("a\nb\r\27[2J\155 \194\155 é \226\128\174", { ["k\n="] = "x\ny", q = 'say "a=b"', e = "", z = "\0\255" })
    assert.equal([[INFO  a\nb\r\x1b[2J\x9b \u{9b} é \u{202e} e="" k__="x\ny" q="say \"a=b\"" z="\x00\xff"]], last())
  end)

  it("has tables as name.name=value, and lists as JSON", function()
    log.info("x", { user = { id = 7, name = "ada", at = { city = "x" } }, tags = { "a", "b" }, none = {} })
    assert.equal([[INFO  x none={} tags="[\"a\",\"b\"]" user.at.city=x user.id=7 user.name=ada]], last())
  end)

  it("has tracebacks behind it, each line behind a tab", function()
    local _, trace = xpcall(function() error("boom\27", 0) end, debug.traceback)
    log.error("failed", { error = trace })
    local first, second, rest = last():match "^(.-)\n(.-)\n(.*)$"
    assert.equal([[ERROR failed error="boom\x1b"]], first)
    assert.equal("\tstack traceback:", second)
    for line in (rest .. "\n"):gmatch "(.-)\n" do assert.equal("\t", line:sub(1, 1)) end
    log.error("x", { traceback = "2026-01-01T00:00:00.000Z INFO  forged" })
    assert.equal("ERROR x\n\t2026-01-01T00:00:00.000Z INFO  forged", last())
  end)

  it("has colours if that is asked for", function()
    log.configure { color = true }
    log.warn("hot", { degrees = 40 })
    assert.matches("^\27%[2m%d%d:%d%d:%d%d%.%d%d%d\27%[0m \27%[33mWARN \27%[0m hot \27%[2mdegrees=\27%[0m40$", lines[1])
  end)
end)

describe("a line of JSON", function()
  before_each(function() configure { format = "json", level = "info" } end)
  after_each(reset)

  it("is one object", function()
    log.named("db").warn("slow query", { seconds = 1.5, rows = 3, sql = 'select "x"', cached = false })
    local got = last_json()
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", got.time)
    got.time = nil
    assert.same({ level = "warn", logger = "db", message = "slow query", seconds = 1.5, rows = 3, sql = 'select "x"',
      cached = false }, got)
  end)

  it("is valid whatever is in it", function()
    local loop, deep, wide = {}, {}, {}
    loop.self = loop
    local at = deep
    for _ = 1, 50 do
      at.deeper = {}
      at = at.deeper
    end
    for i = 1, 1000 do wide[i] = i end
    local odd = setmetatable({}, { __tostring = function() error "no text" end })
    log.info("x\n\0\255\237\160\128", { nan = 0 / 0, inf = 1 / 0, minus = -1 / 0, loop = loop, deep = deep, wide = wide,
      odd = odd, fn = print, thread = coroutine.create(print), big = 2 ^ 53, third = 1 / 3, i64 = -5LL,
      null = json.null, binary = "\0\1\128\254", cut = ("é"):rep(20000), [1] = "one", [true] = "yes", [1.5] = "x",
      sparse = { [1] = 1, [9] = 2 },
      mixed = { 1, 2, n = 3 }, emoji = "\240\159\153\130", del = "\127", bidi = "\226\128\174", c1 = "\194\155",
      shared = { wide[1], wide[1] } })
    local got = last_json()
    assert.same({ "NaN", "Infinity", "-Infinity" }, { got.nan, got.inf, got.minus })
    assert.equal("(the table that it is in)", got.loop.self)
    assert.equal("{...}", got.deep.deeper.deeper.deeper.deeper.deeper.deeper)
    assert.same({ 101, "... 900 more" }, { #got.wide, got.wide[101] })
    assert.matches("__tostring failed", got.odd)
    assert.matches("^function: ", got.fn)
    assert.same({ 2 ^ 53, 1 / 3, -5, json.null }, { got.big, got.third, got.i64, got.null })
    assert.equal("\0\1\239\191\189\239\191\189", got.binary)
    assert.matches("^[é]+%.%.%. %(40000 bytes%)$", got.cut)
    assert.same({ "one", "yes", "x" }, { got["1"], got["true"], got["1.5"] })
    assert.same({ ["1"] = 1, ["9"] = 2 }, got.sparse)
    assert.same({ ["1"] = 1, ["2"] = 2, n = 3 }, got.mixed)
    assert.same({ "\240\159\153\130", "\127", "\226\128\174", "\194\155" }, { got.emoji, got.del, got.bidi, got.c1 })
    assert.equal("x\n\0" .. ("\239\191\189"):rep(4), got.message)
  end)

  it("has bounds, and stays valid at them", function()
    local big = {}
    for i = 1, 90 do big["k" .. i] = { ("x"):rep(5000), ("y"):rep(5000) } end
    log.info("x", { big = big })
    assert.is_true(#lines[1] < 200000, #lines[1] .. " bytes")
    last_json()
    local many = {}
    for i = 1, 500 do many["k" .. i] = i end
    log.info("x", many)
    last_json()
  end)

  it("does not give a name twice: a field that is called like one of the line's own gets an underscore", function()
    log.info("x", { time = 1, level = 2, logger = 3, message = 4 })
    local got = last_json()
    assert.same({ 1, 2, 3, 4 }, { got.time_, got.level_, got.logger_, got.message_ })
    assert.same({ "info", "x" }, { got.level, got.message })
  end)

  it("survives fields whose texts log themselves, and messages of any kind", function()
    local chatty = setmetatable({}, { __tostring = function()
      log.info "inside"
      return "outside"
    end })
    log.info("x", { chatty = chatty })
    assert.equal("outside", last_json().chatty)
    local endless = setmetatable({}, {})
    getmetatable(endless).__tostring = function(self)
      log.info("again", { endless = self })
      return "x"
    end
    log.info("x", { endless = endless })
    last_json()
    log.info(nil)
    assert.equal("nil", last_json().message)
    log.info(setmetatable({}, { __tostring = function() return "an error object" end }))
    assert.equal("an error object", last_json().message)
    log.error { code = 404 }
    assert.equal('{"code":404}', last_json().message)
  end)

  it("of an error has its traceback, if the task knows it", function()
    local ok, err = pcall(moonpark.scope, function() error "boom" end)
    assert.is_false(ok)
    log.error("failed", { error = err })
    local got = last_json()
    assert.matches("log_spec%.lua:%d+: boom$", got.error)
    assert.matches("^stack traceback:\n.*log_spec%.lua", got.traceback)
  end)
end)

describe("levels", function()
  before_each(function() configure { format = "text", level = "info" } end)
  after_each(reset)

  local function written()
    local seen = {}
    for i, level in ipairs(levels) do seen[i] = level end
    levels = {}
    return seen
  end

  local function all(logger)
    logger.trace "x"
    logger.debug "x"
    logger.info "x"
    logger.warn "x"
    logger.error "x"
    return written()
  end

  it("leave out what is less important", function()
    for level, count in pairs { trace = 5, debug = 4, info = 3, warn = 2, error = 1, off = 0 } do
      log.configure { level = level }
      assert.equal(count, #all(log), level)
      assert.equal(count >= 3, log.enabled "info")
    end
    assert.is_false(log.enabled "off")
  end)

  it("may be a logger's own, and then its parts', also for functions that are kept", function()
    local http, client = log.named "http", log.named("http").named "client"
    assert.equal(http, log.named "http")
    assert.equal(client, log.named "http.client")
    local debug = client.debug
    log.configure { level = "warn,http=debug,http.client=error" }
    assert.same({ 2, 4, 1 }, { #all(log), #all(http), #all(client) })
    log.configure { level = "HTTP=warn, http = trace" }
    debug "x"
    assert.same({ "debug" }, written())
    assert.same({ 3, 5, 5 }, { #all(log), #all(http), #all(client) })
  end)

  it("can be changed while the program runs, and back", function()
    log.set_level "debug"
    assert.equal(4, #all(log))
    log.configure { level = "error" }
    assert.equal(4, #all(log))
    log.set_level()
    assert.equal(1, #all(log))
  end)

  it("are told with the nearest one where they are misspelled", function()
    local function raised(fn, ...) return select(2, pcall(fn, ...)) end
    assert.matches("log_spec%.lua:%d+: configure: unknown level 'wran' %(did you mean 'warn'%?%)",
      raised(function() log.configure { level = "http=wran" } end))
    assert.matches("log_spec%.lua:%d+: set_level: unknown level 'loud' %(there are trace, debug, info, warn, error,",
      raised(function() log.set_level "loud" end))
    assert.matches("log_spec%.lua:%d+: set_level: a level expected", raised(function() log.set_level "" end))
    assert.matches("log_spec%.lua:%d+: .*a level expected, got \"inof\"; did you mean 'info'",
      raised(function() log.enabled "inof" end))
    assert.matches("log_spec%.lua:%d+: configure: unknown option 'levle'; did you mean 'level'",
      raised(function() log.configure { levle = "info" } end))
    assert.matches('log_spec%.lua:%d+: configure: option \'format\' must be "text" or "json", not "yaml"',
      raised(function() log.configure { format = "yaml" } end))
  end)

  it("raise for fields that are no table, even where nothing would be written", function()
    log.configure { level = "off" }
    local err = select(2, pcall(function() log.debug("cannot open", "no such file") end))
    assert.matches("log_spec%.lua:%d+: bad argument #2 to 'debug' %(table of fields expected, such as { error =", err)
    assert.matches("log_spec%.lua:%d+: bad argument #1 to 'named'", select(2, pcall(function() log.named "a b" end)))
    assert.matches("log_spec%.lua:%d+: bad argument #1 to 'with'", select(2, pcall(function() log.with "a" end)))
  end)
end)

describe("fields", function()
  before_each(function() configure { format = "json", level = "info" } end)
  after_each(reset)

  it("are bound to a logger by with, and the later ones win", function()
    local base = log.named("db").with { pool = 1, host = "a" }
    base.with({ host = "b" }).info("x", { pool = 2 })
    local got = last_json()
    assert.same({ "db", 2, "b" }, { got.logger, got.pool, got.host })
    base.named("query").info "x"
    got = last_json()
    assert.same({ "db.query", 1, "a" }, { got.logger, got.pool, got.host })
  end)

  it("of a task are in all its lines, and in those of tasks that it starts", function()
    log.set { request_id = "r1" }
    log.set { user = "ada" }
    log.info "x"
    assert.same({ "r1", "ada" }, { last_json().request_id, last_json().user })
    local child = moonpark.go(function()
      log.set { user = "eve", step = 1 }
      log.info "child"
    end)
    child:join()
    assert.same({ "r1", "eve", 1 }, { last_json().request_id, last_json().user, last_json().step })
    log.info "parent"
    assert.same({ "r1", "ada", nil }, { last_json().request_id, last_json().user, last_json().step })
    assert.same({ request_id = "r1", user = "ada" }, log.fields())
    log.clear "user"
    assert.same({ request_id = "r1" }, log.fields())
    log.clear()
    log.info "x"
    assert.is_nil(last_json().request_id)
    assert.same({}, log.fields())
  end)

  it("of a context end with it, also if it fails", function()
    log.set { a = 1 }
    local x, y = log.context({ b = 2 }, function(...)
      log.info "inside"
      return ...
    end, "x", "y")
    assert.same({ "x", "y", 1, 2 }, { x, y, last_json().a, last_json().b })
    assert.is_false((pcall(log.context, { c = 3 }, error, "boom")))
    assert.same({ a = 1 }, log.fields())
  end)

  it("of the program are in all lines", function()
    log.configure { fields = { service = "shop" } }
    log.info("x", { a = 1 })
    assert.same({ "shop", 1 }, { last_json().service, last_json().a })
  end)

  it("do not change the tables that they came in", function()
    local mine = { a = 1 }
    log.set { b = 2 }
    log.with(mine).info("x", mine)
    assert.same({ a = 1 }, mine)
  end)
end)

describe("an output that is a file", function()
  after_each(reset)

  it("is appended to, and followed if it is renamed", function()
    local path = os.tmpname()
    local function content(of)
      local file = assert(io.open(of))
      local text = file:read "*a"
      file:close()
      return (text:gsub("[%dT:.%-]+Z ", ""))
    end
    configure { format = "text", output = path }
    log.info "first"
    assert.is_true(log.flush())
    assert(os.rename(path, path .. ".1"))
    log.info "second"
    assert.is_true(log.flush())
    assert.same({ "INFO  first\n", "INFO  second\n" }, { content(path .. ".1"), content(path) })
    assert.same({ lost = 0, pending = 0 }, { lost = log.stats().lost, pending = log.stats().pending })
    local other = assert(log.file(path .. ".1"))
    other "access"
    reset()
    collectgarbage()
    other = nil -- luacheck: ignore 311
    collectgarbage() -- writes what is pending
    collectgarbage()
    assert.equal("INFO  first\naccess\n", content(path .. ".1"))
    os.remove(path)
    os.remove(path .. ".1")
  end)

  it("that cannot be opened changes nothing", function()
    configure { format = "text" }
    local ok, err, errno = log.configure { output = "/no/such/folder/log", level = "error" }
    assert.same({ nil, "cannot open /no/such/folder/log: no such file or directory", 2 }, { ok, err, errno })
    log.info "x"
    assert.equal(1, #lines)
    assert.same({ nil, "cannot open /no/such/folder/log: no such file or directory", 2 },
      { log.file "/no/such/folder/log" })
  end)
end)

describe("an output that is a function", function()
  after_each(reset)

  it("gets each line and its level", function()
    configure { format = "text" }
    log.warn "first"
    log.info "second"
    assert.same({ "WARN  first", "INFO  second" }, { lines[1]:sub(26), lines[2]:sub(26) })
    assert.same({ "warn", "info" }, levels)
  end)

  it("carries what moonpark itself says", function()
    configure { format = "json" }
    local failures = require "moonpark.failures"
    failures.log("worker 1 is lost\nstack traceback:\n\tx", "warn", "workers")
    local got = last_json()
    assert.same({ "warn", "workers", "worker 1 is lost", "stack traceback:\n\tx" },
      { got.level, got.logger, got.message, got.traceback })
  end)
end)
