-- SPDX-License-Identifier: MIT
-- url.lua - percent-encoding, forms and the parts of an http URL (RFC 3986, and WHATWG's form encoding).

local core = require "moonpark.core"
local option = require "moonpark.options"

---@class moonpark.url
local M = {}

--- Decodes "%41". nil if a '%' is not followed by two hexadecimal digits.
---@param text string
---@param plus? boolean '+' is a space, as in forms
---@return string|nil
function M.decode(text, plus)
  if not text:find("[%%+]") then return text end
  return core.percent_decode(text, plus)
end

local function escape(c) return ("%%%02X"):format(c:byte()) end

--- Encodes everything except the unreserved characters (RFC 3986 2.3).
---@param text string
---@return string
function M.encode(text) return (tostring(text):gsub("[^%w%-%._~]", escape)) end

--- Names and values of a query or form, in their order. Parts that cannot be decoded stay as they are.
---@param text string
---@param max? integer pairs at most
---@return table[]|nil {{name, value}, ...}
---@return string? err "too many fields"
M.parse_form = core.form_pairs

--- The last value of each name of a query or form.
---@param text string
---@param max? integer pairs at most
---@return table<string, string>|nil
---@return string? err "too many fields"
M.form_values = core.form_values

local function add_pair(parts, name, value) parts[#parts + 1] = M.encode(name) .. "=" .. M.encode(value) end

--- A query or form of a table: names in order; a value may be a list.
---@param values table<string, any>
---@return string
function M.form(values)
  local names, parts = {}, {}
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = values[name]
    if type(value) == "table" then
      for _, one in ipairs(value) do add_pair(parts, name, one) end
    else
      add_pair(parts, name, value)
    end
  end
  return table.concat(parts, "&")
end

local default_ports = { http = 80, https = 443 }

-- What precedes the colon in addresses without a host. With the root's dot such a word is a host's name again.
local kinds = { unix = true, udp = true, unixgram = true }

-- The address to dial; nil and why if the host is neither a name nor a numeric address.
local function address_of(shown, port)
  local address = (kinds[shown:lower()] and shown .. "." or shown) .. ":" .. port
  local datagram, wrong = core.split_address(address)
  if datagram == nil then return nil, ("%s: '%s'"):format(wrong, shown) end
  return address
end

---@class moonpark.url.parts
---@field scheme string
---@field host string without brackets
---@field port integer
---@field path string "/" if there is none; query included
---@field user string|nil "name:password", as written
---@field authority string for a Host field: without the scheme's default port
---@field address string for net.dial, with the port

-- RFC 3986 3.2.1. Everything else is something that readers of URLs differ in: where the user ends, and so whose host
-- it is ("http://good.example\\@evil.example", a second '@', letters that some turn into '/').
local function is_user(text)
  return not text:find("[^%w%-%._~!$&'()*+,;=:%%]") and not text:gsub("%%%x%x", ""):find("%", 1, true)
end

-- "host", "host:", "host:80", "[::1]:80": the host without brackets, the port's digits, and whether it had brackets.
local function split_host(text)
  local host, rest = text:match("^%[([%x:.]+)%](.*)$")
  local bracketed = host ~= nil
  if not host then host, rest = text:match("^([^:%[%]]+)(.*)$") end
  if not host or not rest:find("^:?$") and not rest:find("^:%d+$") then return nil end
  return host, rest:sub(2), bracketed
end

-- "example.com/x", "127.0.0.1:80": a host, and perhaps a port, with nothing before it.
local function without_scheme(text)
  local authority = text:match "^([^/?#]*[^/?#:])"
  if not authority or text:find "^%a[%w+.-]*:/" then return false end
  local host, port, bracketed = split_host(authority)
  return host ~= nil and address_of(bracketed and "[" .. host .. "]" or host, tonumber(port) or 80) ~= nil
end

--- Splits an http URL into its parts. nil and what is wrong with it.
---@param text string
---@return moonpark.url.parts|nil
---@return string? wrong
function M.parse(text)
  if text:find("[%c\127 ]") then return nil, "invalid URL" end
  local scheme, authority, rest = text:match("^(%a[%w+.-]*)://([^/?#]*)([^#]*)")
  if not scheme then return nil, "invalid URL" .. (without_scheme(text) and ": no scheme, such as http://" or "") end
  scheme = scheme:lower()
  if not default_ports[scheme] then return nil, "unknown scheme '" .. scheme .. "'" end
  local user, hostport = authority:match("^(.*)@([^@]*)$")
  if user and not is_user(user) then return nil, "invalid URL" end
  local host, port, bracketed = split_host(hostport or authority)
  if not host then return nil, "invalid URL" end
  port = port ~= "" and tonumber(port) or default_ports[scheme]
  if port < 1 or port > 65535 then return nil, "invalid port" end
  if rest == "" or rest:sub(1, 1) == "?" then rest = "/" .. rest end
  local shown = bracketed and "[" .. host .. "]" or host
  local address, wrong = address_of(shown, port)
  if not address then return nil, wrong end
  return {
    scheme = scheme, host = host, port = port, path = rest, user = user,
    authority = port == default_ports[scheme] and shown or shown .. ":" .. port,
    address = address,
  }
end

--- Percent-encodes characters that people write in the path and query of a URL but a request's target cannot hold. The
--- part before the path is not changed: it must be refused as written, and an encoded '\\' would pass.
---@param text string a URL or a reference
---@param blanks? boolean blanks too
---@return string
function M.tolerate(text, blanks)
  local path = text:match("^%a[%w+.-]*://[^/?#]*()") or text:match("^[/\\][/\\][^/?#]*()") or 1
  local class = blanks and "[\128-\255 \"<>\\^`{|}]" or "[\128-\255\"<>\\^`{|}]"
  return text:sub(1, path - 1) .. text:sub(path):gsub(class, escape)
end

local function remove_dots(path)
  local out = {}
  local head, query = path:match("^([^?]*)(.*)$")
  for segment in head:gmatch("/([^/]*)") do
    if segment == ".." then out[#out] = nil
    elseif segment ~= "." then out[#out + 1] = segment end
  end
  if head:find("/%.%.?$") then out[#out + 1] = "" end
  return "/" .. table.concat(out, "/") .. query
end

--- What `reference` means on the page at `base` (RFC 3986 5.2), for redirects.
---@param base moonpark.url.parts|string an absolute URL
---@param reference string
---@return moonpark.url.parts|nil
---@return string? wrong
function M.resolve(base, reference)
  if type(base) == "string" then
    local parts, wrong = M.parse(base)
    if not parts then return nil, wrong end
    base = parts
  end
  -- Browsers take these for the "//" in front of another host, RFC 3986 for a part of the path.
  if reference:find("^[/\\][/\\]") and not reference:find("^//") then return nil, "invalid URL" end
  reference = reference:gsub("#.*$", "")
  if reference:find("^%a[%w+.-]*:") then return M.parse(reference) end
  local origin = base.scheme .. "://" .. base.authority
  if reference:find("^//") then return M.parse(base.scheme .. ":" .. reference) end
  if reference:find("^/") then return M.parse(origin .. remove_dots(reference)) end
  if reference == "" then return M.parse(origin .. base.path) end
  local path = base.path:match("^[^?]*")
  if reference:find("^%?") then return M.parse(origin .. path .. reference) end
  return M.parse(origin .. remove_dots(path:match("^(.*/)") .. reference))
end

---------------------------------------------------------------------------------------------------
-- building

---@class moonpark.url.build.options
---@field host string without brackets
---@field scheme? string "http" or "https"; "https"
---@field port? integer the scheme's
---@field user? string "name:password", encoded already; none
---@field path? string|string[] as it is, or segments, which are encoded; "/"
---@field query? string|table<string, any> as it is, or values as form's; added to that of the path; none
---@field fragment? string what comes after "#"; none
---@field authority? string is passed over: it is in the parts of another URL
---@field address? string is passed over likewise

local build_options = { scheme = "string", host = "string", port = option.whole(1, 65535), user = "string",
  path = "string|table", query = "string|table", fragment = "string", authority = "string", address = "string" }

-- A segment that leads up is one in any spelling for browsers.
local function path_of(path)
  if type(path) == "string" then return path:find "^/" and path or "/" .. path end
  local segments = {}
  for i, segment in ipairs(path) do
    segments[i] = M.encode(segment)
    if segments[i] == "." or segments[i] == ".." then return nil, "invalid path" end
  end
  return "/" .. table.concat(segments, "/")
end

local function with_query(path, query)
  if type(query) == "table" then query = M.form(query) end
  if not query or query == "" then return path end
  return path .. (path:find("?", 1, true) and "&" or "?") .. query
end

--- The text of a URL. What parse has returned is taken, too.
---@param parts moonpark.url.build.options
---@return string|nil
---@return string? wrong "invalid URL", "invalid path", "unknown scheme ...", ...
function M.build(parts)
  option.check("url.build", parts, build_options, 2)
  if not (parts and parts.host) then error("url.build: the host is missing", 2) end
  local path, wrong = path_of(parts.path or "/")
  if not path then return nil, wrong end
  local scheme, host = (parts.scheme or "https"):lower(), parts.host
  local port = parts.port and parts.port ~= default_ports[scheme] and ":" .. parts.port or ""
  local text = ("%s://%s%s%s%s"):format(scheme, parts.user and parts.user .. "@" or "",
    host:find(":", 1, true) and "[" .. host .. "]" or host, port, with_query(path, parts.query))
  local read
  read, wrong = M.parse(text)
  if not read then return nil, wrong end
  if read.host ~= host or read.user ~= parts.user then return nil, "invalid URL" end
  return parts.fragment and text .. "#" .. parts.fragment:gsub("[^%w%-%._~!$&'()*+,;=:@/?%%]", escape) or text
end

return M
