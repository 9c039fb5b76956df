-- SPDX-License-Identifier: MIT
-- upload_spec.lua - examples/upload.lua under curl and Node, and under clients that leave.

local cjson = require "cjson"
local moonpark = require "moonpark"
local example = require "support.example"
local http_support = require "support.http"
local process = require "support.process"
local support = require "support.net"
local fs = moonpark.fs

describe("examples/upload.lua", function()
  local server

  after_each(process.stop_all)

  -- body(folder) with a server that takes files into that folder, and another folder for what is sent.
  local function uploading(body)
    return function()
      support.with_folder(function(folder)
        assert(fs.mkdir(folder .. "/to"))
        assert(fs.mkdir(folder .. "/from"))
        server = example.start("upload.lua", example.plain("upload.lua", folder .. "/to", "127.0.0.1:0"))
        body(folder .. "/to", folder .. "/from")
        server:stop()
        for _, name in ipairs { "to", "from" } do
          for _, file in ipairs(fs.list(folder .. "/" .. name)) do fs.remove(folder .. "/" .. name .. "/" .. file) end
          assert(fs.remove(folder .. "/" .. name))
        end
      end)
    end
  end

  local function curl(...)
    local r = http_support.run { "curl", "-sS", "-w", " %{http_code}", ... }
    assert(r.status == 0, r.err)
    return r.out
  end

  local function url() return "http://" .. server.address .. "/" end

  it("takes files from curl as they are, under names that are free", uploading(function(to, from)
    local bytes = {}
    for i = 1, 300000 do bytes[i] = string.char(i * 7 % 256) end
    local large = table.concat(bytes) .. "\r\n--"
    assert(fs.write(from .. "/a.bin", large))
    assert(fs.write(from .. "/empty", ""))
    local out = curl("-F", "file=@" .. from .. "/a.bin", "-F", "note=text", "-F", "more=@" .. from .. "/empty", url())
    assert.same({ { name = "a.bin", bytes = #large }, { name = "empty", bytes = 0 } },
      cjson.decode(out:match("^(.*) 201$")))
    curl("-F", "file=@" .. from .. "/a.bin", url())
    assert.same({ "a-2.bin", "a.bin", "empty" }, fs.list(to))
    assert.is_true(large == fs.read(to .. "/a.bin"))
    assert.is_true(large == fs.read(to .. "/a-2.bin"))
    assert.equal("a.bin: 300004 bytes, complete", server.child:line())
  end))

  it("makes names harmless", uploading(function(to, from)
    assert(fs.write(from .. "/x", "x"))
    for _, name in ipairs { "../../etc/passwd", ".htaccess", "..", "a b;c.txt", "-rf" } do
      curl("-F", "file=@" .. from .. "/x;filename=\"" .. name .. '"', url())
    end
    assert.same({ "a_b_c.txt", "file", "htaccess", "passwd", "rf" }, fs.list(to))
  end))

  it("shows a form, and says what is wrong", uploading(function(to)
    assert.truthy(curl(url()):find('<form method="post" enctype="multipart/form%-data">.* 200$'))
    assert.equal("not multipart\n 415", curl("-d", "a=b", url()))
    assert.equal("the form has no file\n 422", curl("-F", "a=b", url()))
    local many = {}
    for i = 1, 17 do
      many[#many + 1] = "-F"
      many[#many + 1] = "a" .. i .. "=b"
    end
    many[#many + 1] = url()
    assert.equal("too many parts\n 413", curl(unpack(many)))
    assert.same({}, fs.list(to))
  end))

  it("keeps nothing of a file whose client leaves", uploading(function(to)
    local conn = server:dial()
    local head = http_support.request("POST / HTTP/1.1\nContent-Length: 1000000\n"
      .. "Content-Type: multipart/form-data; boundary=B")
    conn:write(head, '--B\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n', ("x"):rep(100000))
    repeat
      assert(moonpark.sleep(0.001))
      local files = fs.list(to)
    until #files == 1
    assert.truthy(fs.list(to)[1]:find("^%.part%-"))
    conn:close()
    repeat
      assert(moonpark.sleep(0.001))
    until #fs.list(to) == 0
  end))

  it("takes files from Node's fetch", uploading(function(to)
    local r = http_support.run { "node", "-e", [[
(async () => {
  const form = new FormData();
  form.append("note", "text");
  form.append("file", new Blob(["from node\r\n"]), 'quo"te.txt');
  const answer = await fetch(process.argv[1], { method: "POST", body: form });
  console.log(answer.status, await answer.text());
})();
]], url() }
    assert.equal("", r.err)
    assert.same({ { bytes = 11, name = "quo_te.txt" } }, cjson.decode(r.out:match "^201 (.*)"))
    assert.equal("from node\r\n", fs.read(to .. "/quo_te.txt"))
  end))

  it("explains itself: --help, and wants a folder", function()
    local r = process.run(example.plain("upload.lua", "--help"))
    assert.truthy(r.status == 0 and r.out:find("^usage: upload%.lua "))
    assert.equal(2, process.run(example.plain("upload.lua")).status)
    local file = example.path "upload.lua"
    r = process.run(example.plain("upload.lua", file))
    assert.same({ 1, "upload: " .. file .. " is not a folder\n" }, { r.status, r.err })
  end)
end)
