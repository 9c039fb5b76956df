-- SPDX-License-Identifier: MIT
-- sendfile of a path whose opening may have to wait for a disk: a helper thread opens it, and the loop goes on.
-- A path through /proc/self/root is never answered from the kernel's caches alone.

local core = require "moonpark.core"
local files = require "support.fs"
local fs = require "moonpark.fs"
local moonpark = require "moonpark"
local support = require "support.net"

local THREADS = 4
local BYTES = "bytes of a file"

-- body(a, b, path, let_go) while all threads hang: nothing is opened before let_go().
local function hanging(body)
  return files.in_folder(function(folder)
    assert(fs.write(folder .. "/a", BYTES))
    local _, let_go = files.hang(folder, THREADS)
    local a, b = support.connected("127.0.0.1:0")
    body(a, b, "/proc/self/root" .. folder .. "/a", let_go)
    a:close()
    b:close()
    core.check()
  end)
end

describe("sendfile of a path that is not in the kernel's caches", function()
  it("waits for a thread while others run, and sends the file", hanging(function(a, b, path, let_go)
    local sending = support.parked(a.sendfile, a, path)
    local behind = support.parked(a.write, a, ", and more")
    assert.is_true((moonpark.yield()))
    let_go()
    assert.same({ true, #BYTES }, { sending:join() })
    assert.is_true((behind:join()))
    a:close_write()
    assert.equal(BYTES .. ", and more", b:read_all())
  end))

  it("is ended by a cancellation, a deadline and a close, and leaves no descriptor", hanging(
    function(a, _, path, let_go)
    local sending = support.parked(a.sendfile, a, path)
    sending:cancel()
    assert.same({ true, nil, "canceled", nil, 0 }, { sending:join() })
    sending = support.parked(a.sendfile, a, path)
    a:set_write_deadline(moonpark.now() - 1)
    assert.same({ true, nil, "timeout", nil, 0 }, { sending:join() })
    a:set_write_deadline(nil)
    assert.same({ nil, "timeout" }, { moonpark.timeout(0.001, a.sendfile, a, path) })
    sending = support.parked(a.sendfile, a, path)
    a:close()
    assert.same({ true, nil, "closed", nil, 0 }, { sending:join() })
    let_go()
  end))

  it("says why it cannot be opened", hanging(function(a, _, path, let_go)
    let_go()
    assert.same({ nil, "no such file or directory", 2, 0 }, { a:sendfile(path .. "x") })
    assert.same({ nil, "is a directory", 21, 0 }, { a:sendfile((path:gsub("/a$", "")) .. "/.") })
  end))

  it("sends what it says, whenever it is cancelled", files.in_folder(function(folder)
    assert(fs.write(folder .. "/a", BYTES))
    for round = 1, 100 do
      local a, b = support.connected("127.0.0.1:0")
      local task = moonpark.go(a.sendfile, a, "/proc/self/root" .. folder .. "/a")
      for _ = 1, round % 12 do moonpark.yield() end
      task:cancel()
      local _, sent, _, _, partial = task:join()
      a:close()
      assert.equal(BYTES:sub(1, sent or partial), b:read_all())
      b:close()
    end
  end))
end)
