-- SPDX-License-Identifier: MIT
-- upgrade.lua - the supervisor becomes the version of itself that is installed now: the same process, so its workers
-- stay its children, and whoever watches it sees nothing. Sockets, shared memory and the links to the workers stay open
-- across exec(2); what is known of them goes as JSON in a piece of memory.
--
-- First the new version is rehearsed in a child: it must load, and understand this state.

local cjson = require "moonpark.cjson" "cjson"
local core = require "moonpark.core"
local process = require "moonpark.process"

local M = {}

local VARIABLE = "MOONPARK_UPGRADE"
local FORMAT = 1     -- of the state
local PATIENCE = 30  -- seconds for the rehearsal
local EINTR = 4
local PAUSE = 0.001  -- seconds
local QUIET = 5      -- seconds until no message is half-way
local READY = "moonpark: this version can take over\n"

---------------------------------------------------------------------------------------------------
-- the old version

-- -> true | nil, why not
local function rehearse(words)
  local r, err = process.run(words, { timeout = PATIENCE, env = { [VARIABLE] = "rehearsal " .. FORMAT } })
  if not r then return nil, err end
  if r.stdout and r.stdout:find(READY, 1, true) then return true end
  local said = (r.stderr or ""):gsub("%s+$", "")
  return nil, said ~= "" and said or "the version that is installed now cannot take over"
end

-- Has no link a message half-way?
local function is_quiet(links)
  for _, link in ipairs(links) do
    if not link:is_quiet() then return false end
  end
  return true
end

local function environment(fd)
  local list = {}
  for _, entry in ipairs(core.process_environment()) do
    if not entry:find("^" .. VARIABLE .. "=") then list[#list + 1] = entry end
  end
  list[#list + 1] = ("%s=state %d"):format(VARIABLE, fd)
  return list
end

-- A descriptor of memory with that text.
local function written(text)
  local fd, err = core.shared_memory("moonpark upgrade", #text)
  if not fd then return nil, err end
  local file
  file, err = io.open("/proc/self/fd/" .. fd, "r+")
  if not file then return nil, err end
  file:write(text)
  file:close()
  return fd
end

local function exec(words, known, fds)
  known.format = FORMAT
  local fd, err, errno = written(cjson.encode(known))
  if not fd then return nil, err, errno end
  fds[#fds + 1] = fd
  io.stdout:flush()
  core.stdout_flush()
  local _, why, number = core.exec(words, environment(fd), fds)
  core.close_number(fd)
  return nil, why, number
end

--- Becomes the version that is installed now. Returns only if that failed; then nothing has changed.
---@param words string[]
---@param links fun(): moonpark.link[] those that are open now
---@param state fun(): table|nil, integer[]|string what the new version needs to know, and the descriptors; or why there
--- shall be none
---@return nil
---@return string why
function M.become(words, links, state)
  local ok, why = rehearse(words)
  if not ok then return nil, why end
  local deadline = core.now() + QUIET
  repeat
    core.sleep(PAUSE)
    if core.now() > deadline then return nil, "a worker does not read what it is told" end
    if is_quiet(links()) then
      local known, fds = state()
      if not known then return nil, fds end
      local _, err, errno = exec(words, known, fds)
      if errno ~= EINTR then return nil, err end -- else the loop handles a signal first
    end
  until false
end

---------------------------------------------------------------------------------------------------
-- the new version

--- What an older version has left, or nil. In a rehearsal it says that it could take over, and ends the process.
---@return table|nil state
---@return string? err
function M.inherited()
  local text = core.take_variable(VARIABLE)
  if not text then return nil end
  local format = text:match "^rehearsal (%d+)$"
  if format then
    if tonumber(format) == FORMAT then io.stdout:write(READY) end
    os.exit(tonumber(format) == FORMAT and 0 or 1, true)
  end
  local fd = tonumber(text:match "^state (%d+)$")
  local file, err = io.open("/proc/self/fd/" .. tostring(fd), "r")
  if not file then return nil, err end
  local ok, state = pcall(cjson.decode, file:read "*a")
  file:close()
  core.close_number(fd)
  if not ok or state.format ~= FORMAT then return nil, "the older version's state is not understood" end
  return state
end

return M
