-- SPDX-License-Identifier: MIT
-- proxy_exchange.lua - one attempt of http.proxy: a request goes up to one target, and its answer comes down.
--
-- A run is one request's way through the targets: what proxy_targets.lua knows of it, and of the last attempt `use`
-- (its connection), `err`, `again` (may another target be asked?) and `blameless` (it was not the target's fault).

local core = require "moonpark.core"
local http_fields = require "moonpark.http.fields"
local file_response = require "moonpark.http.file_response"
local max_forwards = require "moonpark.http.max_forwards"
local proxy_targets = require "moonpark.http.proxy_targets"
local proxy_upload = require "moonpark.http.proxy_upload"
local upstream = require "moonpark.http.upstream"
local net = require "moonpark.net"
local task = require "moonpark.task"

local M = {}

local forward_request, forward_response = core.http_forward_request, core.http_forward_response
local watch, GAP = proxy_upload.watch, proxy_upload.GAP

local INTERIM_MAX = 32 -- a target that sends only these would keep us for ever

local statuses = { timeout = 504 } -- others are 502

-- EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL: this machine has failed, and every target would fail alike.
local ours = { [24] = true, [23] = true, [12] = true, [105] = true, [99] = true }

local drop = upstream.drop

local function failed(run, err, again, blameless)
  run.err, run.again, run.blameless = err, again or false, blameless or err == "canceled"
  return false
end

-- Nothing was sent: any other target may be asked.
local function not_connected(run, err, errno) return failed(run, err, err ~= "canceled", ours[errno]) end

local function connect(self, run)
  local entry, err, errno = upstream.connect(run.use, run.target.route, self.connect_timeout)
  if entry then entry.conn:set_timeout(self.io_timeout) end
  return entry, err, errno
end

--- Writes a line for whoever hears errors: on_error, else the server's log.
---@param self moonpark.http.proxy
---@param text string
local function note(self, req, res, text)
  local write = self.on_error or file_response.logs[res.x]
  if write then write(("%s %s: %s"):format(req.method, req.raw_path, text)) end
end

local INTERVAL = 10 -- seconds between two such lines in the server's log

--- Writes why a target has not answered. Without on_error that is a line in the server's log, the first of ten seconds:
--- while a target is away, each request fails alike.
---@param self moonpark.http.proxy
---@param err string
---@param target string|nil its name
---@param is_alone? boolean on_error need not be told which target that was
local function note_failure(self, req, res, err, target, is_alone)
  local text = target and not (is_alone and self.on_error) and ("%s: %s"):format(target, err) or err
  if self.on_error then return note(self, req, res, text) end
  local now = core.now()
  if self.noted and now - self.noted < INTERVAL then
    self.unnoted = self.unnoted + 1
    return
  end
  if self.unnoted > 0 then text = ("%s (%d more were left out before)"):format(text, self.unnoted) end
  self.noted, self.unnoted = now, 0
  note(self, req, res, text)
end

--- No target has answered, and the client was told nothing yet.
---@param self moonpark.http.proxy
---@param err string
---@param target string the target's name
---@param is_alone boolean there is no other
local function refuse(self, req, res, err, target, is_alone)
  if err == "canceled" then return end -- the server knows why, and settles it
  note_failure(self, req, res, err, target, is_alone)
  return res:fail(statuses[err] or 502)
end

-- What has begun cannot be completed: the client sees that.
local function cut(self, req, res, text)
  if core.http_forward_cut(res.x, res.serial) and text then note(self, req, res, text) end
end

---------------------------------------------------------------------------------------------------
-- answers. true: the client has its answer, or will get no other; false: see failed()

local function relay(res, client, target, head)
  target:set_timeout(nil)
  if not client:write(head) then return end
  rawset(res.request, "switched", true) -- for logs, see res:sent()
  net.relay(client, target)
end

-- The client's connection and the target's speak another protocol from here on, one of those that were asked for.
local function switch(self, req, res, run, asked)
  local use = run.use
  local entry = use.entry
  local head, err = core.http_forward_upgrade(entry.reader, asked, self.writer)
  if not head then
    drop(use)
    return failed(run, err, false)
  end
  self.set:answered(run)
  proxy_targets.succeeded(run)
  local client, target = req:hijack(), entry.conn
  if not client then -- should it still be there
    res:fail(502)
    return true
  end
  upstream.give_away(use)
  local done, wrong = pcall(relay, res, client, target, head)
  client:close()
  target:close()
  if not done then error(wrong, 0) end
  return true
end

-- The body, as fast as the client takes it. true; nil, err and whether it was the client's fault.
local function send_body(self, res, entry, up)
  local x, serial, reader, conn = res.x, res.serial, entry.reader, entry.conn
  while true do
    watch(conn, up, self.io_timeout)
    local data, err = reader:read(conn)
    if not data then
      if err == "eof" then return x:finish(serial) end
      return nil, err
    end
    local ok
    ok, err = x:write(serial, data)
    if not ok then return nil, err, true end
  end
end

-- Why an exchange has ended in the middle, for the log, and whether it was the target's fault. nil: the client has
-- left, or the server closes.
local function reason(run, req, err, clients, up)
  if up and up.err == GAP then return GAP end
  if up and up.clients and up.err ~= "canceled" then return "the client's body was cut off: " .. up.err end
  if req:is_gone() then return nil end
  if err == "canceled" then return "the response was cut off: canceled" end -- its time was up, for one
  if up and up.err == "timeout" then return "the target did not read the body: timeout", true end
  if clients then return "the client did not read the response: " .. err end
  return ("the response from %s was cut off: %s"):format(run.target.route.address, err), true
end

-- What the target is worth after its answer has ended.
local function judge(self, run, status, whole, why, is_to_blame)
  if whole and not self.retried[status] then proxy_targets.succeeded(run)
  elseif not whole and is_to_blame then self.set:failed(run, why) end
end

-- The fields that the script has set, which go with the target's. A session's "private" must not weaken the target.
local function own_fields(res, reader)
  if res.preparing then res:prepare() end
  local fields = res.fields
  if fields and http_fields.get(fields, "Cache-Control") == "private" then
    local theirs = http_fields.joined(reader:fields(), "Cache-Control")
    if theirs and theirs:lower():find("no-store", 1, true) then res:set("Cache-Control", "private, no-store") end
  end
  return res.fields
end

-- The head that the target has sent, and what follows it; then the entry is released. `up`: a body that may still be
-- on its way up, and then nothing can follow it.
local function answer(self, req, res, run, status, up)
  local use = run.use
  local entry = use.entry
  local whole, err = forward_response(req.x, req.serial, entry.reader, entry.conn, own_fields(res, entry.reader))
  if whole == nil then
    drop(use)
    return failed(run, err, false)
  end
  if self.retried[status] then self.set:failed(run, ("status %d"):format(status)) else self.set:answered(run) end
  local clients
  if not whole then whole, err, clients = send_body(self, res, entry, up) end
  if up and up.ok then
    entry.conn:set_deadline(nil)
    entry.conn:set_timeout(self.io_timeout)
  end
  upstream.put_back(use, not whole or (up and not up.ok) or run.target.draining)
  local why, is_to_blame
  if not whole then
    why, is_to_blame = reason(run, req, err, clients, up)
    cut(self, req, res, why)
  end
  judge(self, run, status, whole, why, is_to_blame)
  return true
end

---------------------------------------------------------------------------------------------------
-- one attempt

-- An entry, which is in use; nil, err, errno.
local function take(self, run, sure)
  local entry = upstream.take(run.use, sure)
  if not entry then return connect(self, run) end
  return entry
end

-- The head that the target is sent, the protocols that it asks for, and its method, which is the client's: scripts may
-- have given the request another one. nil: the client has its answer.
local function head_of(self, req, res, run, held, upgrade)
  local target = run.target
  local head, asks, method = forward_request(req.x, req.serial, self.writer, req.raw_path, held, max_forwards.left(req),
    target.prefix, target.host, self.forwarded, upgrade, self.via)
  if head then return head, asks, method end
  if asks == "malformed message" then res:fail(400) else refuse(self, req, res, asks, target.name, true) end
  return nil
end

-- The status of the answer; interim ones go on to the client. nil, err, and whether the target has begun to answer.
local function status_of(self, res, entry, method, up)
  local reader, conn, to_head = entry.reader, entry.conn, method == "HEAD"
  for count = 0, INTERIM_MAX do
    local status, err = reader:head(conn, to_head, upstream.HEAD_MAX, false, true)
    if not status then
      local begun = count > 0 or upstream.has_begun(entry, err)
      return nil, begun and err == "eof" and "unexpected eof" or err, begun
    end
    if status >= 200 or status == 101 then return status end
    local ok
    ok, err = core.http_forward_interim(res.x, res.serial, reader)
    if not ok then return nil, err, true end
    if up and status == 100 then up.waits = false end
    watch(conn, up, self.io_timeout)
  end
  return nil, "malformed message", true
end

-- A status, or nil, err.
local function exchange(self, res, entry, method, head, body)
  local ok, err = entry.reader:begin(entry.conn, head, body and #body, body)
  if not ok then return nil, err end
  return status_of(self, res, entry, method)
end

--- May one more target be asked?
---@param self moonpark.http.proxy
---@param run moonpark.http.proxy.run
---@return boolean
local function may_go_on(self, run)
  return run.asked < self.tries and core.now() - run.began < self.retry_timeout
end

-- Is that an answer in whose place another target's is wanted, and is there one to ask?
local function is_unwanted(self, run, status, repeatable)
  return self.retried[status] and repeatable and may_go_on(self, run) and self.set:has_other(run)
end

local function unwanted(run, status)
  drop(run.use)
  return failed(run, ("status %d"):format(status), true)
end

-- Without a body, or with one that is here: one write, one answer. Once more if a kept connection was dead.
local function attempt_small(self, req, res, run, body)
  local use = run.use
  local head, asked, method = head_of(self, req, res, run, body, self.upgrade)
  if not head then return true end
  local repeatable = not asked and upstream.idempotent[method]
  local entry, err, errno = take(self, run, not repeatable)
  while entry do
    local status, begun
    status, err, begun = exchange(self, res, entry, method, head, body)
    if status == 101 and asked then return switch(self, req, res, run, asked) end
    if status and status ~= 101 then
      if is_unwanted(self, run, status, repeatable) then return unwanted(run, status) end
      return answer(self, req, res, run, status)
    end
    local kept = drop(use)
    if begun or not repeatable or not upstream.was_dead(kept, err) then
      return failed(run, err or "malformed message", repeatable and not begun and upstream.is_end(err))
    end
    entry, err, errno = connect(self, run)
  end
  return not_connected(run, err, errno)
end

-- No answer has come. A client whose body was malformed or cut off is answered by the server.
local function unanswered(self, req, res, run, up, err, again)
  if up.err == GAP then error(GAP, 0) end
  if not up.clients then return failed(run, up.err == "timeout" and up.err or err, again) end
  local why = reason(run, req, err, true, up)
  if why then note(self, req, res, why) end
  return true
end

-- While the body goes up, the answer may come down already; it is late only when the body has been there for too long.
local function both_ways(self, req, res, run, method, up)
  local use = run.use
  local entry = use.entry
  local conn = entry.conn
  local repeatable = up.held ~= nil and upstream.idempotent[method]
  return task.scope(function(scope)
    conn:set_timeout(nil)
    watch(conn, up, self.io_timeout)
    local sender = scope:go(proxy_upload.send, req, res, entry, up, self.io_timeout)
    local status, err, begun = status_of(self, res, entry, method, up)
    local done
    if status and status ~= 101 then
      if is_unwanted(self, run, status, repeatable) then done = unwanted(run, status)
      else done = answer(self, req, res, run, status, up) end
    else
      drop(use)
      done = unanswered(self, req, res, run, up, err or "malformed message",
        repeatable and not begun and upstream.is_end(err))
    end
    sender:cancel()
    return done
  end)
end

local function attempt_streaming(self, req, res, run, plan)
  local up = proxy_upload.new(plan.held, plan.length, plan.waits)
  local head, _, method = head_of(self, req, res, run, up.held, false)
  if not head then return true end
  local entry, err, errno = take(self, run, true)
  if not entry then return not_connected(run, err, errno) end
  local ok
  ok, err = entry.reader:begin(entry.conn, head, up.length)
  if not ok then
    drop(run.use)
    return failed(run, err, upstream.idempotent[method] and upstream.is_end(err)) -- none of the body is gone
  end
  return both_ways(self, req, res, run, method, up)
end

--- Asks the run's target. true: the client has its answer, or will get no other; false: see the run.
---@param self moonpark.http.proxy
---@param run moonpark.http.proxy.run
---@param plan {body: string|nil, held: string|nil, length: integer|true|nil, waits: boolean|nil} how the body goes up
---@return boolean
local function attempt(self, req, res, run, plan)
  run.use = { pool = self.pool, place = run.target.place, entry = false, entered = false }
  local ok, err = upstream.enter(run.use, nil)
  if not ok then return failed(run, err, false, true) end
  if plan.length then return attempt_streaming(self, req, res, run, plan) end
  return attempt_small(self, req, res, run, plan.body)
end

--- Ends the attempt. What is still in use was not released by an answer: that is cut off, or there is no memory.
---@param self moonpark.http.proxy
---@param run moonpark.http.proxy.run
local function end_attempt(self, run)
  local use = run.use
  if use then
    drop(use)
    upstream.leave(use)
    run.use = false
  end
  self.set:release(run)
end

M.note, M.note_failure, M.refuse, M.may_go_on = note, note_failure, refuse, may_go_on
M.attempt, M.end_attempt = attempt, end_attempt

return M
