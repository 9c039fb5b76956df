-- SPDX-License-Identifier: MIT
-- A supervisor that becomes the version that is installed now.

local moonpark = require "moonpark"
local process = require "support.process"
local workers = require "support.workers"

local everybody, ask_until = workers.everybody, workers.ask_until

describe("an upgrade", function()
  after_each(workers.stop_all)

  -- A copy of the library, which the program runs from, and which a spec may break.
  local function start_copy(script)
    local program
    local folder = workers.folder()
    assert(os.execute(("cp -r '%s/lua' '%s/lua'"):format(process.root, folder)) == 0)
    program = workers.start(script, { "--workers", "2" }, { library = folder .. "/lua" })
    program.library = folder .. "/lua"
    return program
  end

  local function wait_for(program, text)
    repeat until assert(program.child:line "err"):find(text, 1, true)
  end

  it("goes on with sockets, workers and memory, in the same process, and loads the program anew", function()
    local program = start_copy(workers.SERVER .. [[
      local dict = moonpark.shared.dict("kept", { size = "64k" })
      dict:incr("loads", 1, 0)
      app:get("/loads", function(_, res) res:send(tostring(dict:get "loads")) end)
    ]] .. workers.SERVE)
    everybody(program, 2)
    local going, asked = true, 0
    local asker = moonpark.go(function()
      while going do
        assert(program:get "/")
        asked = asked + 1
      end
    end)
    for i = 1, 3 do
      local supervisor = io.open(program.library .. "/moonpark/workers/supervisor.lua", "a")
      supervisor:write(("-- version %d\n"):format(i))
      supervisor:close()
      program.child:kill "USR2"
      wait_for(program, "upgraded")
      wait_for(program, ("generation %d serves"):format(i + 1))
      ask_until(program, function(body) return body:find(("^%%d %d "):format(i + 1)) end)
    end
    going = false
    assert.is_true(asker:join())
    assert.is_true(asked > 3)
    assert.equal("8", (program:get "/loads"))
    assert.matches("\n1 +%d+ +4 +ready", (program:ask "status"))
    local status = program:stop()
    assert.equal(0, status)
    assert.same({ nil, "connection refused" }, { program:get "/" })
  end)

  it("to a version that knows no state of locks forgets them, and serves without a control socket", function()
    local program = start_copy(workers.SERVER .. workers.SERVE)
    everybody(program, 2)
    local path = program.library .. "/moonpark/shared/broker.lua"
    local file = assert(io.open(path))
    local text, changed = file:read("*a"):gsub("local VERSION = %d+", "local VERSION = 1000")
    file:close()
    assert.equal(1, changed)
    workers.write(path, text)
    assert(os.execute("rm -r " .. program.folder .. "/run") == 0) -- moonpark: ignore
    assert(os.execute("touch " .. program.folder .. "/run") == 0) -- moonpark: ignore
    program.child:kill "USR2"
    wait_for(program, "locks, channels and values are forgotten")
    wait_for(program, "control socket")
    wait_for(program, "generation 2 serves")
    everybody(program, 2)
    assert.equal(0, (program:stop()))
  end)

  it("to a version that is broken changes nothing, and says why", function()
    local program = start_copy(workers.SERVER .. workers.SERVE)
    local before = everybody(program, 2)
    local file = io.open(program.library .. "/moonpark/workers/upgrade.lua", "a")
    file:write "this is no Lua\n"
    file:close()
    program.child:kill "USR2"
    wait_for(program, "not upgraded: ")
    assert.same(before, everybody(program, 2))
    assert.equal(0, (program:stop()))
  end)
end)
