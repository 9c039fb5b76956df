-- SPDX-License-Identifier: MIT
-- support/pidns.lua - commands as process 1 of a process namespace of their own, as a container has one. All of it ends
-- with them.
--
--   local child = process.start(pidns.words(process.moonpark("-e", "print(1)")))
--
-- It takes root, or a user namespace where the system gives those to everybody: pidns.missing() says what lacks.

local process = require "support.process"

local M = {}

local wrong, checked -- why there are no namespaces here, once it is known

--- The words that run a command as process 1. The sanitizers stay out of unshare, and come back for the command.
---@param command (string|number)[]
---@return string[]
function M.words(command)
  local flags = process.run({ "id", "-u" }).out:match "^0\n" and {} or { "--map-root-user" }
  local words = { "env", "-u", "LD_PRELOAD", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
    unpack(flags) }
  local preload = os.getenv "LD_PRELOAD"
  for _, word in ipairs { "env", preload and "LD_PRELOAD=" .. preload } do words[#words + 1] = word end
  for _, word in ipairs(command) do words[#words + 1] = word end
  return words
end

--- Why nothing can be process 1 here; nil: it can.
---@return string|nil
function M.missing()
  if not checked then
    checked = true
    local result = process.run(M.words { "true" })
    if result.status ~= 0 then wrong = "no process namespaces here: " .. result.err:gsub("%s+$", "") end
  end
  return wrong
end

return M
