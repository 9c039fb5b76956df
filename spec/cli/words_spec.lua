-- SPDX-License-Identifier: MIT
-- words_spec.lua - what the command understands, and that its help, its pages and the completion of shells know it.

local options = require "moonpark.cli.options"
local process = require "support.process"
local spelling = require "moonpark.spelling"
local testing = require "moonpark.testing"

local function command(...) return process.run(process.moonpark(...)) end

local function read(path)
  local file = assert(io.open(process.root .. "/" .. path))
  local text = file:read "*a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

local function assert_has(text, what, where)
  assert.is_truthy(text:find(what, 1, true), ("%s: no %s"):format(where, what))
end

local function exists(program) return process.run { "which", program }.status == 0 end

describe("the command's words", function()
  after_each(process.stop_all)

  it("-l requires a module, in its turn among the -e, and name=module makes it a global", function()
    local folder = testing.tempdir()
    write(folder .. "/mine.lua", "loaded = (loaded or 0) + 1 print('mine', step) return { answer = 42 }")
    local env = { LUA_PATH = folder .. "/?.lua;" .. os.getenv "LUA_PATH" }
    local r = process.run(process.moonpark("-e", "step = 1", "-l", "mine", "-e", "print(mine)", "-lm=mine", "-e",
      "print(m.answer, loaded)"), { env = env })
    assert.same({ 0, "mine\t1\nnil\n42\t1\n", "" }, { r.status, r.out, r.err })
    r = command("-l", "moonpark.none")
    assert.same({ 1, "" }, { r.status, r.out })
    assert.matches("^moonpark: %(command line%):1: module 'moonpark%.none' not found:", r.err)
  end)

  it("- runs the standard input as the script, with its arguments", function()
    local r = process.run(process.moonpark("-", "a", "-v"), { stdin = "#!first\nprint(arg[0], ...)" })
    assert.same({ 0, "-\ta\t-v\n", "" }, { r.status, r.out, r.err })
    r = process.run(process.moonpark "-", { stdin = "x x" })
    assert.same({ 1, "moonpark: stdin:1: '=' expected near 'x'\n" }, { r.status, r.err })
  end)

  it("that are no options are told, with what may help", function()
    local hints = {
      ["--grac"] = "did you mean '--grace'?",
      ["--verison"] = "did you mean '--version'?",
      ["-jv"] = "is it an option of LuaJIT? luajit -jv \"$(command -v moonpark)\" ...",
    }
    for word, hint in pairs(hints) do
      local r = command(word)
      assert.same({ 2, "" }, { r.status, r.out })
      local text = "moonpark: unknown option '%s'\nmoonpark: %s\nmoonpark: try 'moonpark --help'\n"
      assert.equal(text:format(word, hint), r.err)
    end
  end)

  it("that name a command are one only as the first, whatever files there are", function()
    local folder = testing.tempdir()
    write(folder .. "/check", "print('script', ...)")
    for _, words in ipairs { { "./check" }, { "--", "check" }, { "--grace=1", "check" } } do
      local r = process.run(process.moonpark(unpack(words)), { cwd = folder })
      assert.same({ 0, "script\n" }, { r.status, r.out })
    end
    assert.equal(2, process.run(process.moonpark "check", { cwd = folder }).status)
  end)

  it("have the nearest word suggested, if it is near", function()
    local words = { "check", "init", "completion" }
    assert.same({ "check", "init", "completion" },
      { spelling.nearest("chekc", words), spelling.nearest("int", words), spelling.nearest("completon", words) })
    assert.is_nil(spelling.nearest("x", words))
    assert.is_nil(spelling.nearest("server", words))
  end)
end)

describe("each option and command", function()
  local names, commands = options.words()

  it("is in --help", function()
    local help = command("--help").out
    local words = help:gsub("[%s,]+", " ")
    for _, list in ipairs { names, commands } do
      for _, name in ipairs(list) do assert_has(words, " " .. name .. " ", "--help") end
    end
    for line in help:gmatch "[^\n]+" do assert.is_true(#line <= 100, line) end
  end)

  it("is in docs/cli.md and in the man page", function()
    local page = read "docs/cli.md"
    local manual = read("docs/moonpark.1"):gsub("\\%-", "-"):gsub('[%s,"]+', " ")
    for _, name in ipairs(names) do
      assert_has(page, "`" .. name, "docs/cli.md")
      assert_has(manual, " " .. name .. " ", "moonpark.1")
    end
    for _, name in ipairs(commands) do
      assert_has(page, "\nmoonpark " .. name .. " ", "docs/cli.md")
      assert_has(manual, "TP .BI " .. name .. " ", "moonpark.1")
    end
  end)

  it("that is a command has a help of its own", function()
    for _, name in ipairs(commands) do
      local r = command(name, "--help")
      assert.same({ 0, "" }, { r.status, r.err })
      assert.matches("^usage: moonpark " .. name, r.out)
    end
  end)
end)

describe("the man page", function()
  it("is well formed", function()
    if not exists "groff" then return pending "there is no groff" end
    local r = process.run({ "groff", "-ww", "-man", "-Tascii", "docs/moonpark.1" },
      { cwd = process.root, env = { LD_PRELOAD = false } })
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("moonpark", r.out)
  end)
end)

describe("completion", function()
  after_each(process.stop_all)

  local folder

  setup(function()
    folder = testing.tempdir()
    for _, name in ipairs { "server.lua", "other file.lua", "notes.txt" } do write(folder .. "/" .. name, "") end
    process.run { "mkdir", folder .. "/folder" }
  end)

  -- What bash offers for the words, the last of them being typed; sorted.
  local function complete(...)
    local words = { ... }
    for i, word in ipairs(words) do words[i] = "'" .. word .. "'" end
    local r = process.run(([[bash -c '
      source /dev/stdin
      COMP_WORDS=(moonpark "$@")
      COMP_CWORD=$#
      _moonpark
      printf "%%s\n" "${COMPREPLY[@]}" | sort' bash %s]]):format(table.concat(words, " ")),
      { cwd = folder, stdin = command("completion", "bash").out, env = { LC_ALL = "C" } })
    assert.same({ 0, "" }, { r.status, r.err })
    return (r.out:gsub("\n$", ""):gsub("\n", "|"))
  end

  it("for bash offers commands, scripts and folders as the first word", function()
    if not exists "bash" then return pending "there is no bash" end
    assert.equal("attach|check|completion|dump|eval|folder|init|lapis|other file.lua|"
      .. "reload|serve|server.lua|status|stop",
      complete "")
    assert.equal("check|completion", complete "c")
    assert.equal("serve|server.lua|status|stop", complete "s")
  end)

  it("for bash offers all options, and nothing where only the user knows", function()
    if not exists "bash" then return pending "there is no bash" end
    local offered = "|" .. complete "-" .. "|"
    for _, name in ipairs((options.words())) do assert_has(offered, "|" .. name .. "|", "bash") end
    assert.equal("--grace", complete "--g")
    assert.equal("", complete("-e", ""))
    assert.equal("folder|other file.lua|server.lua", complete("-e", "x = 1", ""))
  end)

  it("for bash knows the arguments of commands, and any file behind the script", function()
    if not exists "bash" then return pending "there is no bash" end
    assert.equal("bash|fish|zsh", complete("completion", ""))
    assert.equal("folder", complete("init", ""))
    assert.equal("folder", complete("serve", ""))
    assert.equal("--listing", complete("serve", "--l"))
    assert.equal("folder|notes.txt|other file.lua|server.lua", complete("serve", "--tls", "--cert", ""))
    assert.equal("server.lua", complete("check", "other file.lua", "s"))
    assert.equal("notes.txt", complete("server.lua", "n"))
    assert.equal("notes.txt", complete("-e", "x = 1", "server.lua", "n"))
  end)

  for shell, check in pairs { bash = { "-n" }, zsh = { "-n" }, fish = { "-n" } } do
    it(("for %s is a script that it accepts"):format(shell), function()
      if not exists(shell) then return pending("there is no " .. shell) end
      local path = write(folder .. "/completion", command("completion", shell).out)
      local r = process.run { shell, check[1], path }
      assert.same({ 0, "" }, { r.status, r.err })
    end)

    it(("for %s names every option and command"):format(shell), function()
      local text = command("completion", shell).out
      local names, commands = options.words()
      for _, name in ipairs(commands) do assert_has(text, name, shell) end
      for _, name in ipairs(names) do
        local written = shell == "fish" and name:gsub("^%-%-", "-l "):gsub("^%-(%a)$", "-s %1") or name
        if name:find "%a" then assert_has(text, written, shell) end
      end
    end)
  end

  it("for another shell there is none: status 2", function()
    for _, words in ipairs { { "completion" }, { "completion", "csh" }, { "completion", "bash", "zsh" } } do
      local r = command(unpack(words))
      assert.same({ 2, "" }, { r.status, r.out })
      assert.matches("^moonpark: completion: bash, zsh or fish expected\n", r.err)
    end
  end)
end)
