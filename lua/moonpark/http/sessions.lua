-- SPDX-License-Identifier: MIT
-- sessions.lua - middleware: values of a client that it keeps itself, in a cookie that it can neither read nor change.
--
-- The session is opened when req.session is read first, and written when the head of the response is made, if it has
-- changed. Nothing is kept here, so any worker can answer, and nothing is lost with one.

local before = require("moonpark.http.middleware").before
local core = require "moonpark.core"
local http_fields = require "moonpark.http.fields"
local http_json = require "moonpark.http.json"
local option = require "moonpark.options"
local sealed = require "moonpark.http.sealed"

local M = {}

local LONGEST = 4096 -- bytes of a cookie, its name included: what browsers keep
local AGE, MOST_AGE = 14 * 86400, 400 * 86400 -- seconds; browsers keep none longer (RFC 6265bis 5.5)
local SECRET = 32    -- bytes of a key, at least

---------------------------------------------------------------------------------------------------
-- the session

-- [session] = what it was when it was opened, and what was asked for: the session itself has the values alone
local states = setmetatable({}, { __mode = "k" })

---@class moonpark.http.session the values, under any other name: what JSON can say
local Session = {}
Session.__index = Session

local function state_of(self, method)
  local state = states[self]
  if not state then error(("bad argument #1 to '%s' (session expected; use ':')"):format(method), 3) end
  return state
end

local function clear(self)
  for name in pairs(self) do self[name] = nil end
end

--- Ends it: its values are gone, and the client forgets the cookie. What is set afterwards begins another one.
function Session:destroy()
  local state = state_of(self, "destroy")
  clear(self)
  state.flash, state.renewed, state.began = nil, nil, math.floor(core.time())
end

--- Writes a new cookie whether anything has changed or not, whose time begins now; call it when the client logs in.
function Session:renew()
  local state = state_of(self, "renew")
  state.renewed, state.began = true, math.floor(core.time())
end

--- Keeps a value for the next request that asks for it; without a value returns the kept one, and forgets it.
---@param name string
---@param value? any
---@return any
function Session:flash(name, value)
  local state = state_of(self, "flash")
  if type(name) ~= "string" then
    error(("bad argument #1 to 'flash' (string expected, got %s)"):format(type(name)), 2)
  end
  state.flash = state.flash or {}
  local kept = state.flash[name]
  state.flash[name] = value
  if value ~= nil then return nil end
  return kept
end

---------------------------------------------------------------------------------------------------
-- opening

local function decoded(text)
  local payload = http_json.decode(text)
  if type(payload) ~= "table" or type(payload.d) ~= "table" or type(payload.e) ~= "number"
    or type(payload.b) ~= "number" then return nil end
  return payload
end

-- -> what the cookie says, and whether it was sealed with the first key | nil, "refused" or "expired"
local function read(self, cookie)
  if #cookie > LONGEST then return nil, "refused" end
  for i, key in ipairs(self.keys) do
    local text = self.open(key, self.name, cookie)
    local payload = text and decoded(text)
    if payload then
      local now = core.time()
      if now >= payload.e or now >= payload.b + self.lifetime then return nil, "expired" end
      return payload, i == 1
    end
  end
  return nil, "refused"
end

local function text_of(session, state)
  local flash = state.flash
  if flash and next(flash) == nil then flash = nil end
  local text, why = http_json.encode(session)
  if not text then error("session: " .. why, 0) end
  if not flash then return text, nil end
  local kept
  kept, why = http_json.encode(flash)
  if not kept then error("session: flash: " .. why, 0) end
  return text, kept
end

local function open(self, req, res)
  local cookie = req.cookies[self.name]
  local payload, current
  if cookie then
    payload, current = read(self, cookie)
    local what = payload and "opened" or current
    self.counts[what] = self.counts[what] + 1
  end
  local session = setmetatable(payload and payload.d or {}, Session)
  local state = { had_cookie = cookie ~= nil, began = payload and payload.b or math.floor(core.time()),
    flash = payload and type(payload.f) == "table" and payload.f or nil, expires = payload and payload.e,
    is_current = payload and current }
  states[session] = state
  if payload then state.text, state.flash_text = text_of(session, state) end
  res:vary "Cookie"
  res:before(function(_, response) self:write(response, session, state) end)
  return session
end

---------------------------------------------------------------------------------------------------
-- writing

local Sessions = {}
Sessions.__index = Sessions

local function set_cookie(self, res, value, age)
  res:cookie(self.name, value, { path = self.path, domain = self.domain, max_age = age, secure = self.secure,
    http_only = true, same_site = self.same_site })
  if not res:get "Cache-Control" then res:set("Cache-Control", "private") end
end

-- Half of its time has passed, or a key that is on its way out has sealed it.
local function is_stale(self, state)
  return not state.is_current or state.expires - core.time() < self.max_age / 2
end

--- Before the head: sets the cookie if there is something new to say.
---@private
function Sessions:write(res, session, state)
  local text, flash = text_of(session, state)
  if next(session) == nil and not flash then
    if state.had_cookie then set_cookie(self, res, "", 0) end
    return
  end
  local is_same = text == state.text and flash == state.flash_text
  if is_same and not state.renewed and not is_stale(self, state) then return end
  local now = math.floor(core.time())
  local payload = ('{"b":%d,"e":%d,"d":%s%s}'):format(state.began, now + self.max_age,
    text == "[]" and "{}" or text, flash and ',"f":' .. flash or "")
  local value = self.seal(self.keys[1], self.name, payload)
  if #self.name + 1 + #value > LONGEST then
    error(("session: the cookie would have %d bytes, and browsers keep no more than %d: keep large values elsewhere")
      :format(#self.name + 1 + #value, LONGEST), 0)
  end
  self.counts.written = self.counts.written + 1
  set_cookie(self, res, value, self.persistent and self.max_age or nil)
end

---------------------------------------------------------------------------------------------------
-- options

local function is_key(key) return type(key) == "string" and #key >= SECRET end

local function are_keys(keys)
  if is_key(keys) then return true end
  if type(keys) ~= "table" or #keys == 0 then return false end
  for _, key in ipairs(keys) do
    if not is_key(key) then return false end
  end
  return true
end

---@class moonpark.http.sessions.options
---@field keys string|string[] secrets of at least 32 bytes; the first one seals, all of them open
---@field name? string of the cookie; "__Host-session", or "session" without `secure`, with a domain or another path
---@field max_age? number seconds that a session lasts without use; 14 days
---@field lifetime? number seconds that one lasts at all; none
---@field persistent? boolean false: the browser forgets it when it is closed; true
---@field encrypt? boolean false: signed alone, so that scripts and people can read the values; true
---@field secure? boolean over TLS only; true
---@field same_site? "Lax"|"Strict"|"None" "Lax"
---@field path? string below which the cookie is sent; "/"
---@field domain? string none: the host alone

local known = {
  keys = { are_keys, ("must be a secret of at least %d bytes, or a list of them: `openssl rand -hex 32` makes one")
    :format(SECRET) },
  name = { http_fields.is_name, "must be a cookie's name" }, max_age = option.whole(1, MOST_AGE), lifetime = "pause",
  persistent = "boolean",
  encrypt = "boolean", secure = "boolean", same_site = option.one_of("Lax", "Strict", "None"),
  path = { function(path) return type(path) == "string" and path:find "^/" ~= nil end, "must begin with '/'" },
  domain = "string",
}

-- Browsers take a cookie of this prefix only over TLS, from the host itself and for all of its paths (RFC 6265bis).
local function default_name(self)
  return self.secure and self.path == "/" and not self.domain and "__Host-session" or "session"
end

--- Middleware that gives each request a session: req.session.
---@param options moonpark.http.sessions.options
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
---@return {opened: integer, refused: integer, expired: integer, written: integer} counts of cookies
function M.new(options)
  if type(options) ~= "table" or options.keys == nil then error("sessions: option 'keys' is needed", 2) end
  option.check("sessions", options, known, 2)
  local encrypt = options.encrypt ~= false
  local self = setmetatable({
    keys = type(options.keys) == "table" and { unpack(options.keys) } or { options.keys },
    max_age = options.max_age or AGE, lifetime = options.lifetime or math.huge,
    persistent = options.persistent ~= false,
    secure = options.secure ~= false, same_site = options.same_site or "Lax", path = options.path or "/",
    domain = options.domain, seal = encrypt and sealed.seal or sealed.sign,
    open = encrypt and sealed.open or sealed.verify,
    counts = { opened = 0, refused = 0, expired = 0, written = 0 },
  }, Sessions)
  if self.same_site == "None" and not self.secure then error('sessions: same_site = "None" needs secure', 2) end
  self.name = options.name or default_name(self)
  return before(function(req, res)
    req.open_session = function(request) return open(self, request, res) end
  end), self.counts
end

return M
