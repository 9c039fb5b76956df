-- SPDX-License-Identifier: MIT
-- left_out_veiled.lua - what `make test-veiled` leaves out: tests that are not about what a stream promises.
--
-- [spec file] = { [part of a test's full name] = the reason }. support/tally.lua reads this: see left_out_arm64.lua.

local CUT = "a cut loses the record that it is in, which a socket has sent, and may be an error"
local HTTPS = "the client's scheme is https here"
local SHAKING = "it takes a connection for open, or a write for done, that waits for the other end's handshake"
local FIRST_TRY = "it needs a read or a write that is done at the first try, and the stream says \"again\" at random"

return {
  ["spec/http/body_spec.lua"] = { ["of a client that resets fails in the same way"] = CUT },
  ["spec/http/client_spec.lua"] = { ["ends with a cancellation, and its connection with it"] = SHAKING },
  ["spec/http/cut_spec.lua"] = {
    ["stays so, HTTP/1"] = CUT,
    ["gives each client a beginning of the body"] = CUT,
  },
  ["spec/http/ending_spec.lua"] = {
    ["ends requests whose heads are not complete at their time"] = SHAKING,
    ["takes a listener over, and who waits at it already"] = SHAKING,
    ["without descriptors says so"] = SHAKING,
    ["does not tell of a head that has not come yet"] = "it looks for the name of the stream below",
  },
  ["spec/http/limits_spec.lua"] = {
    ["so is one whose head was whole before its time was up"] = FIRST_TRY,
    ["a further connection waits"] = SHAKING,
  },
  ["spec/http/proxy_spec.lua"] = {
    ["passes on what is meant for the target"] = HTTPS,
    ["says who asks as it is told to"] = HTTPS,
  },
  ["spec/http/response_spec.lua"] = {
    ["more is written"] = FIRST_TRY,
  },
  ["spec/http/time_spec.lua"] = { ["a head's time counts from its first byte"] = FIRST_TRY },
  ["spec/http/server_spec.lua"] = {
    ["are all answered when the server shuts down at that moment"] = SHAKING,
    ["are served by one worker"] = FIRST_TRY,
    ["is cut off where its handler returns"] = CUT,
    ["may not be finished, which would put the end into the middle"] = CUT,
  },
  ["spec/http/websocket_spec.lua"] = { ["a server's shutdown by close is at once"] = FIRST_TRY },
}
