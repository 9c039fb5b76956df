-- SPDX-License-Identifier: MIT
-- acme.lua - automatic certificates: obtained from an authority, kept in a storage, renewed in time. See docs/acme.md.
--
-- One task goes round: serve what the storage has; while that is fresh, sleep; else, with the storage's lock, ask the
-- authority. So of several processes one asks, and the others find what it got. A failure is kept in the storage too,
-- with the time of the next try: the authority's limits count for all of them together.

local acme_client = require "moonpark.tls.acme_client"
local acme_options = require "moonpark.tls.acme_options"
local acme_solver = require "moonpark.tls.acme_solver"
local acme_storage = require "moonpark.tls.acme_storage"
local contexts = require "moonpark.tls.context"
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local jws = require "moonpark.tls.jws"
local self_signed = require "moonpark.tls.self_signed"

local M = {}

local function log(text) failures.log(text, "error", "tls") end

local LIFE = 2 / 3               -- of a certificate, until it is renewed
local JITTER = 1 / 50            -- of its life: processes and machines do not all ask at once
local FIRST_RETRY, LAST_RETRY = 60, 12 * 3600 -- seconds
local LONGEST_RETRY = 7 * 86400  -- that an authority may ask for
local LONGEST_SLEEP = 12 * 3600  -- then the storage is looked at again
local BUSY = 2                   -- seconds until the lock is tried again
local FORGOTTEN = "urn:ietf:params:acme:error:accountDoesNotExist"
local REQUEST = { timeout = 60, max_body = 1024 * 1024, redirects = 0 }

---@class moonpark.tls.acme
---@field private options table
local Acme = {}
Acme.__index = Acme

-- A number from 0 to 1.
local function chance()
  local a, b = core.secure_random(2):byte(1, 2)
  return (a * 256 + b) / 65535
end

local function http_request(options)
  for name, value in pairs(REQUEST) do options[name] = value end
  return require("moonpark.http").request(options)
end

---------------------------------------------------------------------------------------------------
-- certificates that are there

-- Has the certificate all names?
local function covers(facts, names)
  local has = {}
  for _, list in ipairs { facts.dns_names, facts.ip_addresses } do
    for _, name in ipairs(list) do has[name:lower()] = true end
  end
  for _, name in ipairs(names) do
    if not has[name] then return false end
  end
  return true
end

-- What the storage's text holds: the key, then the chain.
local function parse(self, text)
  local key, chain = text:match "^(.-%-%-%-%-%-END PRIVATE KEY%-%-%-%-%-\n)(.+)$"
  if not key then return nil, "no key and certificate" end
  local facts, err = core.x509_read(chain, key)
  if not facts then return nil, err end
  local life = facts.not_after - facts.not_before
  return { cert = chain, key = key, fingerprint = facts.fingerprint, not_after = facts.not_after,
    renew_at = facts.not_before + life * (LIFE + JITTER * self.jitter), is_whole = covers(facts, self.options.domains) }
end

local function tell(self, certificate)
  for _, context in ipairs(self.contexts) do
    context.options.cert, context.options.key = certificate.cert, certificate.key
    local ok, err = context:reload()
    if not ok then log("acme: the new certificate cannot be used: " .. err) end
  end
  local on_certificate = self.options.on_certificate
  if not on_certificate then return end
  local ok, err = xpcall(function() on_certificate(self:current()) end, failures.traced)
  if not ok then log("acme: error in on_certificate: " .. err) end
end

-- Serves the storage's certificate, if it has one that is not served yet. Returns nil and why if that cannot be known.
local function adopt(self)
  local text, err = self.storage:read(self.file)
  if err then return nil, err end
  if not text or text == self.text then return true end
  local certificate
  certificate, err = parse(self, text)
  if not certificate then
    log(("acme: %s is not used: %s"):format(self.file, err))
  elseif certificate.not_after > core.time() then
    self.text, self.certificate = text, certificate
    tell(self, certificate)
    self.arrived:set()
  end
  return true
end

local function is_fresh(self)
  local certificate = self.certificate
  return certificate ~= nil and certificate.is_whole and core.time() < certificate.renew_at
end

---------------------------------------------------------------------------------------------------
-- getting one

-- The account's key is kept before it is used: an account whose key is lost can do nothing.
local function load_account(self)
  local text, err = self.storage:read "account.json"
  if err then return nil, err end
  local account = text and require("moonpark.http.json").decode(text)
  if type(account) == "table" and type(account.key) == "string" then return account end
  if text then return nil, "account.json: no account" end
  account = {}
  account.key, err = core.key_new()
  if not account.key then return nil, err end
  local ok
  ok, err = self.storage:write("account.json", core.json_encode(account))
  if not ok then return nil, err end
  return account
end

local function save_account(self, account, kid)
  if account.kid == kid then return true end
  return self.storage:write("account.json", core.json_encode { key = account.key, kid = kid })
end

local function new_client(self, account, key)
  local kid = type(account.kid) == "string" and account.kid or nil
  return acme_client.new { directory = self.options.directory, request = self.options.request or http_request,
    sleep = core.sleep, now = core.time, key = key, kid = kid }
end

-- An authority that has forgotten the account is given it once more.
local function obtain_with(self, client, key)
  local options = self.options
  if client.kid then
    local chain, err, details = client:obtain(options.domains, key, self.solver)
    if chain or not details or details.type ~= FORGOTTEN then return chain, err, details end
  end
  local kid, err, details = client:account(options)
  if not kid then return nil, err, details end
  return client:obtain(options.domains, key, self.solver)
end

local function obtain(self)
  local account, err = load_account(self)
  if not account then return nil, err end
  local account_key
  account_key, err = jws.key(account.key)
  if not account_key then return nil, "account.json: " .. err end
  local key
  key, err = core.key_new()
  if not key then return nil, err end
  local client = new_client(self, account, account_key)
  local chain, why, details = obtain_with(self, client, key)
  if client.kid then
    local ok, wrong = save_account(self, account, client.kid)
    if not ok then return nil, wrong end
  end
  if not chain then return nil, why, details end
  return self.storage:write(self.file, key .. chain)
end

---------------------------------------------------------------------------------------------------
-- the task

-- When the next try may be, and how many have failed since the last success.
local function read_retry(self)
  local text = self.storage:read(self.file .. ".retry") or ""
  local at, count = text:match "^(%d+) (%d+)"
  return tonumber(at) or 0, tonumber(count) or 0
end

local function fail(self, err, details, count)
  local pause = math.min(FIRST_RETRY * 2 ^ math.min(count, 20), LAST_RETRY) * (1 + chance() / 10)
  local wanted = details and details.retry_after
  if wanted then pause = math.max(pause, math.min(wanted, LONGEST_RETRY)) end
  pause = math.ceil(pause)
  self.error = err
  self.storage:write(self.file .. ".retry", ("%.0f %d\n"):format(math.ceil(core.time()) + pause, count + 1))
  log(("acme: no certificate for %s: %s; trying again in %.0f s"):format(self.options.domains[1], err, pause))
  return pause
end

-- With the lock. Returns how long to sleep.
local function try(self)
  local ok, err, details = adopt(self)
  if ok and is_fresh(self) then return 0 end
  local at, count = read_retry(self)
  local now = core.time()
  if at > now then return math.min(at - now, LONGEST_RETRY) end
  if ok then ok, err, details = obtain(self) end
  if self.task:is_canceled() then return 0 end
  if not ok then return fail(self, err, details, count) end
  self.error = nil
  self.storage:remove(self.file .. ".retry")
  ok, err = adopt(self)
  if ok and is_fresh(self) then return 0 end
  return fail(self, err or "the new certificate is not fresh", nil, count)
end

-- One round. Returns how long to sleep.
local function step(self)
  if adopt(self) and is_fresh(self) then
    return math.min(self.certificate.renew_at - core.time(), LONGEST_SLEEP)
  end
  local release, err = self.storage:lock()
  if not release then
    if err == "busy" then return BUSY * (1 + chance()) end
    self.error = err
    log("acme: " .. err)
    return FIRST_RETRY
  end
  local fine, pause = xpcall(function() return try(self) end, failures.traced)
  release()
  if fine then return pause end
  self.error = pause
  log("acme: " .. pause)
  return LAST_RETRY
end

local function run(self)
  repeat
    local pause = step(self)
  until not core.sleep(math.max(pause, 0))
end

---------------------------------------------------------------------------------------------------
-- the object

--- Starts the task, in moonpark.run; harmless if it has been started. It ends with close.
function Acme:start()
  if self.task or self.closed then return end
  self.task = core.go(run, self)
end

--- The certificate that is valid now, or nil.
---@return {cert: string, key: string, fingerprint: string, not_after: number, renew_at: number}|nil PEM; Unix seconds
function Acme:current()
  local certificate = self.certificate
  if not certificate or certificate.not_after <= core.time() then return nil end
  return { cert = certificate.cert, key = certificate.key, fingerprint = certificate.fingerprint,
    not_after = certificate.not_after, renew_at = certificate.renew_at }
end

--- Starts the task, and waits for the first certificate.
---@param timeout? number seconds
---@return table|nil certificate as current's
---@return string? err "timeout", "canceled", "closed"
function Acme:wait(timeout)
  self:start()
  if not self:current() and not self.closed then
    local ok, err = self.arrived:wait(timeout)
    if not ok then return nil, err end
  end
  if self.closed then return nil, "closed" end
  return self:current()
end

--- Why the last try has failed; nil if it has not.
---@return string|nil
function Acme:last_error() return self.error end

-- Answers the authority's connections for a context, and asks the script's own function for all others.
local function chooser(self, choose)
  return function(name, protocol)
    if protocol ~= "acme-tls/1" then return choose and choose(name, protocol) end
    local shown = self:alpn_certificate(name)
    if not shown then return nil end
    return contexts.server { cert = shown.cert, key = shown.key, alpn = { protocol } }
  end
end

-- By tls-alpn-01 the authority must be answered before there is a certificate: until then one of our own is served.
local function first_certificate(self)
  if self.options.challenge ~= "tls-alpn-01" then return self:wait() end
  self:start()
  return self:current() or self_signed(unpack(self.options.domains))
end

--- A server's context with the certificate, and with each new one. Waits for the first, except with tls-alpn-01.
---@param options? moonpark.tls.server.options without cert and key
---@return moonpark.tls_context|nil
---@return string? err
function Acme:context(options)
  local certificate, err = first_certificate(self)
  if not certificate then return nil, err end
  local all = { cert = certificate.cert, key = certificate.key }
  for name, value in pairs(options or {}) do all[name] = all[name] or value end
  if self.options.challenge == "tls-alpn-01" then all.choose = chooser(self, all.choose) end
  local context
  context, err = contexts.server(all)
  if not context then return nil, err end
  self.contexts[#self.contexts + 1] = context
  return context
end

--- A handler, or middleware, for plain HTTP on port 80: answers the authority's requests.
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next?: function)
function Acme:handler()
  local solver = self.solver
  return function(req, res, next) return solver:handle(req, res, next) end
end

--- The certificate for a connection that offers the protocol "acme-tls/1" (ALPN) for that name.
---@param server_name string
---@return {cert: string, key: string}|nil
---@return string? err "no open challenge"
function Acme:alpn_certificate(server_name) return self.solver:certificate(server_name) end

--- Ends the task. Waiting tasks get "closed"; the certificate can still be used.
function Acme:close()
  self.closed = true
  self.arrived:set()
  if self.task then self.task:cancel() end
end

--- Automatic certificates. Nothing happens before start, wait or context is called.
---@param options moonpark.tls.acme.options
---@return moonpark.tls.acme
function M.new(options)
  local checked = acme_options.check(options, 2)
  local storage = checked.storage
  if type(storage) == "string" then storage = acme_storage.folder(storage, checked.directory) end
  return setmetatable({ options = checked, storage = storage, file = checked.domains[1] .. ".pem", contexts = {},
    solver = acme_solver.new(checked.challenge, checked.domains, storage), arrived = core.event(),
    jitter = chance() }, Acme)
end

return M
