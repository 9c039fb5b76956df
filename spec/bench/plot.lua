-- SPDX-License-Identifier: MIT
-- plot.lua - draws bars, the shortest first: of the cases of a run, and for README.md of a table in docs/benchmarks.md.
--
--   luajit spec/bench/plot.lua > docs/images/http.svg

local M = {}

-- Places in the drawing, in pixels. A letter's width is a guess that suits wide fonts.
local WIDTH, MARGIN, ROW, BAR = 880, 24, 38, 24
local LETTER, TITLE_LETTERS = 8.6, 84
local FIGURE = 84                       -- beside the longest bar
local GOAL, RATIO = 150, 110            -- columns at the right

local STYLE = [[
<style>
  text { font: 15px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2430 }
  .title { font-size: 17px; font-weight: 600 }
  .name, .right { text-anchor: end }
  .small, .right { font-size: 13px; fill: #5a6272 }
  .paper { fill: #ffffff }
  .bar { fill: #b9c0cd }
  .ours { fill: #4a71dd }
  .kin { fill: #a3b7f0 }
  .range { stroke: #1f2430; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e8f0 }
    .small, .right { fill: #9aa5b8 }
    .paper { fill: #14171d }
    .bar { fill: #566175 }
    .ours { fill: #7d9bf0 }
    .kin { fill: #43578f }
    .range { stroke: #e4e8f0 }
  }
</style>]]

local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escaped(text) return (text:gsub('[&<>"]', escapes)) end

-- A drawing in the making: lines of SVG, and how far down it has come.
local Drawing = {}
Drawing.__index = Drawing

function Drawing:add(format, ...) table.insert(self, format:format(...)) end

function Drawing:text(class, x, y, what)
  self:add('<text class="%s" x="%.0f" y="%d">%s</text>', class, x, y, escaped(what))
end

-- Lines of at most so many letters, cut between words.
local function wrapped(text, letters)
  local lines = { "" }
  for word in text:gmatch("%S+") do
    local line = lines[#lines]
    if line ~= "" and #line + 1 + #word > letters then
      table.insert(lines, word)
    else
      lines[#lines] = line == "" and word or line .. " " .. word
    end
  end
  return lines
end

local function any(rows, field)
  for _, row in ipairs(rows) do
    if row[field] then return true end
  end
  return false
end

-- Where the columns of a panel are, and how many pixels one unit is wide.
local function layout(rows)
  local letters, longest = 0, 0
  for _, row in ipairs(rows) do
    letters = math.max(letters, #row.name)
    longest = math.max(longest, row.most or row.value or 0)
  end
  local goal = any(rows, "goal") and WIDTH - MARGIN or nil
  local ratio = any(rows, "ratio") and (goal and goal - GOAL or WIDTH - MARGIN) or nil
  local left = MARGIN + letters * LETTER + 20
  local right = ratio and ratio - RATIO or goal and goal - GOAL or WIDTH - MARGIN
  return { left = left, ratio = ratio, goal = goal, scale = longest > 0 and (right - FIGURE - left) / longest or 0 }
end

local function class_of(name)
  return name == "moonpark" and "bar ours" or name:find "^moonpark," and "bar kin" or "bar"
end

function Drawing:range(row, columns, middle)
  if not row.least or row.least == row.most then return end
  self:add('<line class="range" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>', columns.left + row.least * columns.scale,
    middle, columns.left + row.most * columns.scale, middle)
end

function Drawing:row(row, columns)
  local base = self.y + BAR - 7
  self:text("name", columns.left - 12, base, row.name)
  if row.missing then
    self:text("small", columns.left, base, row.missing)
  else
    self:add('<rect class="%s" x="%.0f" y="%d" width="%.1f" height="%d" rx="4"/>', class_of(row.name), columns.left,
      self.y, row.value * columns.scale, BAR)
    self:range(row, columns, self.y + BAR / 2)
    self:text("figure", columns.left + (row.most or row.value) * columns.scale + 10, base, row.figure)
  end
  if row.ratio then self:text("right", columns.ratio, base, row.ratio) end
  if row.goal then self:text("right", columns.goal, base, row.goal) end
  self.y = self.y + ROW
end

function Drawing:panel(panel)
  local columns = layout(panel.rows)
  for _, line in ipairs(wrapped(panel.title, TITLE_LETTERS)) do
    self:text("title", MARGIN, self.y, line)
    self.y = self.y + 22
  end
  self:text("small", MARGIN, self.y, panel.subtitle)
  if columns.ratio then self:text("right", columns.ratio, self.y, "moonpark ÷ it") end
  if columns.goal then self:text("right", columns.goal, self.y, "goal") end
  self.y = self.y + 18
  for _, row in ipairs(panel.rows) do self:row(row, columns) end
  self.y = self.y + 26
end

---Draws panels of bars, one below the other.
---@param chart { source: string, footer: string[], panels: { title: string, subtitle: string, rows: table[] }[] }
---  a row is { name =, value =, figure = its text } or { name =, missing = why }; it may have least, most, ratio, goal
---@return string SVG
function M.draw(chart)
  local drawing = setmetatable({ y = 34 }, Drawing)
  for _, panel in ipairs(chart.panels) do drawing:panel(panel) end
  for i, line in ipairs(chart.footer) do drawing:text("small", MARGIN, drawing.y - 6 + (i - 1) * 18, line) end
  local height = drawing.y + #chart.footer * 18 - 8
  return table.concat({
    ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title">')
      :format(WIDTH, height),
    "<!-- SPDX-License-Identifier: MIT -->",
    ("<!-- drawn by spec/bench/plot.lua from %s -->"):format(chart.source),
    ('<title id="title">%s</title>'):format(escaped(chart.panels[1].title)), STYLE,
    ('<rect class="paper" width="%d" height="%d" rx="12"/>'):format(WIDTH, height),
    table.concat(drawing, "\n"), "</svg>\n" }, "\n")
end

-- README.md's --------------------------------------------------------------------------------------------------------

local PAGE, HEADING = "docs/benchmarks.md", "### HTTP: plaintext through router and handler"

local names = { ["C limit"] = "bare C loop", ["nginx with Lua"] = "nginx + Lua" }

-- The table's rows, the cheapest first, and the line that names the machine.
local function read_figures()
  local file = assert(io.open(PAGE))
  local page = file:read("*a")
  file:close()
  local start = assert(page:find(HEADING, 1, true), "no such heading: " .. HEADING)
  local rows = {}
  for name, figure in page:sub(start):match("\n(|.-\n)\n"):gmatch("| ([^|]+) | [^|]*| ([%d.]+) %(") do
    rows[#rows + 1] = { name = names[name] or name, value = tonumber(figure), figure = figure }
  end
  assert(#rows > 3, "the table has hardly any rows")
  table.sort(rows, function(a, b) return a.value < b.value end)
  return rows, assert(page:match("\nOne run of `make bench`: ([^;\n]+)"), "no line names the machine")
end

local function draw_page()
  local rows, machine = read_figures()
  return M.draw { source = PAGE, footer = { "medians of seven rounds on " .. machine }, panels = { {
    title = "CPU time of the server for one HTTP request", rows = rows,
    subtitle = "plain text, 64 connections, one worker or thread; in µs, shorter is better" } } }
end

if ... == "plot" then return M end
io.stdout:write(draw_page())
