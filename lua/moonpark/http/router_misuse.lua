-- SPDX-License-Identifier: MIT
-- router_misuse.lua - mistakes in routes that would be silent: paths as other frameworks write them, and middleware
-- that comes too late.

local misuse = require "moonpark.http.misuse"

local M = {}

---------------------------------------------------------------------------------------------------
-- paths. Taken to the letter they would match nothing, and clients would get 404 without a word. What is
-- percent-encoded is meant to the letter.

local NAME = "([%a_][%w_]*)"

-- In a part of a path: what stands for a parameter elsewhere, and what it is here.
local foreign = {
  { "{%*+" .. NAME, "*%s" },              -- {*rest}: ASP.NET
  { "{" .. NAME .. "%.%.%.}", "*%s" },    -- {rest...}: Go
  { "{" .. NAME .. ":path}", "*%s" },     -- {rest:path}: FastAPI
  { "{" .. NAME, ":%s" },                 -- {id}, {id:[0-9]+}
  { "<path:" .. NAME .. ">", "*%s" },     -- <path:rest>: Flask
  { "<%w+:" .. NAME .. ">", ":%s" },      -- <int:id>
  { "<" .. NAME, ":%s" },                 -- <id>
  { "^%[%[?%.%.%." .. NAME .. "%]", "*%s" }, -- [...rest]: Next.js
  { "^%[" .. NAME .. "%]$", ":%s" },      -- [id]
  { "^:" .. NAME .. "%*$", "*%s" },       -- :rest*: Express
  { "^:" .. NAME .. "[%-._~]:" .. NAME .. "$", ":%s/:%s" }, -- :from-:to
  { "^:" .. NAME .. "[^%w_%-\128-\255]", ":%s" }, -- :id(\d+), :id.json
  { "[%-._~]:" .. NAME, ":%s" },          -- user-:id
}

local patterns = { "%b()[+*?]?$", "%[%^?.-%][+*%-?]", "%[%^", "%.[+*]", "\\[%adws]", "[{}<>]" }

local function is_pattern(part)
  for _, pattern in ipairs(patterns) do
    local first, last = part:find(pattern)
    if first and (pattern ~= patterns[1] or part:sub(first, last):find "[%%%[\\+*.|]") then return true end
  end
  return part:gsub("%%%x%x", ""):find("%", 1, true) ~= nil
end

-- What a part of a path is here; the same if it is none of another framework.
local function meant(part)
  for _, one in ipairs(foreign) do
    if part:find(one[1]) then return one[2]:format(part:match(one[1])) end
  end
  if is_pattern(part) then return ":id" end
  if part:find("^%*[^%w_*]") then return "*" end
  if part:find("^[^:*]+%*$") then return part:gsub("%*$", "/*") end
  return part
end

-- "/users/:id?" of Express, "/users[/:id]" of Lapis, "/users(/:id)" of Rails.
local function without_option(path)
  local shorter, part = path:match "^(.*)/(:[%w_]+)%?$"
  if not shorter then shorter, part = path:match "^([^%[(]*)[%[(]/(:[%w_]+)[%])]$" end
  if not shorter then return nil end
  return ('there are no optional parameters: add two routes, "%s" and "%s/%s"'):format(
    shorter == "" and "/" or shorter, shorter, part)
end

--- What is wrong with a path that begins with "/", or nil.
---@param path string
---@return string|nil
function M.of_path(path)
  local optional = without_option(path)
  if optional then return optional end
  if not path:find "[{}<>%[%]()\\%%*:]" then return nil end
  local ours = path:gsub("%[%^/%]", "[^]"):gsub("[^/]+", meant)
  if ours == path then return nil end
  return ('a parameter is a whole part of a path, ":name", or at its end "*name", and there are no patterns: "%s" for '
    .. '"%s"'):format(ours, path)
end

---------------------------------------------------------------------------------------------------
-- middleware that no route is added after. shared.late: {{router =, place =}, ...}

-- Without `next` it is what answers where there is no route, and is meant to come last.
local function takes_next(fn)
  local info = debug.getinfo(fn, "u")
  return info.isvararg or info.nparams >= 3
end

--- Notes that a router, or a group, has got middleware.
---@param router moonpark.http.router
---@param fn function
function M.note_middleware(router, fn)
  if not router.has_routes or not router.parent and not takes_next(fn) then return end
  table.insert(router.shared.late, { router = router, place = misuse.line() })
end

--- Notes that a router, or a group, has got a route: what was late until then is not.
---@param router moonpark.http.router
function M.note_route(router)
  local late, of = router.shared.late, {}
  while router do
    router.has_routes, of[router] = true, true
    router = router.parent
  end
  for i = #late, 1, -1 do
    if of[late[i].router] then table.remove(late, i) end
  end
end

local NONE = "middleware that is added after all routes is around none of them"

local function add_late(texts, shared, seen)
  if seen[shared] then return end
  seen[shared] = true
  for _, late in ipairs(shared.late) do
    if late.router.parent then
      texts[#texts + 1] = ("%s: %s"):format(late.place, NONE:gsub("routes", "routes of its group"))
    elseif not shared.missing then
      texts[#texts + 1] = ("%s: %s, only around 404, 405, 501 and OPTIONS"):format(late.place, NONE)
    end
  end
  for _, mounted in ipairs(shared.mounted) do add_late(texts, mounted.shared, seen) end
end

--- What is to be said of a router, and of those that are mounted in it, when it begins to serve.
---@param router moonpark.http.router
---@return string[]
function M.late(router)
  local texts = {}
  add_late(texts, router.shared, {})
  return texts
end

return M
