-- SPDX-License-Identifier: MIT
-- template_spec.lua - http.template and http.templates: what pages are made of, how values are escaped in each place,
-- and the line of every error.

local curl = require "support.curl"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local process = require "support.process"
local support = require "support.http"
local testing = require "moonpark.testing"

local function page(text, values) return http.template(text):render(values) end

local function complaint(...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  return err
end

local function compiling(text) return complaint(http.template, text, { name = "page.html" }) end
local function rendering(text, values)
  return complaint(function() http.template(text, { name = "page.html" }):render(values) end)
end

describe("http.template", function()
  it("is text with values, conditions and loops in Lua", function()
    assert.equal("plain\ntext", page "plain\ntext")
    assert.equal("", page "")
    assert.equal("Hello Ada, 2 of 3, true", page("Hello <%= name %>, <%= n %> of <%= n + 1 %>, <%= n == 2 %>",
      { name = "Ada", n = 2 }))
    assert.equal("[1][2][3]", page("<% for i = 1, n do %>[<%= i %>]<% end %>", { n = 3 }))
    assert.equal("no", page "<% if user then %><%= user.name %><% else %>no<% end %>")
    assert.equal("a\0b\r\n\"\\c", page "a\0b\r\n\"\\c")
    assert.equal("a <% b %>", page "a <%% b %><%# a comment,\n of two lines %>")
    assert.equal("<td>1</td><td>2</td>", page "<% local function cell(n) %><td><%= n %></td><% end cell(1) cell(2) %>")
  end)

  it("leaves out lines that have only code", function()
    assert.equal("<ul>\n  <li>1</li>\n  <li>2</li>\n</ul>\n",
      page "<ul>\n  <% for i = 1, 2 do %>\n  <li><%= i %></li>\n  <% end %>\n</ul>\n")
    assert.equal("a\r\nb", page "a\r\n  <%# note %>\t\r\nb")
    assert.equal("a 1\n b", page "a <%= 1 %>\n<% local x %> b")
  end)

  it("escapes values, unless they are raw", function()
    local text = [[<b> & "it's"]]
    assert.equal("&lt;b&gt; &amp; &quot;it&#39;s&quot;", page("<%= text %>", { text = text }))
    assert.equal(text .. text, page("<%- text %><%= raw(text) %>", { text = text }))
    assert.equal("&lt;b&gt; &amp; &quot;it&#39;s&quot;", http.escape_html(text))
    assert.equal("5", http.escape_html(5))
    local object = setmetatable({}, { __tostring = function() return "<1" end })
    assert.equal("&lt;1", page("<%= object %>", { object = object }))
  end)

  it("escapes parts of URLs by url(), and lets none run a script", function()
    assert.equal('<a href="/s/a%2Fb?q=a%26b%22">', page('<a href="/s/<%= url(a) %>?q=<%= url(b) %>">',
      { a = "a/b", b = 'a&b"' }))
    local link = http.template '<a href="<%= to %>">'
    for _, good in ipairs { "/a?b=1", "https://example.org/x:y", "mailto:a@example.org", "a/b:c", "?x:y", "#a:b",
      "" } do
      assert.equal('<a href="' .. good .. '">', link:render { to = good })
    end
    for _, bad in ipairs { "javascript:alert(1)", " JavaScript:x", "java\nscript:x", "\1javascript:x",
      "data:text/html,x", "vbscript:x", "blob:x" } do
      assert.equal('<a href="#">', link:render { to = bad })
    end
  end)

  it("writes JSON in a script, which cannot end it", function()
    assert.equal([[<script>const a = {"b":"\u003c\/script\u003e\u003c!--\u0026\u2028'\""};</script>]],
      (page("<script>const a = <%= a %>;</script>", { a = { b = "</script><!--&\226\128\168'\"" } }):gsub("([^\\])/s",
        "%1\\/s"):gsub("<\\/script>$", "</script>")))
    assert.equal("<script>f(null, 1, true, [1,2])</script>",
      page("<script>f(<%= absent %>, <%= 1 %>, <%= true %>, <%= { 1, 2 } %>)</script>"))
    assert.equal([[<p data-x="[&quot;a&quot;]">]], page [[<p data-x="<%= json { "a" } %>">]])
    assert.matches("^page.html:2: ", rendering("<script>\n<%= print %></script>"))
  end)

  local refused = {
    ["<a <%= x %>>"] = "in a tag, outside of a value",
    ["<a href <%= x %>>"] = "in a tag, outside of a value",
    ["<<%= x %>>"] = "in a tag",
    ["</<%= x %>>"] = "in a tag",
    ["<h<%= x %>>"] = "in a tag",
    ["<a href=<%= x %>>"] = "in a value without quotes",
    ["<a href=/x/<%= x %>>"] = "in a value without quotes",
    ["<a title='>' onclick=\"f('<%= x %>')\">"] = "in 'onclick'",
    ["<a STYLE='color: <%= x %>'>"] = "in 'style'",
    ["<!-- > <%= x %> -->"] = "in a comment of HTML",
    ["<Style>a { color: <%= x %> }</Style>"] = "in a <style>",
    ["<script>let a = '<%= x %>'</script>"] = "in a string of JavaScript",
    ["<script>let a = \"it's \\\" <%= x %>\"</script>"] = "in a string of JavaScript",
    ["<script>let a = `\n<%= x %>`</script>"] = "in a string of JavaScript",
    ["<script>let a = `${`<%= x %>`}`</script>"] = "in a string of JavaScript",
    ["<script>/* <%= x %> */</script>"] = "in a string of JavaScript",
    ["<script>// '\n// <%= x %></script>"] = "in a string of JavaScript",
    ["<script>a = /\"/; b = \"<%= x %>\"</script>"] = "in a string of JavaScript",
    ["<script>a = /\\//; b = \"<%= x %>\"</script>"] = "in a string of JavaScript",
    ["<script>a = /[/'\"]/; b = '<%= x %>'</script>"] = "in a string of JavaScript",
    ["<script>f('</scripts>', '<%= x %>')</script>"] = "in a string of JavaScript",
  }

  it("refuses values where no escaping is safe", function()
    for text, why in pairs(refused) do
      local err = compiling("\n" .. text)
      assert.is_truthy(err:find("cannot be escaped " .. why, 1, true), text .. ": " .. err)
      assert.matches("^page.html:%d: ", err)
    end
  end)

  it("knows where such places end", function()
    for _, text in ipairs { "<a title='>'><%= x %>", "<a b='c' d=\"<%= x %>\">", "<!-- <a --><%= x %>",
      "<style>a > b {}</style><%= x %>", "<script>'it'</script><%= x %>", "<p>1 < 2 <%= x %>", "<a b=c><%= x %>",
      "<a b=c d='<%= x %>'>", "<br/><%= x %>", "<title><%= x %></title>", "<!doctype html><%= x %>", "it's \"<%= x %>",
      "<input value='<%= x %>' checked>", "<a b = \n'<%= x %>'>", "<% if true then %><a <% end %> b='<%= x %>'>",
      "<a b=<% if true then %>'<%= x %>'<% end %>>" } do
      assert.equal("v", page(text, { x = "v" }):match "v", text)
    end
    for _, text in ipairs { "'it'", "/* ' */", "// '\n", "a = 1 / 2 /", "a = /'/g;", "f(/[/']/)", "`'`;", "'\\\n';",
      "x = \"'\";" } do
      assert.equal("<script>" .. text .. '"v"</script>', page("<script>" .. text .. "<%= x %></script>", { x = "v" }))
    end
  end)

  it("names the template's line for what Lua does not understand", function()
    local function wrong(line, pattern, text)
      assert.matches("^page.html:" .. line .. ": [^\n]*" .. pattern, compiling(text))
    end
    wrong(2, "'<%%' without its '%%>'", "a\n<%= x")
    wrong(1, "no expression", "<%= %>")
    wrong(3, "'%)' expected near 'b'", "\n\n<%= a b %>")
    wrong(3, "unexpected symbol near '='", "<% if x\nthen\nx = = 1 %>\n")
    wrong(3, "'end' is missing", "<% if x then %>\n\n<p>")
    wrong(3, "'end' too many before the text that follows", "<p>\n<% end %>\n<p>")
    wrong(4, "'%)' expected at the end", "<% for i = 1, 2 do %>\n<%# a\ncomment %>\n<%= (1 %>\n<% end %>")
  end)

  it("names the template's line for what fails when the page is made", function()
    assert.matches("^page.html:2: there is nothing to write: the value is nil", rendering "a\n<%= user %>")
    assert.matches("^page.html:4: attempt to index global 'user' %(a nil value%)",
      rendering "<ul>\n<% for i = 1, 2 do %>\n\n<%= user.name %>\n<% end %>")
    assert.matches("^page.html:1: a table cannot be written", rendering "<%= {} %>")
    assert.matches("^page.html:2: boom", rendering "\n<% error 'boom' %>")
    assert.matches("^page.html:3: include: this template has no folder", rendering "<p>\n\n<%= include 'x' %>")
  end)

  it("leaves nothing behind: what a template sets is that page's own", function()
    local counter = http.template "<% count = (count or start) + 1 %><%= count %>"
    assert.equal("11", counter:render { start = 10 })
    assert.equal("6", counter:render { start = 5 })
    assert.is_nil(rawget(_G, "count"))
    local values = { start = 1 }
    counter:render(values)
    assert.same({ start = 1 }, values)
  end)

  it("may wait in the middle, and several pages of one template are made at the same time", function()
    testing.clock()
    local slow = http.template "<% for i = 1, 3 do sleep(pause) %><%= name %><% end %>"
    local pages = moonpark.pool(3, { "a", "b", "c" }, function(name, i)
      return slow:render { name = name, sleep = moonpark.sleep, pause = i }
    end)
    assert.same({ "aaa", "bbb", "ccc", n = 3 }, pages)
  end)

  it("raises for what it cannot use", function()
    assert.matches("^spec/http/template_spec.lua:%d+: bad argument #1 to 'template'",
      complaint(function() http.template {} end)) -- moonpark: ignore
    assert.matches("^spec/http/template_spec.lua:%d+: bad argument #1 to 'render'",
      complaint(function() page("", "x") end))
    assert.matches("bad argument #1 to 'escape_html'", complaint(http.escape_html, nil))
  end)

  -- Values that try to leave their place, read by another program's parser.
  it("keeps hostile values in their places, as Python's parser sees them", function()
    local words = { "<", ">", '"', "'", "&", "&lt;", "</script>", "<!--", "-->", "]]>", "`", "=", "/", "\\", "\n",
      "javascript:", " onload=x ", "<script>", "é", "\226\128\168", "${", "a", "</title>", "&#39;", "<%= x %>" }
    local make = http.template [[<p id="<%= x %>" title='<%= x %>'><%= x %></p><title><%= x %></title>
      <script type="application/json"><%= { x } %></script><a href="<%= x %>" name="/?q=<%= url(x) %>">end</a>]]
    local seed, list = 7, {}
    for i = 1, 300 do
      local parts = {}
      for k = 1, i % 7 + 1 do
        seed = (seed * 16807) % 2147483647
        parts[k] = words[seed % #words + 1]
      end
      list[i] = { table.concat(parts), make:render { x = table.concat(parts) } }
    end
    local path = testing.tempdir() .. "/pages.json"
    assert(moonpark.fs.write(path, require("moonpark.http.json").encode(list)))
    local r = process.run({ "python3", "-c", [[
import json, sys, urllib.parse
from html.parser import HTMLParser
class Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.data = [], {}
    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
    def handle_data(self, data):
        tag = self.tags[-1][0]
        self.data[tag] = self.data.get(tag, "") + data
    def handle_comment(self, data): raise Exception("a comment")
for x, page in json.load(open(sys.argv[1])):
    page = page.replace("<title>", "<b>").replace("</title>", "</b>")
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert [tag for tag, _ in reader.tags] == ["p", "b", "script", "a"], (x, page)
    p, a = reader.tags[0][1], reader.tags[3][1]
    assert p == {"id": x, "title": x}, (x, p)
    assert reader.data["p"] == x and reader.data["b"].rstrip() == x.rstrip(), (x, reader.data)
    assert json.loads(reader.data["script"]) == [x], (x, reader.data)
    assert a["href"] in (x, "#") and not a["href"].lower().strip().startswith("javascript:"), (x, a)
    assert urllib.parse.unquote(a["name"]) == "/?q=" + x, (x, a)
print("read")
]], path })
    assert.same({ 0, "read\n", "" }, { r.status, r.out, r.err })
  end)
end)

describe("http.templates", function()
  local folder

  before_each(function() folder = testing.tempdir() end)
  after_each(support.stop_all)

  local function write(name, text) assert(moonpark.fs.write(folder .. "/" .. name, text)) end

  it("includes others, with the page's names and its own", function()
    write("list.html", "<% for _, item in ipairs(items) do %><%= include('item.html', { item = item }) %><% end %>")
    write("item.html", "<li><%= item %> of <%= owner %></li>")
    local views = http.templates(folder)
    assert.equal("<li>&lt;1&gt; of Ada</li><li>2 of Ada</li>",
      views:render("list.html", { items = { "<1>", 2 }, owner = "Ada" }))
  end)

  it("puts a page into its layout, with blocks and what the page has set", function()
    write("base.html", "<title><%= title or 'none' %></title><% block('menu', function() %>usual<% end) %>"
      .. "|<%= content %>|"
      .. "<% block('foot', function() %>[<% block('inner', function() %>i<% end) %>]<% end) %><% block 'more' %>")
    write("mid.html", "<% layout 'base.html' block('foot', function() %>mid<% end) %>(<%= content %>)")
    write("a.html", "<% layout 'base.html' title = 'A' %>a<% block('menu', function() %>own <%= 1 %><% end) %>"
      .. "<% block('inner', function() %>I<% end) %>")
    write("b.html", "<% layout 'mid.html' %>b<% block('more', function() %>+<% end) %>")
    local views = http.templates(folder)
    assert.equal("<title>A</title>own 1|a|[I]", views:render "a.html")
    assert.equal("<title>none</title>usual|(b)|mid+", views:render "b.html")
    assert.equal("<title>none</title>usual||[i]", views:render("base.html", { content = "" }))
  end)

  it("names the file and its line in every error", function()
    write("a.html", "\n<%= include 'b.html' %>")
    write("b.html", "\n\n<%= x.y %>")
    write("c.html", "\n<% if %>")
    write("d.html", "<%= include 'none.html' %>")
    local views = http.templates(folder)
    local err = complaint(views.render, views, "a.html")
    assert.is_truthy(err:find(folder:sub(-20) .. "/b.html:3: attempt to index global 'x'", 1, true), err)
    assert.is_truthy(complaint(views.render, views, "c.html"):find("/c.html:2: unexpected symbol near '", 1, true))
    err = complaint(function() views:render "none.html" end)
    assert.matches("^spec/http/template_spec.lua:%d+: render: .*none.html: no such file or directory", err)
    err = complaint(views.render, views, "d.html")
    assert.matches("/d.html:1: include: .*none.html: no such file or directory", err)
    for _, name in ipairs { "../a.html", "/etc/passwd", "a/../../b", "", "a\0b" } do
      assert.matches("is no name of a template", complaint(views.render, views, name))
    end
  end)

  it("compiles each once; with reload it looks whether the file has changed", function()
    write("a.html", "old")
    local views, fresh = http.templates(folder), http.templates(folder, { reload = true })
    assert.same({ "old", "old" }, { views:render "a.html", fresh:render "a.html" })
    write("a.html", "newer")
    assert.same({ "old", "newer" }, { views:render "a.html", fresh:render "a.html" })
    write("a.html", "<% broken %>")
    assert.matches("a.html:1: ", complaint(fresh.render, fresh, "a.html"))
    write("a.html", "whole again")
    assert.equal("whole again", fresh:render "a.html")
  end)

  it("answers requests", function()
    write("user.html", "<h1><%= name %></h1>\n")
    write("broken.html", "\n<%= name.x.y %>")
    local views, app = http.templates(folder), http.router()
    app:get("/users/:name", function(req, res) res:html(views:render("user.html", req.params)) end)
    app:get("/broken", function(_, res) res:html(views:render("broken.html", { name = "x" })) end)
    local server = support.start(app)
    local r = curl(server, "/users/%3Cb%3E", "-i")
    assert.matches("^HTTP/1.1 200 OK\r\n", r.out)
    assert.matches("[Cc]ontent%-[Tt]ype: text/html; charset=utf%-8\r\n", r.out)
    assert.matches("\r\n\r\n<h1>&lt;b&gt;</h1>\n$", r.out)
    assert.equal(500, server:ask("GET /broken HTTP/1.1").status)
    assert.matches("broken.html:2: attempt to index field 'x'", server:take_log())
  end)

  it("works outside of tasks", function()
    local script = [[local http = require "moonpark.http"
      print(http.templates(arg[1]):render("a.html", { x = 1 }))]]
    write("a.html", "x is <%= x %>")
    write("script.lua", script)
    local r = process.run { process.interpreter, folder .. "/script.lua", folder }
    assert.same({ 0, "x is 1\n", "" }, { r.status, r.out, r.err })
  end)
end)
