-- SPDX-License-Identifier: MIT
-- websocket_server.lua - res:websocket: the server's half of the handshake (RFC 6455 4.2). A request that is no
-- handshake, or comes from another site's page, is answered, and the handler only has to return.

local core = require "moonpark.core"
local extensions = require "moonpark.http.websocket_extensions"
local http_fields = require "moonpark.http.fields"
local option = require "moonpark.options"
local raise_outside = require "moonpark.outside"
local upgraded = require "moonpark.http.upgraded"
local websocket = require "moonpark.http.websocket"

local M = {}

local function are_origins(value)
  if type(value) ~= "table" then return value == "*" or type(value) == "function" end
  for _, one in ipairs(value) do
    if type(one) ~= "string" then return false end
  end
  return true
end

local known = { origins = { are_origins, 'must be a list of origins, a function, or "*"' },
  subprotocols = "table|function" }
for name, kind in pairs(websocket.known) do known[name] = kind end

---@class moonpark.websocket.server.options: moonpark.websocket.options
---@field origins? "*"|string[]|fun(origin: string, req: moonpark.http.request): boolean which sites' pages may connect,
--- as "https://example.com"; the request's own host; "*": all
---@field subprotocols? string[]|fun(offered: string[], req: moonpark.http.request): string|nil what the handler speaks,
--- the best first; or a function that picks

---------------------------------------------------------------------------------------------------
-- who may connect

local default_ports = { http = ":80", https = ":443" }

-- "https://Example.com:443" -> "https", "example.com", ":443": the host as a Host field may have it, and the port that
-- such a field leaves out.
local function parts_of_origin(origin)
  local scheme, host = origin:lower():match "^(https?)://([^/]+)$"
  if not scheme then return nil end
  local port = default_ports[scheme]
  return scheme, host:sub(-#port) == port and host:sub(1, -#port - 1) or host, port
end

-- Did the client speak TLS, to us or to a proxy that says so? No page can set these fields. A client that is no browser
-- can, but also its Origin.
local function came_over_tls(req)
  if req.scheme == "https" then return true end
  local proto = req:header "x-forwarded-proto" or (req:header "forwarded" or ""):lower():match '^[^,]*proto="?(%a+)'
  return proto ~= nil and proto:lower():find "^%s*https%f[^%w]" ~= nil
end

-- A page of the same host that came without TLS is not the same site (RFC 6454 5): anybody on the way may have written
-- it. The other way round, TLS has ended at a proxy that does not say so: browsers let no such page open ws://.
local function is_own(req, origin)
  local scheme, host, port = parts_of_origin(origin)
  if not scheme or scheme == "http" and came_over_tls(req) then return false end
  local own = (req:header "host" or ""):lower()
  return own == host or own == host .. port
end

-- Browsers send the page's origin; a client that is no browser could send anything, and sends none.
local function is_welcome(req, origins)
  local origin = req:header "origin"
  if not origin or origins == "*" then return true end
  if origin:find(",", 1, true) then return false end -- two fields: two readers could take either
  if type(origins) == "function" then return origins(origin, req) == true end
  for _, one in ipairs(origins or {}) do
    if one:lower() == origin:lower() then return true end
  end
  return not origins and is_own(req, origin)
end

---------------------------------------------------------------------------------------------------
-- the handshake

-- The subprotocols that the client offers: names, each once (RFC 6455 4.1); nil: they are something else.
local function offered_by(req)
  local list, seen = {}, {}
  for item in (req:header "sec-websocket-protocol" or ""):gmatch "[^,]+" do
    item = http_fields.trim(item)
    if item ~= "" then
      if seen[item] or not http_fields.is_name(item) then return nil end
      list[#list + 1], seen[item] = item, true
    end
  end
  return list
end

-- nil; or the status of a refusal, why, and a field of it.
local function flaw(req)
  if req.method ~= "GET" then return 405, "a WebSocket begins with GET", { "Allow", "GET" } end
  if req.version == "1.0" or not http_fields.lists(req:header "upgrade", "websocket") then -- RFC 9110 7.8
    return 426, "this is a WebSocket", { "Upgrade", "websocket" }
  end
  if not http_fields.lists(req:header "connection", "upgrade") then return 400, "Connection: Upgrade is missing" end
  if req:header "sec-websocket-version" ~= "13" then
    return 426, "unknown version", { "Sec-WebSocket-Version", "13", "Upgrade", "websocket" }
  end
  local key = http_fields.trim(req:header "sec-websocket-key" or "") -- of two fields both: too long
  if #key ~= 24 or not key:find "^[%w+/]+==$" then return 400, "invalid Sec-WebSocket-Key" end
  if req:content_length() ~= 0 then return 400, "a handshake has no body" end
  if req:header "sec-websocket-protocol" and not offered_by(req) then return 400, "invalid Sec-WebSocket-Protocol" end
end

-- Connection goes with Upgrade (RFC 9110 7.8); handlers cannot set it.
local function refuse(res, status, why, fields)
  for i = 1, #(fields or {}), 2 do res:set(fields[i], fields[i + 1]) end
  if status == 426 then http_fields.add(http_fields.of_response(res), "Connection", "Upgrade") end
  res.status = status
  local ok, err, errno = res:send(why .. "\n")
  if not ok then return nil, err, errno end
  return nil, why
end

local function pick(req, subprotocols)
  if not subprotocols then return nil end
  local offered = offered_by(req)
  if type(subprotocols) == "function" then
    local picked = subprotocols(offered, req)
    for _, one in ipairs(offered) do
      if one == picked then return picked end
    end
    if picked ~= nil then error("websocket: the subprotocol that was picked is none of the client's", 5) end
    return nil
  end
  for _, own in ipairs(subprotocols) do
    for _, one in ipairs(offered) do
      if one == own then return own end
    end
  end
end

local ours = { upgrade = true, connection = true, ["content-length"] = true, ["transfer-encoding"] = true }

-- The handler's own fields: Set-Cookie, perhaps.
local function add_fields(lines, fields)
  for i = 1, #fields, 2 do
    local name, value = fields[i], tostring(fields[i + 1])
    if not http_fields.is_name(name) then error(("invalid header name '%s'"):format(tostring(name)), 5) end
    if not http_fields.is_value(value) then error(("invalid value of header '%s'"):format(name), 5) end
    local key = name:lower()
    if not key:find "^sec%-websocket%-" and not ours[key] then lines[#lines + 1] = name .. ": " .. value end
  end
end

local function head_of(self, subprotocol, answer)
  self:prepare()
  local key = http_fields.trim(self.request:header "sec-websocket-key")
  local lines = { "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
    "Sec-WebSocket-Accept: " .. core.websocket_accept(key) }
  if subprotocol then lines[#lines + 1] = "Sec-WebSocket-Protocol: " .. subprotocol end
  if answer then lines[#lines + 1] = "Sec-WebSocket-Extensions: " .. answer end
  add_fields(lines, self.fields or {})
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function upgrade(self, options, compress, handler)
  local req = self.request
  local subprotocol = pick(req, options.subprotocols)
  local agreed, answer = extensions.accept(req:header "sec-websocket-extensions", compress)
  local head = head_of(self, subprotocol, answer)
  local conn, err, errno = req:hijack()
  if not conn then return nil, err, errno end
  local socket
  socket, err, errno = core.websocket(conn, websocket.limits(options), true, head, agreed)
  if not socket then
    conn:close()
    return nil, err, errno
  end
  local ws, sockets = websocket.of(socket, subprotocol), upgraded.of(self.x)
  req.websocket = ws
  if handler then
    sockets:start(ws, handler)
    return true
  end
  sockets:add(ws)
  self:after(function() sockets:leave(ws, rawget(req, "websocket_failed")) end)
  return ws
end

--- Makes the request's connection a WebSocket, which is open until the handler returns, at most. If the request is no
--- handshake, or its origin is not welcome, the client has got its answer, and the handler should return.
---@overload fun(self: moonpark.http.response, options: moonpark.websocket.server.options|nil,
--- handler: fun(ws: moonpark.websocket)): true|nil, string?, integer?
---@param self moonpark.http.response
---@param options? moonpark.websocket.server.options
---@param handler? fun(ws: moonpark.websocket) is called in a task of its own, which the socket ends with; the request's
--- handler may return. So an idle socket holds less memory: not what a request needs
---@return moonpark.websocket|nil ws true if there is a handler
---@return string? err why the client was refused; or "closed", ...
---@return integer? errno
function M.websocket(self, options, handler)
  if handler ~= nil and type(handler) ~= "function" then
    error("websocket: function expected, got " .. type(handler), 2)
  end
  options = option.check("websocket", options, known, 2)
  local compress = extensions.wanted("websocket", options.compress, 2)
  local req = self.request
  local status, why, fields = flaw(req)
  if status then return refuse(self, status, why, fields) end
  if not is_welcome(req, options.origins) then return refuse(self, 403, "origin is not allowed") end
  local sockets = upgraded.of(self.x)
  if not sockets:reserve() then return refuse(self, 503, "too many WebSockets") end
  local ws, err, errno = raise_outside(sockets:release(pcall(upgrade, self, options, compress, handler)))
  return ws, err, errno
end

return M
