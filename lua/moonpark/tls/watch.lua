-- SPDX-License-Identifier: MIT
-- watch.lua - reloads a context when its files change. What is watched are their folders: a file is often replaced by
-- another one, or is a link to a folder that is.

local failures = require "moonpark.failures"
local pem = require "moonpark.tls.pem"
local task = require "moonpark.task"

local M = {}

local QUIET = 0.1 -- seconds without a change in the folder: a certificate and its key are written one after the other

local file_options = { "cert", "key", "ca", "client_ca", "ticket_keys", "ocsp" }

local function add(paths, value)
  if type(value) == "string" and not value:find("-----BEGIN", 1, true) then paths[#paths + 1] = value end
end

-- The files that the options name.
local function paths_of(options, paths)
  for _, name in ipairs(file_options) do
    local value = options[name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      if name ~= "ticket_keys" or #one ~= 80 then add(paths, one) end
    end
  end
  for _, certificate in ipairs(options.certificates or {}) do paths_of(certificate, paths) end
  return paths
end

local function folders_of(paths)
  local folders, known = {}, {}
  for _, path in ipairs(paths) do
    local folder = path:match("^(.*)/[^/]*$") or "."
    if folder == "" then folder = "/" end
    if not known[folder] then folders[#folders + 1] = folder end
    known[folder] = true
  end
  return folders
end

--- What the files of a context's options hold, as one string: folders see other changes too.
---@param options table
---@return string
function M.contents(options)
  local paths = paths_of(options, {})
  local parts = {}
  for i, path in ipairs(paths) do
    local text, message = pem.file(path)
    parts[i] = text and #text .. ":" .. text or message
  end
  return table.concat(parts, "\n")
end

local function open_watchers(folders)
  local fs = require("moonpark.fs")
  local watchers = {}
  for i, folder in ipairs(folders) do
    local watcher, err, errno = fs.watch(folder)
    if not watcher then
      for _, other in ipairs(watchers) do other:close() end
      return nil, folder .. ": " .. err, errno
    end
    watchers[i] = watcher
  end
  return watchers
end

local function log(ok, err)
  if not ok then failures.log("TLS context not reloaded: " .. err, "error", "tls") end
end

--- Reloads the context whenever one of its files has changed, until the task is cancelled or a folder is gone. For a
--- task of its own: moonpark.go(context.watch, context).
---@param report? fun(ok: true|nil, err: string?) called after each reload; by default failures are logged
---@return nil
---@return string err "canceled", or why the files cannot be watched
---@return integer? errno
function M:watch(report)
  local watchers, err, errno = open_watchers(folders_of(paths_of(self.options, {})))
  if not watchers then return nil, err, errno end
  local function look() -- what its setup was built from is in `seen`
    if M.contents(self.options) ~= self.seen then (report or log)(self:reload()) end
  end
  local function follow(watcher, scope)
    while true do
      local event, why = watcher:next()
      while event do event = watcher:next(QUIET) end
      if why then
        err = why
        return scope:cancel()
      end
      look()
    end
  end
  local ok, raised = pcall(task.scope, function(scope)
    look() -- a file may have changed before its folder was watched
    for _, watcher in ipairs(watchers) do scope:go(follow, watcher, scope) end
  end)
  for _, watcher in ipairs(watchers) do watcher:close() end
  if not ok then error(raised, 0) end
  return nil, err
end

return M
