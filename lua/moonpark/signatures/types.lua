-- SPDX-License-Identifier: MIT
-- types.lua - the types of annotations: "moonpark.connection|nil", "fun(path: string, max?: integer): string|nil".

local M = {}

local opens, closes = { ["("] = true, ["{"] = true, ["["] = true, ["<"] = true },
  { [")"] = true, ["}"] = true, ["]"] = true, [">"] = true }

--- How many brackets are open at the end of a text.
---@param text string
---@return integer
function M.depth(text)
  local depth = 0
  for char in text:gmatch "[%(%){}%[%]<>]" do depth = depth + (opens[char] and 1 or -1) end
  return depth
end

-- The parts of a text between separators that are in no bracket.
local function split(text, separator)
  local parts, depth, from = {}, 0, 1
  for at = 1, #text do
    local char = text:sub(at, at)
    if opens[char] then depth = depth + 1 elseif closes[char] then depth = depth - 1 end
    if char == separator and depth == 0 then
      parts[#parts + 1] = text:sub(from, at - 1)
      from = at + 1
    end
  end
  parts[#parts + 1] = text:sub(from)
  return parts
end

local function trimmed(text) return text:match "^%s*(.-)%s*$" end

--- Cuts a type off the front of a text.
---@param text string
---@return string type
---@return string rest what is said of it
function M.cut(text)
  text = text:match "^%s*(.*)$"
  local depth, before = 0, ""
  for at = 1, #text do
    local char = text:sub(at, at)
    if opens[char] then depth = depth + 1 elseif closes[char] then depth = depth - 1 end
    if char:find "%s" then
      if depth <= 0 and not before:find "[,:|]" and not text:find("^%s*|", at) then
        return text:sub(1, at - 1), trimmed(text:sub(at))
      end
    else
      before = char
    end
  end
  return text, ""
end

-- "name?: type" -> {name, type, optional}
local function parameter(text)
  local name, mark, kind = text:match "^%s*([%w_%.]+)(%??)%s*:%s*(.*)$"
  if not name then
    name, mark = trimmed(text):match "^(.-)(%??)$"
    return { name = name, type = "any", optional = mark == "?" }
  end
  return { name = name, type = trimmed(kind), optional = mark == "?" or kind:find "%?%s*$" ~= nil }
end

---@class moonpark.signatures.signature
---@field params {name: string, type: string, optional: boolean}[] without self
---@field returns string[]
---@field is_method boolean

--- What "fun(...): ..." says.
---@param text string
---@return moonpark.signatures.signature|nil
function M.signature(text)
  local inner, rest = text:match "^fun(%b())(.*)$"
  if not inner then return nil end
  local found = { params = {}, returns = {}, is_method = false }
  inner = trimmed(inner:sub(2, -2))
  for i, part in ipairs(inner ~= "" and split(inner, ",") or {}) do
    local one = parameter(part)
    if i == 1 and one.name == "self" then found.is_method = true else table.insert(found.params, one) end
  end
  local returned = rest:match "^%s*:%s*(.*)$"
  for _, part in ipairs(returned and split(returned, ",") or {}) do table.insert(found.returns, trimmed(part)) end
  return found
end

local aliases = {} -- [name] = type

--- Gives a type a name.
---@param name string
---@param kind string
function M.name(name, kind) aliases[name] = kind end

--- The alternatives of a type: "a|b" is two. What stands after "fun(...):" belongs to it.
---@param text string
---@return string[]
function M.alternatives(text)
  local list, from = {}, trimmed(text)
  while from ~= "" do
    local is_optional = from:find "^fun%b()%s*:" or not from:find("|", 1, true)
    local parts = is_optional and { from } or split(from, "|")
    local first = trimmed(parts[1])
    if first:find "%?$" and not first:find "^fun%(" then
      list[#list + 1] = "nil"
      first = first:sub(1, -2)
    end
    if first:find "^%b()$" then first = trimmed(first:sub(2, -2)) end
    if aliases[first] then
      for _, one in ipairs(M.alternatives(aliases[first])) do list[#list + 1] = one end
    else
      list[#list + 1] = first
    end
    from = trimmed(table.concat(parts, "|", 2))
  end
  return list
end

return M
