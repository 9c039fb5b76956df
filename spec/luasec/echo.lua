-- SPDX-License-Identifier: MIT
-- echo.lua FOLDER - a TLS server that says what it is told, to a line "bye"; writes its port. A request, which is all
-- that may begin with a "G", gets an answer; one for /cut gets a part of it, without close_notify.

local ffi = require "ffi"
local moonpark = require "moonpark"
local tls = require "moonpark.tls"

local context = assert(tls.server { cert = arg[1] .. "/host.crt", key = arg[1] .. "/host.key",
  alpn = { "echo", "http/1.1" } })
local listener = assert(moonpark.net.listen("127.0.0.1:0", { tls = context }))
ffi.cdef "int shutdown(int, int);"
print(listener:address():match ":(%d+)$")
io.stdout:flush()

listener:serve(function(conn)
  local seen, bytes = "", conn:read()
  while bytes do
    seen = (seen .. bytes):sub(-200)
    if seen:find "^GET" then
      if seen:find "^GET /cut" then
        conn:write "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhel"
        return ffi.C.shutdown(conn:fd(), 1)
      elseif seen:find "\r\n\r\n" then
        return conn:write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
      end
    elseif not ("GET"):find(seen, 1, true) then
      conn:write(bytes)
    end
    if seen:find "bye\n$" then return end
    bytes = conn:read()
  end
end)
