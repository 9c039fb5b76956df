-- SPDX-License-Identifier: MIT
-- upload.lua - accepts files from browsers and curl, and streams them into a folder.
--
--   luajit examples/upload.lua folder [address]      or: moonpark examples/upload.lua folder [address]
--
-- Then open http://127.0.0.1:8080/ or, in another terminal: curl -F file=@photo.jpg http://127.0.0.1:8080/
--
-- A file is written to the disk as it comes, so even a large one needs hardly any memory. Until it is complete, its
-- name begins with a dot; then it gets its own name, or one with a number if that is taken. A client's name cannot lead
-- out of the folder: unusual characters in it are replaced. The program prints the progress of each file.

local moonpark = require "moonpark"
local http = require "moonpark.http"
local fs, net = moonpark.fs, moonpark.net

local USAGE = [[
usage: upload.lua folder [address]      accepts files over HTTP, as an HTML form or curl -F sends them
folder: must exist; existing files are never replaced
address: host:port or unix:/path; 127.0.0.1:8080 by default; port 0 picks a free one]]

local MOST_FILES = 16             -- of one request
local LARGEST_FILE = 1073741824   -- bytes
local TELL_AFTER = 16777216       -- bytes between two lines on the progress of a file
local GRACE = 30                  -- seconds that running uploads get when the server is stopped

local PAGE = [[
<!doctype html>
<meta charset="utf-8">
<title>Upload</title>
<form method="post" enctype="multipart/form-data">
  <input type="file" name="file" multiple> <button>Send</button>
</form>
]]

local function say(...)
  print(string.format(...))
  io.stdout:flush()
end

-- The name with plain characters only, and without a dot or dash at its start.
local function harmless(name)
  name = name:gsub("[^%w%-._]", "_"):gsub("^[.%-]+", ""):sub(-100)
  return name ~= "" and name or "file"
end

local last = 0

local function partial_path(folder)
  last = last + 1
  return ("%s/.part-%d-%d"):format(folder, moonpark.time() * 1000, last)
end

-- The name with a number before its extension: photo-2.jpg.
local function numbered(name, n)
  if n == 1 then return name end
  local stem, ending = name:match("^(.+)(%.[^.]*)$")
  return ("%s-%d%s"):format(stem or name, n, ending or "")
end

-- Gives a complete file its name, or the next free one with a number. -> name | nil, err
local function place(folder, partial, name)
  for n = 1, 1000 do
    local free = numbered(name, n)
    local mark, err = fs.open(folder .. "/" .. free, "wx") -- reserves the name
    if mark then
      mark:close()
      local ok
      ok, err = fs.rename(partial, folder .. "/" .. free)
      if ok then return free end
      fs.remove(folder .. "/" .. free)
    end
    if err ~= "file exists" then return nil, err end
  end
  return nil, "file exists"
end

local function progress_of(name)
  local told = 0
  return function(bytes)
    if bytes - told < TELL_AFTER then return end
    told = bytes
    say("%s: %d bytes so far", name, bytes)
  end
end

-- Takes one file. -> {name =, bytes =} | nil, err
local function take(folder, part)
  local name, partial = harmless(part.filename), partial_path(folder)
  local bytes, err = part:save(partial, progress_of(name))
  if not bytes then
    say("%s: %s", name, err)
    return nil, err
  end
  local placed
  placed, err = moonpark.shield(place, folder, partial, name) -- even if the client leaves now
  if not placed then
    moonpark.shield(fs.remove, partial)
    return nil, err
  end
  say("%s: %d bytes, complete", placed, bytes)
  return { name = placed, bytes = bytes }
end

-- Ignores fields that are not files. Files that were complete before a failure stay.
local function upload(folder)
  return function(req, res)
    local taken = {}
    for part in req:multipart { max_parts = MOST_FILES, max_part = LARGEST_FILE } do
      if part.filename and part.filename ~= "" then
        local file, err = take(folder, part)
        if not file then
          if req.body_error then return res:refuse(req.body_error) end
          return res:fail(507, "cannot store it: " .. err)
        end
        taken[#taken + 1] = file
      end
    end
    if req.body_error then return res:refuse(req.body_error) end
    if #taken == 0 then return res:fail(422, "the form has no file") end
    res.status = 201
    return res:json_list(taken)
  end
end

local function show_page(_, res)
  res.type = "text/html; charset=utf-8"
  return res:send(PAGE)
end

local function tell(server)
  print("listening on " .. server:address())
  io.stdout:flush()
end

local function fail(...)
  io.stderr:write("upload: ", ...)
  io.stderr:write("\n")
  os.exit(1)
end

local function main(folder, address)
  local fine, wrong = net.check_address(address)
  if not fine then
    io.stderr:write("upload: ", wrong, "\n")
    os.exit(2)
  end
  local st = fs.stat(folder)
  if not st or st.type ~= "directory" then fail(folder, " is not a folder") end
  local app = http.router()
  app:get("/", show_page):post("/", upload(folder))
  local ok, err = http.serve(app, { address = address, max_body = MOST_FILES * LARGEST_FILE, on_listen = tell,
    grace = GRACE })
  if not ok and err ~= "canceled" then fail("cannot listen on ", address, ": ", err) end
end

if arg[1] == "--help" then return print(USAGE) end
if not arg[1] then
  io.stderr:write(USAGE, "\n")
  os.exit(2)
end
moonpark.run(main, arg[1], arg[2] or "127.0.0.1:8080")
