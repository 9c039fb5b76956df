-- SPDX-License-Identifier: MIT
-- luarocks --lua-version 5.1 make rockspec/moonpark-dev-1.rockspec
-- The Makefile does the work, here as everywhere. The headers come from Debian's libluajit2-5.1-dev or
-- libluajit-5.1-dev, those of c-ares from libc-ares-dev, of zlib from zlib1g-dev, of OpenSSL from libssl-dev.
--
-- No external_dependencies: the Makefile looks for the headers, and names the packages of those that are missing. For
-- headers in other places, luarocks make ... CFLAGS="-O2 -I/place".
--
-- luarocks knows nothing of Debian's lua-cjson, and would fetch and compile another one: where that package is
-- installed, or no network is there, add --deps-mode none.
rockspec_format = "3.0"
package = "moonpark"
version = "dev-1"

source = {
  url = "git+file://.", -- a checkout: luarocks make builds what is in the working folder
}

description = {
  summary = "Network servers as plain LuaJIT scripts",
  detailed = "A runtime in C in which a coroutine stands in for a thread: a socket read that would block parks it.",
  license = "MIT",
  labels = { "network", "async", "server" },
}

supported_platforms = { "linux" }

dependencies = {
  "lua == 5.1", -- LuaJIT is what runs it; luarocks knows it as 5.1
  "lua-cjson", -- decodes JSON; workers talk in it
}

build = {
  type = "make",
  build_target = "build",
  build_variables = {
    CFLAGS = "$(CFLAGS) -g",
  },
  install_variables = {
    CFLAGS = "$(CFLAGS) -g",
    LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)",
    BINDIR = "$(BINDIR)",
    MANDIR = "$(PREFIX)/man", -- the rock's own folder: luarocks has no place for pages
  },
}

-- luarocks would wrap the command in a script for PUC Lua; it is one for LuaJIT, and finds its library by itself.
deploy = {
  wrap_bin_scripts = false,
}
