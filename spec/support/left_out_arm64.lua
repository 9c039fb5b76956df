-- SPDX-License-Identifier: MIT
-- left_out_arm64.lua - what `make test-arm64` leaves out: tests that ask for what qemu's user emulation does not do.
--
-- [spec file] = { [part of a test's full name] = the reason }. support/tally.lua reads this: such a test counts as
-- pending, its reason is printed, and a part that is in no test's name is a failure.

local GROUPS = "qemu does not know IP_MULTICAST_IF and IPV6_MULTICAST_IF"
local SPAWN = "posix_spawn hears of a failed exec through memory that it shares with the child; qemu's has a copy"
local THREAD = "qemu has no RWF_NOWAIT: the writer's thread writes, and later"

local EXEC = "under qemu posix_spawn returns before the child has its own process group"

return {
  ["spec/fs/watch_spec.lua"] = {
    ["needs no task to begin, and a thread never"] = "it counts the threads of the process, and qemu adds one",
  },
  ["spec/http/file_response_spec.lua"] = {
    ["by a thread, while others are answered"] = "qemu has no openat2; without it a thread opens what is cached, too",
  },
  ["spec/shared/processes_spec.lua"] = {
    ["eight processes on one dict"] = "qemu has no robust futexes: nobody is told that a process has died",
  },
  ["spec/http/idle_spec.lua"] = {
    ["pipelined requests leave in one write"] = "qemu gives four bytes of TCP_INFO, no counts of segments",
  },
  ["spec/log/program_spec.lua"] = {
    ["in their order with what the script itself writes"] = THREAD,
  },
  ["spec/lua/stdout_spec.lua"] = {
    ["writes its lines in their order at the end of the turn"] = THREAD,
  },
  ["spec/http/static_spec.lua"] = {
    ["is followed within the folder"] = "qemu has no openat2; without it no link is followed",
    ["shows links as what they lead to"] = "qemu has no openat2; without it no link is followed",
  },
  ["spec/net/packet_spec.lua"] = {
    ["a group "] = GROUPS,
  },
  ["spec/net/packet_unix_spec.lua"] = {
    ["has no options of the internet"] = "qemu refuses them itself, and with another number",
  },
  ["spec/net/packet_open_spec.lua"] = {
    ["on a wire of IPv6"] = GROUPS,
  },
  ["spec/process/start_spec.lua"] = {
    ["a start says what could not be executed"] = SPAWN,
    ["comes back where the program cannot be started"] = SPAWN,
    ["gives its detached child or leaves none"] = EXEC,
    ["leaves no child where its Lua state is closed"] = EXEC,
  },
  ["spec/process_spec.lua"] = {
    ["spawn() says what could not be executed"] = SPAWN,
    ["run() says what could not be started"] = SPAWN,
    ["has no fourth result if nothing was started"] = SPAWN,
  },
}
