-- SPDX-License-Identifier: MIT
-- plot_spec.lua - the plot in README.md shows the figures of docs/benchmarks.md.

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
