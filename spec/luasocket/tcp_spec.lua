-- SPDX-License-Identifier: MIT
-- tcp_spec.lua - the façade answers as LuaSocket does, value by value: behaviours.lua, states.lua and ahead.lua
-- on both.

local process = require "support.process"

local function run(how, name)
  local env = how == "original" and { LUA_PATH = ";;", LUA_CPATH = ";;" }
    or how == "small" and { LUA_PATH = process.root .. "/lua/?.lua" } or nil
  local script = process.root .. "/spec/luasocket/" .. name .. ".lua"
  local argv = (how == "façade" or how == "small") and process.moonpark(script, "façade") or
    { process.interpreter, script, how == "outside" and "façade" or how }
  local r = process.run(argv, { env = env })
  assert.same({ 0, "" }, { r.status, r.err })
  local lines = {}
  for line in r.out:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local function has_original()
  return process.run({ process.interpreter, "-e", 'require "socket"' }, { env = { LUA_PATH = ";;", LUA_CPATH = ";;" } })
    .status == 0
end

describe("a LuaSocket socket", function()
  after_each(process.stop_all)

  for _, name in ipairs { "behaviours", "states", "ahead" } do
    it("answers as LuaSocket's own, in a task: " .. name, function()
      if not has_original() then return pending "LuaSocket is not installed (lua-socket)" end
      local original, ours = run("original", name), run("façade", name)
      for i, line in ipairs(original) do assert.equal(line, ours[i]) end
      assert.equal(#original, #ours)
    end)

    it("answers in the same way where LuaSocket is not installed: " .. name, function()
      local ours, small = run("façade", name), run("small", name)
      for i, line in ipairs(ours) do assert.equal(line, small[i]) end
      assert.equal(#ours, #small)
    end)

    it("answers in the same way outside of the loop, where nobody else can connect for it: " .. name, function()
      local inside, outside = run("façade", name), run("outside", name)
      local function drop_refused(lines) -- there, connect itself waits
        for i = #lines, 1, -1 do
          if lines[i]:find "^refused:" then table.remove(lines, i) end
        end
      end
      drop_refused(inside)
      drop_refused(outside)
      for i, line in ipairs(inside) do
        if line == "later:connect: true | nil | timeout" then line = "later:connect: true | 1" end
        assert.equal(line, outside[i])
      end
      assert.equal(#inside, #outside)
    end)
  end
end)
