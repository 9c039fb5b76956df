-- SPDX-License-Identifier: MIT
-- hints_spec.lua - what the command says in addition, where it can tell what was meant or what is missing.

local programs = require "support.process"
local testing = require "moonpark.testing"

describe("the command", function()
  after_each(programs.stop_all)

  it("names the command that may have been meant, if there is no such script", function()
    local r = programs.run(programs.moonpark("chekc", "x.lua"))
    assert.equal("moonpark: cannot open the script: chekc: No such file or directory\n"
      .. "moonpark: did you mean the command 'check'?\n", r.err)
    assert.not_matches("did you mean", programs.run(programs.moonpark("xyzzy")).err)
  end)

  it("says what does it here, if the word is a command elsewhere", function()
    local hints = { help = "'moonpark --help' prints the help", version = "'moonpark --version' prints the version",
      test = "specs are run by busted: busted --lua=luajit --helper=moonpark.testing",
      repl = "'moonpark -i' starts a prompt", run = "a script is run by its name alone: moonpark x.lua" }
    for word, hint in pairs(hints) do
      local r = programs.run(programs.moonpark(word, "x.lua"), { cwd = testing.tempdir() })
      assert.equal(1, r.status)
      assert.equal(("moonpark: cannot open the script: %s: No such file or directory\nmoonpark: %s\n"):format(word,
        hint), r.err)
    end
  end)

  it("says that a script is missing behind options", function()
    local r = programs.run(programs.moonpark("--limit", "5"))
    assert.same({ 2, "" }, { r.status, r.out })
    assert.matches("^moonpark: a script is missing: its name follows the options\nusage: moonpark ", r.err)
  end)

  it("says that a port is a part of the address", function()
    local hints = { [{ "--port", "80" }] = "the option is --address :80",
      [{ "--port=80" }] = "the option is --address :80",
      [{ "-p", "80" }] = "the option is --address :80", [{ "--host", "x" }] = "the option is --address host:port" }
    for words, hint in pairs(hints) do
      for _, command in ipairs { "serve", "lapis" } do
        local r = programs.run(programs.moonpark(command, unpack(words)))
        assert.equal(2, r.status)
        assert.equal(("moonpark: unknown option '%s'\nmoonpark: %s\nmoonpark: try 'moonpark %s --help'\n"):format(
          words[1], hint, command), r.err)
      end
    end
    assert.not_matches("address", programs.run(programs.moonpark("check", "--port", "80")).err)
  end)

  it("says what an address may have been meant to be", function()
    local r = programs.run(programs.moonpark("serve", "--address", "8080"))
    assert.equal(2, r.status)
    assert.matches("^moonpark: serve: missing port: '8080'; did you mean ':8080'%?\n", r.err)
  end)
end)

describe("a program without lua-cjson", function()
  it("says where that comes from", function()
    local only_core = package.searchpath("moonpark.core", package.cpath):gsub("moonpark/core%.so$", "?.so")
    local env = { LUA_CPATH = only_core }
    for _, words in ipairs { programs.moonpark("-e", "print 'ran'"),
      { programs.interpreter, "-e", "print(require('moonpark.http').null)" } } do
      local r = programs.run(words, { env = env })
      assert.same({ 1, "" }, { r.status, r.out })
      assert.matches("lua%-cjson is not installed: apt%-get install lua%-cjson, or luarocks", r.err)
    end
  end)
end)
