-- SPDX-License-Identifier: MIT
-- luarocks --lua-version 5.1 make rockspec/moonpark-dev-1.rockspec
-- The Makefile does the work, here as everywhere. The headers come from Debian's libluajit2-5.1-dev or
-- libluajit-5.1-dev, those of c-ares from libc-ares-dev, OpenSSL's from libssl-dev.
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
}

external_dependencies = {
  CARES = { header = "ares.h" },
  OPENSSL = { header = "openssl/ssl.h" },
}

build = {
  type = "make",
  build_target = "build",
  build_variables = {
    CFLAGS = "$(CFLAGS) -g -I$(CARES_INCDIR) -I$(OPENSSL_INCDIR)",
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
