-- SPDX-License-Identifier: MIT
-- echo.lua FOLDER - a TLS server that says what it is told, until a line "bye"; writes its port. A
-- request gets an answer.

local moonpark = require "moonpark"
local tls = require "moonpark.tls"

local context = assert(tls.server { cert = arg[1] .. "/host.crt", key = arg[1] .. "/host.key",
  alpn = { "echo", "http/1.1" } })
local listener = assert(moonpark.net.listen("127.0.0.1:0", { tls = context }))
print(listener:address():match ":(%d+)$")
io.stdout:flush()

listener:serve(function(conn)
  local bytes = conn:read()
  if bytes and bytes:find "^GET" then
    conn:write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
    bytes = nil
  end
  while bytes and not bytes:find "bye\n" do
    conn:write(bytes)
    bytes = conn:read()
  end
end)
