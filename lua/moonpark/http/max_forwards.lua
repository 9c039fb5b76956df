-- SPDX-License-Identifier: MIT
-- max_forwards.lua - how far a TRACE or OPTIONS is forwarded (RFC 9110 7.6.2): each proxy decrements Max-Forwards, and
-- a proxy that receives 0 answers in place of the target.

local M = {}

local counted = { OPTIONS = true, TRACE = true }
local MOST = 2147483647

-- What a client should not get to read in a script (9.3.8).
local secret = { authorization = true, cookie = true, ["proxy-authorization"] = true }

-- nil: none; false: no number.
local function field(req)
  if not counted[req.method] then return nil end
  local value = req:header "max-forwards"
  if not value then return nil end
  return value:find("^%d+$") and math.min(tonumber(value), MOST) or false
end

--- What the next server is told; nil: nothing.
---@param req moonpark.http.request
---@return string|nil
function M.left(req)
  local count = field(req)
  return count and ("%.0f"):format(count - 1)
end

-- The request as it came (9.3.8).
local function reflect(req, res)
  local lines = { ("%s %s HTTP/%s"):format(req.method, req.target, req.version) }
  for name, value in req:each_header() do
    if not secret[name] then lines[#lines + 1] = name .. ": " .. value end
  end
  res.type = "message/http"
  return res:send(table.concat(lines, "\r\n") .. "\r\n\r\n")
end

--- Answers a request that may go no further.
---@param req moonpark.http.request
---@param res moonpark.http.response
---@return boolean # whether it was one
function M.ends_here(req, res)
  local count = field(req)
  if count == nil or count and count > 0 then return false end
  if not count then
    res:fail(400)
  elseif req.method == "TRACE" then
    reflect(req, res)
  else
    res:set("Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, TRACE")
    res.status = 204
    res:send()
  end
  return true
end

return M
