-- SPDX-License-Identifier: MIT
-- workers, supervisor, place, worker: one program in several processes.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local workers = require "support.workers"

local everybody, ask_until, kill = workers.everybody, workers.ask_until, workers.kill

describe("a program with workers", function()
  after_each(workers.stop_all)

  local function start(words, script, options)
    return workers.start(workers.SERVER .. (script or "") .. workers.SERVE, words or { "--workers", "2" }, options)
  end

  it("serves one address in all of them, and ends with status 0 on TERM", function()
    local program = start()
    local seen = everybody(program, 2)
    assert.are_not.equal(seen["1"].pid, seen["2"].pid)
    local status, err = program:stop()
    assert.same({ 0, "" }, { status, err })
    assert.same({ nil, "connection refused" }, { program:get "/" })
  end)

  it("replaces a worker that is killed, and refuses nobody meanwhile", function()
    local program = start()
    for _ = 1, 3 do
      local victim = everybody(program, 2)["1"].pid
      kill(victim, "KILL")
      ask_until(program, function(body) return body:find "^1 " and not body:find(victim .. "$") end)
    end
    local status, err = program:stop()
    assert.equal(0, status)
    assert.matches("worker 1 %(pid %d+%) was ended by SIGKILL; another one starts", err)
  end)

  it("dies whole with its supervisor", function()
    local program = start()
    local seen = everybody(program, 2)
    program:stop "KILL"
    for _, worker in pairs(seen) do
      repeat moonpark.sleep(0.005) until os.execute("kill -0 " .. worker.pid .. " 2>/dev/null") ~= 0
    end
  end)

  it("tells what a script did wrong that dies at start five times, and ends with 1", function()
    local program = workers.start("local x = nil\nprint(x.y)\n", { "--workers", "2" }, { silent = true })
    local status, _, err = program.child:wait()
    assert.equal(1, status)
    assert.matches("server.lua:2: attempt to index", err)
    local said = select(2, err:gsub("another one starts", ""))
    assert.is_true(said >= 4 and said <= 8, said)
  end)

  it("ends with 0 when its workers have done their work", function()
    local program = workers.start("print(require('moonpark.worker').number())\n", { "--workers", "3" },
      { silent = true })
    local status, out, err = program.child:wait()
    assert.same({ 0, "" }, { status, err })
    assert.equal(3, select(2, out:gsub("%d\n", "")))
  end)

  it("answers what is under way when it drains, and takes nothing new", function()
    local program = start(nil, [[
      app:get("/slow", function(_, res)
        io.write("slow\n") io.flush()
        moonpark.event():wait(2)
        res:send "whole"
      end)
    ]])
    program:line() -- the other worker listens
    local slow = moonpark.go(program.get, program, "/slow")
    repeat until program:line() == "slow"
    program.child:kill "TERM"
    assert.same({ true, "whole", 200 }, { slow:join() })
    assert.equal(0, (program.child:wait()))
  end)

  it("ends at once at the second signal", function()
    local program = start({ "--workers", "1" }, [[
      app:get("/slow", function()
        io.write("slow\n") io.flush()
        moonpark.sleep(1000)
      end)
    ]])
    local slow = moonpark.go(program.get, program, "/slow")
    repeat until program:line() == "slow"
    program.child:kill "TERM"
    repeat until program:get "/" == nil -- the first one has been heard
    program.child:kill "INT"
    assert.equal(128 + 2, (program.child:wait()))
    slow:join()
  end)

  it("kills a worker that does not drain in time, and says so", function()
    local program = start({ "--workers", "1", "--grace", "0.1" }, [[
      app:get("/stuck", function()
        io.write("stuck\n") io.flush()
        while true do end
      end)
    ]])
    local stuck = moonpark.go(program.get, program, "/stuck")
    repeat until program:line() == "stuck"
    local status, err = program:stop()
    assert.equal(1, status)
    assert.matches("worker 1 was killed: it had not ended 0.1 s after it was told to", err)
    stuck:join()
  end)

  it("gives each of them its number, their count and one leader", function()
    local program = start({ "--workers", "3" }, [[
      app:get("/leads", function(_, res) res:send(worker.number() .. " " .. worker.count() .. " "
        .. tostring(worker.leader())) end)
    ]])
    local function leader()
      local seen, n, leads = {}, 0, nil
      while n < 3 or not leads do
        local number, count, is = assert(program:get "/leads"):match "^(%d) (%d) (%a+)$"
        assert.equal("3", count)
        if not seen[number] then n = n + 1 end
        seen[number] = true
        assert.is_true(is ~= "true" or leads == nil or leads == number)
        if is == "true" then leads = number end
      end
      return leads
    end
    local first = leader()
    kill(everybody(program, 3)[first].pid, "KILL")
    leader()
    assert.equal(0, (program:stop()))
  end)

  it("hands a broadcast to all of them", function()
    local program = start({ "--workers", "2" }, [[
      local heard = {}
      worker.on_broadcast(function(value) heard[#heard + 1] = value.n end)
      app:get("/say", function(_, res) worker.broadcast { n = worker.number() } res:send "said" end)
      app:get("/heard", function(_, res) res:send(worker.number() .. ":" .. table.concat(heard, ",")) end)
    ]])
    everybody(program, 2)
    program:get "/say"
    local heard = {}
    repeat
      local number, what = program:get("/heard"):match "^(%d):(.*)$"
      heard[number] = what ~= "" and what or nil
    until heard["1"] and heard["2"]
    assert.equal(heard["1"], heard["2"])
    program:stop()
  end)

  it("calls on_drain, and ends though a task of the script's never would", function()
    local program = start({ "--workers", "1" }, [[
      moonpark.go(function() while true do moonpark.sleep(3600) end end)
      worker.on_drain(function(seconds) io.write("draining ", seconds, "\n") io.flush() end)
    ]], { env = {} })
    local status = program:stop()
    assert.equal(0, status)
    assert.matches("draining 30\n", program.child.text.out)
  end)

  it("ends in time though an on_drain function never returns", function()
    local program = start({ "--workers", "1", "--grace", "0.2" }, [[
      worker.on_drain(function() moonpark.event():wait(3600) end)
    ]])
    assert.same({ 0, "" }, { program:stop() })
  end)

  it("leaves TERM to a script that handles it", function()
    local program = start({ "--workers", "1" }, [[
      moonpark.go(function()
        moonpark.signals("TERM"):next()
        io.write "by myself\n"
        os.exit(0)
      end)
    ]])
    assert.equal(0, (program:stop()))
    assert.matches("by myself\n", program.child.text.out)
  end)

  it("says at the script's line that a port is in use", function()
    local taken = assert(net.listen "127.0.0.1:0")
    local program = workers.start(([[
      local net = require("moonpark").net
      print(net.listen("%s"))
      print(pcall(function() return (net.listen "nonsense") end))
    ]]):format(taken:address()), { "--workers", "1" }, { silent = true })
    local status, out, err = program.child:wait()
    assert.same({ 0, "" }, { status, err })
    assert.matches("nil\taddress already in use\t98", out)
    assert.matches("false\t.*server.lua:3: ", out)
    taken:close()
  end)

  it("keeps a listener to itself where it is not shared, and refuses one twice", function()
    local program = workers.start([[
      local moonpark = require "moonpark"
      local net = moonpark.net
      local own = assert(net.listen("127.0.0.1:0", { shared = false }))
      local one = assert(net.listen "127.0.0.1:0")
      local other = assert(net.listen "127.0.0.1:0")
      assert(own:address() ~= one:address() and one:address() ~= other:address())
      print(select(2, net.listen(one:address())))
      one:close()
      print(net.listen(other:address()))
      print(net.packet("udp:127.0.0.1:0") ~= nil)
    ]], { "--workers", "1" }, { silent = true })
    local status, out, err = program.child:wait()
    assert.same({ 0, "" }, { status, err })
    assert.matches("^address already in use\t98\nnil\taddress already in use\t98\ntrue\n$", out)
  end)

  for _, wrong in ipairs { "0", "-1", "x", "10000", "1.5", "" } do
    it(("refuses --workers '%s'"):format(wrong), function()
      local r = process.run(process.moonpark("--workers", wrong, "x.lua"))
      assert.equal(2, r.status)
      assert.matches("%-%-workers: a number from 1 to 120, or auto, expected, got '" .. wrong:gsub("%-", "%%-") .. "'",
        r.err)
    end)
  end

  it("runs plain luajit scripts: moonpark.workers, and http.serve with workers", function()
    for _, last in ipairs {
      "moonpark.workers(2, function() " .. workers.SERVE .. " end)",
      (workers.SERVE:gsub("address =", "workers = 2, address =")),
    } do
      local program = workers.start(workers.SERVER .. last, {}, { silent = true, plain = true })
      program.address = assert(program:line():match "^listening on (.+)$")
      everybody(program, 2)
      assert.equal(0, (program:stop()))
    end
  end)

  it("replaces a worker that has answered enough, without a refusal", function()
    local program = start({ "--workers", "1", "--max-requests", "3" })
    local first = program:get("/"):match "%d+$"
    ask_until(program, function(body) return body:match "%d+$" ~= first end)
    local status, err = program:stop()
    assert.equal(0, status)
    assert.matches("has answered %d+ requests: another one takes its place", err)
  end)

  it("replaces a worker that uses too much memory", function()
    local program = start({ "--workers", "1", "--max-memory", "64m" }, [[
      local kept = {}
      app:get("/grow", function(_, res)
        for i = 1, 80 do kept[#kept + 1] = ("x"):rep(2 ^ 20) .. i end
        res:send "grown"
      end)
    ]])
    local first = program:get("/"):match "%d+$"
    assert.equal("grown", (program:get "/grow"))
    ask_until(program, function(body) return body:match "%d+$" ~= first end)
    local _, err = program:stop()
    assert.matches("uses %d+ MiB: another one takes its place", err)
  end)
end)

describe("workers of another user", function()
  after_each(workers.stop_all)

  it("are that user's, and what the supervisor opens is root's", function()
    local readable = ("setpriv --reuid=65534 --regid=65534 --clear-groups test -r '%s/lua/moonpark/init.lua'"):format(
      process.root)
    if process.run("id -u").out ~= "0\n" then return pending "only root may become somebody else" end
    if process.run(readable).status ~= 0 then return pending "the tree cannot be read by others" end
    local program = workers.start(workers.SERVER .. [[
      app:get("/who", function(_, res)
        res:send(require("moonpark.core").uid() .. " " .. tostring(io.open("/proc/1/environ")))
      end)
    ]] .. workers.SERVE, { "--workers", "2", "--user", "nobody" }, { readable = true })
    assert.equal("65534 nil", (program:get "/who"))
    local before = everybody(program, 2)
    kill(before["1"].pid, "KILL")
    ask_until(program, function(body) return body:find "^1 " and not body:find(before["1"].pid .. "$") end)
    assert.equal(0, (program:stop()))
  end)

  it("cannot be those of nobody known", function()
    local program = workers.start("", { "--workers", "1", "--user", "no such user" }, { silent = true })
    local status, _, err = program.child:wait()
    assert.equal(1, status)
    assert.matches("cannot run as user 'no such user': no such user", err)
  end)
end)

describe("a program that serves", function()
  after_each(workers.stop_all)

  it("goes on with the workers that it has, while what is on the disk cannot start", function()
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "2" })
    local before = everybody(program, 2)
    workers.write(program.path, "error 'half a deploy'")
    kill(before["1"].pid, "KILL")
    for _ = 1, 6 do
      repeat local line = assert(program.child:line "err") until line:find "ended with status 1"
    end
    assert.matches("^2 ", (program:get "/"))
    workers.write(program.path, workers.SERVER .. workers.SERVE)
    everybody(program, 2)
    assert.equal(0, (program:stop()))
  end)

  it("in one worker alone is told of the others, and ready all the same", function()
    local program = workers.start(workers.SERVER .. [[
      if worker.number() == 2 then return moonpark.event():wait(3600) end
    ]] .. workers.SERVE, { "--workers", "2" })
    repeat local line = assert(program.child:line "err") until line:find(
      "^moonpark: worker 2 %(pid %d+%) has not listened after 10 s, nor called moonpark.worker.ready%(%)")
    assert.matches("\n2 +%d+ +1 +starting", (program:ask "status"))
    assert.equal(0, (program:stop()))
  end)

  it("without listening says that it is ready, and is reloaded", function()
    local program = workers.start([[
      local moonpark = require "moonpark"
      moonpark.worker.ready()
      print("generation " .. moonpark.worker.generation())
      moonpark.event():wait(3600)
    ]], { "--workers", "2" }, { silent = true })
    for _ = 1, 2 do assert.equal("generation 1", program:line()) end
    program.child:kill "HUP"
    for _ = 1, 2 do assert.equal("generation 2", program:line()) end
    assert.equal(0, (program:stop()))
  end)

  it("prints every task on USR1 and goes on, and on QUIT, which ends it with 2", function()
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "2" })
    everybody(program, 2)
    program.child:kill "USR1"
    for _ = 1, 2 do
      repeat local line = assert(program.child:line "err") until line:find "^worker %d, pid %d+:"
      repeat local line = assert(program.child:line "err") until line:find "parked in http.keep"
    end
    everybody(program, 2)
    local status, err = program:stop "QUIT"
    assert.equal(2, status)
    assert.equal(4, select(2, err:gsub("parked in http.keep", "")))
  end)

  it("spreads 64 long connections evenly", function()
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "4" })
    everybody(program, 4)
    local conns = {}
    for i = 1, 64 do
      conns[i] = assert(net.dial(program.address, { timeout = 60 }))
      conns[i]:set_timeout(60)
      conns[i]:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      assert(conns[i]:read_until "\r\n\r\n")
    end
    local counts, sum = {}, 0
    for open in (program:ask "status"):gmatch "ready +%d+ %a+ +(%d+)" do
      counts[#counts + 1] = tonumber(open)
      sum = sum + tonumber(open)
    end
    assert.same({ 4, 64 }, { #counts, sum })
    assert.is_true(math.max(unpack(counts)) - math.min(unpack(counts)) <= 3, table.concat(counts, " "))
    for _, conn in ipairs(conns) do conn:close() end
    program:stop()
  end)

  it("shares a port of UDP, and has one of its own with reuseport", function()
    local free = assert(net.packet "udp:127.0.0.1:0")
    local address = free:address()
    free:close()
    local program = workers.start(([[
      local moonpark = require "moonpark"
      local net, worker = moonpark.net, moonpark.worker
      local socket = assert(net.packet("%s"))
      local own = assert(net.listen("127.0.0.1:0", { reuseport = true }))
      moonpark.go(function()
        local conn = own:accept()
        conn:write("own " .. worker.number())
        conn:close()
      end)
      print("listening on " .. own:address())
      for text, from in function() return socket:recv_from() end do
        socket:send_to(text .. worker.number(), from)
      end
    ]]):format(address), { "--workers", "2" })
    program:line()
    local socket = assert(net.packet "udp:127.0.0.1:0")
    socket:set_timeout(60)
    local seen = {}
    repeat
      assert(socket:send_to("to ", address))
      seen[assert(socket:recv_from())] = true
    until seen["to 1"] and seen["to 2"] or not next(seen)
    local conn = assert(net.dial(program.address))
    assert.matches("^own %d$", conn:read_all())
    conn:close()
    socket:close()
    assert.equal(0, (program:stop()))
  end)

  it("has as many workers as processors with auto, and serves a folder", function()
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "auto" })
    everybody(program, require("moonpark.processors").count())
    program:stop()
    local child = process.start(process.moonpark("serve", "--workers", "2", "--address", "127.0.0.1:0", "--tls",
      program.folder), { env = program.env })
    assert.matches("^serving .* at https://127.0.0.1:%d+/, Ctrl%-C stops it$", child:line())
    assert.matches("^self%-signed certificate, SHA%-256 fingerprint", child:line())
    child:kill "TERM"
    local status, out, err = child:wait()
    assert.same({ 0, "" }, { status, err })
    assert.equal(1, select(2, out:gsub("fingerprint", "")))
  end)

  it("ends a worker that is stuck and cannot end itself", function()
    local program = workers.start(workers.SERVER .. [[
      local ffi = require "ffi"
      ffi.cdef "int getpid(void); int kill(int, int);"
      app:get("/stop", function() ffi.C.kill(ffi.C.getpid(), 19) end) -- SIGSTOP
    ]] .. workers.SERVE, { "--workers", "2", "--stuck", "1" })
    everybody(program, 2)
    local stopped = moonpark.go(program.get, program, "/stop")
    repeat local line = assert(program.child:line "err") until line:find "is killed: a task has held its loop for %d+ s"
    stopped:join()
    everybody(program, 2)
    assert.equal(0, (program:stop()))
  end)

  it("tells systemd that it is ready, reloads and stops", function()
    local folder = workers.folder()
    local notified = assert(net.packet("unixgram:" .. folder .. "/notify"))
    notified:set_timeout(60)
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "2" },
      { env = { NOTIFY_SOCKET = folder .. "/notify" } })
    assert.matches("^READY=1\n", assert(notified:recv_from()))
    program.child:kill "HUP"
    assert.matches("RELOADING=1\n", assert(notified:recv_from()))
    assert.matches("^READY=1\n", assert(notified:recv_from()))
    program.child:kill "TERM"
    assert.matches("^STOPPING=1\n", assert(notified:recv_from()))
    assert.equal(0, (program.child:wait()))
    notified:close()
  end)
end)

describe("a worker that crashes", function()
  after_each(workers.stop_all)

  for name, line in pairs {
    ["in compiled code"] = "for i = 1, 1000 do ffi.cast('int *', i == 900 and 8 or good)[0] = i end",
    ["in a C function"] = "ffi.copy(ffi.cast('char *', 8), ffi.C.getenv('PATH'), 4)",
    ["by a signal"] = "ffi.C.kill(ffi.C.getpid(), 11)",
  } do
    it(name .. " tells where it was, and is replaced", function()
      if os.getenv "ASAN_OPTIONS" then return pending "a sanitizer has its own reports" end
      local program = workers.start(workers.SERVER .. [[
        local ffi = require "ffi"
        ffi.cdef "char *getenv(const char *); int kill(int, int); int getpid(void);"
        local good = ffi.new "int[1]"
        app:get("/crash", function() ]] .. line .. [[ end)
      ]] .. workers.SERVE, { "--workers", "2" })
      everybody(program, 2)
      program:get "/crash"
      everybody(program, 2)
      local _, err = program:stop()
      assert.matches("moonpark: pid %d+ has crashed by SIGSEGV in task %d+", err)
      assert.matches("task %d+, parked in", err)
      assert.matches("was ended by SIGSEGV; another one starts", err)
    end)
  end
end)

describe("what a worker does wrong", function()
  after_each(workers.stop_all)

  it("harms nobody but itself: lies, descriptors, a broken link, a group of its own", function()
    local program = workers.start(workers.SERVER .. [[
      local post = require "moonpark.worker.post"
      local core, ffi = require "moonpark.core", require "ffi"
      ffi.cdef "int setpgid(int, int); int getpgid(int); int getppid(void); int write(int, const char *, size_t);"
      app:get("/lies", function(_, res)
        post.post { op = "answer", id = 1, requests = "many" }
        post.post { op = "answer" }
        post.post { op = "socket" }
        post.post { op = "segment" }
        post.post { op = 7 }
        for _ = 1, 20 do post.post { op = "share" } end
        res:send "told"
      end)
      app:get("/group", function(_, res)
        ffi.C.setpgid(0, ffi.C.getpgid(ffi.C.getppid()))
        res:send(tostring(core.pid()))
      end)
      app:get("/broken", function(_, res)
        for fd = 3, 60 do ffi.C.write(fd, "\255\255\255\255", 4) end
        res:send(tostring(core.pid()))
      end)
    ]] .. workers.SERVE, { "--workers", "2", "--max-requests", "1000000" })
    everybody(program, 2)
    for _ = 1, 4 do assert.equal("told", (program:get "/lies")) end
    local pid = program:get "/group"
    program.child:kill "USR1"
    kill(pid, "STOP") -- the dump waits for it, and it dies meanwhile
    kill(pid, "KILL")
    everybody(program, 2)
    program:get "/broken"
    everybody(program, 2)
    assert.equal(0, select(2, program:ask "reload"))
    everybody(program, 2)
    assert.equal(0, (program:stop()))
  end)

  it("does not hold up the end: a reload that was asked for before it", function()
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "2" })
    everybody(program, 2)
    for _, name in ipairs { "HUP", "HUP", "HUP", "TERM" } do program.child:kill(name) end
    assert.equal(0, (program.child:wait()))
  end)
end)

describe("a supervisor", function()
  after_each(workers.stop_all)

  it("at an address that another one has ends, and says so", function()
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "1" })
    local second = workers.start(workers.SERVER .. ("assert(http.serve(app, { address = '%s' }))"):format(
      program.address), { "--workers", "2" }, { silent = true })
    local status, _, err = second.child:wait()
    assert.equal(1, status)
    assert.matches("address already in use", err)
    assert.equal(0, (program:stop()))
  end)

  it("without room for descriptors serves on, and starts the worker later", function()
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "2" })
    local before = everybody(program, 2)
    local limit = ("--pid=%d"):format(program.child.pid)
    assert.equal(0, process.run({ "prlimit", limit, "--nofile=3:1000" }).status)
    kill(before["1"].pid, "KILL")
    repeat
      local line = assert(program.child:line "err")
    until line:find "worker 1 cannot be started: too many open files"
    repeat local body = program:get "/" until body and body:find "^2 "
    assert.equal(0, process.run({ "prlimit", limit, "--nofile=1000:1000" }).status)
    everybody(program, 2)
    assert.equal(0, (program:stop()))
  end)

  it("whose standard error is full or closed goes on", function()
    if not io.open "/dev/full" then return pending "there is no /dev/full" end
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "2" }, { stderr = "/dev/full" })
    for _ = 1, 2 do
      local victim = everybody(program, 2)["1"].pid
      kill(victim, "KILL")
      ask_until(program, function(body) return body:find "^1 " and not body:find(victim .. "$") end)
    end
    assert.equal(0, (program:stop()))
  end)
end)
