-- SPDX-License-Identifier: MIT
-- limits.lua - how much a broker holds, and lets its clients hold. A caller that meets a limit gets an error.

---@class moonpark.shared.limits
return {
  name = 255,             -- bytes of the name of a lock, a channel or a value
  value = 256 * 1024,     -- bytes of a value, packed
  requests = 16384,       -- of one client: what it holds, waits for, computes and subscribes to
  waiters = 16384,        -- for one lock, or for one value that is being computed
  window = 65536,         -- messages on their way to one subscription, or waiting there,
  window_bytes = 2^23,    -- and their bytes; a single message may always come
  kept = 16384,           -- values of `once`
  kept_bytes = 64 * 2^20, -- of these values and their names together
}
