-- SPDX-License-Identifier: MIT
-- shared_library: a library that was loaded stays, whatever becomes of the module that wanted it.

local process = require "support.process"
local shared_library = require "moonpark.shared_library"

after_each(process.stop_all)

describe("a shared library", function()
  it("stays when the module that loaded it is dropped and collected", function()
    local r = process.run { process.interpreter, "-e", [[
      local function is_mapped()
        for line in io.lines "/proc/self/maps" do
          if line:find("libbrotlienc", 1, true) then return true end
        end
        return false
      end
      assert(not is_mapped())
      assert(require("moonpark.shared_library").load("libbrotlienc.so.1"))
      package.loaded["moonpark.shared_library"] = nil
      collectgarbage() collectgarbage()
      print(is_mapped())
    ]] }
    assert.same({ "true\n", "", 0 }, { r.out, r.err, r.status })
  end)

  it("is the first of those that are there, and nil where none is", function()
    local found = shared_library.load("libnowhere.so.7", "libz.so.1")
    assert.is_truthy(found)
    assert.equal(found, shared_library.load "libz.so.1")
    assert.is_nil(shared_library.load("libnowhere.so.7", "libnowhere.so.8"))
  end)
end)
