-- SPDX-License-Identifier: MIT
-- hints_spec.lua - what the command says in addition, where it can tell what was meant or what is missing.

local programs = require "support.process"

describe("the command", function()
  after_each(programs.stop_all)

  it("names the command that may have been meant, if there is no such script", function()
    local r = programs.run(programs.moonpark("chekc", "x.lua"))
    assert.equal("moonpark: cannot open the script: chekc: No such file or directory\n"
      .. "moonpark: did you mean the command 'check'?\n", r.err)
    assert.not_matches("did you mean", programs.run(programs.moonpark("xyzzy")).err)
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
