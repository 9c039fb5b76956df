-- SPDX-License-Identifier: MIT
-- acme.lua - the bytes are base64url, and what an authority answers, one line each: a digit for the status, fields that
-- are separated by "|" (Location, Retry-After), and the body. The client ends, with a certificate or with words.

local acme_client = require "moonpark.tls.acme_client"
local core = require "moonpark.core"
local jws = require "moonpark.tls.jws"

local ANSWERS = 200 -- more for one certificate would be an endless talk
local BASE = "http://a.example"
local statuses = { [0] = 200, 201, 400, 403, 404, 429, 500, 503, 204, 301 }

local account = assert(jws.key(core.key_new()))
local certificate_key = assert(core.key_new())

function jws.sign() return "{}" end -- takes most of the time, and reads nothing of a stranger's

local DIRECTORY = ('{"newNonce":"%s/n","newAccount":"%s/a","newOrder":"%s/o"}'):format(BASE, BASE, BASE)

local function check_base64url(bytes)
  local decoded = jws.base64url_decode(bytes)
  assert(decoded == nil or jws.base64url(decoded) == bytes, "two texts for the same bytes")
  assert(jws.base64url_decode(jws.base64url(bytes)) == bytes, "other bytes")
end

local function answer_of(line)
  local status, location, retry, body = line:match "^(%d)([^|]*)|([^|]*)|(.*)$"
  if not status then return { status = 200, headers = { location = BASE .. "/1" }, body = line } end
  return { status = statuses[tonumber(status)], body = body,
    headers = { location = location ~= "" and location or nil, ["retry-after"] = retry ~= "" and retry or nil } }
end

local function lines_of(bytes)
  local lines = {}
  for line in (bytes .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  return lines
end

-- A client that is given the lines, one after the other and again from the first.
local function client_of(lines)
  local asked, now = 0, 1e9
  return acme_client.new { directory = BASE .. "/d", key = account,
    now = function() return now end,
    sleep = function(seconds)
      assert(seconds >= 0 and seconds <= 600, "a pause that is none")
      now = now + seconds
      return true
    end,
    request = function(options)
      asked = asked + 1
      assert(asked <= ANSWERS * (#lines + 1), "it never ends")
      assert(options.url:sub(1, 7) == "http://", "led to another scheme")
      local answer = options.url == BASE .. "/d" and { status = 200, headers = {}, body = DIRECTORY }
        or answer_of(lines[(asked - 1) % #lines + 1])
      answer.headers["replay-nonce"] = "n"
      return answer
    end }
end

local open

local solver = { kind = "http-01", names = { ["a.example"] = true } }
function solver:present(name, token)
  assert(self.names[name] and not token:find "[^%w%-_]", "what is to be shown could be anywhere")
  open = open + 1
  return true
end
function solver.remove() open = open - 1 end

return function(bytes)
  check_base64url(bytes)
  open = 0
  local client = client_of(lines_of(bytes))
  local kid, err = client:account {}
  assert(kid or type(err) == "string", "refused without a word")
  if not kid then return end
  local chain, why, details = client:obtain({ "a.example" }, certificate_key, solver)
  assert(type(chain) == "string" or type(why) == "string", "refused without a word")
  assert(not why or not why:find "[%z\1-\31\127]", "control characters")
  assert(details == nil or type(details) == "table")
  assert(open == 0, "a challenge is still shown")
end
