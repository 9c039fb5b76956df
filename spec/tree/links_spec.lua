-- SPDX-License-Identifier: MIT
-- links_spec.lua - the links of README.md and of all pages: each leads to a file of the tree, and a #part of it to a
-- heading of that page; and docs/README.md leads to every page.

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

local pages = { "README.md" }
do
  local pipe = assert(io.popen("find docs -name '*.md' | sort"))
  for path in pipe:lines() do pages[#pages + 1] = path end
  pipe:close()
  assert(#pages > 20, "hardly any page was found: is this the top of the tree?")
end

-- The page without its blocks of code.
local function prose(text) return (("\n" .. text):gsub("\n```.-\n```", "")) end

-- A heading's anchor, as GitHub makes it: small letters, without punctuation, a hyphen for each space.
local function anchor(heading)
  return (heading:gsub("%[([^%]]*)%]%b()", "%1"):lower():gsub("[^%w%s_\128-\255-]", ""):gsub("%s", "-"))
end

-- { [anchor] = true } of a page; headings that are alike get a number from the second on.
local function anchors(text)
  local found, seen = {}, {}
  for heading in prose(text):gmatch("\n#+ +([^\n]*)") do
    local name = anchor(heading)
    found[seen[name] and name .. "-" .. seen[name] or name] = true
    seen[name] = (seen[name] or 0) + 1
  end
  return found
end

-- The targets of all links and pictures, without those of other sites.
local function links(text)
  local found = {}
  local without_code = prose(text):gsub("`[^`\n]*`", "code")
  for _, pattern in ipairs { "%]%(([^)%s]+)%)", "%f[%w]src=\"([^\"]+)\"", "%f[%w]srcset=\"([^\"]+)\"",
    "%f[%w]href=\"([^\"]+)\"", "\n%[[^%]]+%]: *(%S+)" } do
    for target in without_code:gmatch(pattern) do
      if not target:find("^%a[%w+.-]*:") then found[#found + 1] = target end
    end
  end
  return found
end

-- The target as a path of the tree, or nil where it leads out of it.
local function resolve(page, target)
  local parts = {}
  for part in (page:match("^(.*/)") or ""):gmatch("[^/]+") do parts[#parts + 1] = part end
  for part in target:gmatch("[^/]+") do
    if part == ".." then
      if not table.remove(parts) then return nil end
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return table.concat(parts, "/")
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- What is wrong with a page's link, or nil.
local function complaint(page, target)
  local to, part = target:match("^([^#]*)#?(.*)$")
  local path = to == "" and page or resolve(page, to)
  if not path or not exists(path) then return ("%s: %s: no such file"):format(page, target) end
  if part == "" then return nil end
  local text = path:find("%.md$") and read(path)
  if text and anchors(text)[part] then return nil end
  return ("%s: %s: no such heading"):format(page, target)
end

describe("a page", function()
  it("has relative links only to files of the tree and to headings of their pages", function()
    local wrong, count = {}, 0
    for _, page in ipairs(pages) do
      for _, target in ipairs(links(read(page))) do
        count = count + 1
        wrong[#wrong + 1] = complaint(page, target)
      end
    end
    assert.same({}, wrong)
    assert.is_true(count > 200, "hardly any link was found")
  end)

  it("is in docs/README.md, and a record of a decision in docs/decisions/README.md", function()
    local listed = {}
    for _, contents in ipairs { "docs/README.md", "docs/decisions/README.md" } do
      for _, target in ipairs(links(read(contents))) do
        listed[resolve(contents, target:match("^[^#]*"))] = true
      end
    end
    local missing = {}
    for _, page in ipairs(pages) do
      if not listed[page] and page ~= "README.md" and page ~= "docs/README.md" then missing[#missing + 1] = page end
    end
    assert.same({}, missing)
  end)
end)

describe("the check of links", function()
  it("complains of a file that is missing, a path out of the tree, and a heading that is missing", function()
    assert.is_nil(complaint("docs/cli.md", "../README.md"))
    assert.is_nil(complaint("docs/cli.md", "cli.md#signals"))
    assert.is_nil(complaint("docs/cli.md", "#signals"))
    assert.equal("docs/cli.md: none.md: no such file", complaint("docs/cli.md", "none.md"))
    assert.equal("docs/cli.md: ../../cli.md: no such file", complaint("docs/cli.md", "../../cli.md"))
    assert.equal("docs/cli.md: #none: no such heading", complaint("docs/cli.md", "#none"))
    assert.equal("docs/cli.md: ../LICENSE#none: no such heading", complaint("docs/cli.md", "../LICENSE#none"))
  end)

  it("makes a heading's anchor as GitHub does, and passes over code", function()
    assert.equal("testingtimeoutseconds", anchor("testing.timeout(seconds)"))
    assert.equal("what-is-said-and-not", anchor("What is said, and `not`"))
    assert.same({ a = true, ["a-1"] = true }, anchors("# A\n\n```\n# B\n```\n## A\n"))
    local text = "[x](x.md) `[c](c.md)` [h](https://h/)\n<img src=\"y.svg\">\n```\n[z](z.md)\n```\n"
    assert.same({ "x.md", "y.svg" }, links(text))
  end)
end)
