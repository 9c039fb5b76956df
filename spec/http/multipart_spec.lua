-- SPDX-License-Identifier: MIT
-- multipart_spec.lua - multipart/form-data as a stream: any cut of the bytes gives the same parts, and no reader finds
-- others.

local http = require "moonpark.http"
local http_multipart = require "moonpark.http.multipart"
local moonpark = require "moonpark"
local multipart_support = require "support.multipart"
local net_support = require "support.net"
local support = require "support.http"

-- A source of those pieces.
local function source_of(pieces)
  local i = 0
  return function()
    i = i + 1
    if pieces[i] then return pieces[i] end
    return nil, "eof"
  end
end

-- What is found: {{name, filename, type, body}, ...}, or the error.
local function parse(pieces, options, read_max)
  if type(pieces) == "string" then pieces = { pieces } end
  local found, failure = {}, nil
  local parts = http_multipart.parts(source_of(pieces), "B", options, function(err) failure = err end)
  for part in parts do
    local body = {}
    for data in function() return (part:read(read_max)) end do body[#body + 1] = data end
    found[#found + 1] = { part.name, part.filename or "-", part.type or "-", table.concat(body) }
  end
  return failure or found
end

local function part(fields, body) return "\r\n--B\r\n" .. fields .. "\r\n\r\n" .. body end
local function named(name, body) return part('Content-Disposition: form-data; name="' .. name .. '"', body) end
local LAST = "\r\n--B--\r\n"

describe("multipart", function()
  it("is parts with names, filenames, types and bytes", function()
    local text = named("a", "1") .. part('content-disposition: form-data; filename="x.png"; name=b\r\n'
      .. "CONTENT-TYPE: image/png", "\r\n\0--B \r\n-") .. named("empty", "") .. LAST
    assert.same({ { "a", "-", "-", "1" }, { "b", "x.png", "image/png", "\r\n\0--B \r\n-" },
      { "empty", "-", "-", "" } }, parse(text))
    assert.equal(3, #parse(text:sub(3))) -- the body may begin with its boundary
  end)

  it("may have a preamble, an epilogue, and blanks behind boundaries", function()
    local text = "preamble\r\n--b\r\n" .. (named("a", "1") .. named("b", "2") .. LAST):gsub("%-%-B\r\n", "--B \t\r\n")
    assert.same({ { "a", "-", "-", "1" }, { "b", "-", "-", "2" } }, parse(text .. "epilogue --B\r\n\n--b\r\n--\r\n"))
    assert.equal(2, #parse(named("a", "1") .. named("b", "2") .. "\r\n--B--"))
    assert.same({}, parse(LAST))
  end)

  it("takes names as browsers and others write them", function()
    local function name_of(disposition)
      local found = parse(part("Content-Disposition: " .. disposition, "") .. LAST)
      return type(found) == "table" and found[1][1] .. "|" .. found[1][2] or found
    end
    assert.equal('a"b|c"d', name_of 'form-data; name="a%22b"; filename="c%22d"')
    assert.equal('a"b|-', name_of 'form-data; name="a\\"b"')
    assert.equal("a\\b|-", name_of 'form-data; name="a\\\\b"')
    assert.equal("é|-", name_of 'FORM-DATA;name="é"')
    assert.equal("a|", name_of 'form-data; name="a"; filename=""')
  end)

  it("has a part without a body where a boundary follows the empty line of a head at once (RFC 2046 5.1.1)", function()
    local bare = { name = "a", body = "", bare = true }
    local others = { {}, { { name = "b", body = "2" } }, { { name = "b", body = "" }, bare }, { bare, bare } }
    for _, more in ipairs(others) do
      local parts, expected = { bare, unpack(more) }, {}
      for i, found in ipairs(parts) do expected[i] = { found.name, "-", "-", found.body } end
      local text = multipart_support.write(parts, "B")
      for cut = 1, #text do
        assert.same(expected, parse({ text:sub(1, cut), text:sub(cut + 1) }, nil, 1))
      end
    end
  end)

  it("keeps no path of a filename", function()
    local function file(name)
      return parse(part('Content-Disposition: form-data; name="f"; filename="' .. name .. '"', "") .. LAST)[1][2]
    end
    assert.same({ "passwd", "x.txt", "y", "" },
      { file "../../etc/passwd", file "C:\\dir\\x.txt", file "/y", file "a/" })
  end)

  describe("is refused where it", function()
    local function refused(text, options)
      local found = parse(text, options)
      assert.equal("string", type(found), "it was taken")
      return found
    end

    it("has no end", function()
      local whole = "x" .. named("a", "1") .. named("b", "2") .. "\r\n--B--"
      for n = 0, #whole - 1 do assert.equal("malformed multipart", refused(whole:sub(1, n)), n) end
      assert.equal(2, #parse(whole))
    end)

    it("has a boundary with something behind it", function()
      for _, behind in ipairs { "x", "-\r\n", " x\r\n", "\n", "\r\r\n", "--x", "-- x", (" "):rep(65) .. "\r\n" } do
        assert.equal("malformed multipart", refused(named("a", "1") .. "\r\n--B" .. behind .. "\r\n--B--\r\n"), behind)
      end
    end)

    it("has a part without a name, or with a head that is none", function()
      for _, head in ipairs { "X: y", "Content-Disposition: form-data", "Content-Disposition: attachment; name=a",
        'Content-Disposition: form-data; name="a', "Content-Disposition: form-data; name=a; name=b", " a: b",
        "Content-Disposition : form-data; name=a", "Content-Disposition: form-data; name=a\r\n folded", "x",
        "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
        "Content-Disposition: form-data; name=a\nX: y", "Content-Disposition: form-data; name=a\r\nX: \0" } do
        assert.equal("malformed multipart", refused(part(head, "") .. LAST), head)
      end
      assert.equal("malformed multipart", refused("\r\n--B\r\n\r\nx" .. LAST))
    end)

    it("has a line that begins with the boundary, and is none", function()
      local head = "Content-Disposition: form-data; name=a"
      local bodies = { "\n--B\r\n", "x\n--B\r\n", "x\r--B\r\n", "x\n--B--\r\n", "\r\n\n--B\r\n", "x\n--Bx",
        "x\r\n--Bx", "--Bx", "--B", "--B-\r\n", "--B--\r", "\r--B", "x\r\n--B\11\r\n", "x\r\n--B:", "x\r\n--B--B\r\n" }
      for _, body in ipairs(bodies) do
        assert.equal("malformed multipart", refused(part(head, body) .. LAST), ("%q"):format(body))
      end
      for _, preamble in ipairs { "x\n--B\r\n", "x\r--B\r\n", "--Bx\r\n", "\n--B\r\n" } do
        assert.equal("malformed multipart", refused(preamble .. part(head, "") .. LAST), ("%q"):format(preamble))
      end
      for _, epilogue in ipairs { "--B", "--B\r\n", "x\n--B--", "x\r--B", "\r\n--B--\r\n", "x\r\n--Bx",
        named("b", "1") .. LAST } do
        assert.equal("malformed multipart", refused(part(head, "") .. LAST .. epilogue), ("%q"):format(epilogue))
      end
    end)

    it("has a boundary in a head, even where that could be a field", function()
      local head = "Content-Disposition: form-data; name=a"
      for _, line in ipairs { "--B", "--B--", "--B: x", "--Bx: y", "--B--: x" } do
        assert.equal("malformed multipart", refused(part(head .. "\r\n" .. line, "x") .. LAST), line)
        assert.equal("malformed multipart", refused(part(line .. "\r\n" .. head, "x") .. LAST), line)
      end
      assert.equal("malformed multipart", refused("--B\r\n" .. head .. LAST))
      assert.equal("malformed multipart", refused("--B\r\n" .. head .. named("b", "1") .. LAST))
      assert.equal("malformed multipart", refused("--B\r\n\r\n--B\r\n" .. head .. "\r\n\r\n--B--"))
      local failure
      local text = "--a:b\r\n" .. head .. "\r\n--a:b\r\n\r\nx\r\n--a:b--"
      local parts = http_multipart.parts(source_of { text }, "a:b", nil, function(err) failure = err end)
      assert.is_nil(parts())
      assert.equal("malformed multipart", failure)
    end)

    it("has parameters that others read in another way", function()
      local function disposition(text) return part("Content-Disposition: form-data; " .. text, "x") .. LAST end
      for _, text in ipairs { "name=a; name*=UTF-8''b", "name*=UTF-8''a", "name*0=a; name*1=b",
        "name=a; filename*=UTF-8''b", "name=a; filename=b; filename*=UTF-8''c", "name=a; filename=b; filename*=b",
        "name=a; filename*0=b",
        "name=a; filename=b; filename*=ISO-8859-1''b", "name=a; filename=b; filename*=UTF-8''%b",
        "name=a; filename=b; filename=b", "name=a; NAME=a", "name=a=b", "name=a,b", "name=a/b", "name=é", "name=(a)",
        "name", "name=", "name=a;", "name=a; ; x=y",
        [[name="a\"; filename="b"]], [[name="a\\"; filename="b"]], [[name="a\"; x="; filename="b"]], [[name="a\"; b"]],
        [[name="a\\\"; b"]], [[name="a" b]], [[name="a"; filename="b]], [[name ="a"]], [[name= "a"]], [[na"me="a"]] } do
        assert.equal("malformed multipart", refused(disposition(text)), text)
      end
      for text, filename in pairs { ["name=a; filename=b; filename*=utf-8''b"] = "b",
        ["name=a; filename*=UTF-8'en'%c3%a9; filename=\"é\""] = "é", ['name="a"; filename="b\\"c"'] = 'b"c',
        ['name="a"; filename="b;c"'] = "b;c" } do
        assert.equal(filename, parse(disposition(text))[1][2], text)
      end
    end)

    it("has a part that some would decode", function()
      local function encoded(how)
        return part("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: " .. how, "eA==") .. LAST
      end
      for _, how in ipairs { "base64", "quoted-printable", "x", "", "binary, base64" } do
        assert.equal("malformed multipart", refused(encoded(how)), how)
      end
      for _, how in ipairs { "7bit", "8BIT", "binary" } do assert.equal("eA==", parse(encoded(how))[1][4]) end
    end)

    it("is more than was allowed", function()
      local two = named("a", "12345") .. named("b", "1") .. LAST
      assert.equal("too many parts", refused(two, { max_parts = 1 }))
      assert.equal("part too long", refused(two, { max_part = 4 }))
      assert.equal("part head too long", refused(two, { max_head = 20 }))
      assert.equal(2, #parse(two, { max_parts = 2, max_part = 5 }))
      assert.equal("malformed multipart", refused(("x"):rep(8193) .. two))
    end)
  end)

  it("is the same however its bytes are cut", function()
    math.randomseed(20240611)
    local bits = { "\r", "\n", "\r\n", "--", "-", "B", "\r\n--", "\r\n--b", "\r\n-", "x", "\0", " ", "\r\n\r\n" }
    local ends = { LAST, LAST, LAST, "\r\n--B--", "\r\n--B-- \t\r\nmore", "", "\r\n--B-", "\r\n--Bx",
      LAST .. "\r\n--", LAST .. "x\n--B" }
    for _ = 1, 300 do
      local parts = { math.random(2) == 1 and "pre" or "" }
      for _ = 1, math.random(0, 3) do
        local body = {}
        for i = 1, math.random(0, 8) do body[i] = bits[math.random(#bits)] end
        parts[#parts + 1] = named(bits[math.random(#bits)]:gsub("%c", "c"), table.concat(body))
      end
      local text = table.concat(parts) .. ends[math.random(#ends)]
      local expected = parse(text, { max_part = 30 })
      for _ = 1, 6 do
        local pieces, at = {}, 1
        while at <= #text do
          local n = math.random(1, math.random(2) == 1 and 2 or 40)
          pieces[#pieces + 1] = text:sub(at, at + n - 1)
          at = at + n
        end
        assert.same(expected, parse(pieces, { max_part = 30 }, math.random(1, 9)), text)
      end
      if type(expected) == "table" then -- and a reader that goes by lines, whatever ends them, finds those parts
        local sections, ended = multipart_support.sections(text, "B")
        assert.is_true(ended)
        for i, section in ipairs(assert(sections)) do sections[i] = multipart_support.body(section) end
        for i, found in ipairs(expected) do expected[i] = found[4] end
        assert.same(expected, sections, text)
      end
    end
  end)

  it("holds no more than a piece and a boundary", function()
    local piece, n = ("x"):rep(65536), 0
    local function source()
      n = n + 1
      if n == 1 then return named("a", "") end
      if n <= 200 then return piece end -- 12 MiB
      if n == 201 then return LAST end
      return nil, "eof"
    end
    collectgarbage()
    local before, most, total = collectgarbage "count", 0, 0
    for found in http_multipart.parts(source, "B") do
      for data in function() return (found:read()) end do
        total = total + #data
        if n % 20 == 0 then
          collectgarbage()
          most = math.max(most, collectgarbage "count" - before)
        end
      end
    end
    assert.equal(199 * 65536, total)
    assert.is_true(most < 1024, most .. " KiB")
  end)

  describe("part", function()
    it("can be read whole, in pieces or not at all", function()
      local text = named("a", "one") .. named("b", "two") .. named("c", "three") .. LAST
      local seen = {}
      for found in http_multipart.parts(source_of { text }, "B") do
        if found.name == "a" then seen[1] = found:body() end
        if found.name == "b" then seen[2] = found:read(2) end
        if found.name == "c" then seen[3] = { found:body(), found:body(), found:read(), found.size } end
      end
      assert.same({ "one", "tw", { "three", "", nil, 5 } }, seen)
    end)

    it("says so when it is read too late, or is longer than body() may hold", function()
      local text = named("a", "one") .. named("b", "two") .. LAST
      local first, errors
      for found in http_multipart.parts(source_of { text }, "B", nil, function(err) errors = err end) do
        if first then
          assert.same({ nil, "part has already finished" }, { first:read() })
          assert.same({ nil, "part too long" }, { found:body(2) })
        end
        first = first or found
      end
      assert.equal("part too long", errors)
    end)

    it("is saved to a new file, or leaves none", function()
      net_support.with_folder(function(folder)
        local text = named("a", "one") .. named("b", "two") .. named("c", "three") .. LAST
        local progress = {}
        for found in http_multipart.parts(source_of { text }, "B", { max_part = 4 }) do
          local path = folder .. "/" .. found.name
          if found.name == "a" then
            assert.equal(3, found:save(path, function(n) progress[#progress + 1] = n end))
          elseif found.name == "b" then
            assert.equal("file exists", select(2, found:save(folder .. "/a")))
          else
            assert.equal("part too long", select(2, found:save(path)))
            assert.is_nil(moonpark.fs.stat(path))
          end
        end
        assert.same({ 3 }, progress)
        assert.equal("one", moonpark.fs.read(folder .. "/a"))
        moonpark.fs.remove(folder .. "/a")
      end)
    end)
  end)

  -- In processor time: before, each of these parts took a third of a second.
  it("costs no more for heads full of blanks or parameters", function()
    local many = {}
    for i = 1, 900 do many[i] = ("; a%d=b"):format(i) end
    local disposition, blanks = "Content-Disposition: form-data; name=a", (" "):rep(8000)
    local began = os.clock()
    for _, head in ipairs { disposition .. "\r\nX: a" .. blanks .. "b", disposition .. blanks .. "; b=c",
      disposition .. table.concat(many) } do
      assert.equal(100, #parse(part(head, ""):rep(100) .. LAST))
      assert.is_true(os.clock() - began < 5, ("%.1f s"):format(os.clock() - began))
    end
  end)

  it("has a boundary that RFC 2046 allows", function()
    local function boundary(parameters) return http_multipart.boundary("multipart/form-data" .. parameters) end
    assert.equal("a b'()+_,-./:=?c", boundary "; charset=x; Boundary=\"a b'()+_,-./:=?c\"")
    assert.equal("x", http_multipart.boundary "Multipart/Form-Data;boundary=x")
    for _, bad in ipairs { "", "; boundary=", '; boundary=""', '; boundary="a "', "; boundary=" .. ("x"):rep(71),
      "; boundary=a; boundary=b", "; boundary=a; Boundary=a", '; boundary="a\\"b"', "; boundary=a;", "; boundary=é",
      "; boundary=a,b", "; boundary=a/b", "; boundary=a=b", "; boundary=a; boundary*=b", "; boundary*=UTF-8''a",
      "; boundary*0=a; boundary*1=b", "; boundary=a, multipart/form-data; boundary=b", '; boundary="a',
      '; boundary="a"b',
      " boundary=a", "; boundary =a" } do
      assert.is_nil(boundary(bad), bad)
    end
    assert.is_nil(http_multipart.boundary "multipart/mixed; boundary=x")
    assert.is_nil(http_multipart.boundary(nil))
  end)

  it("raises for limits that are none, at the caller's line", function()
    local server = support.start(function(req) for _ in req:multipart { max_parts = "x" } do error "none" end end)
    assert.equal(500, server:ask("POST / HTTP/1.1\nContent-Type: multipart/form-data; boundary=B", "x").status)
    assert.matches("multipart_spec%.lua:%d+: multipart: option 'max_parts' must be a whole number", server:take_log())
    server:stop()
  end)

  it("of a request: failures are answered, and told in req.body_error", function()
    local seen
    local server = support.start(function(req, res)
      local names = {}
      for found in req:multipart { max_parts = 2 } do names[#names + 1] = found.name end
      seen = req.body_error
      if not seen then res:json_list(names) end
    end)
    local head = "POST / HTTP/1.1\nContent-Type: multipart/form-data; boundary=B"
    assert.equal('["a","b"]', server:ask(head, named("a", "1") .. named("b", "2") .. LAST).body)
    local answer = server:ask(head, named("a", "1"))
    assert.same({ 400, "malformed multipart\n", "malformed multipart" }, { answer.status, answer.body, seen })
    answer = server:ask(head, named("a", "1") .. named("b", "1") .. named("c", "1") .. LAST)
    assert.same({ 413, "too many parts" }, { answer.status, seen })
    server:stop()
  end)

  it("is read by the page's loop, which saves no file where the user has chosen none", function()
    local file = assert(io.open "docs/http.md")
    local loop = file:read("*a"):match("## multipart\n.-```lua\n(.-)```")
    file:close()
    net_support.with_folder(function(folder)
      local app, fields, saved = http.router(), {}, 0
      local function my_own_name()
        saved = saved + 1
        return "file" .. saved
      end
      assert(loadstring("local app, fields, folder, my_own_name = ...\n" .. loop))(app, fields, folder, my_own_name)
      local server = support.start(app)
      -- as browsers send <input type=file multiple> with nothing in it
      local function chosen(name, filename, body)
        local head = 'Content-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: application/x'
        return part(head:format(name, filename), body)
      end
      local text = named("a", "1") .. chosen("f", "", "") .. named("empty", "") .. chosen("g", "x.txt", "two")
        .. chosen("h", "none", "") .. chosen("i", "", "") .. LAST
      local head = "POST / HTTP/1.1\nContent-Type: multipart/form-data; boundary=B"
      assert.same({ 200, "thanks" }, { server:ask(head, text).status, server:ask(head, "\r\n--B--").body })
      assert.same({ a = "1", empty = "" }, fields)
      assert.equal(2, saved)
      assert.equal("two", moonpark.fs.read(folder .. "/file1"))
      assert.equal("", moonpark.fs.read(folder .. "/file2"))
      for i = 1, saved do moonpark.fs.remove(folder .. "/file" .. i) end
      server:stop()
    end)
  end)
end)
