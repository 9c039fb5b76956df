-- SPDX-License-Identifier: MIT
-- tell.lua - what scripts that run on LuaSocket and on its façade share: they write what calls have answered, without
-- what differs from run to run. `dofile` it: it is used where moonpark is not on the path.

local M = {}

local function describe(value)
  if type(value) == "table" and not getmetatable(value) then
    local parts = {}
    for key, one in pairs(value) do parts[#parts + 1] = tostring(key) .. "=" .. describe(one) end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
  end
  return (tostring(value):gsub("0x%x+", "ADDRESS"):gsub("[\r\n]", { ["\r"] = "\\r", ["\n"] = "\\n" }))
end

function M.say(name, ...)
  local texts = {}
  for i = 1, select("#", ...) do texts[i] = describe((select(i, ...))) end
  local line = (name .. ": " .. table.concat(texts, " | ")):gsub("%d%d%d%d%d+", "PORT")
  io.write((line:gsub("[^ |]*%.lua:%d+: ", "")), "\n")
end

function M.try(name, fn, ...) M.say(name, pcall(fn, ...)) end

--- Each of these calls of the object, in order: {"method", arguments ...}; n = how many, where the last is nil
function M.calls(title, object, list)
  for _, call in ipairs(list) do
    local method, n = call[1], call.n or #call
    M.say(("%s:%s"):format(title, method), pcall(function() return object[method](object, unpack(call, 2, n)) end))
  end
end

return M
