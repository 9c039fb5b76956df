-- SPDX-License-Identifier: MIT
-- left_out_hard.lua - what `make test-hard` leaves out of the specs that every build runs: tests that say something
-- which does not hold where buffers and budgets are 1, a read and a write move one byte, and a waiter is woken for
-- nothing in each turn.
--
-- [spec file] = { [part of a test's full name] = the reason }. support/tally.lua reads this.

local PIECES = "it says what one read or one write moves: here a byte"
local AHEAD = "nothing is read ahead here"
local VOLUME = "a byte at a time it takes too long, or fills what the kernel holds for us"
local SIGHT = "it looks at a task's state, which a false wake changes for a moment"
local MOVING = "it moves much: see spec/hard/moving_spec.lua"
local TLS = "it moves much: see spec/hard/tls_spec.lua"

return {
  ["spec/cli_spec.lua"] = {
    ["SIGQUIT and SIGUSR1"] = "a turn is one task here",
  },
  ["spec/examples/files_spec.lua"] = {
    ["lets a running download finish after Ctrl-C"] = VOLUME,
  },
  ["spec/examples/kv_spec.lua"] = {
    ["answers all requests of one read with one write"] = PIECES,
    ["takes values that are longer than any read"] = VOLUME,
    ["lets a client that does not read its answers wait alone"] = VOLUME,
    ["refuses values that are too long together"] = VOLUME,
    ["stands redis-benchmark"] = VOLUME,
    ["a key that has expired"] = PIECES,
  },
  ["spec/examples/pipeline_spec.lua"] = {
    ["carries any bytes, however many"] = VOLUME,
  },
  ["spec/examples/proxy_spec.lua"] = {
    ["carries a megabyte unchanged"] = VOLUME,
    ["lets ten tasks write against a short deadline"] = VOLUME,
    ["lets a slow reader wait alone"] = VOLUME,
  },
  ["spec/examples/tail_spec.lua"] = {
    ["tells a client that is too slow"] = VOLUME,
  },
  ["spec/examples/upload_spec.lua"] = {
    ["takes files from curl as they are"] = VOLUME,
  },
  ["spec/fault_spec.lua"] = {
    ["resumed without moonpark's knowledge"] = "its read has to wait here",
  },
  ["spec/http/body_spec.lua"] = {
    ["is gone on with by a second loop"] = PIECES,
    ["that comes in many chunks goes on after io_timeout"] = "a byte at a time takes longer than that",
  },
  ["spec/http/client_upload_spec.lua"] = {
    ["is no whole one for the server"] = VOLUME,
    ["before its last chunk is written"] = "the reset is met within it",
  },
  ["spec/http/clients_spec.lua"] = {
    ["uploads in chunks, and with 100-continue"] = VOLUME,
    ["Node's fetch"] = VOLUME,
    ["Python's http.client"] = VOLUME,
  },
  ["spec/http/cut_spec.lua"] = {
    ["each call says why, and the client sees it"] = VOLUME,
    ["a task that was left behind still writes"] = VOLUME,
    ["an event that had to wait for another one"] = VOLUME,
    ["has one writer at a time"] = VOLUME,
  },
  ["spec/http/ending_spec.lua"] = {
    ["flushes its answers does not tell of a head"] = VOLUME,
  },
  ["spec/http/events_spec.lua"] = {
    ["behind what is on its way to a client"] = VOLUME,
  },
  ["spec/http/file_response_spec.lua"] = {
    ["cuts the connection where the file becomes shorter"] = VOLUME,
    ["stops where the client leaves"] = VOLUME,
    ["sends a large range unchanged"] = VOLUME,
  },
  ["spec/http/https_spec.lua"] = {
    ["sends a large file whole"] = VOLUME,
  },
  ["spec/http/idle_spec.lua"] = {
    ["leave in one write"] = PIECES,
  },
  ["spec/http/limits_spec.lua"] = {
    ["is cut off when a write takes longer"] = VOLUME,
    ["whose answer was whole when its handler returned"] = VOLUME,
  },
  ["spec/http/pool_spec.lua"] = {
    ["are not kept where more has come than an answer"] = PIECES,
  },
  ["spec/http/proxy_ways_spec.lua"] = {
    ["to a client of HTTP/1.0"] = "what was not sent yet goes with the reset",
    ["of a request's body, to the target"] = PIECES,
  },
  ["spec/http/quiet_spec.lua"] = {
    ["does not count the time of another handler"] = "its head is half there when the time passes",
  },
  ["spec/http/relaying_spec.lua"] = {
    ["lets the target refuse the body unseen"] = PIECES,
    ["when the handler gives up waiting for it"] = PIECES,
    ["an upload that the client cuts off"] = PIECES,
    ["lets a target be silent while a body goes up"] = PIECES,
    ["does not take leaves no clean end"] = VOLUME,
  },
  ["spec/http/request_spec.lua"] = {
    ["while a string is made of its body"] = "no string is long enough for a finalizer",
  },
  ["spec/http/server_spec.lua"] = {
    ["pipelined requests leaves in one write"] = PIECES,
    ["are served by one worker"] = "the server runs between two bytes",
    ["are all answered when the server shuts down"] = PIECES,
    ["streams to a client that reads slowly"] = VOLUME,
  },
  ["spec/http/slow_spec.lua"] = {
    ["slowly hold nobody up"] = "the quick one is as slow there",
    ["a client that takes its time"] = VOLUME,
  },
  ["spec/http/time_spec.lua"] = {
    ["however long nothing came before it"] = "a turn is one task here",
  },
  ["spec/lua/json_spec.lua"] = {
    ["is not kept if it was much"] = "nothing is little enough to be kept",
  },
  ["spec/http/static_spec.lua"] = {
    ["takes ten thousand files"] = VOLUME,
  },
  ["spec/luasocket/attack_spec.lua"] = {
    ["serves a hundred at once, whose first words come in pieces"] = VOLUME,
  },
  ["spec/luasec/luasec_spec.lua"] = {
    ["does not take a body that was cut for a whole one"] = "the peer resets: it has not read all that was sent",
  },
  ["spec/luasocket/tcp_spec.lua"] = {
    ["answers as LuaSocket's own, in a task: ahead"] = AHEAD,
    ["answers as LuaSocket's own, in a task: behaviours"] = AHEAD, -- select looks at what is buffered
  },
  ["spec/net/address_spec.lua"] = {
    ["an abstract unix name is nobody's file"] = PIECES,
  },
  ["spec/net/buffered_spec.lua"] = {
    ["grows from 4 to 64 KiB while reads are filled"] = AHEAD,
  },
  ["spec/net/close_spec.lua"] = {
    ["wins over data that came in the same turn"] = PIECES,
    ["by the peer comes after the data that it sent"] = PIECES,
    ["fails a parked write with closed"] = VOLUME,
    ["fails a reader and a writer that are parked"] = VOLUME,
    ["fails waits for readiness"] = VOLUME,
    ["fails those who queue behind the first"] = VOLUME,
    ["by the peer ends a parked write"] = VOLUME,
    ["fails a write that is parked"] = VOLUME,
    ["a reset by the peer ends a parked read and a parked write"] = VOLUME,
  },
  ["spec/net/conn_spec.lua"] = {
    ["carries a megabyte unchanged"] = VOLUME,
  },
  ["spec/net/copy_spec.lua"] = {
    ["that nobody reads"] = VOLUME,
    ["keeps its memory"] = VOLUME,
  },
  ["spec/net/layer_spec.lua"] = {
    ["has received what nobody has read"] = AHEAD,
  },
  ["spec/net/read_spec.lua"] = {
    ["read_until without its delimiter keeps what came"] = PIECES,
    ["puts a CRLF together that comes in two pieces"] = PIECES,
    ["wait_readable knows of bytes that are buffered"] = PIECES,
  },
  ["spec/net/relay_spec.lua"] = {
    ["does not give up on who reads slowly"] = VOLUME,
    ["does not give up on who reads a splice slowly"] = VOLUME,
  },
  ["spec/net/sendfile_spec.lua"] = {
    ["sends a large file unchanged"] = MOVING,
    ["is not mixed with another task's writes"] = MOVING,
    ["does not end the process by SIGPIPE"] = MOVING,
    ["goes on when it is closed meanwhile"] = MOVING,
    ["half-way,"] = MOVING,
    ["waits for its turn behind a write"] = MOVING,
    ["lets other tasks run after its share"] = MOVING,
    ["keeps its memory"] = MOVING,
  },
  ["spec/net/share_spec.lua"] = {
    ["are spread within 5 %"] = VOLUME,
    ["is not flooded with what the others have accepted before"] = VOLUME,
  },
  ["spec/net/timeout_spec.lua"] = {
    ["that comes while nobody reads fails a write"] = VOLUME,
    ["of zero or less tries once: what needs no wait"] = VOLUME,
    ["cleared again leaves a write waiting"] = VOLUME,
    ["cleared again leaves a read waiting"] = SIGHT,
    ["taken away from under a parked read"] = SIGHT,
    ["moved away in the very turn in which it woke the reader"] = SIGHT,
    ["limits the time in the queue behind another task"] = SIGHT,
    ["does not touch an operation that is under way"] = SIGHT,
  },
  ["spec/net/tls_cut_spec.lua"] = {
    ["at whatever byte that is"] = VOLUME,
  },
  ["spec/net/tls_interop_spec.lua"] = {
    ["talks to Python's ssl"] = VOLUME,
  },
  ["spec/http/tunnel_spec.lua"] = {
    ["if anything follows the head"] = AHEAD,
  },
  ["spec/net/tls_spec.lua"] = {
    ["carries a megabyte unchanged"] = TLS,
    ["sends large writes and small pieces whole"] = TLS,
    ["sends a file, and copies"] = TLS,
    ["few of them go on in one turn"] = TLS,
    ["says which end has come"] = VOLUME,
    ["refuses plain bytes that were received before it"] = AHEAD,
  },
  ["spec/net/write_spec.lua"] = {
    ["strings in one call, in their order"] = VOLUME,
    ["of nothing at all tells the peer nothing"] = SIGHT,
    ["sends ten megabytes to a slow reader"] = VOLUME,
    ["that the peer ends half-way"] = VOLUME,
    ["that is cancelled half-way"] = VOLUME,
    ["that we close half-way"] = VOLUME,
    ["of one task is not mixed with another's"] = VOLUME,
    ["wait_writable waits until something fits"] = VOLUME,
    ["one write is one system call"] = PIECES,
    ["does not wait for a read of the same end"] = PIECES,
    ["an in-memory pair holds as many bytes in each direction"] = PIECES,
  },
  ["spec/ngx/cosocket_attack_spec.lua"] = {
    ["send of a table ends with its timeout"] = VOLUME,
    ["when a thousand tasks want one"] = VOLUME,
    ["works for a thousand tasks at once"] = VOLUME,
  },
  ["spec/ngx/cosocket_spec.lua"] = {
    ["a cosocket answers as ngx_lua's own"] = PIECES,
    ["takes and refuses what ngx_lua's own does"] = PIECES,
    ["shakes hands, verifies and resumes as ngx_lua's own"] = "a record leaves in bytes: the reset is met within it",
  },
  ["spec/ngx/request_spec.lua"] = {
    ["says of a request what ngx_lua says"] = VOLUME,
  },
  ["spec/process_spec.lua"] = {
    ["hands no connection over that holds bytes already"] = AHEAD,
    ["the dump names the keeper"] = SIGHT,
  },
  ["spec/ws/group_spec.lua"] = {
    ["to all members but the one that is left out"] = "what one write does not take waits for a receive",
    ["drops what has no room"] = VOLUME,
    ["goes on with what a member took in part"] = VOLUME,
  },
  ["spec/ws/idle_spec.lua"] = {
    ["the peer is slowed down by what nobody receives"] = VOLUME,
    ["what a group has queued for it leaves once"] = VOLUME,
    ["a close is answered after the message that is being sent"] = VOLUME,
    ["is closed if it is too slow for its group"] = VOLUME,
  },
  ["spec/ws/socket_spec.lua"] = {
    ["a message may be received in pieces"] = PIECES,
    ["takes blocks of nothing between others"] = VOLUME,
    ["a pong waits for the frame that is being written"] = VOLUME,
    ["both may close at once"] = "a write lets the loop run here: the peer's close is answered by then",
    ["lets other tasks run while a large message"] = VOLUME,
  },
  ["spec/workers/watch_browser_spec.lua"] = {
    ["shows the failure where it is"] = VOLUME,
  },
}
