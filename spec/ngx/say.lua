-- SPDX-License-Identifier: MIT
-- say.lua - what stands before each table of behaviours: say and try print values so that two runs can be compared.
-- luacheck: ignore 211

local function describe(value)
  if type(value) == "table" then
    local parts = {}
    for key, item in pairs(value) do parts[#parts + 1] = tostring(key) .. "=" .. describe(item) end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
  end
  return (tostring(value):gsub("[^\32-\126]", function(c) return ("\\%d"):format(c:byte()) end))
end

local function say(name, ...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = describe((select(i, ...))) end
  ngx.say(name, ": ", table.concat(parts, " | "))
end

-- Of an error only what it is about.
local function try(name, fn, ...)
  local function took(ok, ...)
    if ok then return say(name, ...) end
    local text = tostring((...))
    say(name, "raised", text:match "%((.*)%)" or (text:gsub("^.-:%d+: ", "")))
  end
  took(pcall(fn, ...))
end

-- Whether it raises: for mistakes of which nginx says nothing of its own.
local function raises(name, fn, ...)
  say(name, pcall(fn, ...) and "did not raise" or "raised")
end
