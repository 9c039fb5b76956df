-- SPDX-License-Identifier: MIT
-- url.lua - the bytes are percent-encoded, a form, a URL, and a reference on a page.

local form_model = require "support.form_model"
local url = require "moonpark.url"

local function same_pairs(a, b)
  assert(#a == #b, "another number of pairs")
  for i = 1, #a do assert(a[i][1] == b[i][1] and a[i][2] == b[i][2], "another pair") end
end

local function check_encoding(bytes)
  local encoded = url.encode(bytes)
  assert(not encoded:find "[^%w%-%._~%%]" and url.decode(encoded) == bytes, "encoded, it decodes to itself")
  assert(url.decode(encoded, true) == bytes, "in a form too")
  local decoded = url.decode(bytes)
  assert(decoded == form_model.decode(bytes) and url.decode(bytes, true) == form_model.decode(bytes, true))
  assert(not decoded or #decoded <= #bytes, "it grows")
end

local function check_form(bytes)
  local list, parts = url.parse_form(bytes), {}
  for i, pair in ipairs(list) do parts[i] = url.encode(pair[1]) .. "=" .. url.encode(pair[2]) end
  same_pairs(list, url.parse_form(table.concat(parts, "&")))
  same_pairs(list, form_model.pairs(bytes))
  local values, expected = url.form_values(bytes), form_model.values(bytes)
  for name, value in pairs(values) do assert(expected[name] == value, "another value") end
  for name in pairs(expected) do assert(values[name], "a value is missing") end
end

local function check_parts(parts, wrong)
  if not parts then return assert(type(wrong) == "string", "refused without a word") end
  assert(parts.host ~= "" and parts.port >= 1 and parts.port <= 65535 and parts.path:sub(1, 1) == "/", "no address")
  for _, value in pairs(parts) do assert(not tostring(value):find "[%c ]", "it would split a request") end
  assert(not (parts.user or ""):find "[^%w%-%._~!$&'()*+,;=:%%]", "a user that others read differently")
  local again = assert(url.parse(parts.scheme .. "://" .. parts.authority .. parts.path))
  for _, name in ipairs { "scheme", "host", "port", "path", "authority" } do
    assert(again[name] == parts[name], "another " .. name)
  end
  return parts
end

-- Whatever it is made of, it is read as that, or refused.
local function check_built(bytes)
  local one, other = bytes:match "^([^|]*)|?(.*)$"
  local text = url.build { host = one }
  assert(not text or url.parse(text).host == one, "another host")
  text = url.build { host = "a", user = one, fragment = other }
  assert(not text or url.parse(text).host == "a" and url.parse(text).user == one, "another user")
  text = url.build { host = "a", path = { "x", one }, query = { q = other } }
  if not text then return assert(one == "." or one == "..") end
  local path, query = url.parse(text).path:match "^/x/([^?]*)%?q=(.*)$"
  assert(url.decode(path) == one and url.decode(query) == other, "another path or query")
end

local base = url.parse "http://example.org:8080/a/b?c"

return function(bytes)
  check_encoding(bytes)
  check_form(bytes)
  check_parts(url.parse(bytes))
  check_built(bytes)
  check_parts(url.resolve(base, bytes))
  check_parts(url.parse(url.tolerate(bytes)))
  check_parts(url.resolve(base, url.tolerate(bytes, true)))
end
