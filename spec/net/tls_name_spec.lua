-- SPDX-License-Identifier: MIT
-- tls_name: which words name a host, and which patterns a name matches.

local ffi = require "ffi"
local units = require "support.units"

local lib = units.lib
local NONE, HOST, ADDRESS = lib.TLS_NAME_NONE, lib.TLS_NAME_HOST, lib.TLS_NAME_ADDRESS

local function read(text)
  local to = ffi.new("char[?]", lib.TLS_NAME)
  return tonumber(lib.tls_name_read(to, text, #text)), ffi.string(to)
end

describe("tls_name_read", function()
  it("takes names of hosts, in lower case and without the root's dot", function()
    for text, name in pairs {
      ["host.example"] = "host.example", ["HOST.Example"] = "host.example", ["host.example."] = "host.example",
      ["localhost"] = "localhost", ["a"] = "a", ["xn--bcher-kva.example"] = "xn--bcher-kva.example",
      ["_dmarc.a_b.example"] = "_dmarc.a_b.example", ["-a-.example"] = "-a-.example", ["127.1"] = "127.1",
      [("a"):rep(63) .. ".example"] = ("a"):rep(63) .. ".example",
      [("a."):rep(126) .. "b"] = ("a."):rep(126) .. "b", [("a."):rep(126) .. "b."] = ("a."):rep(126) .. "b",
    } do
      assert.same({ tonumber(HOST), name }, { read(text) })
    end
  end)

  it("takes addresses, in their usual spelling", function()
    for text, name in pairs { ["127.0.0.1"] = "127.0.0.1", ["127.0.0.1."] = "127.0.0.1", ["::1"] = "::1",
      ["0:0::0001"] = "::1", ["2001:DB8::A"] = "2001:db8::a", ["::ffff:10.0.0.1"] = "10.0.0.1" } do
      assert.same({ tonumber(ADDRESS), name }, { read(text) })
    end
  end)

  it("takes nothing else", function()
    for _, text in ipairs { "", ".", "..", ".example", "a..b", "a.example..", "*.example", "a b", " a", "a ", "a\n",
      "a\0", "\0a", "a\0b", "../etc", "a/b", "a:1", "a@b", "[::1]", "::1%lo", "b\195\188cher.example", "\255", "a\127",
      ("a"):rep(64) .. ".example", ("a."):rep(127) .. "b", ("a"):rep(70000) } do
      assert.same({ tonumber(NONE), "" }, { read(text) })
    end
  end)
end)

describe("tls_name_matches", function()
  it("is true for the name itself, and a wildcard for one label", function()
    for _, case in ipairs { { "a.example", "a.example", true }, { "A.Example", "a.example", true },
      { "*.example", "a.example", true }, { "*.EXAMPLE", "a.example", true }, { "*.example", "example", false },
      { "*.example", "a.b.example", false }, { "*.b.example", "a.b.example", true }, { "*", "a", false },
      { "*a.example", "xa.example", false }, { "a.*", "a.b", false }, { "", "a", false }, { "*.", "a", false } } do
      assert.same({ case[1], case[2], case[3] }, { case[1], case[2], lib.tls_name_matches(case[1], case[2]) })
    end
  end)
end)
