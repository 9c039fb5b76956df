-- SPDX-License-Identifier: MIT
-- acme_options.lua - what tls.acme takes, checked when it is called: the authority would refuse it only after minutes.

local option = require "moonpark.options"

local M = {}

local LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
local NAMES = 100

local function is_list(value)
  if type(value) == "string" then return true end
  if type(value) ~= "table" or #value == 0 then return false end
  for _, text in ipairs(value) do
    if type(text) ~= "string" then return false end
  end
  return true
end

local function is_external(value)
  return type(value) == "table" and type(value.kid) == "string" and type(value.key) == "string"
end

local function is_storage(value)
  if type(value) == "string" then return value ~= "" and not value:find("\0", 1, true) end
  if type(value) ~= "table" then return false end
  for _, name in ipairs { "read", "write", "remove", "lock" } do
    if type(value[name]) ~= "function" then return false end
  end
  return true
end

---@class moonpark.tls.acme.options
---@field domains string|string[] for which the certificate is
---@field storage string|table the path of a folder, or an object with read, write, remove and lock
---@field agree? boolean with the authority's terms of service
---@field email? string|string[] that the authority may write to; none
---@field directory? string the URL of the authority's directory; Let's Encrypt's
---@field challenge? "http-01"|"tls-alpn-01" "http-01"
---@field external_account? {kid: string, key: string} that the authority has given you
---@field on_certificate? fun(certificate: moonpark.tls.certificate) each that is served from now on
---@field request? fun(options: moonpark.http.client.options): moonpark.http.answer|nil, string?, integer? in place of
--- http.request

local known = {
  domains = { is_list, "must be a name or a list of names" },
  email = { is_list, "must be an address or a list of addresses" },
  storage = { is_storage, "must be a folder's path, or an object with read, write, remove and lock" },
  directory = { function(value) return type(value) == "string" and value:find "^https?://[^/%s]" ~= nil end,
    "must be the URL of an authority's directory" },
  challenge = option.one_of("http-01", "tls-alpn-01"),
  external_account = { is_external, "must be {kid = ..., key = ...}" },
  agree = "boolean", on_certificate = "function", request = "function",
}

local function is_ip(name) return name:find(":", 1, true) ~= nil or name:find "^%d+%.%d+%.%d+%.%d+$" ~= nil end

local function complaint_about(name, challenge)
  if name:find("*", 1, true) then return "a wildcard needs a challenge over DNS, which there is not" end
  if name == "" or #name > 253 or name:find "[^%w%.%-:_]" or name:find "^%." then
    return "no host name or IP address (write other letters as xn--...)"
  end
  if is_ip(name) and challenge == "tls-alpn-01" then return "an IP address needs the challenge http-01" end
end

local function names_of(value, challenge, level)
  local names, seen = {}, {}
  for _, name in ipairs(type(value) == "string" and { value } or value) do
    name = name:lower():gsub("%.$", "")
    local wrong = complaint_about(name, challenge)
    if wrong then error(("acme: option 'domains': %q: %s"):format(name, wrong), level + 1) end
    if not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end
  if #names > NAMES then error(("acme: option 'domains' must have at most %d names"):format(NAMES), level + 1) end
  return names
end

local function contacts_of(value)
  local contacts = {}
  for i, address in ipairs(type(value) == "string" and { value } or value or {}) do
    contacts[i] = address:find "^%a+:" and address or "mailto:" .. address
  end
  return contacts[1] and contacts or nil
end

--- The options, complete; raises if they are wrong.
---@param options moonpark.tls.acme.options
---@param level integer 1: the caller's line
---@return table
function M.check(options, level)
  if options == nil then error("bad argument #1 to 'acme' (table expected, got nil)", level + 1) end
  option.check("acme", options, known, level + 1, 1)
  for _, name in ipairs { "domains", "storage" } do
    if options[name] == nil then error(("acme: option '%s' is needed"):format(name), level + 1) end
  end
  local challenge = options.challenge or "http-01"
  return { domains = names_of(options.domains, challenge, level + 1), storage = options.storage,
    challenge = challenge, directory = options.directory or LETS_ENCRYPT, contact = contacts_of(options.email),
    agree = options.agree, external = options.external_account, on_certificate = options.on_certificate,
    request = options.request }
end

return M
