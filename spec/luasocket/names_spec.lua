-- SPDX-License-Identifier: MIT
-- names_spec.lua - socket.dns of LuaSocket's façade: names of addresses come from the name servers, whatever they say.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local dns = require "moonpark.luasocket.dns"
local support = require "support.net"

local function name(text)
  return (text:gsub("([^.]+)%.?", function(label) return string.char(#label) .. label end)) .. "\0"
end

local function u16(n) return string.char(math.floor(n / 256), n % 256) end

local function pointer(text) return "\192\12\0\12\0\1\0\0\0\60" .. u16(#text) .. text end

-- A name server whose answer to each question is fn(id, question): texts to send, or nil.
local function answering(fn)
  local server = assert(net.packet "udp:127.0.0.1:0")
  local asked = {}
  local task = moonpark.go(function()
    while true do
      local query, from = server:recv_from()
      if not query then return end
      asked[#asked + 1] = query:sub(13)
      for _, text in ipairs { fn(query:sub(1, 2), query:sub(13)) } do server:send_to(text, from) end
    end
  end)
  assert(net.set_resolver { servers = { (server:address():gsub("^udp:", "")) } })
  return asked, function()
    net.set_resolver()
    server:close()
    task:join()
  end
end

local function head(id, answers, code)
  return id .. "\129" .. string.char(128 + (code or 0)) .. "\0\1" .. u16(answers) .. "\0\0\0\0"
end

describe("socket.dns", function()
  it("asks the name servers for the name of an address", function()
    local asked, stop = answering(function(id, question)
      return head(id, 2) .. question .. pointer(name "one.example") .. pointer(name "two.example")
    end)
    local found, more = dns.tohostname "192.0.2.7"
    assert.equal("one.example", found)
    assert.same({ name = "one.example", alias = { "two.example" }, ip = { "192.0.2.7" } }, more)
    assert.equal(name "7.2.0.192.in-addr.arpa" .. "\0\12\0\1", asked[1])
    assert.same({ { "one.example" } }, { (dns.getnameinfo "2001:db8::1") })
    assert.equal(name(("1.0.0.0."):rep(1) .. ("0."):rep(20) .. "8.b.d.0.1.0.0.2.ip6.arpa") .. "\0\12\0\1", asked[2])
    stop()
  end)

  it("says that there is no name, and gives the address instead in getnameinfo", function()
    local _, stop = answering(function(id, question) return head(id, 0, 3) .. question end)
    assert.same({ nil, "host not found" }, { dns.tohostname "192.0.2.7" })
    assert.same({ { "192.0.2.7" } }, { (dns.getnameinfo "192.0.2.7") })
    stop()
  end)

  it("waits on when another answers, and takes no name that could be none", function()
    local lies = { "", "x", ("\255"):rep(40) }
    local _, stop = answering(function(id, question)
      local other = string.char((id:byte(1) + 1) % 256) .. id:sub(2)
      return lies[1], lies[2], id .. lies[3], head(other, 1) .. question .. pointer(name "lie.example"),
        head(id, 1) .. name "other.example" .. "\0\12\0\1" .. pointer(name "lie.example"),
        head(id, 1) .. question .. pointer(name "true.example")
    end)
    assert.equal("true.example", (dns.tohostname "192.0.2.7"))
    stop()
    local broken = { "\192", "\192\255", "\63short", "\1;\0", "\3a b\0", "\0", ("\63" .. ("x"):rep(63)):rep(5) }
    for i, text in ipairs(broken) do
      local _, done = answering(function(id, question) return head(id, 9) .. question .. pointer(text) end)
      assert.same({ nil, "host not found" }, { dns.tohostname "192.0.2.7" }, i)
      done()
    end
    -- a name that points at itself
    local _, done = answering(function(id, question)
      local at = 12 + #question + 12
      return head(id, 1) .. question .. pointer("\192" .. string.char(at))
    end)
    assert.same({ nil, "host not found" }, { dns.tohostname "192.0.2.7" })
    done()
  end)

  it("is cancelled while it waits for a name server", function()
    for _, ask in ipairs { dns.tohostname, dns.getnameinfo } do
      local _, stop = answering(function() return nil end)
      local waiting = support.parked(ask, "192.0.2.7")
      waiting:cancel()
      local done, _, err = waiting:join()
      assert.is_true(done)
      if ask == dns.tohostname then assert.equal("canceled", err) end
      stop()
    end
  end)
end)
