-- SPDX-License-Identifier: MIT
-- limits_spec.lua - the command's --slow, --limit and --stuck. What they do to tasks: see runaway_spec.lua.

local process = require "support.process"

local function command(...) return process.run(process.moonpark(...)) end

local FOREVER = "local function spin() while true do end end\nspin()\nprint 'came back'"

describe("the command's limits", function()
  after_each(process.stop_all)

  it("are off: a script may compute for as long as it likes", function()
    local r = command("-e", "local t = os.clock() while os.clock() - t < 0.5 do end print 'done'")
    assert.same({ 0, "done\n", "" }, { r.status, r.out, r.err })
    r = command("--limit", "0", "--slow=0", "--stuck=0", "-e",
      "local t = os.clock() while os.clock() - t < 0.5 do end")
    assert.same({ 0, "", "" }, { r.status, r.out, r.err })
  end)

  it("--slow and --limit report and stop a task, and the main task's error ends the program", function()
    local r = command("--slow", "0.05", "--limit=0.2", "-e", FOREVER)
    assert.same({ 1, "" }, { r.status, r.out })
    assert.matches('^moonpark: task 1 "main", started at [^\n]+, has held the loop for %d%.%d%d s without waiting\n'
      .. "stack traceback:\n\t%(command line%):1: in function 'spin'\n\t%(command line%):2: in main chunk\n", r.err)
    assert.matches("\nmoonpark: %(command line%):1: ran for 0%.2 s without waiting\nstack traceback:\n"
      .. "\t%(command line%):1: in function 'spin'\n\t%(command line%):2: in main chunk\n$", r.err)
  end)

  it("--stuck ends the process with a status of its own", function()
    local r = command("--stuck", "0.2", "-e", FOREVER)
    assert.same({ 70, "" }, { r.status, r.out })
    assert.matches("\nthe process ends\n\nmoonpark: 1 task\n\ntask 1 \"main\" running\n", r.err)
  end)

  it("hold for a line of the prompt, and the next one is read", function()
    local r = process.run(process.moonpark("--limit", "0.2", "-i"), { stdin = "while true do end\nprint 'next'\n" })
    assert.same({ 0, "next\n" }, { r.status, r.out })
    assert.matches("^stdin:1: ran for 0%.2 s without waiting\n", r.err)
  end)

  it("are refused where they are no numbers of seconds", function()
    for _, option in ipairs { "--slow", "--limit", "--stuck" } do
      for _, value in ipairs { "soon", "-1", "nan", "inf", "1e-9", "" } do
        local r = command(option, value, "-e", "print 'ran'")
        assert.same({ 2, "" }, { r.status, r.out })
        assert.equal(("moonpark: %s: 0, or a number of seconds from 0.001 to 1000000 expected, got '%s'\n"
          .. "moonpark: try 'moonpark --help'\n"):format(option, value), r.err)
      end
      assert.matches("^moonpark: option '%" .. option:sub(1, 1) .. "%" .. option:sub(2) .. "' needs a value\n",
        command(option).err)
    end
  end)
end)
