-- SPDX-License-Identifier: MIT
-- resolver_spec.lua - what the system says of names: the hosts file, resolv.conf and its changes, a machine without
-- IPv6; and the end of a process while lookups are under way.
--
-- Each case is a process in namespaces of its own, with its own /etc and its own loopback interface: there a name
-- server may have port 53. Where the kernel does not let us make them, the case is pending.

local process = require "support.process"
local testing = require "moonpark.testing"

-- What makes the namespaces, as root and as anybody else; and why nothing does.
local ways = { { "unshare", "--mount", "--net" }, { "unshare", "--user", "--map-root-user", "--mount", "--net" } }
local SETUP = "ip link set lo up && mount -t tmpfs none /etc && "

local function in_namespaces(way, command)
  local words = { unpack(way) }
  for _, word in ipairs { "sh", "-c", SETUP .. command } do words[#words + 1] = word end
  return process.run(words)
end

local way, reason
for _, words in ipairs(ways) do
  local r = in_namespaces(words, "true")
  if r.status == 0 then
    way, reason = words, nil
    break
  end
  reason = "no namespaces may be made here: " .. r.err:gsub("\n$", "")
end

-- What the scripts begin with.
local prelude = [[
local core, moonpark = require "moonpark.core", require "moonpark"
local net, dns = moonpark.net, require "support.dns"
local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end
local function show(host, options)
  local addresses, err = net.resolve(host, options)
  print(addresses and table.concat(addresses, " ") or err)
end
-- Time passes for the runtime, not for the kernel.
local function later(seconds)
  core.clock_freeze()
  core.clock_advance(seconds)
  core.clock_thaw()
end
moonpark.run(function()
]]

-- Runs the body of a script in such namespaces -> the lines that it prints.
local function lines_of(body, before)
  local path = testing.tempdir() .. "/script.lua"
  local file = assert(io.open(path, "w"))
  file:write(prelude, body, "\nend)\n")
  file:close()
  local r = in_namespaces(way, ("%s exec %s %s"):format(before or "", process.interpreter, path))
  assert(r.status == 0, r.err)
  local lines = {}
  for line in r.out:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  return lines
end

-- An `it` whose script must print these lines.
local function case(name, body, expected, before)
  it(name, function()
    if reason then return pending(reason) end
    assert.same(expected, lines_of(body, before))
  end)
end

after_each(process.stop_all)

describe("the hosts file", function()
  case("has names, aliases, comments, both families, in any case", [[
    write("/etc/hosts", "# a comment\n127.1.2.3 Host.test alias # host9.test\n\n::1 six.test\n127.1.2.4 two.test\n"
      .. "::1\ttwo.test\nrubbish\n127.0.0.256 bad.test\n")
    for _, host in ipairs { "host.test", "HOST.test", "alias", "six.test" } do show(host) end
    show("two.test", { family = "ip4" })
    show("two.test", { family = "ip6" })
    show("bad.test")
  ]], { "127.1.2.3", "127.1.2.3", "127.1.2.3", "::1", "127.1.2.4", "::1", "server failure" })

  case("comes before the name servers, and a change of it is seen at once", [[
    local server = dns.start("127.0.0.1:53")
    server:on("host.test", { a = { "127.9.9.9" } })
    write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    write("/etc/hosts", "127.1.2.3 host.test\n")
    show "host.test"
    write("/etc/hosts", "127.1.2.4 host.test\n")
    show "host.test"
    write("/etc/hosts", "")
    show "host.test"
    net.set_resolver { lookups = "b" }
    write("/etc/hosts", "127.1.2.3 host.test\n")
    show "host.test"
    net.set_resolver { lookups = "bf" }
    write("/etc/hosts", "127.1.2.5 other.test\n")
    show "other.test"
    server:stop()
  ]], { "127.1.2.3", "127.1.2.4", "127.9.9.9", "127.9.9.9", "127.1.2.5" })

  case("may say that localhost is elsewhere", [[
    write("/etc/hosts", "127.5.5.5 localhost\n127.7.7.7 my.localhost\n")
    show "localhost"
    show "a.localhost"
    show "My.Localhost."
  ]], { "127.5.5.5", "127.5.5.5", "127.7.7.7" })

  case("is not needed for localhost", [[
    show "localhost"
    show("a.localhost", { family = "ip6" })
    write("/etc/hosts", "")
    show("localhost", { family = "ip4" })
    show("localhost", { family = "ip6" })
    show("a.localhost", { family = "ip4" })
  ]], { "127.0.0.1", "::1", "127.0.0.1", "::1", "127.0.0.1" })
end)

describe("resolv.conf", function()
  case("names the servers, search domains and ndots", [[
    write("/etc/resolv.conf", "# comment\nnameserver 127.0.0.9\nnameserver 127.0.0.1\n"
      .. "search one.test two.test\noptions ndots:2\n")
    local server = dns.start("127.0.0.1:53")
    server:on("a.b.two.test", { a = { "127.1.2.3" } })
    server:on("a.b", { a = { "127.1.2.4" } })
    server:on("a.b.c", { a = { "127.1.2.5" } })
    show "a.b"
    show "a.b."
    show "a.b.c"
    server:stop()
  ]], { "127.1.2.3", "127.1.2.4", "127.1.2.5" })

  -- Two servers of which the first is silent. Without the file's options it is waited for 5 s.
  local impatient = [[
    local first, second = dns.start("127.0.0.1:53"), dns.start("127.0.0.2:53")
    first:on("host.test", { silent = true })
    second:on("host.test", { a = { "127.1.2.3" } })
    first:on("gone.test", { silent = true })
    write("/etc/resolv.conf", "nameserver 127.0.0.1\nnameserver 127.0.0.2\n%s\n")
    show("host.test", { family = "ip4", timeout = 4 })
    second:stop()
    write("/etc/resolv.conf", "nameserver 127.0.0.1\n%s\n")
    later(5)
    show("gone.test", { family = "ip4", timeout = 30 })
    print(first:count "gone.test")
    first:stop()
  ]]

  case("says how long a server is waited for, and how often it is asked",
    impatient:format("options timeout:1", "options timeout:1 attempts:1"), { "127.1.2.3", "timeout", "1" })

  case("is amended by RES_OPTIONS", impatient:format("options timeout:9", "options attempts:4"),
    { "127.1.2.3", "timeout", "1" }, "export RES_OPTIONS='attempts:1 timeout:1' &&")

  case("has its options behind those of set_resolver", [[
    local server = dns.start("127.0.0.1:53")
    server:on("gone.test", { silent = true })
    write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    net.set_resolver { timeout = 0.02, tries = 2 }
    show("gone.test", { family = "ip4" })
    print(server:count "gone.test")
    net.set_resolver { timeout = 0.02 }
    show("gone.test", { family = "ip4" })
    print(server:count "gone.test")
    server:stop()
  ]], { "timeout", "2", "timeout", "7" })

  case("may say that the servers take turns", [[
    local first, second = dns.start("127.0.0.1:53"), dns.start("127.0.0.2:53")
    write("/etc/resolv.conf", "nameserver 127.0.0.1\nnameserver 127.0.0.2\noptions rotate\n")
    for i = 1, 6 do net.resolve("h" .. i .. ".test", { family = "ip4" }) end
    print(first:count(), second:count())
    first:stop()
    second:stop()
  ]], { "3\t3" })

  case("gives way to LOCALDOMAIN and RES_OPTIONS, and these to set_resolver", [[
    local server = dns.start("127.0.0.1:53")
    server:on("host.env.test", { a = { "127.1.1.1" } })
    server:on("host.file.test", { a = { "127.2.2.2" } })
    server:on("a.b.env.test", { a = { "127.3.3.3" } })
    write("/etc/resolv.conf", "nameserver 127.0.0.1\nsearch file.test\n")
    show "host"
    show "a.b"
    net.set_resolver { search = { "file.test" } }
    show "host"
    server:stop()
  ]], { "127.1.1.1", "127.3.3.3", "127.2.2.2" }, "export LOCALDOMAIN='x.test env.test' RES_OPTIONS=ndots:2 &&")

  case("that is a folder says nothing", [[
    os.execute "mkdir /etc/resolv.conf"
    local server = dns.start("127.0.0.1:53")
    server:on("host.test", { a = { "127.1.2.3" } })
    show "host.test"
    server:stop()
  ]], { "127.1.2.3" })

  case("that is missing means a server on this machine", [[
    show "host.test"
    local server = dns.start("127.0.0.1:53")
    server:on("host.test", { a = { "127.1.2.3" } })
    show "host.test"
    server:stop()
  ]], { "server failure", "127.1.2.3" })

  case("that changes is read again, five seconds after the last look at the latest", [[
    local first, second = dns.start("127.0.0.1:53"), dns.start("127.0.0.2:53")
    first:on("host.test", { a = { "127.1.1.1" } })
    second:on("host.test", { a = { "127.2.2.2" } })
    write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    show "host.test"
    write("/etc/resolv.conf", "nameserver 127.0.0.2\n# changed\n")
    show "host.test"
    later(5)
    show "host.test"
    os.remove "/etc/resolv.conf"
    later(5)
    show "host.test"
    first:stop()
    second:stop()
  ]], { "127.1.1.1", "127.1.1.1", "127.2.2.2", "127.1.1.1" })

  case("that changes leaves lookups that are under way to the servers they have asked", [[
    local first, second = dns.start("127.0.0.1:53"), dns.start("127.0.0.2:53")
    first:on("slow.test", { a = { "127.1.1.1" }, hold = true })
    second:on("slow.test", { a = { "127.2.2.2" } })
    write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    local slow = moonpark.go(show, "slow.test")
    first:wait_for(2)
    write("/etc/resolv.conf", "nameserver 127.0.0.2\n# changed\n")
    later(5)
    show "slow.test"
    first:release "slow.test"
    slow:join()
    first:stop()
    second:stop()
    print(core.stats().polls, core.stats().timers)
  ]], { "127.2.2.2", "127.1.1.1", "0\t0" })

  case("stands again after set_resolver(nil)", [[
    local first, second = dns.start("127.0.0.1:53"), dns.start("127.0.0.1:5353")
    first:on("host.test", { a = { "127.1.1.1" } })
    second:on("host.test", { a = { "127.2.2.2" } })
    write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    show "host.test"
    net.set_resolver { servers = { "127.0.0.1:5353" } }
    show "host.test"
    net.set_resolver(nil)
    show "host.test"
    first:stop()
    second:stop()
  ]], { "127.1.1.1", "127.2.2.2", "127.1.1.1" })
end)

describe("hosts file and servers", function()
  case("come in the order of nsswitch.conf; a failing server does not keep the file from being looked into", [[
    local server = dns.start("127.0.0.1:53")
    write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions attempts:1\n")
    write("/etc/nsswitch.conf", "hosts: dns files\n")
    write("/etc/hosts", "127.1.2.3 host.test\n127.1.2.4 host.test\n::1 host.test six.test\n")
    server:on("host.test", { only = { [dns.A] = { rcode = "servfail" }, [dns.AAAA] = {} } })
    show("host.test", { family = "ip4" })
    server:on("host.test", { a = { "127.9.9.9" } })
    show "host.test"
    server:on("six.test", { rcode = "refused" })
    show("six.test", { family = "ip4" })
    show "six.test"
    server:stop()
  ]], { "127.1.2.3 127.1.2.4", "127.9.9.9", "server failure", "::1" })
end)

describe("without IPv6", function()
  case("IPv6 addresses are found, and come last", [[
    write("/etc/hosts", "::1 host.test\n127.1.2.3 host.test\n")
    show "host.test"
  ]], { "127.1.2.3 ::1" }, "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 &&")
end)

describe("with IPv6", function()
  case("::1 comes first", [[
    write("/etc/hosts", "127.1.2.3 host.test\n::1 host.test\n")
    show "host.test"
  ]], { "::1 127.1.2.3" }, "test -e /proc/sys/net/ipv6 &&")

  case("a server may be asked over it", [[
    write("/etc/resolv.conf", "nameserver ::1\n")
    local socket = net.packet "udp:[::1]:53"
    local server = moonpark.go(function()
      local query, from = socket:recv_from()
      socket:send_to(query:sub(1, 2) .. "\132\3" .. query:sub(5), from)
      return from
    end)
    show("host.test", { family = "ip4" })
    print((select(2, server:join())):match "^udp:%[::1%]")
    socket:close()
  ]], { "no such host", "udp:[::1]" }, "test -e /proc/sys/net/ipv6 &&")
end)

describe("a process that ends", function()
  -- A server that is silent, in the process itself.
  local script = [[
    local moonpark, core = require "moonpark", require "moonpark.core"
    local net, dns = moonpark.net, require "support.dns"
    moonpark.run(function()
      local server = dns.start()
      server:on("host.test", { silent = true })
      net.set_resolver { servers = { server.address }, search = {}, lookups = "b" }
      for i = 1, 3 do moonpark.go(net.resolve, "host.test") end
      for i = 1, 200 do moonpark.go(net.resolve, "h" .. i .. ".test") end
      server:wait_for(2)
      %s
    end)
  ]]

  local function ends(how, status, words)
    local r = process.run { process.interpreter, "-e", script:format(how) }
    assert.equal(status, r.status, r.err)
    assert.is_truthy(r.err:find(words, 1, true), r.err)
  end

  it("while lookups are under way ends as any other", function()
    ends("os.exit(7, true)", 7, "")
    ends("error('as asked', 0)", 1, "as asked")
  end)

  it("by stopping its loop, too", function()
    ends("core.stop() io.stderr:write('stopped')", 0, "stopped")
  end)
end)
