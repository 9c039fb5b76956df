-- SPDX-License-Identifier: MIT
-- plot_spec.lua - the plot in README.md shows the figures of docs/benchmarks.md, and a run's plots show the run's.

local function read(file)
  local text = assert(file):read("*a")
  file:close()
  return text
end

describe("docs/images/http.svg", function()
  it("is what spec/bench/plot.lua draws from docs/benchmarks.md", function()
    local drawn = read(io.popen("luajit spec/bench/plot.lua"))
    assert.equal(drawn, read(io.open("docs/images/http.svg")))
    assert.matches("moonpark", drawn)
  end)

  it("has its figures in the text of README.md, for readers who do not see it", function()
    local page = read(io.open("README.md"))
    local count = 0
    for figure in read(io.open("docs/images/http.svg")):gmatch("class=\"figure\"[^>]*>([%d.]+)<") do
      assert.truthy(page:find(" " .. figure, 1, true), figure)
      count = count + 1
    end
    assert.is_true(count > 3)
  end)
end)

describe("the plot of a case", function()
  local function module(name) return assert(loadfile("spec/bench/" .. name .. ".lua"))(name) end

  local function rounds(...)
    local list = {}
    for i, cost in ipairs { ... } do list[i] = { cost = cost } end
    return list
  end

  local case = {
    title = "METRIC & more", unit = "µs CPU", format = "%.2f", metrics = { "echo" },
    contenders = { { name = "slow", version = "1" }, { name = "gone", missing = "gone is not installed" },
      { name = "moonpark", version = "2" }, { name = "broken", version = "3", failure = "it fell silent" } },
    goals = { { beside = { "slow" }, at_most = 0.5 } },
    samples = { echo = { moonpark = rounds(1, 2, 3), slow = rounds(8, 8, 8) } },
  }
  local drawn = module("plot").draw { source = "a spec", footer = { "a machine" },
    panels = module("report").panels(case) }

  it("has a bar for each contender, the cheapest first", function()
    local figures = {}
    for figure in drawn:gmatch('class="figure"[^>]*>([^<]+)<') do table.insert(figures, figure) end
    assert.same({ "2.00", "8.00" }, figures)
  end)

  it("has moonpark's ratio and the goal beside the contender that it is about", function()
    assert.matches(">0.25</text>\n<text[^>]*>≤ 0.5: met<", drawn)
  end)

  it("says why a contender has no bar", function()
    assert.matches(">gone is not installed<", drawn)
    assert.matches(">could not be measured<", drawn)
  end)

  it("is well-formed, whatever the title", function()
    assert.matches(">echo &amp; more</title>", drawn)
  end)
end)
