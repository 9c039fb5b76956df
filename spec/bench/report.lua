-- SPDX-License-Identifier: MIT
-- The figures of the benchmark as a table: medians, ranges, ratios of pairs, goals. No I/O.

local M = {}

M.HEAD = { "contender", "version", "median (min–max)", "per second", "moonpark ÷ it", "goal" }

---@param values number[] at least one
---@return number median
---@return number least
---@return number most
function M.spread(values)
  local sorted = {}
  for i, value in ipairs(values) do sorted[i] = value end
  table.sort(sorted)
  local count = #sorted
  local middle = (sorted[math.floor((count + 1) / 2)] + sorted[math.ceil((count + 1) / 2)]) / 2
  return middle, sorted[1], sorted[count]
end

local function column(rounds, field)
  local values = {}
  for _, round in ipairs(rounds) do table.insert(values, round[field]) end
  return values
end

-- Round by round, because what slows the machine down for a while slows both.
local function ratios(ours, theirs)
  local values = {}
  for i = 1, math.min(#ours, #theirs) do
    if theirs[i].cost > 0 then table.insert(values, ours[i].cost / theirs[i].cost) end
  end
  return values
end

local function range(format, values)
  local middle, least, most = M.spread(values)
  if least == most then return format:format(middle) end
  return (format .. " (" .. format .. "–" .. format .. ")"):format(middle, least, most)
end

local function thousands(number)
  local text = ("%.0f"):format(number)
  local grouped = text:reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (grouped:gsub("^,", ""))
end

local function verdict(value, most, unit)
  return ("≤ %s%s: %s"):format(most, unit or "", value <= most and "met" or "missed")
end

-- Which contender a goal is about: of those it names, the one that costs least.
local function rival(goal, rounds_of)
  local best, least
  for _, name in ipairs(goal.beside) do
    local rounds = rounds_of[name]
    local cost = rounds and #rounds > 0 and M.spread(column(rounds, "cost"))
    if cost and (not least or cost < least) then best, least = name, cost end
  end
  return best
end

local function goal_cell(case, contender, rounds_of)
  local ours, theirs = rounds_of.moonpark, rounds_of[contender.name]
  if not ours or #ours == 0 then return "" end
  for _, goal in ipairs(case.goals or {}) do
    if goal.beside and rival(goal, rounds_of) == contender.name then
      return verdict(M.spread(ratios(ours, theirs)), goal.at_most)
    elseif not goal.beside and contender.name == "moonpark" then
      return verdict(M.spread(column(ours, "cost")), goal.at_most, " " .. case.unit)
    end
  end
  return ""
end

local function rate_cell(rounds)
  local rates = column(rounds, "rate")
  return #rates > 0 and thousands((M.spread(rates))) or ""
end

local function ratio_cell(contender, rounds_of)
  local ours = rounds_of.moonpark
  if contender.name == "moonpark" or not ours or #ours == 0 then return "" end
  return range("%.2f", ratios(ours, rounds_of[contender.name]))
end

local function row(case, contender, rounds_of)
  local rounds = rounds_of[contender.name] or {}
  if contender.missing then
    return { contender.name, "", "skipped: " .. contender.missing, "", "", "" }
  elseif contender.failure or #rounds == 0 then
    return { contender.name, contender.version, "ERROR, see below", "", "", "" }
  end
  return { contender.name, contender.version, range(case.format, column(rounds, "cost")), rate_cell(rounds),
    ratio_cell(contender, rounds_of), goal_cell(case, contender, rounds_of) }
end

-- Without the columns that nothing stands in.
local function compact(rows)
  local kept = {}
  for i = 1, #M.HEAD do
    for j = 2, #rows do
      if rows[j][i] ~= "" then
        table.insert(kept, i)
        break
      end
    end
  end
  for j, cells in ipairs(rows) do
    local some = {}
    for _, i in ipairs(kept) do table.insert(some, cells[i]) end
    rows[j] = some
  end
  return rows
end

---The rows of one metric of a case, the head first.
---@return string[][]
function M.rows(case, metric)
  local rows = { { unpack(M.HEAD) } }
  rows[1][3] = case.unit .. ", " .. M.HEAD[3]
  for _, contender in ipairs(case.contenders) do
    table.insert(rows, row(case, contender, case.samples[metric] or {}))
  end
  return compact(rows)
end

local function bar(case, contender, rounds_of)
  local name, _, figure, _, ratio, goal = unpack(row(case, contender, rounds_of))
  local rounds = rounds_of[name]
  if contender.missing or contender.failure or not rounds then
    return { name = name, missing = contender.missing or "could not be measured" }
  end
  local value, least, most = M.spread(column(rounds, "cost"))
  return { name = name, value = value, least = least, most = most, figure = figure:match("^%S+"),
    ratio = ratio:match("^%S+"), goal = goal ~= "" and goal or nil }
end

---What a plot shows of one metric of a case: the cheapest contender first, those without figures last.
---@return table[] see plot.lua
function M.bars(case, metric)
  local bars, order = {}, {}
  for i, contender in ipairs(case.contenders) do
    bars[i] = bar(case, contender, case.samples[metric] or {})
    order[bars[i]] = i
  end
  table.sort(bars, function(a, b)
    local x, y = a.value or math.huge, b.value or math.huge
    if x == y then return order[a] < order[b] end
    return x < y
  end)
  return bars
end

---All of one case as panels of a plot, one for each metric.
---@return table[] see plot.lua
function M.panels(case)
  local panels = {}
  for _, metric in ipairs(case.metrics) do
    local unit = case.unit ~= "" and case.unit .. ", " or ""
    table.insert(panels, { title = (case.title:gsub("METRIC", metric)), subtitle = unit .. "shorter is better",
      rows = M.bars(case, metric) })
  end
  return panels
end

local function width(text)
  local _, count = text:gsub("[^\128-\191]", "")
  return count
end

local function widths(rows)
  local most = {}
  for _, cells in ipairs(rows) do
    for i, cell in ipairs(cells) do most[i] = math.max(most[i] or 0, width(cell)) end
  end
  return most
end

---@return string lines aligned for a terminal
function M.text(rows)
  local most, lines = widths(rows), {}
  for _, cells in ipairs(rows) do
    local padded = {}
    for i, cell in ipairs(cells) do padded[i] = cell .. (" "):rep(most[i] - width(cell)) end
    table.insert(lines, (("  " .. table.concat(padded, "   ")):gsub("%s+$", "")))
  end
  return table.concat(lines, "\n") .. "\n"
end

---@return string lines of a Markdown table
function M.markdown(rows)
  local lines = {}
  for i, cells in ipairs(rows) do
    table.insert(lines, "| " .. table.concat(cells, " | ") .. " |")
    if i == 1 then table.insert(lines, "|" .. ("---|"):rep(#cells)) end
  end
  return table.concat(lines, "\n") .. "\n"
end

---All of one case: a heading and a table for each metric, then its note and what went wrong.
---@param render fun(rows: string[][]): string `text` or `markdown`
---@return string
function M.case(case, render)
  local parts = {}
  for _, metric in ipairs(case.metrics) do
    local title = case.title:gsub("METRIC", metric)
    table.insert(parts, ("## %s\n\n%s"):format(title, render(M.rows(case, metric))))
  end
  if case.note then table.insert(parts, case.note .. "\n") end
  for _, contender in ipairs(case.contenders) do
    if contender.failure then
      table.insert(parts, ("ERROR %s: %s\n"):format(contender.name, contender.failure))
    end
  end
  return table.concat(parts, "\n")
end

return M
