-- SPDX-License-Identifier: MIT
-- moonpark: ignore
-- choices.lua HOW FOLDER - what LuaSec's two sides agree on: names and contexts, protocols, certificates that are good
-- and bad, versions, ciphers, curves, DANE. Run as behaviours.lua is; both sides are in this process, in turns.

local how, folder = arg[1], arg[2]
if how == "façade" then require("moonpark.compat").install { "socket", "ssl" } end

local socket = require "socket"
local ssl = require "ssl"

local function shown(value)
  if type(value) ~= "table" or getmetatable(value) then return (tostring(value):gsub("0x%x+", "ADDRESS")) end
  local parts = {}
  for key, one in pairs(value) do parts[#parts + 1] = tostring(key) .. "=" .. shown(one) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

local function say(name, ...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = shown((select(i, ...))) end
  print(name .. ": " .. table.concat(parts, " | "))
end

local function file(name) return folder .. "/" .. name end

local function context(mode, more)
  local all = { mode = mode, protocol = "any" }
  for key, value in pairs(more or {}) do all[key] = value end
  return assert(ssl.newcontext(all))
end

local function certificate(name, more)
  local all = { certificate = file(name .. ".crt"), key = file(name .. ".key") }
  for key, value in pairs(more or {}) do all[key] = value end
  return all
end

-- Both handshakes, in turns -> the two connections, and the words if one failed
local function meet(server, client, before)
  local listener = assert(socket.bind("127.0.0.1", 0))
  local near = assert(socket.connect("127.0.0.1", (select(2, listener:getsockname()))))
  local far = assert(listener:accept())
  listener:close()
  near, far = assert(ssl.wrap(near, client)), assert(ssl.wrap(far, server))
  near:settimeout(0)
  far:settimeout(0)
  if before then before(near, far) end
  local words = {}
  for _ = 1, 1000 do
    local mine, why = near:dohandshake()
    local theirs, reason = far:dohandshake()
    if not mine and not why:find "^want" then words.client = why end
    if not theirs and not reason:find "^want" then words.server = reason end
    if words.client or words.server or mine and theirs then break end
    socket.select({ near, far }, nil, 0.1)
  end
  near:settimeout(60)
  far:settimeout(60)
  return near, far, words
end

local function part(...)
  for _, one in ipairs { ... } do one:close() end
end

local function subject(conn)
  local own = conn:getpeercertificate()
  return own and own:subject()[1].value
end

---------------------------------------------------------------------------------------------------
-- names

local hosts = { ["host.example"] = context("server", certificate "host"),
  ["other.example"] = context("server", certificate "other") }

for _, case in ipairs { { "host.example" }, { "other.example" }, { "third.example" }, { nil },
  { "other.example", true }, { "third.example", true }, { nil, true } } do
  local near, far, words = meet(context("server", certificate "far"), context "client", function(near, far)
    if case[1] then near:sni(case[1]) end
    far:sni(hosts, case[2])
  end)
  say(("name %s%s"):format(case[1], case[2] and ", strict" or ""), words.server == nil, words.client == nil,
    subject(near), far:getsniname())
  part(near, far)
end

---------------------------------------------------------------------------------------------------
-- protocols

local answers = { ["of a list"] = { "b", "a" }, ["of a string"] = function() return "a" end,
  ["of the offer"] = function(offer) return { offer[#offer] } end, ["of nothing"] = function() return nil end,
  ["of others"] = { "x" } }
for _, name in ipairs { "of a list", "of a string", "of the offer", "of nothing", "of others" } do
  local alpn = answers[name]
  local near, far, words = meet(context("server", certificate("host", { alpn = alpn })),
    context("client", { alpn = { "a", "b" } }))
  say("alpn " .. name, words.server, words.client, near:getalpn(), far:getalpn())
  part(near, far)
end

do
  local offers
  local near, far = meet(context("server", certificate("host", { alpn = function(offer)
    offers = table.concat(offer, ",")
    return "h2"
  end })), context("client", { alpn = { "http/1.1", "h2" } }))
  say("alpn offered", offers, near:getalpn())
  part(near, far)
  near, far = meet(context("server", certificate("host", { alpn = { "a" } })), context "client")
  say("alpn of one side", near:getalpn(), far:getalpn())
  part(near, far)
end

---------------------------------------------------------------------------------------------------
-- certificates

for _, name in ipairs { "host", "expired", "purpose", "other", "far", "wild" } do
  for _, verify in ipairs { "none", "peer" } do
    local near, far, words = meet(context("server", certificate(name)),
      context("client", { verify = verify, cafile = file "ca.crt", protocol = "tlsv1_2" }))
    say(("%s, %s"):format(name, verify), words.client, words.server ~= nil)
    if not words.client then say("verified", near:getpeerverification()) end
    part(near, far)
  end
  local near, far, words = meet(context("server", certificate(name)),
    context("client", { verify = "peer", verifyext = "lsec_continue", cafile = file "ca.crt" }))
  say(name .. ", goes on", words.client, words.server, near:getpeerverification())
  part(near, far)
end

do
  local chain = { certificate = file "chain.crt", key = file "far.key" }
  local near, far, words = meet(context("server", chain), context("client", { verify = "peer",
    cafile = file "ca.crt" }))
  say("a chain", words.client, #near:getpeerchain(), near:getpeerverification())
  part(near, far)
  near, far, words = meet(context("server", chain), context("client", { verify = "peer", depth = 0,
    cafile = file "ca.crt", protocol = "tlsv1_2" }))
  say("a chain, too long", words.client)
  part(near, far)
  near, far, words = meet(context("server", certificate "host"), context("client", { verify = "peer",
    verifyext = { "crl_check" }, cafile = file "ca.crt", protocol = "tlsv1_2" }))
  say("no list of revoked ones", words.client)
  part(near, far)
  near, far, words = meet(context("server", certificate "host"), context("client", { verify = "peer",
    verifyext = { "crl_check", "lsec_continue" }, cafile = file "ca.crt" }))
  say("no list of revoked ones, goes on", words.client, near:getpeerverification())
  part(near, far)
end

for _, name in ipairs { "client", "unknown_client", "host", "none" } do
  for _, more in ipairs { { verify = "peer" }, { verify = { "peer", "fail_if_no_peer_cert" } },
    { verify = { "peer", "client_once" }, verifyext = "lsec_continue" },
    { verify = { "peer", "fail_if_no_peer_cert" }, verifyext = { "lsec_continue", "lsec_ignore_purpose" } } } do
    more.cafile = file "ca.crt"
    local near, far, words = meet(context("server", certificate("host", more)),
      context("client", name == "none" and { protocol = "tlsv1_2" } or certificate(name, { protocol = "tlsv1_2" })))
    say(("client's %s, %s, %s"):format(name, shown(more.verify), shown(more.verifyext)), words.server,
      subject(far))
    if not words.server then say("verified", far:getpeerverification()) end
    part(near, far)
  end
end

---------------------------------------------------------------------------------------------------
-- versions, ciphers, curves

for _, theirs in ipairs { "tlsv1_2", "tlsv1_3" } do
  for _, ours in ipairs { "tlsv1_2", "tlsv1_3", "any" } do
    local near, far, words = meet(context("server", certificate("host", { protocol = theirs })),
      context("client", { protocol = ours }))
    say(("version %s, %s"):format(theirs, ours), words.server == nil, words.client == nil, near:info "protocol")
    part(near, far)
  end
end

for _, options in ipairs { "no_tlsv1_3", { "all", "no_tlsv1_3", "no_ticket" } } do
  local near, far, words = meet(context("server", certificate "host"), context("client", { options = options }))
  say("options " .. shown(options), words.client, near:info "protocol")
  part(near, far)
end

for _, cipher in ipairs { "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305" } do
  local near, far = meet(context("server", certificate "host"), context("client", { ciphers = cipher,
    protocol = "tlsv1_2" }))
  local info = near:info()
  say("cipher " .. cipher, info)
  part(near, far)
end
for _, suite in ipairs { "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256" } do
  local near, far = meet(context("server", certificate "host"), context("client", { ciphersuites = suite,
    protocol = "tlsv1_3" }))
  say("suite " .. suite, near:info())
  part(near, far)
end
for _, curves in ipairs { { "P-256", "P-384" }, { "X25519:P-256", "P-256" } } do
  local near, far, words = meet(context("server", certificate("host", { curveslist = curves[1] })),
    context("client", { curveslist = curves[2] }))
  say("curves " .. table.concat(curves, ", "), words.client == nil, words.server == nil)
  part(near, far)
end

---------------------------------------------------------------------------------------------------
-- DANE

local function bytes_of(hexadecimal)
  return (hexadecimal:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

for _, name in ipairs { "right", "wrong" } do
  local record = name == "right" and "host.crt" or "other.crt"
  local text = io.open(file(record)):read "*a"
  local hash = bytes_of(ssl.loadcertificate(text):digest "sha256")
  local near, far, words = meet(context("server", certificate "host"), context("client", { verify = "peer",
    dane = true, protocol = "tlsv1_2" }), function(near)
    say("dane " .. name, near:setdane "host.example", near:settlsa(3, 0, 1, hash), near:settlsa(9, 9, 9, "x"))
  end)
  say("dane " .. name, words.client, near:getpeerverification())
  part(near, far)
end
