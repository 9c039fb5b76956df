-- SPDX-License-Identifier: MIT
-- types_spec.lua - types as annotations write them.

local types = require "moonpark.annotations.types"

describe("the type at the beginning of a text", function()
  local cases = {
    { "string", "string", "" },
    { "string|nil what it is", "string|nil", " what it is" },
    { "string?, integer?", "string?", ", integer?" },
    { '"r"|"w" the side', '"r"|"w"', " the side" },
    { "moonpark.http.request", "moonpark.http.request", "" },
    { "table<string, integer[]> by name", "table<string, integer[]>", " by name" },
    { "{a: string, b?: {c: integer}}|nil x", "{a: string, b?: {c: integer}}|nil", " x" },
    { "(fun(): any)[] list", "(fun(): any)[]", " list" },
    { "fun(a: string): true|nil, string? why", "fun(a: string): true|nil, string?", " why" },
    { "fun(self, ...) wakes all", "fun(self, ...)", " wakes all" },
    { "fun(fn: fun(x: integer): any): integer", "fun(fn: fun(x: integer): any): integer", "" },
    { '"a|)"|string rest', '"a|)"|string', " rest" },
  }
  for _, case in ipairs(cases) do
    it("is found: " .. case[1], function()
      local of, rest = types.split(case[1])
      assert.same({ case[2], case[3] }, { of, rest })
    end)
  end

  it("is nil where there is none, or a bracket stays open", function()
    for _, text in ipairs { "", "?", "{a: string", "fun(a: string", '"r' } do assert.is_nil((types.split(text))) end
  end)
end)

describe("a function's type", function()
  it("is taken apart", function()
    local text = 'fun(fd: integer|x.y, kind?: "a"|"b", ...: any): z|nil, string? no'
    local params, results, rest = types.of_function(text)
    assert.same({ { name = "fd", optional = false, type = "integer|x.y" },
      { name = "kind", optional = true, type = '"a"|"b"' }, { name = "...", optional = false, type = "any" } }, params)
    assert.same({ "z|nil", "string?" }, results)
    assert.equal(" no", rest)
  end)

  it("may return nothing, a list, or any number of values", function()
    local _, results = types.of_function "fun()"
    assert.same({}, results)
    _, results = types.of_function "fun(): integer|nil, any, ..."
    assert.same({ "integer|nil", "any", "any ..." }, results)
  end)

  it("is no other type", function()
    assert.is_nil((types.of_function "string"))
    assert.is_nil((types.of_function "fun(a: string"))
  end)
end)

describe("names of types", function()
  it("are found in a text", function()
    local list = {}
    types.each_name("moonpark.task|moonpark.http.request[] of moonpark.net.", function(name) list[#list + 1] = name end)
    assert.same({ "moonpark.task", "moonpark.http.request", "moonpark.net" }, list)
  end)
end)
