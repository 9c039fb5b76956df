-- SPDX-License-Identifier: MIT
-- left_out_veiled.lua - what `make test-veiled` leaves out: tests that are not about what a stream promises.
--
-- [spec file] = { [part of a test's full name] = the reason }. support/tally.lua reads this: see left_out_arm64.lua.

local BARE = "its client is a socket that no stream lies over"
local CUT = "a cut is an error over this stream, on a socket it is an end"
local HTTPS = "the client's scheme is https there"
local RECORDS = "it counts writes or bytes of the socket, and a record has bytes of its own"

return {
}
