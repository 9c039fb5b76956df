-- SPDX-License-Identifier: MIT
std = "luajit"
max_line_length = false -- spec/tree/source_spec.lua counts characters, in every kind of file
include_files = { "**/*.lua", "**/*.rockspec", "lua/bin/moonpark", ".luacheckrc", ".busted" }
exclude_files = { "build/**", "lua_modules/**" }

files["spec"].std = "+busted"
files["spec/ngx"].globals = { "ngx" }
files["spec/ngx"].read_globals = { "PEER", "describe", "say", "try", "raises" } -- of spec/ngx/say.lua
files[".busted"].ignore = { "111", "112" }
files["rockspec"].std = "+rockspec"
files["lua/moonpark/coroutines.lua"].globals = { "coroutine" } -- install() puts ours in place
files["lua/moonpark/ngx/thread.lua"].globals = { "coroutine" } -- the same
