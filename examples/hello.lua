-- SPDX-License-Identifier: MIT
-- hello.lua - a minimal HTTP server: greets the name in the path, in JSON.
--
--   luajit examples/hello.lua [address]      or: moonpark examples/hello.lua [address], or: make run
--
-- Then open http://127.0.0.1:8080/hello/you in a browser, or, in another terminal: curl http://127.0.0.1:8080/hello/you

local USAGE = [[
usage: hello.lua [address]      greets the name in the path: http://127.0.0.1:8080/hello/you
address: host:port or unix:/path; 127.0.0.1:8080 by default; port 0 picks a free one]]

if arg[1] == "--help" then return print(USAGE) end

local http = require "moonpark.http"
local net = require "moonpark.net"
local app = http.router()
app:get("/hello/:name", function(req, res) res:json { hello = req.params.name } end)

local function tell(server)
  print("listening on " .. server:address())
  io.stdout:flush()
end

local address = arg[1] or "127.0.0.1:8080"
local fine, wrong = net.check_address(address)
if not fine then
  io.stderr:write("hello: ", wrong, "\n")
  os.exit(2)
end
local ok, err = http.serve(app, { address = address, on_listen = tell })
if not ok and err ~= "canceled" then
  io.stderr:write("hello: cannot listen on ", address, ": ", err, "\n")
  os.exit(1)
end
