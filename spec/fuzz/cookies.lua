-- SPDX-License-Identifier: MIT
-- cookies.lua - the bytes are a Cookie field; and up to a bar each the name, value, path and domain of a Set-Cookie.

local fields = require "moonpark.http.fields"
local form_model = require "support.form_model"

local function check_received(bytes)
  local expected = form_model.cookies(bytes)
  for name in pairs(expected) do assert(fields.cookies(bytes)[name], "a cookie is missing") end
  for name, value in pairs(fields.cookies(bytes)) do
    assert(expected[name] == value, "another value")
    assert(name ~= "" and not name:find "[=;%s]", "what is no name")
    assert(not value:find ";", "what is no value")
    assert(bytes:find(name, 1, true) and bytes:find(value, 1, true), "what was not there")
  end
end

-- What is accepted is one cookie: nothing in it ends the field, or begins an attribute.
local function check_sent(bytes)
  local name, value, path, domain = bytes:match "^([^|]*)|?([^|]*)|?([^|]*)|?([^|]*)"
  local ok, text = pcall(fields.format_cookie, name, value, { path = path, domain = domain, secure = true })
  if not ok then return end
  assert(not text:find "[%c\127]", "a control byte")
  assert(select(2, text:gsub(";", "")) == 3, "another attribute")
  assert(fields.cookies(text)[name] == value, "another value comes back")
end

return function(bytes)
  check_received(bytes)
  check_sent(bytes)
end
