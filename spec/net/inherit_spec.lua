-- SPDX-License-Identifier: MIT
-- net.inherited: sockets that a process is started with, as service managers hand them over; restarts without a loss.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local fds = require "support.fds"
local process = require "support.process"
local support = require "support.net"

-- The words that run a script, which has `net` and prints; arguments in arg.
local function script(text, ...)
  return { process.interpreter, "-e", [[
    io.stdout:setvbuf("line")
    local moonpark = require "moonpark"
    local net = moonpark.net
    moonpark.run(function() ]] .. text .. [[ end)]], "-", ... }
end

-- Starts a command with these descriptors as 3, 4, ...; ours stay ours.
local function activate(numbers, names, command, env)
  local copies = {}
  for i, number in ipairs(numbers) do
    copies[i] = fds.dup(number) -- a copy is inherited
  end
  local words = { process.interpreter, process.root .. "/spec/support/activate.lua", table.concat(copies, " "), names }
  for _, word in ipairs(command) do words[#words + 1] = word end
  local child = process.start(words, { env = env })
  fds.close(unpack(copies))
  return child
end

local function output(numbers, names, text, env)
  local status, out, err = activate(numbers, names, script(text), env):wait()
  assert.equal(0, status, err)
  return out
end

local function with_listener(body)
  return support.listening(function(listener) body(listener, listener:fd()) end)
end

local SHOW = [[
  local sockets, names, errno = net.inherited()
  if not sockets then return print(names, errno) end
  print(#sockets, table.concat(names, " "))
  for i, socket in ipairs(sockets) do print(names[i], tostring(socket)) end
]]

describe("inherited", function()
  after_each(process.stop_all)

  it("gives the listeners that the process was started with, by index and by name", with_listener(function(one, number)
    local other = assert(net.listen("127.0.0.1:0"))
    local out = output({ number, other:fd() }, "web:admin", SHOW .. [[
      print(sockets.web == sockets[1], sockets.admin == sockets[2])
    ]])
    assert.equal(("2\tweb admin\nweb\ttcp listener %s\nadmin\ttcp listener %s\ntrue\ttrue\n"):format(one:address(),
      other:address()), out)
    other:close()
  end))

  it("gives connections, unix listeners, packet sockets and FIFOs as well", function()
    support.with_folder(function(folder)
      local unix = assert(net.listen("unix:" .. folder .. "/s"))
      local udp = assert(net.packet("udp:127.0.0.1:0"))
      local one, other = fds.socketpair()
      local fifo = fds.fifo(folder .. "/f")
      local out = output({ unix:fd(), udp:fd(), one, fifo }, "a:b:c:d", SHOW .. [[
        sockets.c:write("through ", sockets.b:local_address())
      ]])
      assert.equal(("4\ta b c d\na\tunix listener %s\nb\t%s\nc\tunix unix: to unix:\nd\tfd 6\n"):format(
        unix:address(), udp:local_address():gsub(":", " ", 1)), out)
      fds.close(one)
      local conn = assert(net.from_fd(other))
      assert.equal("through " .. udp:local_address(), conn:read_all())
      conn:close()
      unix:close()
      udp:close()
      fds.close(fifo)
      os.remove(folder .. "/f")
    end)
  end)

  it("calls those without a name unknown; of those with the same name, it finds the first by it",
    with_listener(function(listener, number)
      assert.equal(("1\tunknown\nunknown\ttcp listener %s\n"):format(listener:address()), output({ number }, "", SHOW))
      assert.equal("true\tfalse\n", output({ number, number }, "web:web", [[
        local sockets = net.inherited()
        print(sockets.web == sockets[1], sockets.web == sockets[2])
      ]]))
    end))

  it("gives them once; children get neither variables nor descriptors", with_listener(function(_, number)
    assert.equal("1\n0\t0\nunset,unset,unset\nclosed\n", output({ number }, "web", [[
      print(#net.inherited())
      local again, names = net.inherited()
      print(#again, #names)
      os.execute("echo ${LISTEN_PID-unset},${LISTEN_FDS-unset},${LISTEN_FDNAMES-unset}")
      os.execute("if (: <&3) 2>/dev/null; then echo open; else echo closed; fi")
    ]]))
  end))

  it("gives nothing where nothing was handed over, or to another process", with_listener(function(_, number)
    assert.same({ {}, {} }, { net.inherited() })
    assert.equal("0\t\n", output({ number }, "", SHOW, { LISTEN_PID = fds.process() }))
    assert.equal("unset\n", output({ number }, "", [[
      net.inherited()
      os.execute("echo ${LISTEN_FDS-unset}")
    ]], { LISTEN_PID = 1 }))
  end))

  for what, case in pairs {
    ["a LISTEN_FDS that is no number"] = { { LISTEN_FDS = "two" }, "invalid LISTEN_FDS 'two'" },
    ["a LISTEN_FDS of 0"] = { { LISTEN_FDS = "0" }, "invalid LISTEN_FDS '0'" },
    ["a negative LISTEN_FDS"] = { { LISTEN_FDS = "-1" }, "invalid LISTEN_FDS '-1'" },
    ["a LISTEN_FDS in hexadecimal"] = { { LISTEN_FDS = "0x1" }, "invalid LISTEN_FDS '0x1'" },
    ["a LISTEN_FDS beyond all measure"] = { { LISTEN_FDS = "99999999999" },
      "invalid LISTEN_FDS '99999999999': too many" },
    ["an empty LISTEN_FDS"] = { { LISTEN_FDS = "" }, "invalid LISTEN_FDS ''" },
    ["a LISTEN_PID that is no number"] = { { LISTEN_PID = "me" }, "invalid LISTEN_PID 'me'" },
    ["too many names"] = { { LISTEN_FDNAMES = "a:b" }, "invalid LISTEN_FDNAMES 'a:b': 1 names expected" },
    ["more descriptors than there are"] = { { LISTEN_FDS = "2" },
      "inherited descriptor 4 ('unknown'): descriptor in use" }, -- the loop has it by then
    ["far more descriptors than there are"] = { { LISTEN_FDS = "60000" },
      "inherited descriptor 4 ('unknown'): descriptor in use" },
  } do
    it("refuses " .. what, with_listener(function(_, number)
      local env, words, errno = unpack(case)
      assert.equal(("%s\t%s\n"):format(words, tostring(errno)), output({ number }, "", SHOW, env))
    end))
  end

  it("refuses a file, and then takes none of the others, nor lets them be inherited", with_listener(function(_, number)
    local file = fds.open("/proc/self/exe")
    assert.equal("inherited descriptor 4 ('data'): not pollable\ntcp listener\nclosed\n",
      output({ number, file, number }, "web:data:admin", [[
        local sockets, err = net.inherited()
        print(err)
        local first = assert(not sockets and net.from_fd(3))
        print((tostring(first):match("^tcp listener")))
        first:close()
        os.execute("if (: <&5) 2>/dev/null; then echo open; else echo closed; fi")
      ]]))
    fds.close(file)
  end))

  it("works with systemd-socket-activate", function()
    support.with_folder(function(folder)
      local path = folder .. "/s"
      local words = { "systemd-socket-activate", "--listen=" .. path, "--fdname=greeter" }
      for _, name in ipairs { "LUA_PATH", "LUA_CPATH", "LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS",
        "MOONPARK_POLLER" } do
        if os.getenv(name) then words[#words + 1] = "--setenv=" .. name end
      end
      for _, word in ipairs(script [[
        local sockets = assert(net.inherited())
        local conn = assert(sockets.greeter:accept())
        conn:write("hello from ", sockets[1]:address(), "\n")
        conn:close()
      ]]) do words[#words + 1] = word end
      local child = process.start(words)
      assert.is_truthy(child:line("err"):find("Listening on", 1, true))
      local conn = assert(net.dial("unix:" .. path))
      assert.equal("hello from unix:" .. path, conn:read_line())
      conn:close()
      local status, _, err = child:wait()
      assert.equal(0, status, err)
      os.remove(path)
    end)
  end)
end)

describe("a server that is started anew with the listener that its manager keeps open", function()
  after_each(process.stop_all)

  -- Greets until it is told to end; then it finishes what it has accepted, and no more.
  local server = [[
    local listener = assert(net.inherited()).web
    moonpark.go(function()
      for _ in moonpark.signals("TERM") do break end
      listener:close()
    end)
    print("ready")
    listener:serve(function(conn)
      local line = conn:read_line()
      if line then conn:write(line, " from ", arg[1], "\n") end
    end)
  ]]

  it("loses no connection, and refuses none", with_listener(function(listener, number)
    local RESTARTS, CLIENTS = 3, 4
    local going, answered, by = true, 0, {}
    local address = listener:address()
    local clients = {}
    local function client(index)
      while going do
        local conn = assert(net.dial(address))
        local word = ("%d-%d"):format(index, answered)
        assert(conn:write(word, "\n"))
        local answer, from = assert(conn:read_line()):match("^(.-) from (%d+)$")
        assert(answer == word, answer)
        answered = answered + 1
        by[tonumber(from)] = true
        conn:close()
      end
    end
    for i = 1, CLIENTS do clients[i] = moonpark.go(client, i) end -- there is no server yet: they wait
    for generation = 1, RESTARTS do
      local child = activate({ number }, "web", script(server, generation))
      assert.equal("ready", child:line())
      while not by[generation] do moonpark.yield() end
      going = generation < RESTARTS
      if not going then
        for _, task in ipairs(clients) do
          local ok, err = task:join()
          assert.is_true(ok, err)
        end
      end
      child:kill("TERM")
      local status, _, err = child:wait()
      assert.equal(0, status, err)
    end
    assert.is_true(answered >= RESTARTS)
  end))
end)
