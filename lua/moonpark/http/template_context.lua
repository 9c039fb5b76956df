-- SPDX-License-Identifier: MIT
-- template_context.lua - where in a page of HTML a template's expression stands: what is written there must be escaped
-- for that place. A page is read as browsers read it, as far as that matters here.
--
-- The state is a table: `where` is one of
--   "text"      also in <title> and <textarea>, where entities count
--   "comment"
--   "name"      behind "<" or "</": in the name of an element
--   "tag"       between attributes; `attribute`: the name that has just ended
--   "unquoted"  in, or at the beginning of, a value without quotes
--   "value"     in a value in quotes (`quote`); `attribute`: its name; `is_first`: nothing of it was written yet
--   "script"    `inside`: in a string, a comment, ... of JavaScript: see template_script.lua
--   "style"

local script = require "moonpark.http.template_script"

local M = {}

--- How a page begins.
---@return table
function M.new() return { where = "text" } end

local urls = { href = true, src = true, action = true, formaction = true, data = true, poster = true, cite = true,
  background = true, ["xlink:href"] = true, ping = true }

-- Each takes the text from `at` on, changes the state, and returns where the next one continues; nil: at its end.
local steps = {}

function steps.text(state, text, at)
  local from = text:find("<", at, true)
  if not from then return nil end
  if text:find("^<!%-%-", from) then
    state.where = "comment"
    return from + 4
  end
  local slash, name, after = text:match("^<(/?)([%a][^%s/>]*)()", from)
  if name then
    state.where, state.element, state.is_end, state.attribute = "tag", name:lower(), slash == "/", nil
    if after > #text then state.where = "name" end
    return after
  end
  if text:find("^</?$", from) then
    state.where = "name"
    return nil
  end
  return from + 1
end

function steps.comment(state, text, at)
  local _, to = text:find("-->", at, true)
  if not to then return nil end
  state.where = "text"
  return to + 1
end

-- An expression has been refused here, or more of the name comes in the next piece.
function steps.name(state, text, at)
  local after = text:match("^[^%s/>]*()", at)
  if after > #text then return nil end
  state.where = "tag"
  return after
end

local raw = { script = "script", style = "style" }

function steps.tag(state, text, at)
  local from, to = text:find("^[%s/]+", at)
  if from then return to + 1 end
  if text:find("^>", at) then
    state.where = not state.is_end and raw[state.element] or "text"
    state.inside, state.attribute = nil, nil
    return at + 1
  end
  local equals, after = text:match("^(=)%s*()", at)
  if equals then
    local quote = text:match("^[\"']", after)
    state.where, state.quote, state.is_first = quote and "value" or "unquoted", quote, true
    return quote and after + 1 or after
  end
  local name, behind = text:match("^([^%s/>=]+)%s*()", at)
  state.attribute = name:lower()
  return behind
end

function steps.unquoted(state, text, at)
  local quote = state.is_first and text:match("^[\"']", at)
  if quote then
    state.where, state.quote = "value", quote
    return at + 1
  end
  local from = text:find("[%s>]", at)
  state.is_first = false
  if not from then return nil end
  state.where, state.attribute = "tag", nil
  return from
end

function steps.value(state, text, at)
  local from = text:find(state.quote, at, true)
  if at <= #text then state.is_first = false end
  if not from then return nil end
  state.where, state.attribute = "tag", nil
  return from + 1
end

-- The end of a raw element ("</script"), which counts in strings as well.
local function closing(state, text, at)
  local lower, name = text:lower(), "</" .. state.element
  local from = lower:find(name, at, true)
  while from and not lower:find("^[%s/>]", from + #name) do from = lower:find(name, from + 1, true) end
  return from
end

function steps.script(state, text, at)
  local from = closing(state, text, at)
  script.follow(state, text:sub(at, (from or #text + 1) - 1))
  if not from then return nil end
  state.where, state.inside = "text", nil
  return from
end

function steps.style(state, text, at)
  local from = closing(state, text, at)
  if not from then return nil end
  state.where = "text"
  return from
end

--- Takes the text that comes next in the page.
---@param state table is changed
---@param text string
function M.read(state, text)
  local at = 1
  while at and at <= #text do at = steps[state.where](state, text, at) end
end

--- What is written here must be escaped in this way: "html", "url" (the beginning of a URL), "json"; or nil and why
--- nothing can be written here that is safe. Counts as text that is written.
---@param state table is changed
---@return "html"|"url"|"json"|nil way
---@return string? why
function M.expression(state)
  local where = state.where
  if where == "text" then return "html" end
  if where == "comment" then return nil, "in a comment of HTML" end
  if where == "style" then return nil, "in a <style>" end
  if where == "unquoted" then return nil, "in a value without quotes" end
  if where == "name" or where == "tag" then return nil, "in a tag, outside of a value" end
  if where == "script" then
    if state.inside then return nil, "in a string of JavaScript; without the quotes it is written as JSON" end
    return "json"
  end
  local attribute, is_first = state.attribute or "", state.is_first
  state.is_first = false
  if attribute:find "^on" then
    return nil, ("in '%s', which is a script; put it into a data- attribute"):format(attribute)
  end
  if attribute == "style" or attribute == "srcdoc" then return nil, ("in '%s'"):format(attribute) end
  return is_first and urls[attribute] and "url" or "html"
end

return M
