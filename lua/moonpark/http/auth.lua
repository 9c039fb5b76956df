-- SPDX-License-Identifier: MIT
-- auth.lua - middleware: basic authentication (RFC 7617). Passwords are compared in a time that does not depend on
-- where they differ.

local bit = require "bit"
local before = require("moonpark.http.middleware").before
local check_options = require("moonpark.options").check

local M = {}

local digits = {}
for i = 1, 64 do
  digits[("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):byte(i)] = i - 1
end

-- nil if the text is not base64 with its padding.
local function base64_decode(text)
  local body, padding = text:match("^([%w+/]*)(=?=?)$")
  if not body or #text % 4 ~= 0 then return nil end
  local out, held, bits = {}, 0, 0
  for i = 1, #body do
    held = bit.bor(bit.lshift(held, 6), digits[body:byte(i)])
    bits = bits + 6
    if bits >= 8 then
      bits = bits - 8
      out[#out + 1] = string.char(bit.rshift(held, bits))
      held = bit.band(held, bit.lshift(1, bits) - 1)
    end
  end
  if held ~= 0 or bits ~= 2 * #padding then return nil end
  return table.concat(out)
end

--- Are two texts the same? The time taken depends on the length of `given` alone.
---@param given string
---@param secret string
---@return boolean
function M.same(given, secret)
  local differs = bit.bxor(#given, #secret)
  local other = #secret > 0 and secret or "\0"
  for i = 1, #given do
    differs = bit.bor(differs, bit.bxor(given:byte(i), other:byte((i - 1) % #other + 1)))
  end
  return differs == 0
end

-- User and password of an Authorization field; nil if it is of another kind or malformed.
local function credentials(text)
  local kind, token = (text or ""):match("^(%a+) +([%w+/=]+)$")
  if not kind or kind:lower() ~= "basic" then return nil end
  local pair = base64_decode(token)
  if not pair or pair:find("[%z\1-\31\127]") then return nil end
  return pair:match("^([^:]*):(.*)$")
end

local function are_users(users)
  if type(users) ~= "table" then return false end
  for name, password in pairs(users) do
    if type(name) ~= "string" or type(password) ~= "string" or name:find(":", 1, true) then return false end
  end
  return true
end

-- A name that is unknown takes as long as a wrong password.
local function checker_of(users)
  return function(name, password)
    local secret = users[name]
    local same = M.same(password, secret or password .. "-")
    return secret ~= nil and same
  end
end

local function challenge_of(realm)
  return 'Basic realm="' .. realm:gsub('["\\]', "\\%0") .. '", charset="UTF-8"'
end

---@class moonpark.http.basic_auth.options
---@field realm string what the browser shows, in printable ASCII
---@field users? table<string, string> passwords by name; these or check
---@field check? fun(user: string, password: string, req: moonpark.http.request): any true lets in; may wait

local known = {
  realm = { function(realm) return type(realm) == "string" and not realm:find("[%c\127-\255]") end,
    "must be printable ASCII" },
  users = { are_users, "must map names without ':' to passwords" },
  check = "function",
}

--- Admits clients with a valid password, as req.user; others get 401. Passwords are sent unencrypted: use it with TLS.
---@param options moonpark.http.basic_auth.options
---@return moonpark.http.middleware
function M.new(options)
  check_options("basic_auth", options, known)
  if type(options) ~= "table" or options.realm == nil or (options.users == nil) == (options.check == nil) then
    error("basic_auth: a realm and either users or check expected", 2)
  end
  local challenge = challenge_of(options.realm)
  local check = options.check or checker_of(options.users)
  return before(function(req, res)
    local name, password = credentials(req:header("authorization"))
    if name and check(name, password, req) == true then
      req.user = name
      return
    end
    res:set("WWW-Authenticate", challenge)
    res:fail(401)
    return false
  end)
end

return M
