-- SPDX-License-Identifier: MIT
-- to_https.lua - the handler of a server without TLS: sends its clients to the one with TLS.

local check_options = require("moonpark.options").check

local M = {}

---@class moonpark.http.redirect_to_https.options
---@field host? string the one that the request names
---@field port? integer 443
---@field status? 301|302|307|308 308

local known = {
  host = { function(value) return type(value) == "string" and value:find "^[%w%-._%[%]:]+$" ~= nil end,
    "must be a host's name" },
  port = { function(value) return type(value) == "number" and value >= 1 and value <= 65535 and value % 1 == 0 end,
    "must be a whole number from 1 to 65535" },
  status = { function(value) return value == 301 or value == 302 or value == 307 or value == 308 end,
    "must be 301, 302, 307 or 308" },
}

-- The host that the client has asked for, without its port; nil: it is no host.
local function host_of(req)
  local host = (req.host or ""):gsub(":%d*$", "")
  if host:find "^[%w][%w%-._]*$" or host:find "^%[[%x:.]+%]$" then return host end
end

--- A handler that answers each request with a redirect to the same address with https. The host is the one that the
--- request names, which caches in between must not confuse: name it if you can. Requests for no host get 400.
---@param options? moonpark.http.redirect_to_https.options
---@return fun(req: moonpark.http.request, res: moonpark.http.response)
function M.new(options)
  options = check_options("redirect_to_https", options, known)
  local port = options.port and options.port ~= 443 and ":" .. options.port or ""
  return function(req, res)
    local host = options.host or host_of(req)
    if not host then return res:fail(400) end
    local path = req.raw_path ~= "*" and req.raw_path or "/"
    local query = req.query_string ~= "" and "?" .. req.query_string or ""
    return res:redirect("https://" .. host .. port .. path .. query, options.status or 308)
  end
end

return M
