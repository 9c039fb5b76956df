-- SPDX-License-Identifier: MIT
-- server_misuse.lua - mistakes in the arguments of http.server and http.serve, with what was probably meant.

local handlers = require "moonpark.http.handler"
local http_router = require "moonpark.http.router"

local M = {}

--- What is wrong with a handler, or nil.
---@param what string "http.serve"
---@param handler any
---@return string|nil
function M.of_handler(what, handler)
  local wrong = handlers.complaint(handler)
  if not wrong then return nil end
  local is_options = type(handler) == "table" and (rawget(handler, "address") or rawget(handler, "port"))
  local is_module = type(handler) == "table" and rawget(handler, "router") == http_router.new
  if is_options then wrong = "handler expected before the options" end
  if is_module then wrong = "handler expected, got the module: call it with a dot" end
  return ("%s: %s, as in %s(handler, { address = \"127.0.0.1:8080\" })"):format(what, wrong, what)
end

--- What is wrong with options, as other servers take them, or nil: the rest is for option.check.
---@param what string
---@param options any
---@return string|nil
function M.of_options(what, options)
  if type(options) == "string" or type(options) == "number" then
    return ("%s: a table of options expected, got %s, as in { address = \"127.0.0.1:8080\" }"):format(what,
      type(options))
  end
  if type(options) ~= "table" then return nil end
  for _, name in ipairs { "port", "host", "hostname" } do
    if options[name] ~= nil then
      return ("%s: unknown option '%s': address = \"127.0.0.1:8080\" has host and port"):format(what, name)
    end
  end
  for _, name in ipairs { "workers", "on_listen", "grace" } do -- it would not look at them
    if what == "http.server" and options[name] ~= nil then
      return ("http.server: option '%s' is one of http.serve"):format(name)
    end
  end
end

return M
