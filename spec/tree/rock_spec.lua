-- SPDX-License-Identifier: MIT
-- rock_spec.lua - what luarocks and `make install` put in place runs outside of the repository, under stock luajit.

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- Runs a shell command -> what it wrote on both its outputs, and its status.
local function shell(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1 </dev/null; echo \"status $?\""))
  local text = pipe:read("*a")
  pipe:close()
  local output, status = text:match("^(.*)status (%d+)\n$")
  return output, tonumber(status)
end

local function succeed(command)
  local output, status = shell(command)
  assert(status == 0, ("status %s of: %s\n%s"):format(status, command, output))
  return output
end

local repository = succeed("pwd"):gsub("\n$", "")
local folder -- an empty one, far from the repository; also the home of whatever runs here

-- Nothing of this process's settings reaches the command: not where its modules are, not what make was told.
local function bare(command)
  return ("env -i HOME=%s PATH=%s sh -c %s"):format(quote(folder), quote(os.getenv "PATH"), quote(command))
end

local rocks = "luarocks --lua-version 5.1"
local tree

setup(function()
  folder = succeed("mktemp -d"):gsub("\n$", "")
  tree = folder .. "/tree"
  succeed(("cd %s && %s"):format(quote(repository),
    bare(("%s make --deps-mode none rockspec/moonpark-dev-1.rockspec --tree %s"):format(rocks, quote(tree)))))
end)

teardown(function()
  if folder then succeed("rm -rf " .. quote(folder)) end
end)

local server = [[
local moonpark = require "moonpark"
local net = require "moonpark.net"

print(moonpark.run(function()
  local listener = assert(net.listen "127.0.0.1:0")
  local server = moonpark.go(listener.serve, listener, function(conn)
    for line in conn:lines() do conn:write(line:upper(), "\n") end
  end)
  local conn = assert(net.dial(listener:address()))
  conn:write("hello from outside\n")
  local answer = conn:read_line()
  conn:close()
  listener:close()
  server:join()
  return answer
end))
]]

describe("luarocks make", function()
  it("puts library, C module and command into the tree", function()
    for _, path in ipairs { "share/lua/5.1/moonpark/init.lua", "lib/lua/5.1/moonpark/core.so", "bin/moonpark" } do
      succeed(("test -f %s/%s"):format(quote(tree), path))
    end
    succeed(("test -x %s/bin/moonpark"):format(quote(tree)))
    succeed(("test -f %s/lib/luarocks/rocks-5.1/moonpark/dev-1/man/man1/moonpark.1"):format(quote(tree)))
  end)

  it("puts every file of the library there, as it is here", function()
    succeed(("diff -r -x luals %s/lua/moonpark %s/share/lua/5.1/moonpark"):format(quote(repository), quote(tree)))
  end)

  it("puts what editors read there, as an addon of the Lua language server", function()
    local addon = tree .. "/share/lua/5.1/moonpark/luals"
    for _, path in ipairs { "config.json", "library/moonpark/init.lua", "library/moonpark/net.lua" } do
      succeed(("test -s %s/%s"):format(quote(addon), path))
    end
    succeed(("diff -r %s/build/release/luals %s"):format(quote(repository), quote(addon)))
  end)

  it("lets a script outside of the repository run under stock luajit, with luarocks' own paths", function()
    write(folder .. "/server.lua", server)
    local output = succeed(("cd %s && "):format(quote(folder))
      .. bare(('eval "$(%s path --tree %s)" && exec luajit server.lua'):format(rocks, quote(tree))))
    assert.equal("HELLO FROM OUTSIDE\n", output)
  end)

  it("loads nothing from the repository then", function()
    write(folder .. "/where.lua", [[
      require "moonpark"
      print(package.searchpath("moonpark", package.path))
      print(package.searchpath("moonpark.core", package.cpath))
    ]])
    local output = succeed(("cd %s && "):format(quote(folder))
      .. bare(('eval "$(%s path --tree %s)" && exec luajit where.lua'):format(rocks, quote(tree))))
    assert.equal(("%s/share/lua/5.1/moonpark/init.lua\n%s/lib/lua/5.1/moonpark/core.so\n"):format(tree, tree), output)
  end)
end)

describe("the installed command", function()
  it("finds its library by itself, wherever it is called from", function()
    write(folder .. "/hello.lua", 'print("hello", ..., require("moonpark").current() ~= nil)\n')
    assert.equal("hello\tyou\ttrue\n", succeed("cd / && " .. bare(tree .. "/bin/moonpark ~/hello.lua you")))
  end)

  it("does so behind a symbolic link too", function()
    succeed(("ln -s %s/bin/moonpark %s/link"):format(quote(tree), quote(folder)))
    assert.equal("2\n", succeed("cd / && " .. bare("~/link -e 'print(1 + 1)'")))
  end)

  it("says the version that this tree was built as", function()
    local version = succeed("sed -n 's/^VERSION := //p' Makefile"):gsub("\n$", "")
    local output = succeed(bare(tree .. "/bin/moonpark -v"))
    assert.truthy(output:find("moonpark " .. version, 1, true), output)
  end)
end)

describe("make install", function()
  it("copies to LUADIR, LIBDIR and BINDIR, and does not need luarocks", function()
    local prefix = folder .. "/prefix"
    succeed(bare(("make -s install PREFIX=%s"):format(quote(prefix))))
    local script = quote "print(require(\"moonpark.net\") ~= nil)"
    assert.equal("true\n", succeed("cd / && " .. bare(prefix .. "/bin/moonpark -e " .. script)))
  end)

  it("puts DESTDIR before them all, for those who make packages", function()
    succeed(bare(("make -s install PREFIX=/usr DESTDIR=%s/package"):format(quote(folder))))
    succeed(("test -f %s/package/usr/share/lua/5.1/moonpark/init.lua"):format(quote(folder)))
    succeed(("test -f %s/package/usr/share/man/man1/moonpark.1"):format(quote(folder)))
  end)
end)
