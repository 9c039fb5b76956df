-- SPDX-License-Identifier: MIT
-- write.lua - `make build`: writes what editors read. luajit rockspec/luals/write.lua FOLDER lua/moonpark/FILE.lua ...

package.path = "lua/?.lua;" .. package.path

local annotations = require "moonpark.annotations"

local function quoted(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

local folder, paths = arg[1], { unpack(arg, 2) }
for path, text in pairs(annotations.files(annotations.read("lua", annotations.names(paths)))) do
  local whole = folder .. "/" .. path
  assert(os.execute("mkdir -p " .. quoted(whole:match "^(.*)/")) == 0)
  local file = assert(io.open(whole, "w"))
  assert(file:write(text))
  assert(file:close())
end
