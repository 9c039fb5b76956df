-- SPDX-License-Identifier: MIT
-- proxy_upload.lua - a body that http.proxy streams up to a target, beside an answer that may come down.
--
-- While it is on its way, the target may be silent for as long as that takes: the time of its silence begins when all
-- of the body is there. So reads have a deadline that moves, and writes one each.

local core = require "moonpark.core"

local M = {}

local PIECE = 65536 -- bytes of a held body that are sent at a time

--- Why a body cannot be forwarded: some of it is gone.
M.GAP = "http.proxy: part of the body was already read; only a body kept by req:body() can still be forwarded"

---@class moonpark.http.proxy.upload
---@field held string|nil the body, where somebody has read it before; else it is read as it comes
---@field length integer|true bytes of it; true: nobody knows
---@field sent integer bytes of it so far
---@field ended boolean|nil nothing more is sent
---@field ok boolean|nil all of it was sent
---@field err string|nil
---@field clients boolean|nil it was the client who failed
---@field waits boolean|nil the client has not sent anything yet: the target is to say whether he may

---@param held string|nil
---@param length integer|true
---@param waits boolean|nil
---@return moonpark.http.proxy.upload
function M.new(held, length, waits) return { held = held, length = length, sent = 0, waits = waits } end

local function deadline(io_timeout) return core.now() + io_timeout end

--- Before each read of the answer.
---@param conn moonpark.connection
---@param up moonpark.http.proxy.upload|nil
---@param io_timeout number
function M.watch(conn, up, io_timeout)
  if up then conn:set_read_deadline((up.ended or up.waits) and deadline(io_timeout) or nil) end
end

-- No data: the body's end.
local function send_piece(entry, data, io_timeout)
  local reader, conn = entry.reader, entry.conn
  conn:set_write_deadline(deadline(io_timeout))
  local ok, err
  if data then ok, err = reader:send(conn, data) else ok, err = reader:finish(conn) end
  return ok, err
end

--- The client's body has failed; the server answers that. res has the request itself: a table may stand before it.
---@param res moonpark.http.response
---@param err string
function M.spoil(res, err) res.request.body_error = err end

-- The client no longer waits: he was told to go on, or did not care.
local function go_on(conn, up)
  if up.waits and conn:set_read_deadline(nil) then up.waits = false end
end

local function held_piece(up)
  local from = up.sent
  if from >= #up.held then return nil, "eof" end
  up.sent = from + PIECE
  return up.held:sub(from + 1, up.sent)
end

-- nil, "eof" at its end; nil, err: the client's side has failed.
local function next_piece(req, res, up)
  if up.held then return held_piece(up) end
  local x, serial = req.x, req.serial
  local data, err = x:read(serial)
  if not data and err ~= "eof" then
    M.spoil(res, err)
    return nil, err
  end
  up.sent = up.sent + (data and #data or 0)
  if core.http_forward_body(x, serial) ~= up.sent then return nil, M.GAP end
  return data, err
end

-- true; nil, err and whether it was the client's side that has failed.
local function send_pieces(req, res, entry, up, io_timeout)
  while true do
    local data, err = next_piece(req, res, up)
    if not data and err ~= "eof" then return nil, err, true end
    go_on(entry.conn, up)
    local ok
    ok, err = send_piece(entry, data, io_timeout)
    if not data or not ok then return ok, err end
  end
end

--- Sends all of it. A target that refuses more of the body may have said why, so that is waited for.
---@param req moonpark.http.request
---@param res moonpark.http.response
---@param entry moonpark.http.pool.entry
---@param up moonpark.http.proxy.upload
---@param io_timeout number
function M.send(req, res, entry, up, io_timeout)
  up.ok, up.err, up.clients = send_pieces(req, res, entry, up, io_timeout)
  up.ended = true
  if up.clients or up.err == "timeout" then
    entry.conn:close() -- nobody answers half a request
  elseif not entry.conn:set_read_deadline(deadline(io_timeout)) then
    entry.conn:close() -- nothing would end the wait
  end
end

return M
