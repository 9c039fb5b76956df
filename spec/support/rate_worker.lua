-- SPDX-License-Identifier: MIT
-- rate_worker.lua - one of several processes that take tokens of one bucket in shared memory: luajit rate_worker.lua
-- CALLS BURST. Its standard input is the memory. It says how many it got.

local ffi = require "ffi"
local rate_bucket = require "moonpark.http.rate_bucket"
local segments = require "moonpark.shared.segments"
local shared = require "moonpark.shared"

ffi.cdef "int rate_dup(int fd) __asm__(\"dup\");"

local calls, burst = tonumber(arg[1]), tonumber(arg[2])
segments.set_source(function() return ffi.C.rate_dup(0) end)

local buckets = rate_bucket.shared(assert(shared.dict("rates", { size = 2 ^ 20 })), "test:")
local rate = rate_bucket.rate(1, 1e6, burst)
local got = 0
for i = 1, calls do
  if buckets:take("one", rate, 1) then got = got + 1 end
  buckets:take("other " .. i, rate, 1) -- entries come and go meanwhile
end
print(got)
