-- SPDX-License-Identifier: MIT
-- support/curl.lua - curl as the client of an example that runs.
--
--   local r = curl(server, "/path", "-r", "0-3")      r.status, r.out, r.err: as process.run's
--   local r = curl.https(server, "/path", "-k")       the same over TLS

local process = require "support.process"

-- It hangs with the sanitizer's library, which those of a sanitized build have in their environment.
local options = { env = { LD_PRELOAD = false } }

local function words_of(scheme, server, path, ...)
  local words = { "curl", "-q", "-sS", "--noproxy", "*", "--max-time", "30", ... }
  words[#words + 1] = scheme .. "://" .. server.address .. path
  return words
end

local M = setmetatable({}, { __call = function(_, ...) return process.run(words_of("http", ...), options) end })

--- Starts one that runs on; process.stop_all ends it.
function M.start(...) return process.start(words_of("http", ...), options) end

function M.https(...) return process.run(words_of("https", ...), options) end

return M
