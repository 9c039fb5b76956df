-- SPDX-License-Identifier: MIT
-- How many processors a process may use: files as containers have them, and real limits where they can be set.

local process = require "support.process"
local processors = require "moonpark.processors"
local testing = require "moonpark.testing"

local V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
local V1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
  .. "35 31 0:32 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"

-- A root with these files; "proc" are the names without their folder.
local function root_of(cpus, files)
  local root = testing.tempdir()
  local status = "Name:\tluajit\nCpus_allowed:\tff\nCpus_allowed_list:\t%s\nMems_allowed:\t1\n"
  files["proc/self/status"] = cpus and status:format(cpus)
  for path, text in pairs(files) do
    assert.equal(0, process.run({ "mkdir", "-p", (root .. "/" .. path):match "^(.*)/" }).status)
    local file = assert(io.open(root .. "/" .. path, "w"))
    file:write(text)
    file:close()
  end
  return root
end

local function count(cpus, files) return processors.count(root_of(cpus, files or {})) end

local function v2(path, limits, mount)
  local files = { ["proc/self/cgroup"] = "0::" .. path .. "\n", ["proc/self/mountinfo"] = mount or V2 }
  for folder, text in pairs(limits) do files["sys/fs/cgroup" .. folder .. "/cpu.max"] = text .. "\n" end
  return files
end

local function v1(path, limits, mount)
  local files = { ["proc/self/cgroup"] = "5:cpuset:/\n4:cpu,cpuacct:" .. path .. "\n1:name=systemd:/x\n0::/\n",
    ["proc/self/mountinfo"] = mount or V1 }
  for folder, limit in pairs(limits) do
    local place = "sys/fs/cgroup/cpu,cpuacct" .. folder
    files[place .. "/cpu.cfs_quota_us"] = limit .. "\n"
    files[place .. "/cpu.cfs_period_us"] = "100000\n"
  end
  return files
end

describe("processors.count", function()
  after_each(process.stop_all)

  it("is how many processors the process may run on", function()
    assert.same({ 1, 8, 5, 3, 68 },
      { count "0", count "0-7", count "0-3,8", count "1,3,5", count "0-63,128-131" })
  end)

  it("is what cpu.max leaves of them, rounded up, and at least 1", function()
    local function limited(text) return count("0-7", v2("/a", { ["/a"] = text })) end
    assert.same({ 2, 2, 1, 1, 8, 8 }, { limited "200000 100000", limited "150000 100000", limited "100000 100000",
      limited "1000 100000", limited "max 100000", limited "6400000 100000" })
  end)

  it("is the least of all the groups around it", function()
    local limits = { [""] = "700000 100000", ["/a"] = "300000 100000", ["/a/b"] = "max 100000",
      ["/a/b/c"] = "500000 100000" }
    assert.equal(3, count("0-7", v2("/a/b/c", limits)))
    assert.equal(7, count("0-7", v2("/other", limits)))
    assert.equal(2, count("0-1", v2("/a/b/c", limits)))
  end)

  it("finds the own group in a container, whose root it is", function()
    local own = { [""] = "200000 100000" }
    assert.equal(2, count("0-7", v2("/", own)))
    assert.equal(2, count("0-7", v2("/docker/abc", own, (V2:gsub(" / /sys", " /docker/abc /sys")))))
    assert.equal(2, count("0-7", v2("/../../other", own))) -- in a namespace, a process from outside
    assert.equal(2, count("0-7", v2("/docker/abcdef", own, (V2:gsub(" / /sys", " /docker/abc /sys")))))
  end)

  it("knows a mount point whose name has a space", function()
    local files = v2("/a", {}, (V2:gsub("/sys/fs/cgroup", "/sys/my\\040groups")))
    files["sys/my groups/a/cpu.max"] = "300000 100000\n"
    assert.equal(3, count("0-7", files))
  end)

  it("reads the limits of version 1, whose other hierarchies do not count", function()
    assert.equal(3, count("0-7", v1("/a/b", { ["/a"] = "250000", ["/a/b"] = "-1" })))
    assert.equal(8, count("0-7", v1("/a", { [""] = "-1", ["/a"] = "-1" })))
    assert.equal(2, count("0-7", v1("/docker/abc", { [""] = "200000" }, (V1:gsub(" / ", " /docker/abc ")))))
    local files = v1("/a", { ["/a"] = "-1" })
    files["sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us"], files["sys/fs/cgroup/cpuset/a/cpu.cfs_period_us"] = "1", "1"
    assert.equal(8, count("0-7", files))
  end)

  it("takes the lesser where both versions are mounted", function()
    local files = v1("/a", { ["/a"] = "500000" })
    files["proc/self/mountinfo"] = V1 .. V2:gsub("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    assert.equal(5, count("0-7", files))
    files["sys/fs/cgroup/unified/cpu.max"] = "400000 100000\n"
    assert.equal(4, count("0-7", files))
  end)

  it("never fails, whatever the files say", function()
    local real = processors.count()
    assert.is_true(real >= 1 and real == math.floor(real))
    assert.is_true(processors.count "/nonexistent" >= real)
    for _, text in ipairs { "", "-", "a-b", "3-1", "\n" } do assert.is_true(count(text) >= 1) end
    for _, text in ipairs { "", "x", "0 0", "100000", "100000 0", "-1 100000" } do
      assert.is_true(count("0-7", v2("/a", { ["/a"] = text })) >= 1)
    end
    assert.equal(8, count("0-7", { ["proc/self/cgroup"] = "nonsense\n0:\n", ["proc/self/mountinfo"] = "1 2 - 3\n" }))
  end)

  -- What a process of its own counts, which a shell has prepared.
  local function counted(prepare)
    local result = process.run({ "sh", "-c", prepare .. " exec \"$@\"", "sh", process.interpreter, "-e",
      "print(require('moonpark.processors').count())" })
    assert.same({ 0, "" }, { result.status, result.err })
    return tonumber(result.out)
  end

  it("is 1 for a process that may run on one processor", function()
    local first = process.run("taskset -cp $$ | sed 's/.*: //; s/[-,].*//'").out:match "%d+"
    if not first then pending "no taskset here" end
    assert.equal(1, counted(("taskset -cp %s $$ >/dev/null;"):format(first)))
  end)

  it("is 1 for a process with half a processor's time", function()
    local name = "moonpark-spec-" .. require("support.net").pid()
    local folder = "/sys/fs/cgroup/cpu/" .. name
    local limit = "echo 50000 >cpu.cfs_quota_us"
    if process.run("test -e /sys/fs/cgroup/cgroup.controllers").status == 0 then
      folder, limit = "/sys/fs/cgroup/" .. name, "echo 50000 100000 >cpu.max"
    end
    if process.run(("mkdir %s 2>/dev/null && cd %s && %s"):format(folder, folder, limit)).status ~= 0 then
      process.run { "rmdir", folder }
      pending "no control groups can be made here"
      return
    end
    local ok, got = pcall(counted, ("echo $$ >%s/cgroup.procs;"):format(folder))
    assert.equal(0, process.run({ "rmdir", folder }).status)
    assert.is_true(ok, got)
    assert.equal(1, got)
  end)
end)
