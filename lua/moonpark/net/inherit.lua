-- SPDX-License-Identifier: MIT
-- inherit.lua - sockets that were passed to this process when it was started: sd_listen_fds(3).
--
-- systemd, systemd-socket-activate, s6 and others hand them over as descriptors 3, 4, ... and say so in LISTEN_PID,
-- LISTEN_FDS and LISTEN_FDNAMES.

local core = require "moonpark.core"

local M = {}

local FIRST, MOST = 3, 65536

-- Plain digits, nothing else: a whole number of at least 1, or nil.
local function whole(text)
  local number = text:match("^%d+$") and tonumber(text)
  return number and number >= 1 and number or nil
end

local function names_of(text, count)
  local names = {}
  if not text then
    for i = 1, count do names[i] = "unknown" end -- as sd_listen_fds_with_names says it
    return names
  end
  for name in (text .. ":"):gmatch("([^:]*):") do names[#names + 1] = name end
  return #names == count and names or nil
end

-- How many and their names; 0 if there are none for this process; nil and what is wrong.
local function announced()
  local own, pid, fds, fdnames = core.activation()
  if not pid or not fds then return 0, {} end
  if not whole(pid) then return nil, ("invalid LISTEN_PID '%s'"):format(pid) end
  if whole(pid) ~= own then return 0, {} end
  local count = whole(fds)
  if not count then return nil, ("invalid LISTEN_FDS '%s'"):format(fds) end
  if count > MOST then return nil, ("invalid LISTEN_FDS '%s': too many"):format(fds) end
  local names = names_of(fdnames, count)
  if not names then return nil, ("invalid LISTEN_FDNAMES '%s': %d names expected"):format(fdnames, count) end
  return count, names
end

local function refused(index, name, err, errno)
  return nil, ("inherited descriptor %d ('%s'): %s"):format(FIRST + index - 1, name, err), errno
end

-- All of them are checked first: if one is unsuitable, none is taken, and none reaches a child of ours.
local function look_at_all(names)
  local index, why, number
  for i = 1, #names do
    local kind, err, errno = core.keep_fd(FIRST + i - 1)
    if not kind and not index then index, why, number = i, err, errno end
  end
  return index, why, number
end

--- A listener, a connection or a packet socket: what the service manager's unit says.
---@class moonpark.inherited.socket: moonpark.connection, moonpark.listener, moonpark.packet

---@class moonpark.inherited
---@field [integer] moonpark.inherited.socket in the order of the descriptors
---@field [string] moonpark.inherited.socket by its name; of several, the first

--- The sockets that this process was started with, as systemd's socket activation hands them over: listeners,
--- connections, and whatever else net.from_fd takes. Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES and unsets them,
--- so that children do not see them; a second call finds nothing. If the variables are wrong, or one
--- of the descriptors is unsuitable, none is taken: "invalid LISTEN_FDS '...'", "inherited descriptor 4 ('web'): ...".
---@return moonpark.inherited|nil sockets empty if this process inherits none
---@return string[] names in the same order, "unknown" if none were given; or a string: what is wrong
---@return integer? errno
function M.inherited()
  local count, names = announced()
  if not count then return nil, names end
  local unfit, err, errno = look_at_all(names)
  if unfit then return refused(unfit, names[unfit], err, errno) end
  local sockets = {}
  for i, name in ipairs(names) do
    local socket
    socket, err, errno = core.from_fd(FIRST + i - 1)
    if not socket then return refused(i, name, err, errno) end
    sockets[i] = socket
    sockets[name] = sockets[name] or socket
  end
  return sockets, names
end

return M
