-- SPDX-License-Identifier: MIT
-- addresses_spec.lua - what each example says of an address that is none: one line, and status 2, as for usage.

local example = require "support.example"
local process = require "support.process"

-- example = the words in front of its address
local before = {
  api = {}, chat = {}, ["dns-cache"] = { "--upstream", "127.0.0.1:53" }, echo = {}, events = {}, files = { "." },
  hello = {}, kv = {}, pipeline = {}, tail = { "Makefile" }, ["udp-time"] = {}, upload = { "." },
}

local function words(name, ...)
  local all = { name .. ".lua", unpack(before[name] or {}) }
  for _, word in ipairs { ... } do all[#all + 1] = word end
  return unpack(all)
end

local function refuses(line, name, ...)
  local r = process.run(example.plain(words(name, ...)))
  assert.same({ 2, "", ("%s: %s\n"):format(name, line) }, { r.status, r.out, r.err })
end

describe("an address that is none is refused in a line by", function()
  for name in pairs(before) do
    it(name .. ".lua", function()
      refuses("missing port: 'nonsense'", name, "nonsense")
      refuses("invalid port: '127.0.0.1:99999'", name, "127.0.0.1:99999")
      if name == "udp-time" then
        refuses("not a datagram address: 'unix:/x'; did you mean 'unixgram:/x'?", name, "unix:/x")
      else
        refuses("not a stream address: 'udp:127.0.0.1:1'; did you mean '127.0.0.1:1'?", name, "udp:127.0.0.1:1")
      end
    end)
  end

  it("proxy.lua and reverse-proxy.lua, both of theirs", function()
    for _, name in ipairs { "proxy", "reverse-proxy" } do
      refuses("missing port: 'nowhere'", name, "nowhere", "127.0.0.1:1")
      local shown = name == "proxy" and "256.1.1.1:80" or "256.1.1.1" -- a URL's
      refuses(("invalid host name: '%s'"):format(shown), name, "127.0.0.1:0", "256.1.1.1:80")
    end
    refuses("unknown scheme 'ftp'", "reverse-proxy", "127.0.0.1:0", "ftp://a")
  end)
end)
