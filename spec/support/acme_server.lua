-- SPDX-License-Identifier: MIT
-- support/acme_server.lua - an ACME server (RFC 8555) that is as strict as the RFC, and fails as it is told.
--
--   local server = acme_server.new { look = function(kind, name, token) ... end }
--   server:request(options)        the function that acme_client takes: no socket, so that time may be virtual
--   server:app()                   a handler for http.serve; set server.base to where it listens
--
-- look(kind, name, token) returns what the name shows: a body for http-01, a certificate in DER for tls-alpn-01.
-- server.log lists what was asked, as "POST /order". Fields that may be set:
--
--   days                 how long certificates are valid; 90
--   terms, external      what the directory asks for; external: {[kid] = secret}
--   intercept            function(method, path, server) -> status, headers, body: in place of the answer
--   polls                so often an authorization is "processing" first
--   wrong_name           certificates are for that name
--   refuse               identifiers with that name are refused

local certificates = require "support.tls"
local core = require "moonpark.core"
local json = require "moonpark.http.json"
local jws = require "moonpark.tls.jws"

local Server = {}
Server.__index = Server

local ERROR = "urn:ietf:params:acme:error:"

local function write(path, data)
  local file = assert(io.open(path, "wb"))
  file:write(data)
  file:close()
end

local function output(command)
  local pipe = assert(io.popen(command .. " 2>&1")) -- moonpark: ignore (the virtual clock must not go on meanwhile)
  local text = pipe:read "*a"
  pipe:close()
  return text
end

---------------------------------------------------------------------------------------------------
-- answers

-- Thrown: handle catches it.
local function refuse(status, kind, detail, headers)
  error({ status = status, headers = headers or {}, problem = { type = ERROR .. kind, detail = detail } }, 0)
end

local function check(value, kind, detail)
  if not value then refuse(400, kind or "malformed", detail) end
  return value
end

function Server:new_nonce()
  self.count = self.count + 1
  local nonce = jws.base64url(core.secure_random(12)) .. self.count
  self.nonces[nonce] = true
  return nonce
end

local function add(list, item)
  local id = #list + 1
  list[id], item.id = item, id
  return item
end

---------------------------------------------------------------------------------------------------
-- signed requests

local function decoded(text, what)
  check(type(text) == "string", nil, what .. " is missing")
  return check(jws.base64url_decode(text), nil, what .. " is not base64url")
end

local function point_of(jwk)
  check(type(jwk) == "table" and jwk.kty == "EC" and jwk.crv == "P-256", "badPublicKey", "not a P-256 key")
  local x, y = decoded(jwk.x, "x"), decoded(jwk.y, "y")
  check(#x == 32 and #y == 32, "badPublicKey", "coordinates of another length")
  return x .. y
end

local function thumbprint_of(jwk)
  return jws.base64url(core.sha256(('{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}'):format(jwk.x, jwk.y)))
end

-- The account that signed, or the key of one that is to be.
function Server:signer(protected, is_new)
  check((protected.jwk ~= nil) ~= (protected.kid ~= nil), nil, "either jwk or kid is needed")
  if is_new then return nil, check(protected.jwk, nil, "jwk is needed here") end
  check(type(protected.kid) == "string", nil, "kid is needed here")
  local account = self.accounts[tonumber(protected.kid:match "/account/(%d+)$")]
  if not account or protected.kid ~= self.base .. "/account/" .. account.id then
    refuse(400, "accountDoesNotExist", "no such account")
  end
  return account, account.jwk
end

function Server:open(path, headers, body, is_new)
  if headers["content-type"] ~= "application/jose+json" then refuse(415, "malformed", "not application/jose+json") end
  local object = check(json.decode(body), nil, "the body is not JSON")
  check(object.header == nil and object.signatures == nil, nil, "only the flattened form is allowed")
  local protected = check(json.decode(decoded(object.protected, "protected")), nil, "protected is not JSON")
  if protected.alg ~= "ES256" then refuse(400, "badSignatureAlgorithm", "only ES256") end
  local account, jwk = self:signer(protected, is_new)
  local signature = decoded(object.signature, "signature")
  check(#signature == 64, nil, "the signature has another length")
  check(core.key_verify(point_of(jwk), object.protected .. "." .. object.payload, signature), nil, "wrong signature")
  if not self.nonces[protected.nonce or ""] then refuse(400, "badNonce", "unknown nonce") end
  self.nonces[protected.nonce] = nil
  if protected.url ~= self.base .. path then refuse(401, "unauthorized", "url is another one") end
  local payload = decoded(object.payload, "payload")
  return payload ~= "" and check(json.decode(payload), nil, "the payload is not JSON") or nil, account, jwk
end

---------------------------------------------------------------------------------------------------
-- resources

function Server:directory()
  local meta = { termsOfService = self.terms, externalAccountRequired = self.external and true or nil }
  return 200, {}, { newNonce = self.base .. "/nonce", newAccount = self.base .. "/account",
    newOrder = self.base .. "/order", meta = meta }
end

function Server:check_external(payload, jwk)
  local binding = payload.externalAccountBinding
  if type(binding) ~= "table" then refuse(403, "externalAccountRequired", "an external account is needed") end
  local protected = json.decode(decoded(binding.protected, "protected"))
  local secret = check(self.external[protected.kid], "unauthorized", "unknown external account")
  check(protected.alg == "HS256" and protected.url == self.base .. "/account" and protected.nonce == nil)
  local mac = core.hmac_sha256(secret, binding.protected .. "." .. binding.payload)
  check(decoded(binding.signature, "signature") == mac, "unauthorized", "wrong binding")
  local bound = json.decode(decoded(binding.payload, "payload"))
  check(thumbprint_of(bound) == thumbprint_of(jwk), "unauthorized", "another key is bound")
end

function Server:new_account(payload, _, jwk)
  local print = thumbprint_of(jwk)
  for _, account in ipairs(self.accounts) do
    if account.thumbprint == print and not account.forgotten then
      return 200, { Location = self.base .. "/account/" .. account.id }, { status = "valid" }
    end
  end
  if self.terms and payload.termsOfServiceAgreed ~= true then refuse(403, "userActionRequired", "agree first") end
  if self.external then self:check_external(payload, jwk) end
  local account = add(self.accounts, { jwk = jwk, thumbprint = print, contact = payload.contact })
  return 201, { Location = self.base .. "/account/" .. account.id }, { status = "valid", contact = payload.contact }
end

function Server:view_order(order)
  local ready = order.status == "pending"
  local urls = {}
  for i, authorization in ipairs(order.authorizations) do
    urls[i] = self.base .. "/authorization/" .. authorization.id
    ready = ready and authorization.status == "valid"
  end
  if ready then order.status = "ready" end
  return { status = order.status, identifiers = order.identifiers, authorizations = urls,
    finalize = self.base .. "/finalize/" .. order.id, error = order.error,
    certificate = order.status == "valid" and self.base .. "/certificate/" .. order.id or nil }
end

function Server:new_order(payload, account)
  check(type(payload) == "table" and type(payload.identifiers) == "table" and #payload.identifiers > 0)
  local order = { account = account, status = "pending", identifiers = payload.identifiers, authorizations = {} }
  for i, identifier in ipairs(payload.identifiers) do
    if identifier.value == self.refuse then refuse(403, "rejectedIdentifier", "not for " .. identifier.value) end
    order.authorizations[i] = add(self.authorizations, { account = account, identifier = identifier,
      status = "pending", token = jws.base64url(core.secure_random(16)), polls = self.polls or 0 })
  end
  add(self.orders, order)
  return 201, { Location = self.base .. "/order/" .. order.id }, self:view_order(order)
end

-- What is only the account's.
local function own(list, id, account)
  local item = list[tonumber(id)]
  if not item then refuse(404, "malformed", "there is none") end
  if item.account ~= account then refuse(403, "unauthorized", "of another account") end
  return item
end

function Server:order(payload, account, _, id)
  check(payload == nil, nil, "POST-as-GET has no payload")
  return 200, {}, self:view_order(own(self.orders, id, account))
end

function Server:authorization(payload, account, _, id)
  check(payload == nil, nil, "POST-as-GET has no payload")
  local authorization = own(self.authorizations, id, account)
  local challenges = {}
  for i, kind in ipairs { "dns-01", "http-01", "tls-alpn-01" } do
    challenges[i] = { type = kind, token = authorization.token, status = authorization.status,
      url = self.base .. "/challenge/" .. id .. "/" .. kind,
      error = kind == authorization.kind and authorization.error or nil }
  end
  local status = authorization.status
  if authorization.kind and authorization.polls > 0 then
    authorization.polls, status = authorization.polls - 1, "processing"
  end
  return 200, {}, { status = status, identifier = authorization.identifier, challenges = challenges }
end

-- The bytes of the extension of RFC 8737: its kind, critical, and an octet string with the hash.
local ACME_IDENTIFIER = "\6\8\43\6\1\5\5\7\1\31\1\1\255\4\34\4\32"

function Server:is_shown(kind, name, token, authorization)
  local shown, err = self.look(kind, name, token)
  if not shown then return false, err end
  if kind == "http-01" then return shown == authorization, "another body" end
  local facts = assert(core.x509_read(shown))
  local has_hash = shown:find(ACME_IDENTIFIER .. core.sha256(authorization), 1, true) ~= nil
  return has_hash and #facts.dns_names == 1 and facts.dns_names[1] == name, "another certificate"
end

function Server:challenge(payload, account, _, id, kind)
  check(type(payload) == "table" and next(payload) == nil, nil, "the payload of a challenge is {}")
  local authorization = own(self.authorizations, id, account)
  authorization.kind = kind
  local right, why = self:is_shown(kind, authorization.identifier.value, authorization.token,
    authorization.token .. "." .. account.thumbprint)
  authorization.status = right and "valid" or "invalid"
  if not right then
    authorization.error = { type = ERROR .. "incorrectResponse", detail = "the name shows " .. tostring(why) }
  end
  return 200, {}, { type = kind, status = authorization.status }
end

local function names_in(file)
  local text = output(("openssl req -inform DER -in %s -noout -text -verify"):format(file))
  check(text:find("verify OK", 1, true), "badCSR", "the request is not signed by its key")
  local names = {}
  for name in (text:match "Alternative Name:%s*([^\n]*)" or ""):gmatch "%a[%a ]*:([^,]+)" do
    names[name:lower():gsub(":0:0:0:0:0:", "::"):gsub("^0::", "::")] = true
  end
  return names
end

local config = [[
[ca]
default_ca = specs
[specs]
database = %s/index
new_certs_dir = %s
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = optional
]]

-- By openssl, with the specs' authority: the new certificate, then the authority's. Time may be virtual.
function Server:sign(folder)
  local function date(seconds) return os.date("!%Y%m%d%H%M%SZ", math.floor(seconds)) end
  write(folder .. "/config", config:format(folder, folder))
  write(folder .. "/index", "")
  local now = core.time()
  local printed = output(("cd %s && openssl ca -batch -notext -config config -inform DER -in csr -extfile ext " ..
    "-cert $OLDPWD/%s -keyfile $OLDPWD/%s/ca.key -startdate %s -enddate %s"):format(folder, certificates.files.ca_crt,
    certificates.folder, date(now), date(now + (self.days or 90) * 86400)))
  local chain = assert(printed:match "%-%-%-%-%-BEGIN.-%-%-%-%-%-END CERTIFICATE%-%-%-%-%-\n", printed)
  return chain .. certificates.pem "ca_crt"
end

function Server:issue(order, csr)
  local folder = output "mktemp -d":match "%S+"
  write(folder .. "/csr", csr)
  local names, list = names_in(folder .. "/csr"), {}
  for i, identifier in ipairs(order.identifiers) do
    if not names[identifier.value] then refuse(403, "badCSR", "the request lacks " .. identifier.value) end
    names[identifier.value] = nil
    list[i] = (identifier.type == "ip" and "IP:" or "DNS:") .. (self.wrong_name or identifier.value)
  end
  check(next(names) == nil, "badCSR", "the request has other names")
  write(folder .. "/ext", "subjectAltName=" .. table.concat(list, ",") .. "\n")
  local chain = self:sign(folder)
  os.execute("rm -r " .. folder) -- moonpark: ignore
  return chain
end

function Server:finalize(payload, account, _, id)
  local order = own(self.orders, id, account)
  if self:view_order(order).status ~= "ready" then refuse(403, "orderNotReady", "the order is " .. order.status) end
  order.certificate = self:issue(order, decoded(payload.csr, "csr"))
  order.status = "valid"
  self.issued = self.issued + 1
  return 200, { Location = self.base .. "/order/" .. id }, self:view_order(order)
end

function Server:certificate(payload, account, _, id)
  check(payload == nil, nil, "POST-as-GET has no payload")
  return 200, { ["Content-Type"] = "application/pem-certificate-chain" }, own(self.orders, id, account).certificate
end

---------------------------------------------------------------------------------------------------
-- requests

local posts = {
  { "^/account$", Server.new_account, true },
  { "^/order$", Server.new_order },
  { "^/order/(%d+)$", Server.order },
  { "^/authorization/(%d+)$", Server.authorization },
  { "^/challenge/(%d+)/([%w%-]+)$", Server.challenge },
  { "^/finalize/(%d+)$", Server.finalize },
  { "^/certificate/(%d+)$", Server.certificate },
}

function Server:route(method, path, headers, body)
  if method == "GET" and path == "/directory" then return self:directory() end
  if method == "HEAD" and path == "/nonce" then return 200, {}, "" end
  for _, post in ipairs(posts) do
    local a, b = path:match(post[1])
    if a and method == "POST" then
      local payload, account, jwk = self:open(path, headers, body, post[3])
      return post[2](self, payload, account, jwk, a, b)
    end
  end
  refuse(404, "malformed", "no such resource: " .. method .. " " .. path)
end

--- Answers one request -> status, headers, body.
function Server:handle(method, path, headers, body)
  self.log[#self.log + 1] = method .. " " .. path
  if self.intercept then
    local status, fields, text = self.intercept(method, path, self)
    if status then return status, fields or {}, text or "" end
  end
  local ok, status, fields, value = pcall(self.route, self, method, path, headers, body)
  if not ok then
    local refused = status
    if type(refused) ~= "table" then error(refused, 0) end
    status, fields, value = refused.status, refused.headers, refused.problem
    fields["Content-Type"] = "application/problem+json"
  end
  fields["Replay-Nonce"] = path ~= "/directory" and self:new_nonce() or nil
  if type(value) == "table" then value = json.encode(value) end
  return status, fields, value
end

local function lower_case(headers)
  local result = {}
  for name, value in pairs(headers or {}) do result[name:lower()] = value end
  return result
end

--- As the function that acme_client takes.
function Server:request(options)
  local path = options.url:sub(1, #self.base) == self.base and options.url:sub(#self.base + 1)
  if not path then return nil, "no such host" end
  local status, headers, body = self:handle(options.method, path, lower_case(options.headers), options.body)
  if status == 0 then return nil, body end
  return { status = status, headers = lower_case(headers), body = body }
end

--- As a handler for http.serve.
function Server:app()
  return function(req, res)
    local status, headers, body = self:handle(req.method, req.path, { ["content-type"] = req.headers["content-type"] },
      req.method == "POST" and req:body() or "")
    res.status = status
    for name, value in pairs(headers) do res:set(name, value) end
    return res:send(body)
  end
end

--- How often that was asked, such as "POST /order".
function Server:asked(what)
  local n = 0
  for _, line in ipairs(self.log) do
    if line:find(what) then n = n + 1 end
  end
  return n
end

local M = {}

--- A server of which nothing is known yet.
function M.new(fields)
  fields = fields or {}
  fields.base = fields.base or "http://authority.example"
  fields.nonces, fields.accounts, fields.orders, fields.authorizations, fields.log = {}, {}, {}, {}, {}
  fields.count, fields.issued = 0, 0
  return setmetatable(fields, Server)
end

return M
