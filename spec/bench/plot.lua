-- SPDX-License-Identifier: MIT
-- plot.lua - draws the plot of README.md from docs/benchmarks.md: the CPU time of a plain HTTP request.
--
--   luajit spec/bench/plot.lua > docs/images/http.svg

local HEADING = "### HTTP: plaintext through router and handler"

-- Places in the drawing, in pixels; a microsecond is SCALE wide.
local WIDTH, LEFT, TOP, ROW, BAR, SCALE = 880, 150, 74, 38, 24, 16

local STYLE = [[
<style>
  text { font: 15px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2430 }
  .title { font-size: 17px; font-weight: 600 }
  .name { text-anchor: end }
  .small { font-size: 13px; fill: #5a6272 }
  .paper { fill: #ffffff }
  .bar { fill: #b9c0cd }
  .ours { fill: #4a71dd }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e8f0 }
    .small { fill: #9aa5b8 }
    .paper { fill: #14171d }
    .bar { fill: #566175 }
    .ours { fill: #7d9bf0 }
  }
</style>]]

local names = { ["C limit"] = "bare C loop", ["nginx with Lua"] = "nginx + Lua" }

-- The table's rows, the cheapest first: { name =, microseconds = }; and the line that names the machine.
local function read_figures()
  local file = assert(io.open("docs/benchmarks.md"))
  local page = file:read("*a")
  file:close()
  local start = assert(page:find(HEADING, 1, true), "no such heading: " .. HEADING)
  local rows = {}
  for name, figure in page:sub(start):match("\n(|.-\n)\n"):gmatch("| ([^|]+) | [^|]*| ([%d.]+) %(") do
    rows[#rows + 1] = { name = name, microseconds = tonumber(figure) }
  end
  assert(#rows > 3, "the table has hardly any rows")
  table.sort(rows, function(a, b) return a.microseconds < b.microseconds end)
  return rows, assert(page:match("\nOne run of `make bench`: ([^;\n]+)"), "no line names the machine")
end

local function text(class, x, y, what)
  print(('<text class="%s" x="%d" y="%d">%s</text>'):format(class, x, y, what))
end

local rows, machine = read_figures()
local height = TOP + #rows * ROW + 36
print(('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title">')
  :format(WIDTH, height))
print("<!-- SPDX-License-Identifier: MIT -->\n<!-- drawn by spec/bench/plot.lua from docs/benchmarks.md -->")
print('<title id="title">CPU time of the server for one HTTP request</title>\n' .. STYLE)
print(('<rect class="paper" width="%d" height="%d" rx="12"/>'):format(WIDTH, height))
text("title", 24, 34, "CPU time of the server for one HTTP request")
text("small", 24, 56, "plain text, 64 connections, one worker or thread; in µs, shorter is better")
for i, row in ipairs(rows) do
  local y = TOP + (i - 1) * ROW
  local middle = y + BAR - 6
  local class = row.name == "moonpark" and "bar ours" or "bar"
  text("name", LEFT - 12, middle, names[row.name] or row.name)
  print(('<rect class="%s" x="%d" y="%d" width="%.0f" height="%d" rx="4"/>')
    :format(class, LEFT, y, row.microseconds * SCALE, BAR))
  text("figure", LEFT + row.microseconds * SCALE + 10, middle, ("%.2f"):format(row.microseconds))
end
text("small", 24, height - 16, "medians of seven rounds on " .. machine)
print("</svg>")
