-- SPDX-License-Identifier: MIT
-- files.lua - a folder over HTTP: pages of names, files, parts of files, and downloads.
--
--   luajit examples/files.lua [folder [address]]      or: moonpark examples/files.lua [folder [address]]
--
-- Then open http://127.0.0.1:8080/ in a browser, or, in another terminal:
--
--   curl -O -C - http://127.0.0.1:8080/some.file          resumes an earlier download
--   curl -r 0-99 http://127.0.0.1:8080/some.file          the first hundred bytes
--   curl -OJ http://127.0.0.1:8080/download/some.file     saved under its name, by browsers too
--
-- A file's bytes go from the page cache to the socket, and never through Lua. The kernel decides what a path may lead
-- to: nothing outside the folder, whatever links there are. Names that begin with a dot are hidden. `moonpark serve`
-- does the same without a script.

local http = require "moonpark.http"
local net = require "moonpark.net"

local USAGE = [=[
usage: files.lua [folder [address]]      a folder over HTTP
folder: the current one by default
address: host:port or unix:/path; 127.0.0.1:8080 by default; port 0 picks a free one]=]

if arg[1] == "--help" then return print(USAGE) end
local folder, address = arg[1] or ".", arg[2] or "127.0.0.1:8080"
local fine, wrong = net.check_address(address)
if not fine then
  io.stderr:write("files: ", wrong, "\n")
  os.exit(2)
end

local app = http.router()

app:get("/download/*path", function(req, res)
  if ("/" .. req.params.path):find("/.", 1, true) then return res:fail(404) end -- hidden; res:file itself hides nothing
  res:file(req.params.path, { root = folder, download = true })
end)

app:get("/*path", http.static(folder, { listing = true, cache_control = "no-cache" }))

local function tell(server)
  print("listening on " .. server:address())
  io.stdout:flush()
end

local ok, err = http.serve(app, { address = address, on_listen = tell })
if not ok and err ~= "canceled" then
  io.stderr:write("files: cannot listen on ", address, ": ", err, "\n")
  os.exit(1)
end
