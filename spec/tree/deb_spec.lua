-- SPDX-License-Identifier: MIT
-- deb_spec.lua - the package that `make deb` builds: what is in it, and that it runs from where it is unpacked.

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function succeed(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1 </dev/null; echo \"status $?\""))
  local text = pipe:read "*a"
  pipe:close()
  local output, status = text:match "^(.*)status (%d+)\n$"
  assert(status == "0", ("status %s of: %s\n%s"):format(status, command, output))
  return output
end

local folder, root, package
local version = succeed("sed -n 's/^VERSION := //p' Makefile"):gsub("\n", "")

setup(function()
  folder = succeed("mktemp -d"):gsub("\n", "")
  root = folder .. "/root"
  package = succeed("env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s deb"):match "(build/moonpark_%S+%.deb)\n$"
  succeed(("dpkg-deb -R %s %s"):format(package, quote(root)))
end)

teardown(function()
  if folder then succeed("rm -rf " .. quote(folder)) end
end)

local function control(name)
  return (succeed(("dpkg-deb -f %s %s"):format(package, name)):gsub("\n$", ""))
end

local function multiarch() return (succeed("dpkg-architecture -qDEB_HOST_MULTIARCH"):gsub("\n", "")) end

-- Runs a command with the package's files in the place of any others.
local function run(command)
  return succeed(("cd / && env -i HOME=%s PATH=%s LUA_PATH=%s LUA_CPATH=%s sh -c %s"):format(quote(folder),
    quote(os.getenv "PATH"), quote(root .. "/usr/share/lua/5.1/?.lua;" .. root .. "/usr/share/lua/5.1/?/init.lua;;"),
    quote(("%s/usr/lib/%s/lua/5.1/?.so;;"):format(root, multiarch())), quote(command)))
end

describe("make deb", function()
  it("names the package by its version and its CPU", function()
    assert.equal(("build/moonpark_%s_%s.deb"):format(version, control "Architecture"), package)
    assert.same({ "moonpark", version }, { control "Package", control "Version" })
  end)

  it("depends on either LuaJIT, on lua-cjson, and on what the library is linked with", function()
    local depends = control "Depends"
    for _, wanted in ipairs { "luajit2 | luajit", "lua-cjson", "libc6 ", "libc-ares2", "libssl3", "zlib1g" } do
      assert.truthy(depends:find(wanted, 1, true), depends)
    end
    assert.is_nil(depends:find("libluajit", 1, true)) -- the interpreter brings its own
  end)

  it("has the command, every file of the library, and the core without its symbols", function()
    assert.equal("#!/usr/bin/luajit\n", succeed("head -1 " .. root .. "/usr/bin/moonpark"))
    succeed(("diff -r -x luals lua/moonpark %s/usr/share/lua/5.1/moonpark"):format(root))
    succeed(("diff -r build/release/luals %s/usr/share/lua/5.1/moonpark/luals"):format(root))
    local core = ("%s/usr/lib/%s/lua/5.1/moonpark/core.so"):format(root, multiarch())
    assert.equal("", succeed(("readelf -S %s | grep -E '[.](symtab|debug_info)' || true"):format(core)))
  end)

  it("runs from where it is unpacked", function()
    assert.truthy(run(root .. "/usr/bin/moonpark -v"):find("^moonpark " .. version:gsub("%p", "%%%0") .. ","))
    local script = 'print(require "moonpark.http" ~= nil, (package.searchpath("moonpark", package.path)))'
    assert.equal(("true\t%s/usr/share/lua/5.1/moonpark/init.lua\n"):format(root),
      run(("%s/usr/bin/moonpark -e %s"):format(root, quote(script))))
  end)

  it("has the page and the completions of three shells", function()
    assert.truthy(succeed(("zcat %s/usr/share/man/man1/moonpark.1.gz"):format(root)):find ".TH MOONPARK 1")
    for path, shell in pairs { ["bash-completion/completions/moonpark"] = "bash",
      ["zsh/vendor-completions/_moonpark"] = "zsh", ["fish/vendor_completions.d/moonpark.fish"] = "fish" } do
      assert.equal(run(("%s/usr/bin/moonpark completion %s"):format(root, shell)),
        succeed(("cat %s/usr/share/%s"):format(root, path)))
    end
  end)

  it("has a unit template that systemd accepts, for /opt/NAME", function()
    local path = root .. "/lib/systemd/system/moonpark@.service"
    local unit = succeed("cat " .. path)
    assert.is_nil(unit:find "@%u+@")
    for _, line in ipairs { "WorkingDirectory=/opt/%i", "EnvironmentFile=-/etc/default/moonpark-%i", "Type=notify",
      "ExecStart=/usr/bin/moonpark --workers auto --grace 20 server.lua $ARGUMENTS" } do
      assert.truthy(unit:find("\n" .. line .. "\n", 1, true), line)
    end
    succeed(("cp %s %s && sed -i 's|/usr/bin/moonpark|/bin/true|' %s/moonpark@hello.service"):format(path,
      quote(folder .. "/moonpark@hello.service"), quote(folder)))
    assert.equal("", succeed(("systemd-analyze verify --man=no --recursive-errors=no %s/moonpark@hello.service"):format(
      quote(folder))))
  end)

  it("says under which licence it is, and has sums and rights that fit", function()
    assert.truthy(succeed(("cat %s/usr/share/doc/moonpark/copyright"):format(root)):find "\nLicense: MIT\n")
    succeed(("cd %s && md5sum -c --quiet DEBIAN/md5sums"):format(quote(root)))
    assert.equal("", succeed(("find %s -perm /022"):format(quote(root .. "/usr"))))
    assert.equal("root/root\n", succeed(("dpkg-deb -c %s | awk '{print $2}' | sort -u"):format(package)))
  end)

  it("is the same each time", function()
    local sum = succeed("sha256sum " .. package)
    succeed "env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s deb"
    assert.equal(sum, succeed("sha256sum " .. package))
  end)
end)
