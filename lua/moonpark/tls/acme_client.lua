-- SPDX-License-Identifier: MIT
-- acme_client.lua - the client's side of ACME (RFC 8555): from names to a certificate, step by step.
--
-- It does no I/O and knows no clock: `request`, `sleep` and `now` are handed in, and so is the solver, which answers
-- challenges. What a server says is data of a stranger: whatever it is, a call ends, with a certificate or with
-- nil, a message, and {type =, retry_after =} where the server said so.

local core = require "moonpark.core"
local jws = require "moonpark.tls.jws"

local M = {}

---@class moonpark.tls.acme_client
---@field directory_url string
---@field request fun(options: table): table|nil, string? {url, method, headers, body} -> {status, headers, body}
---@field sleep fun(seconds: number): true|nil, string?
---@field now fun(): number Unix seconds
---@field key moonpark.tls.jws_key of the account
---@field kid string|nil the account's URL
local Client = {}
Client.__index = Client

local BAD_NONCE = "urn:ietf:params:acme:error:badNonce"
local NONCES = 5           -- tries of one request
local FIRST_POLL, LAST_POLL = 1, 10
local PATIENCE = 600       -- seconds until an authorization or an order must be decided
local MESSAGE = 300        -- bytes of what a server says about an error

---------------------------------------------------------------------------------------------------
-- what servers say

local function decode(body)
  local value = require("moonpark.http.json").decode(body or "")
  return type(value) == "table" and value or nil
end

local function text_of(value, name)
  local text = type(value) == "table" and value[name]
  return type(text) == "string" and text or nil
end

local function list_of(value, name)
  local list = type(value) == "table" and value[name]
  return type(list) == "table" and list or {}
end

-- For logs and terminals.
local function plain(text) return (text:sub(1, MESSAGE):gsub("[^\32-\126\128-\255]", "?")) end

-- Seconds, or a date.
local function retry_after(answer, now)
  local text = answer.headers["retry-after"]
  if type(text) ~= "string" then return nil end
  if text:find "^%d+$" then return tonumber(text) end
  local date = require("moonpark.http.date").parse(text)
  return date and math.max(0, date - now) or nil
end

local function words_of(problem)
  local detail, kind = text_of(problem, "detail"), text_of(problem, "type")
  local words = detail or kind
  local parts = { words and plain(words) }
  for _, sub in ipairs(list_of(problem, "subproblems")) do
    local why, name = text_of(sub, "detail"), text_of(type(sub) == "table" and sub.identifier, "value")
    if why then parts[#parts + 1] = plain((name and name .. ": " or "") .. why) end
    if #parts > 5 then break end
  end
  return parts[1] and table.concat(parts, "; ") or nil
end

function Client:problem(what, answer)
  local problem = decode(answer.body) or {}
  return nil, ("%s: %s"):format(what, words_of(problem) or "status " .. answer.status),
    { type = text_of(problem, "type"), retry_after = retry_after(answer, self.now()), status = answer.status }
end

-- A URL in an answer: of the same scheme as the directory, so that nobody is led from https to http.
function Client:url(value, what)
  local scheme = self.directory_url:match "^%a+://"
  if type(value) == "string" and #value < 2048 and value:find(scheme, 1, true) == 1 then return value end
  return nil, ("the authority's answer has no usable URL: %s"):format(what)
end

---------------------------------------------------------------------------------------------------
-- requests

function Client:ask(options)
  local answer, err = self.request(options)
  if not answer then return nil, ("%s: %s"):format(options.url, err) end
  local nonce = answer.headers["replay-nonce"]
  if type(nonce) == "string" and nonce:find "^[%w%-_]+$" then self.nonce = nonce end
  return answer
end

function Client:directory()
  if self.urls then return self.urls end
  local answer, err = self:ask { method = "GET", url = self.directory_url }
  if not answer then return nil, err end
  if answer.status ~= 200 then return self:problem("directory", answer) end
  local value, urls = decode(answer.body) or {}, {}
  for _, name in ipairs { "newNonce", "newAccount", "newOrder" } do
    urls[name], err = self:url(value[name], name)
    if not urls[name] then return nil, err end
  end
  local meta = type(value.meta) == "table" and value.meta or {}
  urls.terms, urls.wants_external = text_of(meta, "termsOfService"), meta.externalAccountRequired == true
  self.urls = urls
  return urls
end

function Client:take_nonce()
  local nonce = self.nonce
  if not nonce then
    local answer, err = self:ask { method = "HEAD", url = self.urls.newNonce }
    if not answer then return nil, err end
    nonce = self.nonce
    if not nonce then return self:problem("nonce", answer) end
  end
  self.nonce = nil -- each may be used once
  return nonce
end

-- POST of something signed; payload nil: POST-as-GET.
function Client:post_once(url, payload, accept)
  local nonce, err, details = self:take_nonce()
  if not nonce then return nil, err, details end
  local protected = { url = url, nonce = nonce, kid = self.kid, jwk = not self.kid and self.key.jwk or nil }
  local body
  body, err = jws.sign(self.key, protected, payload and core.json_encode(payload) or "")
  if not body then return nil, err end
  return self:ask { method = "POST", url = url, body = body,
    headers = { ["Content-Type"] = "application/jose+json", Accept = accept } }
end

function Client:post(what, url, payload, accept)
  for _ = 1, NONCES do
    local answer, err, details = self:post_once(url, payload, accept)
    if not answer then return nil, err, details end
    if answer.status >= 200 and answer.status < 300 then return answer end
    if answer.status ~= 400 or text_of(decode(answer.body), "type") ~= BAD_NONCE then
      return self:problem(what, answer)
    end
  end
  return nil, what .. ": the authority refuses every nonce"
end

-- The same, of which JSON is expected -> value, answer.
function Client:fetch(what, url, payload)
  local answer, err, details = self:post(what, url, payload)
  if not answer then return nil, err, details end
  local value = decode(answer.body)
  if not value then return nil, what .. ": the authority's answer is not JSON" end
  return value, answer
end

-- Asks until is_decided(value).
function Client:poll(what, url, is_decided)
  local until_then, pause = self.now() + PATIENCE, FIRST_POLL
  while true do
    local value, answer, details = self:fetch(what, url)
    if not value then return nil, answer, details end
    if is_decided(value) then return value end
    local wait = math.min(math.max(retry_after(answer, self.now()) or pause, FIRST_POLL), PATIENCE)
    if self.now() + wait > until_then then
      return nil, ("%s: not decided after %d s"):format(what, PATIENCE)
    end
    local ok, err = self.sleep(wait)
    if not ok then return nil, err end
    pause = math.min(pause * 2, LAST_POLL)
  end
end

---------------------------------------------------------------------------------------------------
-- accounts

local function new_account(self, options)
  local external, err
  if options.external then
    external, err = jws.external(self.key, options.external, self.urls.newAccount)
    if not external then return nil, err end
  end
  self.kid = nil
  local answer, why, details = self:post("account", self.urls.newAccount, {
    termsOfServiceAgreed = options.agree and true or nil, contact = options.contact,
    externalAccountBinding = external })
  if not answer then return nil, why, details end
  self.kid, err = self:url(answer.headers.location, "account")
  return self.kid, err
end

--- The account of the key: made, or found if there is one already.
---@param options {contact?: string[], agree?: boolean, external?: {kid: string, key: string}}
---@return string|nil kid
---@return string? err
---@return table? details
function Client:account(options)
  local urls, err, details = self:directory()
  if not urls then return nil, err, details end
  if urls.terms and not options.agree then
    return nil, ("the authority's terms must be agreed to (option 'agree'): %s"):format(plain(urls.terms))
  end
  if urls.wants_external and not options.external then
    return nil, "the authority wants an external account (option 'external_account')"
  end
  return new_account(self, options)
end

---------------------------------------------------------------------------------------------------
-- orders

local function identifier_of(name)
  local is_ip = name:find(":", 1, true) or name:find "^%d+%.%d+%.%d+%.%d+$"
  return { type = is_ip and "ip" or "dns", value = name }
end

local function challenge_of(authorization, kind)
  for _, challenge in ipairs(list_of(authorization, "challenges")) do
    local token = text_of(challenge, "token")
    if text_of(challenge, "type") == kind and token and token:find "^[%w%-_]+$" and #token <= 256 then
      return challenge, token
    end
  end
end

-- Why the challenge failed, in the authority's words.
local function refusal(authorization, name)
  for _, challenge in ipairs(list_of(authorization, "challenges")) do
    local words = type(challenge) == "table" and type(challenge.error) == "table" and words_of(challenge.error)
    if words then return ("%s: %s"):format(name, words) end
  end
  return ("%s: authorization is %s"):format(name, plain(text_of(authorization, "status") or "undecided"))
end

local function answer_challenge(self, url, name, challenge)
  local challenge_url, err = self:url(challenge.url, "challenge")
  if not challenge_url then return nil, err end
  local what = "challenge for " .. name
  local answer, why, details = self:post(what, challenge_url, {})
  if not answer then return nil, why, details end
  local authorization
  authorization, why, details = self:poll(what, url, function(value)
    return text_of(value, "status") ~= "pending" and text_of(value, "status") ~= "processing"
  end)
  if not authorization then return nil, why, details end
  if text_of(authorization, "status") == "valid" then return true end
  return nil, refusal(authorization, name)
end

-- The solver shows what it has to show while the authority looks.
local function authorize(self, url, solver)
  local authorization, err, details = self:fetch("authorization", url)
  if not authorization then return nil, err, details end
  local name = text_of(authorization.identifier, "value")
  local status = text_of(authorization, "status")
  if not name or not solver.names[name] then return nil, "the authority wants to authorize a name that is not ours" end
  if status == "valid" then return true end
  if status ~= "pending" then return nil, refusal(authorization, name) end
  local challenge, token = challenge_of(authorization, solver.kind)
  if not challenge then return nil, ("%s: the authority offers no %s"):format(name, solver.kind) end
  local ok
  ok, err = solver:present(name, token, token .. "." .. self.key.thumbprint)
  if not ok then return nil, err end
  ok, err, details = answer_challenge(self, url, name, challenge)
  solver:remove(name, token)
  return ok, err, details
end

local function authorize_all(self, order, solver)
  local urls = list_of(order, "authorizations")
  if #urls == 0 or #urls > 100 then return nil, "order: no usable list of authorizations" end
  for _, value in ipairs(urls) do
    local url, err = self:url(value, "authorization")
    if not url then return nil, err end
    local ok, why, details = authorize(self, url, solver)
    if not ok then return nil, why, details end
  end
  return true
end

local function await_order(self, url, wanted)
  local order, err, details = self:poll("order", url, function(value)
    local status = text_of(value, "status")
    return status == wanted or status == "valid" or status ~= "pending" and status ~= "ready" and status ~= "processing"
  end)
  if not order then return nil, err, details end
  local status = text_of(order, "status")
  if status == wanted or status == "valid" then return order end
  return nil, ("order: %s"):format(words_of(order.error) or "status " .. plain(status or "unknown"))
end

local function finalize(self, order, url, csr)
  local finalize_url, err = self:url(order.finalize, "finalize")
  if not finalize_url then return nil, err end
  local answer, why, details = self:post("finalize", finalize_url, { csr = jws.base64url(csr) })
  if not answer then return nil, why, details end
  order, why, details = await_order(self, url, "valid")
  if not order then return nil, why, details end
  local certificate_url
  certificate_url, err = self:url(order.certificate, "certificate")
  if not certificate_url then return nil, err end
  answer, why, details = self:post("certificate", certificate_url, nil, "application/pem-certificate-chain")
  if not answer then return nil, why, details end
  return answer.body
end

-- A certificate that lacks a name, or has another key, would be served and refused by every client.
local function check_certificate(self, chain, key, names)
  local facts, err = core.x509_read(chain, key)
  if not facts then return nil, "certificate: " .. err end
  local has = {}
  for _, list in ipairs { facts.dns_names, facts.ip_addresses } do
    for _, name in ipairs(list) do has[name:lower()] = true end
  end
  for _, name in ipairs(names) do
    if not has[name] then return nil, ("certificate: it is not for %s"):format(name) end
  end
  if facts.not_after <= self.now() then return nil, "certificate: it has expired" end
  return chain
end

--- A certificate for the names, and its chain.
---@param names string[] lower case
---@param key string the certificate's, in PEM
---@param solver {kind: string, present: function, remove: function, names: table<string, true>}
---@return string|nil chain PEM
---@return string? err
---@return table? details
function Client:obtain(names, key, solver)
  local urls, answer, details = self:directory()
  if not urls then return nil, answer, details end
  local identifiers = {}
  for i, name in ipairs(names) do identifiers[i] = identifier_of(name) end
  local csr, err = core.x509_request(key, names)
  if not csr then return nil, err end
  local order
  order, answer, details = self:fetch("order", urls.newOrder, { identifiers = identifiers })
  if not order then return nil, answer, details end
  local url
  url, err = self:url(answer.headers.location, "order")
  if not url then return nil, err end
  local ok, why
  ok, why, details = authorize_all(self, order, solver)
  if not ok then return nil, why, details end
  order, why, details = await_order(self, url, "ready")
  if not order then return nil, why, details end
  local chain
  chain, why, details = finalize(self, order, url, csr)
  if not chain then return nil, why, details end
  return check_certificate(self, chain, key, names)
end

--- A client for one authority.
---@param options {directory: string, request: function, sleep: function, now: function, key: table, kid?: string}
---@return moonpark.tls.acme_client
function M.new(options)
  return setmetatable({ directory_url = options.directory, request = options.request, sleep = options.sleep,
    now = options.now, key = options.key, kid = options.kid }, Client)
end

return M
