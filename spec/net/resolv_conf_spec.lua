-- SPDX-License-Identifier: MIT
-- resolv_conf_spec.lua - options of resolv.conf(5) that c-ares does not read, alone: text in, numbers out. What the
-- system's file does to lookups is in resolver_spec.lua.

local ffi = require "ffi"
local edge = require "support.edge"
local lib = require("support.units").lib

-- timeout and attempts; 0: not said.
local function of(text)
  local conf = ffi.new("struct resolv_conf")
  lib.resolv_conf_text(conf, edge.place(text), #text)
  return { conf.timeout, conf.attempts }
end

local function words(text)
  local conf = ffi.new("struct resolv_conf", { 7, 4 })
  lib.resolv_conf_words(conf, edge.place(text), #text)
  return { conf.timeout, conf.attempts }
end

describe("resolv.conf's options", function()
  it("say how long a server is waited for, and how often all are asked", function()
    assert.same({ 3, 4 }, of "nameserver 127.0.0.1\noptions timeout:3 attempts:4\n")
    assert.same({ 3, 0 }, of "options timeout:3")
    assert.same({ 3, 4 }, of "options rotate\ttimeout:3   ndots:2\r\noptions\tattempts:4 \n")
    assert.same({ 0, 0 }, of "")
  end)

  it("count as they come last", function()
    assert.same({ 2, 5 }, of "options timeout:9 attempts:5\noptions timeout:3 timeout:2\n")
    assert.same({ 2, 4 }, words "timeout:2")
    assert.same({ 7, 4 }, words " x ")
    assert.same({ 1, 2 }, words "attempts:2 timeout:1")
  end)

  it("are kept within what the C library allows", function()
    assert.same({ 30, 5 }, of "options timeout:31 attempts:6")
    assert.same({ 30, 5 }, of("options timeout:" .. ("9"):rep(40) .. " attempts:99999999999"))
    assert.same({ 1, 1 }, of "options timeout:0 attempts:00")
    assert.same({ 30, 5 }, of "options timeout:030 attempts:5")
  end)

  it("are words of their own, in lines of their own", function()
    for _, text in ipairs { "options timeout: attempts:", "options timeout:x attempts:-1",
      "options timeout:3x attempts:1.5",
      "options Timeout:3 ATTEMPTS:2", "options xtimeout:3 timeout=3", "# options timeout:3", "; options timeout:3",
      " options timeout:3", "optionstimeout:3", "options # timeout:3", "options rotate ;timeout:3", "options",
      "options\n timeout:3",
      "search options timeout:3", "\0options timeout:3" } do
      assert.same({ 0, 0 }, of(text), text)
    end
  end)

  it("are read wherever the text ends", function()
    local text = "nameserver 127.0.0.1\noptions rotate timeout:12 attempts:3\n"
    for n = 0, #text do of(text:sub(1, n)) end
    assert.same({ 12, 3 }, of(text))
  end)
end)
