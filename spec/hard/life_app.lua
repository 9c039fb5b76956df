-- SPDX-License-Identifier: MIT
-- hard/life_app.lua - lives of their own for what stands on top of HTTP: a client and its pool, a reverse proxy, a
-- router with middleware, uploads, files and events, and a shutdown while a request runs. Each is one stage alone.
--
-- Whoever speaks HTTP here is either of moonpark or made of plain calls: those do not count, cannot fail, and move all
-- bytes at once, so a life stays short. What a fault makes of an exchange is an error, a refusal, or an answer that is
-- cut off; never another answer, nor a server or a client that cannot go on.

local ffi = require "ffi"
local core = require "moonpark.core"
local http = require "moonpark.http"
local http_decode = require "moonpark.http.decode"
local life = require "hard.life"
local life_expect = require "hard.life_expect"
local moonpark = require "moonpark"
local net = require "moonpark.net"

-- Loaded when they are asked for first, and not again where that fails: they are here before anything does.
for _, name in ipairs { "compress", "logger", "brotli", "gzip", "multipart" } do require("moonpark.http." .. name) end
require "moonpark.fs"
http_decode.accepted()

local WRONG, expect, expect_failure = life_expect.WRONG, life_expect.expect, life_expect.expect_failure

ffi.cdef [[
long app_recv(int fd, void *bytes, size_t n, int flags) __asm__("recv");
long app_send(int fd, const void *bytes, size_t n, int flags) __asm__("send");
]]
local C = ffi.C
local MSG_NOSIGNAL, EAGAIN = 0x4000, 11

-- As in life_names.lua: stacks grow here, inside a C function, and no collection makes them small again.
local function grow_stack() return select("#", unpack({}, 1, 150)) end

---------------------------------------------------------------------------------------------------
-- peers of plain calls

local space = ffi.new "char[4096]"

-- What has come; "" at the end, or where the connection broke.
local function receive(conn)
  while true do
    local fd = conn:fd()
    if not fd then return "" end
    local n = C.app_recv(fd, space, ffi.sizeof(space), 0)
    if n >= 0 then return ffi.string(space, n) end
    if ffi.errno() ~= EAGAIN then return "" end
    local ok, err = conn:wait_readable()
    if not ok then error(err, 0) end
  end
end

local function give(conn, text)
  local n = C.app_send(conn:fd(), text, #text, MSG_NOSIGNAL)
  if n >= 0 and n < #text then error(WRONG .. "these bytes do not fit", 0) end
end

-- The bytes up to that text; what came before the end.
local function receive_until(conn, words)
  local bytes = ""
  repeat
    local data = receive(conn)
    bytes = bytes .. data
  until data == "" or bytes:find(words, 1, true)
  return bytes
end

---------------------------------------------------------------------------------------------------
-- a client and its pool

local KEPT = "HTTP/1.1 200 \r\nContent-Length:1\r\n\r\na"
local REDIRECT = "HTTP/1.1 302 \r\nContent-Length:0\r\nLocation:/b\r\n\r\n"
local CHUNKED = "HTTP/1.1 200 \r\nTransfer-Encoding:chunked\r\n\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"
local SWITCH = "HTTP/1.1 101 \r\nConnection:upgrade\r\nUpgrade:x\r\n\r\n"

-- What is answered, by path; a path that is not here is not answered.
local answers = { ["/a"] = KEPT, ["/u"] = SWITCH, ["/r"] = REDIRECT, ["/b"] = CHUNKED, ["/c"] = KEPT }

local function answer_peer(conn, used)
  grow_stack()
  while true do
    local head = receive_until(conn, "\r\n\r\n")
    local method, path = head:match "^(%u+) (%S+)"
    if not path then break end
    if path == "/c" and used then break end -- the connection turns out to be dead
    if method == "POST" and not head:find("0\r\n\r\n", 1, true) then
      head = head .. receive_until(conn, "0\r\n\r\n")
      if not head:find("0\r\n\r\n", 1, true) then break end
    end
    if method == "POST" and not head:find("\r\n\r\n1\r\nx\r\n0\r\n\r\n", 1, true) then
      error(WRONG .. "other bytes: " .. head, 0)
    end
    if answers[path] then give(conn, answers[path]) end
    used = true
  end
  conn:close()
end

local function check_pool(client, idle)
  local stats = client:stats()
  if stats.open ~= stats.idle or stats.open > idle then
    error(("%s%d connections open, %d idle"):format(WRONG, stats.open, stats.idle), 0)
  end
end

local options = { headers = { ["User-Agent"] = "", Accept = "" }, decode = false, max_connections = 1,
  max_per_host = 1 }

local function get(client, path, more)
  local all = { url = "http://h" .. path, proxy = false, timeout = 30 }
  for name, value in pairs(more or {}) do all[name] = value end
  local ok, answer, err = pcall(client.request, client, all)
  if ok and answer then return answer end
  check_pool(client, 1)
  error(ok and err or answer, 0)
end

local function read_pieces(answer)
  expect(200, answer.status)
  expect("b", answer:read())
  expect("c", answer:read())
  expect_failure("eof", answer:read())
end

local function ask_twice(client)
  expect("a", get(client, "/a").body)
  check_pool(client, 1)
  local answer = get(client, "/r", { stream = true })
  local ok, err = pcall(read_pieces, answer) -- nothing that could fail stands between get and close
  answer:close()
  check_pool(client, 1)
  if not ok then error(err, 0) end
end

-- By a body that is read in a task of its own.
local function send_up(client)
  local pieces = { "x" }
  expect("a", get(client, "/a", { body = function() return table.remove(pieces) end }).body)
  check_pool(client, 1)
end

-- One of them waits for its turn.
local function ask_at_once(client)
  local function ask()
    local answer, err = client:request { url = "http://h/a", proxy = false, timeout = 30 }
    if not answer then error(err, 0) end
    expect("a", answer.body)
  end
  local ok, err = pcall(moonpark.scope, function(scope)
    scope:go(ask):name "other"
    ask()
  end)
  check_pool(client, 1)
  if not ok then error(err, 0) end
end

local function switch(client)
  local answer = get(client, "/u", { upgrade = "x" })
  check_pool(client, 0)
  local conn = answer.connection
  give(conn, "GET /a HTTP/1.1\r\n\r\n") -- which the peer still speaks
  local bytes = receive_until(conn, "\na")
  conn:close()
  if bytes == "" then error("eof", 0) end
  expect(KEPT, bytes)
end

local function ask_in_vain(client)
  local ok, answer, err = pcall(client.request, client, { url = "http://h/n", proxy = false, timeout = 0.001 })
  check_pool(client, 1)
  if not ok then error(answer, 0) end
  expect_failure("timeout", answer, err)
end

local function client_stage(given)
  local listener = assert(net.listen("unix:" .. given.path))
  options.unix = given.path
  local client = http.client(options)
  local errors = {}
  local function attempt(fn)
    local ok, err = pcall(fn, client)
    if not ok then errors[#errors + 1] = err end
  end
  moonpark.scope(function(scope)
    local serving = scope:go(function()
      while true do
        local conn, err = listener:accept()
        if not conn then return err == "canceled" or err == "closed" or error(err, 0) end
        scope:go(answer_peer, conn)
      end
    end)
    serving:name "peer"
    attempt(ask_twice)
    attempt(function() expect("a", get(client, "/c").body) end)
    attempt(send_up)
    attempt(ask_at_once)
    attempt(switch)
    attempt(ask_in_vain)
    client:close()
    check_pool(client, 0)
    listener:close()
    scope:cancel()
  end)
  if errors[1] then error(table.concat(errors, "; "), 0) end
end

---------------------------------------------------------------------------------------------------
-- servers

-- One exchange with a server: the bytes that came back, to the end or until they are enough.
local function exchange(server, request, is_enough)
  local conn, err = net.dial(server:address(), { timeout = 30 })
  if not conn then error(err, 0) end
  local ok, bytes = pcall(function()
    give(conn, request)
    local pieces = {}
    repeat
      pieces[#pieces + 1] = receive(conn)
    until pieces[#pieces] == "" or is_enough and is_enough(table.concat(pieces))
    return table.concat(pieces)
  end)
  conn:close()
  if not ok then error(bytes, 0) end
  return bytes
end

-- The fields and the body of an answer that is whole. A fault may have made a refusal of it, or cut it off.
local function parse(bytes)
  local head, body = bytes:match "^(.-\r\n)\r\n(.*)$"
  if not head then error("eof", 0) end
  local status = head:match "^HTTP/1%.1 (%d%d%d) "
  if not status then error(WRONG .. "no status line: " .. head, 0) end
  if status ~= "200" then error("answered with " .. status .. ": not enough memory, or whatever the server met", 0) end
  local fields = {}
  for name, value in head:gmatch "\r\n([^:\r]+): *([^\r]*)" do fields[name:lower()] = value end
  local length = tonumber(fields["content-length"])
  if length and #body > length then error(WRONG .. "more than was announced", 0) end
  if length and #body < length then error("eof", 0) end
  return fields, body
end

-- Runs exchanges(server, attempt) beside the server of that handler; none of what fails in them may end it.
local function serving(given, handler, exchanges, grace)
  local told = 0
  local function on_error() told = told + 1 end
  local server, err = http.server(handler, { address = "unix:" .. given.stale_path, on_error = on_error })
  if not server then error(err, 0) end
  local errors = {}
  local function attempt(fn, ...)
    local ok, why = pcall(fn, ...)
    if not ok then errors[#errors + 1] = why end
  end
  attempt(moonpark.scope, function(scope)
    local running = scope:go(server.run, server)
    running:name "server"
    exchanges(server, attempt)
    if running:status() == "done" or running:status() == "failed" then
      local _, result, why = running:join()
      error("the server has ended: " .. tostring(result) .. tostring(why), 0)
    end
    assert(server:shutdown(grace or 0))
  end)
  server:close()
  if errors[1] then error(table.concat(errors, "; "), 0) end
  return told
end

---------------------------------------------------------------------------------------------------
-- a reverse proxy

local SMALL = "GET / HTTP/1.0\r\n\r\n"
local STREAMED = "POST / HTTP/1.1\r\nHost:h\r\nConnection:close\r\nTransfer-Encoding:chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
local UPGRADE = "GET / HTTP/1.1\r\nHost:h\r\nConnection:upgrade\r\nUpgrade:x\r\n\r\n"

local function target_peer(conn)
  grow_stack()
  while true do
    local head = receive_until(conn, "\r\n\r\n")
    if not head:find("\r\n\r\n", 1, true) then break end
    if head:find "^POST" then
      if not head:find("0\r\n\r\n", 1, true) then head = head .. receive_until(conn, "0\r\n\r\n") end
      if not head:find("0\r\n\r\n", 1, true) then break end
      if not head:find("1\r\nx\r\n0\r\n\r\n", 1, true) then error(WRONG .. "other bytes: " .. head, 0) end
      give(conn, CHUNKED)
    elseif head:lower():find("upgrade:", 1, true) then
      give(conn, SWITCH .. "x")
      break
    else
      give(conn, KEPT)
    end
  end
  conn:close()
end

local function unchunked(fields, body)
  if fields["transfer-encoding"] ~= "chunked" then return body end
  local pieces, at = {}, 1
  while true do
    local size, from = body:match("^(%x+)\r\n()", at)
    if not size or from + tonumber(size, 16) > #body then error("eof", 0) end
    if size == "0" then return table.concat(pieces) end
    pieces[#pieces + 1] = body:sub(from, from + tonumber(size, 16) - 1)
    at = from + tonumber(size, 16) + 2
  end
end

-- Who is refused may ask again: that connection does not end.
local function is_refused(bytes)
  return bytes:find("\r\n\r\n", 1, true) and not bytes:find("^HTTP/1%.1 101 ")
end

local function check_switched(bytes)
  local head, rest = bytes:match "^HTTP/1%.1 (101 .-)\r\n\r\n(.*)$"
  if not head then -- it was refused, and parse() raises
    parse(bytes)
    error(WRONG .. "not switched: " .. bytes, 0)
  end
  if rest == "" then error("eof", 0) end
  expect("x", rest)
end

local function proxy_stage(given)
  local listener = assert(net.listen("unix:" .. given.path))
  -- at the first one nobody listens: each request asks both, and one waits for the other's place
  local proxy = http.proxy({ "unix:" .. given.path .. "-", "unix:" .. given.path }, { forwarded = false, host = "h",
    max_connections = 1, max_requests = 1, upgrade = "x", passive = false, on_event = function() end })
  local peers
  local function handler(req, res)
    grow_stack()
    return proxy:handle(req, res)
  end
  moonpark.scope(function(scope)
    peers = scope:go(function()
      while true do
        local conn, err = listener:accept()
        if not conn then return err == "canceled" or err == "closed" or error(err, 0) end
        scope:go(target_peer, conn)
      end
    end)
    peers:name "target"
    local ok, err = pcall(serving, given, handler, function(server, attempt)
      attempt(function()
        local _, body = parse(exchange(server, SMALL))
        expect("a", body)
      end)
      attempt(function()
        local fields, body = parse(exchange(server, STREAMED))
        expect("bc", unchunked(fields, body))
      end)
      attempt(function() check_switched(exchange(server, UPGRADE, is_refused)) end)
      attempt(moonpark.scope, function(both)
        for _ = 1, 2 do
          both:go(function()
            grow_stack()
            local _, body = parse(exchange(server, SMALL))
            expect("a", body)
          end):name "at once"
        end
      end)
    end)
    proxy:close()
    if proxy.pool.open ~= 0 then error(WRONG .. proxy.pool.open .. " connections of the proxy are counted", 0) end
    for _, target in ipairs(proxy:targets()) do
      if target.in_flight ~= 0 then error(WRONG .. "a request of the proxy is counted that is over", 0) end
    end
    listener:close()
    scope:cancel()
    if not ok then error(err, 0) end
  end)
end

---------------------------------------------------------------------------------------------------
-- a router with middleware

local UPLOAD_BODY = "--b\r\nContent-Disposition:form-data;name=f\r\n\r\nup\r\n--b--"
local UPLOAD = "POST /u HTTP/1.0\r\nContent-Type:multipart/form-data;boundary=b\r\nContent-Length:" .. #UPLOAD_BODY
  .. "\r\n\r\n" .. UPLOAD_BODY

local function upload(given, req, res)
  local path, size = given.folder .. "/up", nil
  C.life_unlink(path) -- the life before may have kept it
  for part in req:multipart() do
    local bytes, err = part:save(path)
    if not bytes then error(err, 0) end
    size = bytes
  end
  C.life_unlink(path)
  if not size then return res:refuse(rawget(req, "body_error")) end
  return res:send(size)
end

local function events(_, res)
  local stream, err = res:events { heartbeat = 30 }
  if not stream then error(err, 0) end
  assert(stream:send "a")
  assert(stream:comment())
  stream:close()
end

local function stream_two(_, res)
  assert(res:write("d"))
  assert(res:write("e"))
end

local function app(given)
  local router = http.router()
  local lines = {}
  router:use(function(_, _, following)
    grow_stack()
    return following()
  end)
  router:use(http.logger { format = "pairs", write = function(line) lines[#lines + 1] = line end })
  router:post("/u", function(req, res) return upload(given, req, res) end)
  router:get("/e", events)
  router:get("/f", function(_, res) return res:file(given.file) end)
  router:use(http.compress { min = 0 })
  router:get("/z", function(_, res) return res:send("z") end)
  router:get("/s", stream_two)
  router:get("/static/*path", http.static(given.folder))
  return router, lines
end

local function unpacked(coding, fields, body)
  if fields["content-encoding"] ~= coding then error(WRONG .. "not in " .. coding, 0) end
  local decoder = http_decode.new(coding)
  if not decoder then error("not enough memory", 0) end
  decoder:push(body)
  local data, err = decoder:pull()
  if data == false then error(WRONG .. err, 0) end
  if not decoder:is_complete() then error("eof", 0) end
  return data
end

local asked = {
  { UPLOAD, function(_, body) expect("2", body) end },
  { "GET /e HTTP/1.0\r\n\r\n", function(_, body)
    if body ~= "data: a\n\n:\n\n" then
      if ("data: a\n\n:\n\n"):sub(1, #body) ~= body then error(WRONG .. "other events: " .. body, 0) end
      error("eof", 0)
    end
  end },
  { "GET /f HTTP/1.0\r\nRange:bytes=2-3\r\n\r\n", nil },
  { "GET /static/file HTTP/1.0\r\n\r\n", function(_, body) expect("a file", body) end },
  { "GET /z HTTP/1.0\r\nAccept-Encoding:gzip\r\n\r\n", function(fields, body)
    expect("z", unpacked("gzip", fields, body))
  end },
  { "GET /s HTTP/1.0\r\nAccept-Encoding:br\r\n\r\n", function(fields, body)
    expect("de", unpacked("br", fields, body))
  end },
}

local function app_stage(given)
  local router, lines = app(given)
  local errors = false
  local told = serving(given, router, function(server, attempt)
    for _, case in ipairs(asked) do
      attempt(function()
        local ok, err = pcall(function()
          local bytes = exchange(server, case[1])
          if case[2] then return case[2](parse(bytes)) end
          local body = bytes:match "^HTTP/1%.1 206 .-\r\n\r\n(.*)$"
          if not body then return parse(bytes) end
          if #body < 2 then error("eof", 0) end
          expect("fi", body)
        end)
        if not ok then
          errors = true
          error(err, 0)
        end
      end)
    end
  end)
  if not errors and told == 0 and #lines ~= #asked then error(WRONG .. #lines .. " lines in the log", 0) end
end

---------------------------------------------------------------------------------------------------
-- a shutdown while a request runs: it is cancelled, and its client sees the end

local function shutdown_stage(given)
  local begun = moonpark.chan(1)
  local function handler(_, res)
    grow_stack()
    begun:send(true)
    local ok, err = moonpark.sleep(30)
    if ok then error(WRONG .. "it was not cancelled", 0) end
    return res:send(err)
  end
  local ended
  serving(given, handler, function(server)
    local conn, err = net.dial(server:address(), { timeout = 30 })
    if not conn then error(err, 0) end
    give(conn, "GET / HTTP/1.0\r\n\r\n")
    -- A server that has failed closes the connection without a request
    moonpark.select { { begun }, { conn, "r" }, timeout = 30 }
    ended = conn
  end, 0.001)
  local bytes = receive_until(ended, "\0")
  ended:close()
  local status = bytes:match "^HTTP/1%.1 (%d+)"
  if status == "200" then
    local _, body = parse(bytes)
    expect("canceled", body)
  end
end

---------------------------------------------------------------------------------------------------

local stages = { client = client_stage, proxy = proxy_stage, app = app_stage, shutdown = shutdown_stage,
  websocket = require "hard.life_websocket" }
local stage = assert(stages[os.getenv "SWEEP_STAGE"], "SWEEP_STAGE: client, proxy, app, shutdown or websocket expected")

local M = { WRONG = WRONG, prepare = life.prepare, clean_up = life.clean_up }

--- Lives. -> what failed on the way, as an array of errors.
function M.live(given)
  local errors = {}
  core.clock_thaw() -- a life without memory may not have come to that
  local function attempt(fn)
    collectgarbage("stop")
    local ok, err = pcall(fn, given)
    collectgarbage("restart")
    if not ok then errors[#errors + 1] = err end
  end
  local ok, err = pcall(moonpark.run, function()
    core.clock_freeze() -- who waits for what never comes has waited long enough at once
    local done, why = pcall(life.with_room, function() attempt(stage) end)
    if not done then errors[#errors + 1] = why end
  end)
  if not ok then errors[#errors + 1] = err end
  core.clock_thaw()
  return errors
end

return M
