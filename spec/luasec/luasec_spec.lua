-- SPDX-License-Identifier: MIT
-- luasec_spec.lua - the façade answers as LuaSec does, value by value (behaviours.lua on both); LuaSec's https on top;
-- cancellation and closing inside its calls.

local process = require "support.process"
local tls = require "support.tls"

local FOLDER = process.root .. "/" .. tls.files.host_crt:gsub("^" .. process.root:gsub("%p", "%%%0") .. "/", "")
  :match "^(.*)/"
local plain = { LUA_PATH = ";;", LUA_CPATH = ";;" }

local function has(module)
  return process.run({ process.interpreter, "-e", "require '" .. module .. "'" }, { env = plain }).status == 0
end

local function start_echo()
  local child = process.start(process.moonpark(process.root .. "/spec/luasec/echo.lua", FOLDER))
  return child, assert(child:line())
end

local function lines_of(how, port, name)
  local script = ("%s/spec/luasec/%s.lua"):format(process.root, name or "behaviours")
  local argv = (how == "façade" or how == "small") and process.moonpark(script, "façade", FOLDER, port)
    or { process.interpreter, script, how == "outside" and "façade" or how, FOLDER, port }
  local env = how == "original" and plain or how == "small" and { LUA_PATH = process.root .. "/lua/?.lua" } or nil
  local r = process.run(argv, { env = env })
  assert.same({ 0, "" }, { r.status, r.err })
  local lines = {}
  for line in r.out:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local function run_script(text, ...)
  local r = process.run(process.moonpark("--compat", "socket,ssl", "-e", text, ...))
  assert.same({ 0, "" }, { r.status, r.err })
  return r.out
end

-- moonpark: ignore
describe("LuaSec's façade", function()
  after_each(process.stop_all)

  for _, how in ipairs { "façade", "outside" } do
    it("answers as LuaSec itself, " .. (how == "outside" and "outside of the loop" or "in a task"), function()
      if not has "ssl" then return pending "LuaSec is not installed (lua-sec)" end
      local _, port = start_echo()
      local original, ours = lines_of("original", port), lines_of(how, port)
      for i, line in ipairs(original) do assert.equal(line, ours[i]) end
      assert.equal(#original, #ours)
    end)
  end

  for _, how in ipairs { "façade", "outside" } do
    it("agrees with a peer on what LuaSec agrees on, " .. (how == "outside" and "outside of the loop" or "in a task"),
      function()
        if not has "ssl" then return pending "LuaSec is not installed (lua-sec)" end
        local original, ours = lines_of("original", 0, "choices"), lines_of(how, 0, "choices")
        for i, line in ipairs(original) do assert.equal(line, ours[i]) end
        assert.equal(#original, #ours)
      end)
  end

  it("agrees on the same where LuaSec is not installed", function()
    local ours, small = lines_of("façade", 0, "choices"), lines_of("small", 0, "choices")
    for i, line in ipairs(ours) do assert.equal(line, small[i]) end
    assert.equal(#ours, #small)
  end)

  it("carries LuaSec's own https, unchanged", function()
    if not has "ssl.https" then return pending "LuaSec is not installed (lua-sec)" end
    local _, port = start_echo()
    assert.equal("hello\t200\n", run_script(([[
      local body, code = require("ssl.https").request("https://127.0.0.1:%s/")
      print(body, code)
    ]]):format(port)))
  end)

  it("does not take a body that was cut for a whole one", function()
    if not has "ssl.https" then return pending "LuaSec is not installed (lua-sec)" end
    local _, port = start_echo()
    assert.equal("nil\tunexpected eof while reading\tnil\tnil\n", run_script(([[
      print(require("ssl.https").request("https://127.0.0.1:%s/cut"))
    ]]):format(port)))
  end)

  it("lets other tasks run while a handshake or a read waits, and ends both when the task is cancelled", function()
    if not has "ssl" then return pending "LuaSec is not installed (lua-sec)" end
    local _, port = start_echo()
    assert.equal("handshake\tfalse\tcanceled\nread\tnil\tcanceled\t\n", run_script(([[
      local moonpark, socket, ssl = require "moonpark", require "socket", require "ssl"
      local mute = assert(moonpark.net.listen "127.0.0.1:0")
      local function wrapped(port)
        return assert(ssl.wrap(assert(socket.connect("127.0.0.1", port)), { mode = "client", protocol = "any" }))
      end
      local first = moonpark.go(function()
        local conn = wrapped(mute:address():match ":(%%d+)$")
        print("handshake", conn:dohandshake())
        conn:close()
      end)
      local peer = mute:accept()
      peer:read()
      first:cancel()
      first:join()
      local waits = moonpark.event()
      local second = moonpark.go(function()
        local conn = wrapped(%s)
        assert(conn:dohandshake())
        waits:set()
        print("read", conn:receive())
        conn:close()
      end)
      waits:wait()
      moonpark.yield()
      second:cancel()
      second:join()
      peer:close()
      mute:close()
    ]]):format(port)))
  end)
end)
