-- SPDX-License-Identifier: MIT
-- compat_spec.lua - installing façades.

local compat = require "moonpark.compat"

describe("installing façades", function()
  it("names what there is, and the one that was meant", function()
    local ok, err = pcall(compat.install, { "sokcet" })
    assert.is_false(ok)
    assert.equal("install: there is no façade 'sokcet'; there are ngx, socket, ssl (did you mean 'socket'?)", err)
    assert.has_error(function() compat.install(5) end)
    assert.has_error(function() compat.install({ "socket", 5 }) end)
    assert.has_error(function() compat.install({}, { globl = true }) end)
  end)
end)
