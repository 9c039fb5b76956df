-- SPDX-License-Identifier: MIT
-- The tables of spec/wire/ against the real server: each case whole, a byte at a time, and twice in one piece. What
-- leaves the connection open is followed by one more request, whose answer shows that nothing is out of step.

local moonpark = require "moonpark"
local http = require "support.http"

local PROBE = "GET /probe HTTP/1.1\r\nHost: a\r\n\r\n"

-- "GET /path?query [body] {trailers}"
local function tell(req, res)
  local body = req:body()
  if not body then return end -- the server answers why
  local trailers, list = {}, req.x:trailers(req.serial)
  for i = 1, #list, 2 do trailers[#trailers + 1] = list[i] .. "=" .. list[i + 1] end
  res:send(("%s %s%s [%s]%s"):format(req.method, req.raw_path, req.target:match("%?.*$") or "", body,
    trailers[1] and " {" .. table.concat(trailers, ",") .. "}" or ""))
end

-- The server may have said all it has to say, and closed, before we have.
local function send_whole(conn, bytes) conn:write(bytes) end

local function send_bytes(conn, bytes)
  for i = 1, #bytes do
    if not conn:write(bytes:sub(i, i)) then return end
    moonpark.sleep(0.000001) -- a turn of the loop: the server reads it
  end
end

local function expect(conn, case, what)
  local statuses = case.answers or {}
  for i = 1, math.max(#statuses, case.says and #case.says or 0) do
    local answer = http.read_answer(conn, case.method)
    assert.equal(statuses[i] or 200, answer.status, what)
    if case.says and case.says[i] then assert.equal(case.says[i], answer.body, what) end
    local last = i == math.max(#statuses, case.says and #case.says or 0)
    assert.equal(case.closed and last and "close" or nil, answer.headers.connection ~= "keep-alive" and
      answer.headers.connection or nil, what)
  end
end

local function is_closed(conn, what)
  local data, err = conn:read()
  assert.is_nil(data, what)
  assert.is_truthy(err == "eof" or err == "connection reset by peer", what)
end

local function run(server, case, send, bytes, times)
  local conn = server:dial()
  send(conn, bytes)
  for time = 1, case.closed and 1 or times do
    expect(conn, case, ("%s, answer %d"):format(case[1], time))
  end
  if case.closed then
    is_closed(conn, case[1])
  else
    conn:write(PROBE)
    assert.equal("GET /probe []", http.read_answer(conn).body, case[1])
  end
  conn:close()
end

-- What would take long a byte at a time is long for its own sake.
local LONG = 4000

for _, name in ipairs { "framing", "refused" } do
  describe("on the wire, " .. name .. ":", function()
    after_each(http.stop_all)

    for _, case in ipairs(require("wire." .. name)) do
      it(case[1], function()
        local server = http.start(tell)
        local bytes = case[2]:gsub("HOST", "Host: a")
        run(server, case, send_whole, bytes, 1)
        if #bytes < LONG then run(server, case, send_bytes, bytes, 1) end
        run(server, case, send_whole, bytes .. bytes, 2)
      end)
    end
  end)
end
