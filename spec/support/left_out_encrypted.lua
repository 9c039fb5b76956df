-- SPDX-License-Identifier: MIT
-- left_out_encrypted.lua - what `make test-encrypted` leaves out: tests that are not about what a stream promises.
--
-- [spec file] = { [part of a test's full name] = the reason }. support/tally.lua reads this: see left_out_arm64.lua.

local CUT = "what is cut off ends with \"unexpected eof\""
local HTTPS = "the client's scheme is https here"
local SHAKING = "it takes a connection for open, or a write for done, that waits for the other end's handshake"

return {
  ["spec/http/body_spec.lua"] = { ["of a client that resets fails in the same way"] = CUT },
  ["spec/http/cut_spec.lua"] = {
    ["stays so, HTTP/1"] = CUT,
    ["gives each client a beginning of the body"] = CUT,
  },
  ["spec/http/client_spec.lua"] = { ["ends with a cancellation, and its connection with it"] = SHAKING },
  ["spec/http/ending_spec.lua"] = {
    ["ends requests whose heads are not complete at their time"] = SHAKING,
    ["takes a listener over, and who waits at it already"] = SHAKING,
    ["without descriptors says so"] = SHAKING,
    ["does not tell of a head that has not come yet"] = "it looks for the name of the stream below",
    ["is what happens where the task that serves is cancelled"] = SHAKING,
  },
  ["spec/http/limits_spec.lua"] = {
    ["a further connection waits"] = SHAKING,
  },
  ["spec/http/proxy_spec.lua"] = {
    ["says who asks as it is told to"] = HTTPS,
    ["passes on what is meant for the target"] = HTTPS,
  },
  ["spec/http/time_spec.lua"] = {
    ["however long nothing came before it"] = "an hour passes within its handshake",
  },
  ["spec/http/server_spec.lua"] = {
    ["are all answered when the server shuts down at that moment"] = SHAKING,
    ["is cut off where its handler returns"] = CUT,
    ["may not be finished, which would put the end into the middle"] = CUT,
  },
}
