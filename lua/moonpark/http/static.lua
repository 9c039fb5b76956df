-- SPDX-License-Identifier: MIT
-- static.lua - http.static: the files of a folder, and nothing outside it.
--
-- Three checks, each against its own kind of trick. The text: a path with an encoded slash, "..", an empty segment, a
-- backslash or a control byte names no file. The kernel: it opens names beneath the folder only, and follows no link
-- that leads out of it. The kind: only regular files are served.

local file_response = require "moonpark.http.file_response"
local http_fields = require "moonpark.http.fields"
local misuse = require "moonpark.http.misuse"
local check_options = require("moonpark.options").check
local url = require "moonpark.url"

local M = {}

---@class moonpark.http.static_options
---@field index? string[] files served for a folder; {"index.html"}
---@field listing? boolean a folder without such a file is answered by a page of what is in it; false
---@field hidden? boolean names that begin with "." too; false
---@field follow_symlinks? boolean out of the folder too; false
---@field precompressed? boolean clients that accept it get FILE.br or FILE.gz instead of FILE; true
---@field cache_control? string "public, max-age=3600", ...
---@field prefix? string "/assets": the part of the path before the folder's, without a route with "*path"
---@field param? string the route's parameter that has the path; "path"

local function are_names(list)
  if type(list) ~= "table" then return false end
  for _, name in ipairs(list) do
    if type(name) ~= "string" then return false end
  end
  return true
end

local known = {
  index = { are_names, "must be a list of names" },
  cache_control = { http_fields.is_value, "must be a header's value" },
  listing = "boolean", hidden = "boolean", follow_symlinks = "boolean", precompressed = "boolean", prefix = "string",
  param = "string",
}

---@param options? moonpark.http.static_options
local function check(folder, options)
  if type(folder) ~= "string" or folder == "" or folder:find("\0", 1, true) then
    error("bad argument #1 to 'static' (path of a folder expected)", 3)
  end
  options = check_options("static", options, known, 3) -- no tail call: levels are counted
  return options
end

--- Logs that a folder is not there. It may be made later, by a build perhaps; but if its name is wrong, all that
--- clients get is 404.
---@param folder any
function M.look(folder)
  if type(folder) ~= "string" or folder:find "%z" then return end
  local found, err = io.open(folder .. "/.")
  if found then
    found:close()
    return
  end
  local why = err:match ": ([^:]*)$":lower()
  misuse.warn(("http.static: %s: '%s'; requests for its files get no more than an error until it is there"):format(why,
    folder))
end

---------------------------------------------------------------------------------------------------
-- from the request's path to a file's

-- What no honest path has: "/", "\" and control bytes in their encoded form, and those that were sent as they are.
local function is_devious(raw)
  return raw:find("%%2[fF]") or raw:find("%%5[cC]") or raw:find("%%[01]%x") or raw:find("%%7[fF]")
    or raw:find("[%c\127\\]")
end

-- The path below the folder, decoded; nil if it is not ours. As middleware around a route, ignores its parameters.
local function wanted(self, req, is_middleware)
  if is_devious(req.raw_path) then return nil end
  local given = not is_middleware and req.params[self.param]
  if given then return given end
  local path = url.decode(req.raw_path)
  local prefix = self.prefix
  if not path or path:sub(1, #prefix) ~= prefix then return nil end
  path = path:sub(#prefix + 1)
  if path ~= "" and path:sub(1, 1) ~= "/" then return nil end
  return path:sub(2)
end

-- Are all segments names? The last may be empty: then a folder is meant.
local function is_clean(path, hidden)
  if path == "" then return true end
  local trimmed = path:gsub("/$", "")
  for segment in (trimmed .. "/"):gmatch("([^/]*)/") do
    if segment == "" or segment == "." or segment == ".." then return false end
    if not hidden and segment:sub(1, 1) == "." then return false end
  end
  return true
end

---------------------------------------------------------------------------------------------------
-- folders

-- The path as the client sees it; raw_path may be only the part after a mounted router's prefix.
local function outer_path(req)
  local path = req.target:match("^[^?]*"):gsub("^%a[%w+.-]*://[^/]*", "")
  return path == "" and "/" or path
end

local function send_listing(self, req, res, path)
  local listing = require "moonpark.http.listing" -- most servers have none
  local entries, err, errno = listing.read { path = self.before .. path, root = self.root, hidden = self.hidden }
  if not entries then return nil, err, errno end
  local page
  page, err = listing.page(url.decode(outer_path(req)) or req.path, entries)
  if not page then return nil, err end
  res.type = "text/html; charset=utf-8"
  res:set("Content-Security-Policy", listing.POLICY)
  res:set("X-Content-Type-Options", "nosniff")
  res:set("Cache-Control", "no-cache")
  res:send(page)
  return true
end

-- An absolute path with one slash at its start: "//host" would lead elsewhere.
local function add_slash(req, res)
  local query = req.query_string
  local path = "/" .. outer_path(req):gsub("^/+", "") .. "/"
  res:redirect(path .. (query ~= "" and "?" .. query or ""), 301)
  return true
end

---------------------------------------------------------------------------------------------------

local function send_file(self, res, path)
  local file, err, errno = file_response.open(res, self.before .. path, self.options)
  if not file then return nil, err, errno end
  res:set("X-Content-Type-Options", "nosniff")
  file_response.send(res, file, path, self.options)
  return true
end

-- A folder: its index, or a page of its names.
local function send_folder(self, req, res, path)
  for _, name in ipairs(self.index) do
    local done, err, errno = send_file(self, res, path .. name)
    if done or file_response.status_of(err, errno) ~= 404 then return done, err, errno end
  end
  if not self.listing then return nil, "no such file or directory", 2 end
  return send_listing(self, req, res, path)
end

local function send(self, req, res, is_middleware)
  local path = wanted(self, req, is_middleware)
  if not path or not is_clean(path, self.hidden) then return nil, "no such file or directory", 2 end
  if path == "" and outer_path(req):sub(-1) ~= "/" then return add_slash(req, res) end
  if path == "" or path:sub(-1) == "/" then return send_folder(self, req, res, path) end
  local done, err, errno = send_file(self, res, path)
  if err == "is a directory" then return add_slash(req, res) end
  return done, err, errno
end

local function answer(self, req, res, next)
  local readable = req.method == "GET" or req.method == "HEAD"
  if not readable and next then return next() end
  if not readable then
    res:set("Allow", "GET, HEAD")
    return res:fail(405)
  end
  local done, err, errno = send(self, req, res, next ~= nil)
  if done then return end
  if next and file_response.status_of(err, errno) == 404 then
    return next()
  end
  file_response.fail(res, self.folder, err, errno)
end

--- Makes a handler that serves the files of a folder: for a route (app:get("/assets/*path", http.static "public")), for
--- http.serve alone, or as middleware (app:use), which calls next for what it does not have.
---@param folder string
---@param options? moonpark.http.static_options
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next?: function)
function M.new(folder, options)
  options = check(folder, options)
  local root = not options.follow_symlinks and folder or nil
  local self = {
    folder = folder, root = root, before = root and "" or folder:gsub("/*$", "") .. "/",
    index = options.index or { "index.html" }, listing = options.listing, hidden = options.hidden,
    prefix = (options.prefix or ""):gsub("/$", ""), param = options.param or "path",
    options = { root = root, cache_control = options.cache_control, precompressed = options.precompressed ~= false },
  }
  return function(req, res, next) return answer(self, req, res, next) end
end

return M
