-- SPDX-License-Identifier: MIT
-- public_objects.lua - an object of each public class that is the core's, or what has its methods. For classes whose
-- methods no local of a source has.

local moonpark = require "moonpark"
local core = require "moonpark.core"

local M = {}

local function of(class)
  return function() return setmetatable({}, { __index = class }) end
end

-- Methods that are behind a function, as the core's source lists them.
local function listed(path)
  return function()
    local file = assert(io.open(path))
    local list = file:read("*a"):match "\nstatic const luaL_Reg methods%[%] = {(.-)\n};"
    file:close()
    local methods = {}
    for name in list:gmatch '{"([%w_]+)"' do methods[name] = true end
    return methods
  end
end

-- What fn returns, in a task.
local function in_task(fn)
  return function()
    local object
    moonpark.run(function() object = fn() end)
    return object
  end
end

--- made[class]() returns an object.
M.made = {
  ["moonpark.channel"] = function() return moonpark.chan() end,
  ["moonpark.child"] = listed "runtime/lua/l_process.c",
  ["moonpark.connection"] = of(core.conn_class),
  ["moonpark.descriptor"] = in_task(function()
    local descriptor = assert(moonpark.net.listen "127.0.0.1:0"):detach()
    descriptor:close()
    return descriptor
  end),
  ["moonpark.event"] = function() return moonpark.event() end,
  ["moonpark.file"] = in_task(function()
    local file = assert(moonpark.fs.open "/dev/null")
    file:close()
    return file
  end),
  ["moonpark.listener"] = of(core.conn_class),
  ["moonpark.mutex"] = function() return moonpark.mutex() end,
  ["moonpark.packet"] = of(core.packet_class),
  ["moonpark.pollDesc"] = in_task(function()
    local listener = assert(moonpark.net.listen "127.0.0.1:0")
    local descriptor = listener:detach()
    local pd = assert(moonpark.netpoll.open(descriptor:number()))
    pd:unblock()
    pd:close()
    descriptor:close()
    return pd
  end),
  ["moonpark.scope"] = of(core.scope_class),
  ["moonpark.semaphore"] = function() return moonpark.semaphore(1) end,
  ["moonpark.shared.counter"] = function() return moonpark.shared.counter "annotations" end,
  ["moonpark.shared.dict"] = of(core.shared_dict_class),
  ["moonpark.signals"] = in_task(function()
    local signals = moonpark.signals "WINCH"
    signals:close()
    return signals
  end),
  ["moonpark.task"] = of(core.task_class),
}

--- Classes that share their methods with others.
M.beside = {
  ["moonpark.connection"] = { "moonpark.listener" },
  ["moonpark.listener"] = { "moonpark.connection" },
}

return M
