-- SPDX-License-Identifier: MIT
-- upload.lua - the module resty.upload over the request's own reader of multipart/form-data: the original reads the
-- request's socket.

local present = require("moonpark.ngx.request").present

local M = { _VERSION = "0.11" }

local PIECE = 4096

local Upload = {}
Upload.__index = Upload

--- new([bytes of a piece]) -> a reader | nil, err
function M.new(_, size)
  local current = present "resty.upload"
  local kind = current.req:header "content-type"
  if not kind then return nil, "no Content-Type header" end
  if not kind:lower():find "multipart/form%-data" then return nil, "no boundary defined in Content-Type" end
  return setmetatable({ req = current.req, size = size or PIECE, next_part = current.req:multipart(), queue = {} },
    Upload)
end

function Upload:set_timeout() return self end

local function heads_of(part)
  local heads = {}
  for name, value in pairs(part.headers) do
    local title = name:gsub("%f[%w]%l", string.upper)
    heads[#heads + 1] = { title, value, title .. ": " .. value }
  end
  table.sort(heads, function(a, b) return a[1] < b[1] end)
  return heads
end

--- read() -> "header", {name, value, line} | "body", data | "part_end" | "eof" | nil, nil, err
function Upload:read()
  if self.queue[1] then return "header", table.remove(self.queue, 1) end
  if self.part then
    local data, err = self.part:read(self.size)
    if data then return "body", data end
    self.part = nil
    if err ~= "eof" then return nil, nil, err end
    return "part_end"
  end
  local part = self.next_part()
  if not part then
    if self.req.body_error then return nil, nil, self.req.body_error end
    return "eof"
  end
  self.part, self.queue = part, heads_of(part)
  return self:read()
end

return M
