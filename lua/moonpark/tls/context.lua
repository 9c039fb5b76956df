-- SPDX-License-Identifier: MIT
-- context.lua - contexts: what the connections of a listener, or those that are dialled, have in common.
--
-- A setup is built from the options, and from the files as they are at that time. A reload builds another one; only
-- when that has worked the context uses it.

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local options_of = require "moonpark.options"
local pem = require "moonpark.tls.pem"
local task = require "moonpark.task"
local watch = require "moonpark.tls.watch"

local M = {}

---@class moonpark.tls_context
---@field package core any the core's context
---@field package options table
---@field package seen string what its files held when they were last read
local Context = {}
Context.__index = Context

local versions = options_of.one_of("1.2", "1.3")

local function is_list(value)
  if type(value) ~= "table" or #value == 0 then return false end
  for _, name in ipairs(value) do
    if type(name) ~= "string" or #name < 1 or #name > 255 then return false end
  end
  return true
end

local KEY = 80 -- bytes of a ticket key
local function is_keys(value)
  if type(value) == "string" then return true end
  return is_list(value) and #value <= 3
end

---@class moonpark.tls.server.options
---@field cert? string certificates in PEM, or the name of their file
---@field key? string its key, likewise; it may be in cert
---@field certificates? moonpark.tls.certificate.options[] others, by the name that the client asks for
---@field client_certificates? "request"|"require" asked for; not by default
---@field client_ca? string whose certificates of clients count: PEM, or the name of a file
---@field alpn? string[] protocols, the best first
---@field min_version? "1.2"|"1.3" "1.2"
---@field max_version? "1.2"|"1.3" "1.3"
---@field ciphers? string of TLS 1.2, as OpenSSL names them; Mozilla's intermediate list
---@field ciphersuites? string of TLS 1.3; OpenSSL's
---@field tickets? boolean sessions can be resumed; true
---@field ticket_keys? string|string[] one to three keys of 80 bytes, or their files; the first makes new
--- tickets; random, and rotated
---@field ocsp? string the name of a file with a response to staple
---@field choose? fun(name: string, protocol: "acme-tls/1"|nil): moonpark.tls_context|nil, string? picks; may wait

---@class moonpark.tls.certificate.options
---@field cert string certificates in PEM, or the name of their file
---@field key? string its key, likewise; it may be in cert
---@field ocsp? string the name of a file with a response to staple
---@field names? string[] hosts; those in the certificate

---@class moonpark.tls.client.options
---@field ca? string authorities in PEM, or the name of a file with them; the system's
---@field insecure? boolean nothing is verified; false
---@field cert? string the client's own certificate in PEM, or the name of its file
---@field key? string its key, likewise; it may be in cert
---@field alpn? string[] protocols, the best first; none
---@field min_version? "1.2"|"1.3" "1.2"
---@field max_version? "1.2"|"1.3" "1.3"
---@field ciphers? string of TLS 1.2, as OpenSSL names them; Mozilla's intermediate list
---@field ciphersuites? string of TLS 1.3; OpenSSL's

local shared = { cert = "string", key = "string", min_version = versions, max_version = versions, ciphers = "string",
  ciphersuites = "string",
  alpn = { is_list, "must be a list of protocols' names" } }

local server_options = { certificates = "table", client_certificates = options_of.one_of("request", "require"),
  client_ca = "string", tickets = "boolean", ocsp = "string", choose = "function",
  ticket_keys = { is_keys, "must be one to three keys, or their files" } }
local client_options = { ca = "string", insecure = "boolean" }
for name, kind in pairs(shared) do server_options[name], client_options[name] = kind, kind end

local certificate_options = { cert = "string", key = "string", ocsp = "string",
  names = { is_list, "must be a list of names" } }

---------------------------------------------------------------------------------------------------
-- setups

-- Names the file in what the core says: it knows no files.
local function named(name, ok, err, errno)
  if ok then return true end
  return nil, name .. ": " .. err, errno
end

local function add_certificate(setup, options)
  local chain, chain_name = pem.read(options.cert, "cert")
  if not chain then return nil, chain_name end
  local key, key_name = chain, chain_name
  if options.key then key, key_name = pem.read(options.key, "key") end
  if not key then return nil, key_name end
  local ok, err, errno = setup:certificate(chain, key)
  if ok and options.ocsp then
    local response, name = pem.file(options.ocsp)
    if not response then return nil, name end
    return named(name, setup:ocsp(response))
  end
  if ok then return true end
  return named(err:find("^key") and key_name or err:find(" key", 1, true) and key_name or chain_name, ok, err, errno)
end

local function add_trust(setup, value, option)
  local text, name = pem.read(value, option)
  if not text then return nil, name end
  return named(name, setup:trust(text))
end

local function alpn_wire(list)
  local parts = {}
  for i, name in ipairs(list) do parts[i] = string.char(#name) .. name end
  return table.concat(parts)
end

local function add_shared(setup, options)
  local ok, err = true, nil
  if options.min_version then ok, err = setup:min_version(options.min_version) end
  if ok and options.max_version then ok, err = setup:max_version(options.max_version) end
  if ok and options.ciphers then ok, err = named("ciphers", setup:ciphers(options.ciphers)) end
  if ok and options.ciphersuites then ok, err = named("ciphersuites", setup:suites(options.ciphersuites)) end
  if ok and options.alpn then ok, err = setup:alpn(alpn_wire(options.alpn)) end
  return ok, err
end

local function add_client_trust(setup, options)
  local ok, err = true, nil
  if options.client_ca then ok, err = add_trust(setup, options.client_ca, "client_ca") end
  if ok and options.client_certificates then ok, err = setup:verify(options.client_certificates) end
  return ok, err
end

-- Each certificate is a setup of its own. Once it is chosen OpenSSL asks it for all that is not a connection's own.
local function add_other(setup, options, certificate)
  local other, err = core.tls_setup(true)
  if not other then return nil, err end
  local ok
  ok, err = add_shared(other, options)
  if ok then ok, err = add_client_trust(other, options) end
  if ok then ok, err = add_certificate(other, certificate) end
  for _, name in ipairs(certificate.names or {}) do
    if ok then ok, err = setup:name(other, name) end
  end
  if ok and not certificate.names then ok, err = setup:name(other) end
  return ok, err
end

local function add_certificates(setup, options)
  local ok, err = true, nil
  local list = options.certificates or {}
  local first = options.cert and options or list[1]
  if first then ok, err = add_certificate(setup, first) end
  for _, certificate in ipairs(list) do
    if ok then ok, err = add_other(setup, options, certificate) end
  end
  return ok, err
end

-- One to three keys in one string; "" if there are none.
local function read_ticket_keys(value)
  local keys = {}
  for i, one in ipairs(type(value) == "table" and value or { value }) do
    local name = "ticket_keys"
    keys[i] = one
    if #one ~= KEY then keys[i], name = pem.read(one, name) end
    if not keys[i] then return nil, name end
    if #keys[i] ~= KEY then return nil, ("%s: %d bytes, not %d"):format(name, #keys[i], KEY) end
  end
  return table.concat(keys)
end

local function server_setup(options)
  local setup, err = core.tls_setup(true)
  if not setup then return nil, err end
  local ok
  ok, err = add_shared(setup, options)
  if ok then ok, err = add_certificates(setup, options) end
  if ok then ok, err = add_client_trust(setup, options) end
  if ok and options.tickets == false then ok, err = setup:tickets(false) end
  local keys = ""
  if ok then keys, err = read_ticket_keys(options.ticket_keys) end
  if not ok or not keys then return nil, err end
  return setup, keys
end

local function client_setup(options)
  local setup, err = core.tls_setup(false)
  if not setup then return nil, err end
  local ok
  ok, err = add_shared(setup, options)
  if ok and options.cert then ok, err = add_certificate(setup, options) end
  if ok and options.insecure then
    ok, err = setup:verify("none")
  elseif ok and options.ca then
    ok, err = add_trust(setup, options.ca, "ca")
  elseif ok then
    ok, err = setup:trust()
  end
  if not ok then return nil, err end
  return setup, ""
end

---------------------------------------------------------------------------------------------------
-- contexts

local function new(build, options)
  local seen = watch.contents(options) -- first: what changes meanwhile is read again
  local setup, keys = build(options)
  if not setup then return nil, keys end
  local context, why = core.tls_context(setup)
  if not context then return nil, why end
  context:ticket_keys(keys)
  local made = setmetatable({ core = context, options = options, build = build, seen = seen }, Context)
  if options.choose then context:ask(options.choose) end
  return made
end

---@param certificate moonpark.tls.certificate.options
local function check_certificate(certificate, level)
  options_of.check("server: certificates", certificate, certificate_options, level + 1)
  if not certificate.cert then error("server: each of 'certificates' must have a 'cert'", level + 1) end
end

--- Raises for invalid options of M.server, at that level.
---@param options moonpark.tls.server.options
---@param level integer
function M.check_server(options, level)
  options_of.check("server", options, server_options, level + 1, 1)
  for _, certificate in ipairs(options.certificates or {}) do check_certificate(certificate, level + 1) end
  if not options.cert and not (options.certificates and options.certificates[1]) then
    error("server: option 'cert' or 'certificates' is needed", level + 1)
  end
  if options.client_certificates and not options.client_ca then
    error("server: option 'client_ca' is needed with 'client_certificates'", level + 1)
  end
end

--- A context for the server's side. cert and key: PEM, or the name of a file with it; the key may be in cert.
---@param options moonpark.tls.server.options
---@return moonpark.tls_context|nil
---@return string? err one line, with the file's name
function M.server(options)
  if type(options) ~= "table" then
    error(("bad argument #1 to 'server' (table expected, got %s)"):format(type(options)), 2)
  end
  M.check_server(options, 2)
  return new(server_setup, options)
end

--- A context for the client's side. ca: authorities in PEM, or the name of a file with them; the system's by default.
---@param options? moonpark.tls.client.options
---@return moonpark.tls_context|nil
---@return string? err
function M.client(options)
  options = options_of.check("client", options, client_options, 2, 1)
  if options.insecure and options.ca then error("client: option 'ca' has no use with 'insecure'", 2) end
  return new(client_setup, options)
end

--- Reads the files again: connections that are made from now on use them. Those that are open are not touched. If it
--- fails, all stays as it was.
---@return true|nil
---@return string? err
function Context:reload()
  self.seen = watch.contents(self.options)
  local setup, keys = self.build(self.options)
  if not setup then return nil, keys end
  self.core:use(setup)
  self.core:ticket_keys(keys)
  return true
end

Context.watch = watch.watch

local PATIENCE = 10 -- seconds: so long does a handshake wait

-- In a task of its own: the function may wait. Whatever goes wrong, the connection is answered.
local function answer(choose, context, question, name, protocol)
  local ok, chosen, err = pcall(task.timeout, PATIENCE, choose, name, protocol)
  if not ok then
    chosen, err = nil, failures.text(chosen)
  elseif chosen ~= nil and not M.is(chosen, "server") then
    chosen, err = nil, "it returned no context made by tls.server"
  end
  if err then failures.log(("tls: no certificate for %s: %s"):format(name, tostring(err)), "error", "tls") end
  context:answer(question, chosen and chosen.core)
end

core.on_tls_question(function(...) task.go(answer, ...) end)

--- Is this a context of that role?
---@param value any
---@param role "server"|"client"
function M.is(value, role)
  return getmetatable(value) == Context and value.core:accepts() == (role == "server")
end

local default

--- The context for clients that name none; made when it is first needed.
function M.default()
  local err
  if not default then default, err = new(client_setup, {}) end
  return default, err
end

return M
