-- SPDX-License-Identifier: MIT
-- html.lua - the bytes are a value in a page, the text of a template, and a script up to a value.

local html = require "moonpark.http.html"
local http_json = require "moonpark.http.json"
local template = require "moonpark.http.template"
local template_script = require "moonpark.http.template_script"

local entities = { amp = "&", lt = "<", gt = ">", quot = '"', ["#39"] = "'" }

local function check_value(bytes)
  local escaped = html.escape(bytes)
  assert(not escaped:find "[<>\"']" and escaped:gsub("&([%w#]+);", entities) == bytes, "another text")
  local json = html.script_json(bytes)
  assert(not json or not json:find "[<>&]" and http_json.decode(json) == bytes, "another value")
  local url = html.safe_url(bytes)
  assert(url == bytes or url == "#")
  local scheme = url:gsub("[%z\1-\32]", ""):match "^(%a[%w+.-]*):"
  assert(not scheme or not scheme:lower():find "script" and scheme:lower() ~= "data", "a script")
end

-- Whatever it is, it compiles, or says why not, in its name; text without marks is itself.
local function check_template(bytes)
  local ok, made = pcall(template.template, bytes, { name = "page" })
  if not ok then
    assert(type(made) == "string" and made:find "^page:%d+: ", tostring(made))
  elseif not bytes:find("<%", 1, true) then
    assert(made:render() == bytes, "another page")
  end
end

-- Wherever it ends, that is a place that is known.
local function check_script(bytes)
  local state = {}
  template_script.follow(state, bytes)
  local known = { ['"'] = true, ["'"] = true, ["`"] = true, line = true, comment = true, regex = true, lost = true }
  assert(state.inside == nil or known[state.inside], "an unknown place")
end

return function(bytes)
  check_value(bytes)
  check_template(bytes)
  check_script(bytes)
end
