-- SPDX-License-Identifier: MIT
-- moonpark: ignore
-- behaviours.lua HOW FOLDER PORT - what LuaSec does, a line for each: on the façade ("façade") or on LuaSec itself
-- ("original"). FOLDER has certificates, PORT is where echo.lua listens.

local how, folder, port = arg[1], arg[2], tonumber(arg[3])
if how == "façade" then require("moonpark.compat").install { "socket", "ssl" } end

local ffi = require "ffi"
local socket = require "socket"
local ssl = require "ssl"

ffi.cdef "int shutdown(int, int);"

local function shown(value)
  if type(value) == "table" and not getmetatable(value) then
    local parts = {}
    for key, one in pairs(value) do parts[#parts + 1] = tostring(key) .. "=" .. shown(one) end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
  end
  return (tostring(value):gsub("0x%x+", "ADDRESS"):gsub("^[^\n]-%.lua:%d+: ", ""))
end

local function say(name, ...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = shown((select(i, ...))) end
  print(name .. ": " .. table.concat(parts, " | "))
end

local function file(name) return folder .. "/" .. name end

local function text(name)
  local f = assert(io.open(file(name)))
  local all = f:read "*a"
  f:close()
  return all
end

local function settings(more)
  local all = { mode = "client", protocol = "any" }
  for key, value in pairs(more) do all[key] = value end
  return all
end

local function opened(more)
  local plain = assert(socket.connect("127.0.0.1", port))
  local secure = assert(ssl.wrap(plain, settings(more)))
  return secure, plain
end

---------------------------------------------------------------------------------------------------

-- The reason in brackets is left out: LuaSec takes the oldest of OpenSSL's queue, whoever has left it there.
for _, case in ipairs { { "protocol", "zz" }, { "cafile", "/nowhere" }, { "key", "/nowhere" },
  { "certificate", "/nowhere" }, { "ciphers", "zz" }, { "verify", "zz" }, { "options", "zz" }, { "curve", "zz" },
  { "curveslist", "zz" }, { "verifyext", "zz" }, { "alpn", 7 } } do
  local made, err = ssl.newcontext(settings { [case[1]] = case[2] })
  say("wrong:" .. case[1], made, (err:gsub("^(error .*) %(.*%)$", "%1")))
end
for _, kind in ipairs { "algorithms", "capabilities", "curves", "options", "protocols" } do
  say("config:" .. kind, ssl.config[kind])
end
local curves = {}
for name in pairs(ssl.config.curves) do curves[#curves + 1] = name end
table.sort(curves)
for _, name in ipairs(curves) do
  local made, err = ssl.newcontext(settings { curve = name })
  say("curve:" .. name, made, err and err:gsub("^(error .*) %(.*%)$", "%1"))
end
for _, name in ipairs { "secp256r1", "P-224", "P-256:P-384", "auto", "" } do
  say("curve:" .. name, ssl.newcontext(settings { curve = name }))
end
for _, list in ipairs { "secp256r1", "P-256:P-384", "X25519:brainpoolP256r1" } do
  say("curveslist:" .. list, ssl.newcontext(settings { curveslist = list }))
end
for name in pairs(ssl.config.options) do assert(ssl.newcontext(settings { options = name })) end
say("mode:x", ssl.newcontext(settings { mode = "x" }))
say("mode:x:wrap", ssl.wrap(assert(socket.connect("127.0.0.1", port)), settings { mode = "x" }))
for _, protocol in ipairs { "sslv3", "sslv23", "tlsv1_2", "tlsv1_3" } do
  say("protocol:" .. protocol, ssl.newcontext(settings { protocol = protocol }))
end
say("no protocol", (pcall(ssl.newcontext, { mode = "client" })))
say("keys that differ", ssl.newcontext(settings { certificate = file "host.crt", key = file "other.key" }))
say("password", ssl.newcontext(settings { key = file "encrypted.key", password = "secret" }))
say("password:function", ssl.newcontext(settings { key = file "encrypted.key",
  password = function() return "secret" end }))

local fresh = opened {}
say("fresh", fresh, fresh:want())
say("fresh:receive", fresh:receive())
say("fresh:send", fresh:send "x")
say("fresh:certificate", fresh:getpeercertificate())
say("fresh:verification", fresh:getpeerverification())
fresh:close()
say("closed", fresh)
say("closed:receive", fresh:receive())

for _, verify in ipairs { "none", "peer" } do
  for _, authority in ipairs { "ca.crt", "stranger.crt" } do
    local name = ("%s:%s"):format(verify, authority)
    local conn = opened { verify = verify, cafile = file(authority) }
    conn:sni "some.example"
    local ok, err = conn:dohandshake()
    say(name, ok, err)
    if ok then
      say(name .. ":verification", conn:getpeerverification())
      say(name .. ":send", conn:send "hello\n")
      say(name .. ":line", conn:receive())
      say(name .. ":want", conn:want())
    end
    conn:close()
  end
end

for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
  local conn, plain = opened { protocol = protocol, alpn = "echo" }
  say(protocol, conn:dohandshake())
  say(protocol .. ":info", conn:info())
  say(protocol .. ":info:protocol", conn:info "protocol")
  say(protocol .. ":alpn", conn:getalpn())
  say(protocol .. ":chain", #conn:getpeerchain())
  say(protocol .. ":second", conn:getpeercertificate(2))
  say(protocol .. ":finished", #conn:getfinished(), #conn:getpeerfinished())
  say(protocol .. ":fd", conn:getfd() >= 0, plain:getfd())
  conn:send "prefixed\nand\r\nthe rest"
  say(protocol .. ":prefix", conn:receive("*l", "before "))
  say(protocol .. ":cr", conn:receive())
  say(protocol .. ":number", conn:receive(3))
  say(protocol .. ":rest", conn:receive(5))
  say(protocol .. ":part", conn:send("abcdef", 2, 4))
  say(protocol .. ":parts", conn:receive(3))
  say(protocol .. ":dirty", conn:dirty())
  conn:settimeout(0)
  say(protocol .. ":nothing", conn:receive())
  say(protocol .. ":nothing:want", conn:want())
  say(protocol .. ":select", #socket.select({ conn }, nil, 0))
  conn:send "bye\n"
  conn:settimeout(60)
  say(protocol .. ":selected", #socket.select({ conn }, nil, 60))
  say(protocol .. ":end", conn:receive "*a")
  say(protocol .. ":after the end", conn:receive())
  say(protocol .. ":stats", (conn:getstats()), (select(2, conn:getstats())))
  conn:close()
  say(protocol .. ":closed", conn:send "x")
  say(protocol .. ":closed:fd", conn:getfd())
end

do -- a handshake that is tried until it is done
  local conn = opened {}
  conn:settimeout(0)
  for _ = 1, 1000 do
    if conn:dohandshake() then break end
    socket.select(conn:want() == "read" and { conn } or nil, conn:want() == "write" and { conn } or nil, 5)
  end
  say("by turns", conn:dohandshake())
  conn:close()
end

-- Both sides in this process, in turns.
local function both(name, server, client)
  local listener = assert(socket.bind("127.0.0.1", 0))
  local near = assert(socket.connect("127.0.0.1", (select(2, listener:getsockname()))))
  local far = assert(listener:accept())
  listener:close()
  server.mode, server.protocol = "server", "any"
  near, far = assert(ssl.wrap(near, settings(client))), assert(ssl.wrap(far, server))
  near:settimeout(0)
  far:settimeout(0)
  local words = {}
  for _ = 1, 1000 do
    local mine, why = near:dohandshake()
    local theirs, reason = far:dohandshake()
    if not mine and not why:find "^want" then words.client = why end
    if not theirs and not reason:find "^want" then words.server = reason end
    if words.client or words.server or mine and theirs then break end
    socket.select({ near, far }, nil, 0.1)
  end
  say(name, words.server or words.client)
  near:settimeout(60)
  far:settimeout(60)
  return near, far
end

local function host(more)
  local all = { certificate = file "host.crt", key = file "host.key" }
  for key, value in pairs(more) do all[key] = value end
  return all
end

do
  local near, far = both("server", host { alpn = { "b", "a" } }, { alpn = { "a", "b" } })
  say("server:alpn", far:getalpn(), near:getalpn())
  say("server:certificate", far:getpeercertificate())
  say("server:send", far:send "from the server\n", near:receive())
  say("server:finished", far:getfinished() == near:getpeerfinished(), near:getfinished() == far:getpeerfinished())
  say("server:keys", far:exportkeyingmaterial("EXPORTER-spec", 16) == near:exportkeyingmaterial("EXPORTER-spec", 16))
  near:close()
  say("server:end", far:receive())
  far:close()
end
-- A stream that ends without close_notify: somebody may have cut it.
for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
  for _, pattern in ipairs { "*l", "*a", 100 } do
    local name = ("cut:%s:%s"):format(protocol, pattern)
    local near, far = both(name, host {}, { protocol = protocol })
    far:send "half of a line"
    ffi.C.shutdown(far:getfd(), 1)
    say(name .. ":receive", near:receive(pattern))
    say(name .. ":want", near:want())
    if how == "façade" then -- LuaSec hangs
      assert(select(2, near:receive(pattern)) == "unexpected eof while reading")
    end
    near:close()
    far:close()
  end
end
do
  local near, far = both("cut:ignored", host {}, { options = "ignore_unexpected_eof" })
  far:send "whole"
  ffi.C.shutdown(far:getfd(), 1)
  say("cut:ignored", near:receive "*a")
  say("cut:ignored:again", near:receive "*a")
  near:close()
  far:close()
end
for _, mode in ipairs { "client", "server" } do -- in the handshake
  local listener = assert(socket.bind("127.0.0.1", 0))
  local near = assert(socket.connect("127.0.0.1", (select(2, listener:getsockname()))))
  local far = assert(listener:accept())
  listener:close()
  local wrapped = assert(ssl.wrap(near, host { mode = mode, protocol = "any" }))
  far:shutdown "send"
  say("cut:handshake:" .. mode, wrapped:dohandshake())
  wrapped:close()
  far:close()
end
do
  local verify = { "peer", "fail_if_no_peer_cert" }
  local near, far = both("server:verifies", host { verify = verify, cafile = file "ca.crt" },
    { certificate = file "client.crt", key = file "client.key", protocol = "tlsv1_2" })
  say("server:verifies:name", far:getpeercertificate():subject())
  say("server:verifies:chain", #far:getpeerchain(), far:getpeerverification())
  near:close()
  far:close()
  near, far = both("server:no certificate", host { verify = verify, cafile = file "ca.crt" }, { protocol = "tlsv1_2" })
  near:close()
  far:close()
  near, far = both("server:stranger", host { verify = verify, cafile = file "ca.crt" },
    { certificate = file "unknown_client.crt", key = file "unknown_client.key", protocol = "tlsv1_2" })
  near:close()
  far:close()
  near, far = both("no shared cipher", host { ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384", options = "no_tlsv1_3" },
    { ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256", protocol = "tlsv1_2" })
  near:close()
  far:close()
end

local certificate = ssl.loadcertificate(text "host.crt")
for _, method in ipairs { "subject", "issuer", "serial", "notbefore", "notafter", "extensions", "pubkey", "digest",
  "getsignaturename", "pem" } do
  say("certificate:" .. method, certificate[method](certificate))
end
for _, digest in ipairs { "sha256", "sha512", "zz" } do
  say("digest:" .. digest, (certificate:digest(digest)))
end
say("validat", certificate:validat(os.time()), certificate:validat(0))
say("encode", certificate:setencode "utf8", certificate:setencode "zz")
local authority = ssl.loadcertificate(text "ca.crt")
say("issued", authority:issued(certificate))
say("issued:not", certificate:issued(authority))
say("issued:between", authority:issued(ssl.loadcertificate(text "far.crt"), ssl.loadcertificate(text "middle.crt")))
say("certificate:none", ssl.loadcertificate "no PEM")
