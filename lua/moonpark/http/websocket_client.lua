-- SPDX-License-Identifier: MIT
-- websocket_client.lua - http.websocket: the client's half of the handshake (RFC 6455 4.1), sent by the HTTP client. If
-- there is a proxy, the connection goes through a tunnel of it: a proxy would not know what to do with the rest.

local client_request = require "moonpark.http.client_request"
local core = require "moonpark.core"
local extensions = require "moonpark.http.websocket_extensions"
local http_client = require "moonpark.http.client"
local http_fields = require "moonpark.http.fields"
local option = require "moonpark.options"
local proxies = require "moonpark.http.proxies"
local raise_outside = require "moonpark.outside"
local url = require "moonpark.url"
local websocket = require "moonpark.http.websocket"

local M = {}

local BODY_MAX = 65536 -- of a refusal, which is read and dropped

local known = { subprotocols = "table", origin = "string", client = "table" }
for name, kind in pairs(websocket.known) do known[name] = kind end

-- Options of the request, which go to the HTTP client.
local of_request = { "headers", "timeout", "connect_timeout", "head_timeout", "io_timeout", "max_head", "unix", "proxy",
  "auth", "query", "tls" }
for _, name in ipairs(of_request) do known[name] = client_request.known[name] end

---@class moonpark.websocket.client.options: moonpark.websocket.options
---@field subprotocols? string[] the best first
---@field origin? string the page's, as browsers send it; none
---@field client? moonpark.http.client the one that sends the handshake; the one that all share
---@field headers? table<string, string|number|string[]> Name = value, or a list of values
---@field query? table added to the URL's
---@field timeout? number seconds for the whole handshake; no limit
---@field connect_timeout? number seconds; 30
---@field head_timeout? number seconds from the request's end to the end of the answer's head; no limit
---@field io_timeout? number seconds for each read and write of the handshake; no limit
---@field max_head? integer bytes of the answer's head; 65536
---@field proxy? string|false the environment's; false: none
---@field unix? string the path of a unix socket, in place of the URL's host
---@field auth? string[] {name, password}: basic
---@field tls? boolean|moonpark.tls_context made by tls.client, for wss; by default the system's authorities count

local schemes = { ws = "http", wss = "https", http = "http", https = "https" }

local ours = { ["sec-websocket-key"] = true, ["sec-websocket-version"] = true, ["sec-websocket-protocol"] = true,
  ["sec-websocket-extensions"] = true, ["sec-websocket-accept"] = true }

local function address_of(text)
  local scheme, rest = text:match "^(%a+)(://.*)$"
  scheme = scheme and schemes[scheme:lower()]
  if not scheme then return nil, "a URL that begins with ws:// or wss:// expected" end
  if rest:find("#", 1, true) then return nil, "a WebSocket's URL has no fragment" end
  return scheme .. rest
end

local function check_subprotocols(list)
  local seen = {}
  for i, name in ipairs(list) do
    if not http_fields.is_name(name) or seen[name] then
      error(("http.websocket: subprotocols[%d] must be a name, and only once"):format(i), 3)
    end
    seen[name] = true
  end
end

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

-- 16 random bytes as base64: 22 digits, the last of which has only two bits.
local function new_key()
  local bytes, err, errno = core.random_bytes(22)
  if not bytes then return nil, err, errno end
  local digits = bytes:gsub(".", function(c)
    local digit = c:byte() % 64 + 1
    return ALPHABET:sub(digit, digit)
  end)
  local last = bytes:byte(22) % 4 * 16 + 1
  return digits:sub(1, 21) .. ALPHABET:sub(last, last) .. "=="
end

local function fields_of(options, key, wanted)
  local fields = {}
  for name, value in pairs(options.headers or {}) do
    if type(name) == "string" and ours[name:lower()] then
      error(("http.websocket: header '%s' is set by http.websocket"):format(name), 4)
    end
    fields[name] = value
  end
  fields["Sec-WebSocket-Key"], fields["Sec-WebSocket-Version"] = key, "13"
  if options.subprotocols and options.subprotocols[1] then
    fields["Sec-WebSocket-Protocol"] = table.concat(options.subprotocols, ", ")
  end
  if wanted then fields["Sec-WebSocket-Extensions"] = extensions.offer(wanted) end
  if options.origin then fields["Origin"] = options.origin end
  return fields
end

---------------------------------------------------------------------------------------------------
-- the request, straight or through a tunnel

local function request_of(options, address, fields)
  local request = { url = address, method = "GET", upgrade = "websocket", redirects = 0, decode = false,
    max_body = BODY_MAX }
  for _, name in ipairs(of_request) do request[name] = options[name] end
  request.headers = fields
  return request
end

-- The head of the answer on that connection: {status =, version =, headers =, connection =}.
local function converse(conn, head, request, deadline)
  local reader = core.http_reader()
  local ok, err, errno = true, nil, nil
  if deadline then ok, err, errno = conn:set_deadline(deadline) end
  if ok then ok, err, errno = reader:begin(conn, head) end
  if ok then ok, err, errno = reader:head(conn, false, request.max_head or BODY_MAX, false) end
  if ok and deadline then
    local set, why, number = conn:set_deadline(nil)
    if not set then ok, err, errno = nil, why, number end
  end
  if not ok then
    conn:close()
    return nil, err == "eof" and "unexpected eof" or err, errno
  end
  if ok ~= 101 then conn:close() end
  local _, minor = reader:status_line()
  return { status = ok, version = minor == 0 and "1.0" or "1.1", headers = http_fields.received(reader:fields()),
    connection = conn }
end

local function through_tunnel(client, request, target)
  local deadline = request.timeout and core.now() + request.timeout
  local answer, err, errno = client:request { method = "CONNECT", url = request.url, proxy = request.proxy,
    timeout = request.timeout, connect_timeout = request.connect_timeout, head_timeout = request.head_timeout,
    max_body = BODY_MAX }
  if not answer then return nil, err, errno end
  if not answer.connection then return nil, ("proxy answered %d"):format(answer.status) end
  local straight = {}
  for name, value in pairs(request) do straight[name] = value end
  straight.proxy, straight.url = false, target.scheme .. "://" .. target.authority .. target.path
  local job, wrong = client_request.new(client, straight)
  if not job then
    answer.connection:close()
    return nil, wrong
  end
  return converse(answer.connection, job.head, request, deadline)
end

local function shake_hands(client, request)
  local target, wrong = url.parse(url.tolerate(request.url))
  if not target then return nil, wrong end
  local route = proxies.of(target, request, "GET")
  if route.wrong then return nil, route.wrong end
  if target.scheme == "http" and route.key:find "^proxy " then return through_tunnel(client, request, target) end
  return client:request(request)
end

---------------------------------------------------------------------------------------------------
-- the answer

local function is_offered(list, name)
  for _, one in ipairs(list or {}) do
    if one == name then return true end
  end
  return false
end

-- The subprotocol and the compression; or nil and what is wrong with it.
local function read_answer(answer, key, options, wanted)
  local headers = answer.headers
  if answer.status ~= 101 then return nil, nil, ("response status %d"):format(answer.status) end
  if answer.version == "1.0" or (headers["upgrade"] or ""):lower() ~= "websocket"
    or not http_fields.lists(headers["connection"], "upgrade")
    or headers["sec-websocket-accept"] ~= core.websocket_accept(key) then
    return nil, nil, "malformed handshake"
  end
  local subprotocol = headers["sec-websocket-protocol"]
  if subprotocol and not is_offered(options.subprotocols, subprotocol) then
    return nil, nil, "subprotocol was not offered"
  end
  local agreed = extensions.agreed(headers["sec-websocket-extensions"], wanted)
  if agreed == false then return nil, nil, "extension was not offered" end
  return subprotocol or "", agreed
end

local function open(options, address, wanted)
  local key, why, number = new_key()
  if not key then return nil, why, number end
  local client = options.client or http_client.default()
  local request = request_of(options, address, fields_of(options, key, wanted))
  local answer, err, errno = shake_hands(client, request)
  if not answer then return nil, err, errno end
  local subprotocol, agreed, wrong = read_answer(answer, key, options, wanted)
  local conn = answer.connection
  if not subprotocol then
    if conn then conn:close() end
    return nil, wrong
  end
  local socket
  socket, err, errno = core.websocket(conn, websocket.limits(options), false, nil, agreed or nil)
  if not socket then
    conn:close()
    return nil, err, errno
  end
  return websocket.of(socket, subprotocol ~= "" and subprotocol or nil)
end

--- Opens a WebSocket to that URL. It belongs to you, and is closed when it is collected, at the latest.
---@param address string "ws://host/path", "wss://..."
---@param options? moonpark.websocket.client.options
---@return moonpark.websocket|nil
---@return string? err "response status 403", "malformed handshake", "connection refused", "timeout", ...
---@return integer? errno
function M.websocket(address, options)
  if type(address) ~= "string" then error("http.websocket: URL expected, got " .. type(address), 2) end
  options = option.check("http.websocket", options, known, 2)
  local wanted = extensions.wanted("http.websocket", options.compress, 2)
  check_subprotocols(options.subprotocols or {})
  local target, wrong = address_of(address)
  if not target then error("http.websocket: " .. wrong, 2) end
  local ws, err, errno = raise_outside(pcall(open, options, target, wanted))
  return ws, err, errno
end

return M
