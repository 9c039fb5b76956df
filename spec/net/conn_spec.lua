-- SPDX-License-Identifier: MIT
-- What every connection does, whatever carries it: eleven behaviours, the same for each transport.

local behaviours = require "support.behaviours"
local names = require "support.names"
local support = require "support.net"

local veil = require "support.veil"

local transports = { { name = "tcp, dialled by name", pair = names.connected }, unpack(support.transports) }

for _, transport in ipairs(transports) do
  describe("a connection over " .. transport.name, function()
    for _, behaviour in ipairs(behaviours) do
      it(behaviour.name, support.pair_of(transport, behaviour.body))
    end
  end)
end

for _, transport in ipairs(support.transports) do
  describe("a connection over an awkward stream over " .. transport.name, function()
    before_each(veil.reset)
    local pair = function() return veil.over(transport.pair()) end
    for _, behaviour in ipairs(behaviours) do
      it(behaviour.name, support.pair_of({ pair = pair }, behaviour.body))
    end
  end)
end

describe("the list of behaviours", function()
  it("has eleven", function() assert.equal(11, #behaviours) end)
end)
