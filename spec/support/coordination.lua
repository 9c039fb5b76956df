-- SPDX-License-Identifier: MIT
-- support/coordination.lua - moonpark.shared as a program without workers sees it, and as several workers do: each has
-- a client of its own, whose messages go to one broker over an in-memory pair, as JSON with its length before it.

local broker = require "moonpark.shared.broker"
local channels = require "moonpark.shared.channels"
local clients = require "moonpark.shared.client"
local json = require "moonpark.http.json"
local locks = require "moonpark.shared.locks"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local once = require "moonpark.shared.once"

local M = {}

--- The functions of moonpark.shared, for a client.
function M.functions_of(client)
  local all = {}
  for _, part in ipairs { locks, channels, once } do
    for name, fn in pairs(part.new(client)) do all[name] = fn end
  end
  return all
end

local function set(list)
  local all = {}
  for _, item in ipairs(list) do all[item] = true end
  return all
end

-- What a supervisor and a worker pass on.
local requests, answers = set(broker.messages), set(clients.messages)

--- Lets all tasks go as far as they can, in every build: a message takes many turns where a read is a byte.
function M.settle()
  for _ = 1, 2000 do moonpark.yield() end
end

-- Writes messages in the order in which send(message) was called, and calls on_message for each that comes.
local function start_end(conn, on_message, on_end)
  local queue, ready, tasks = {}, moonpark.semaphore(0), {}
  tasks[1] = moonpark.go(function()
    while ready:acquire() and queue[1] do
      local text = table.remove(queue, 1)
      conn:write(#text, "\n", text)
    end
  end)
  tasks[2] = moonpark.go(function()
    for length in conn:lines() do
      local text = conn:read_exactly(tonumber(length))
      if not text then break end
      on_message(assert(json.decode(text)))
    end
    ready:release()
    on_end()
  end)
  local function send(message)
    queue[#queue + 1] = assert(json.encode(message))
    ready:release()
  end
  return send, tasks
end

-- A worker: { lock =, once =, ... , client =, die() }.
local function add_worker(world)
  local client, here, there = clients.new(), net.pipe()
  local at_broker = {}
  local send_up, tasks = start_end(here, function(message)
    assert(answers[message.op], message.op)
    client:receive(message)
  end, function() client:disconnected "broken pipe" end)
  local send_down, more = start_end(there, function(message)
    assert(requests[message.op], message.op)
    assert(world.broker:handle(at_broker, message))
  end, function() world.broker:leave(at_broker) end)
  function at_broker.send(_, message) send_down(message) end
  local worker = M.functions_of(client)
  worker.identity, worker.at_broker = world.broker:join(at_broker), at_broker
  client:connect(send_up, function(n) worker.outside = worker.outside + n end)
  worker.outside, worker.client = 0, client
  function worker.die()
    worker.dead = true
    here:close()
    there:close()
    for _, list in ipairs { tasks, more } do
      for _, task in ipairs(list) do assert(task:join()) end
    end
  end
  return worker
end

--- Workers at one broker. restart(): the broker goes on as another one, from its state. add(): one more worker.
function M.workers(count)
  local world = { broker = broker.new() }
  function world.add()
    world[#world + 1] = add_worker(world)
    return world[#world]
  end
  for _ = 1, count do world.add() end
  function world.restart()
    world.broker = broker.restore(assert(json.decode(json.encode(world.broker:state()))))
    for _, worker in ipairs(world) do
      if not worker.dead then world.broker:join(worker.at_broker, worker.identity) end
    end
  end
  function world.close()
    for _, worker in ipairs(world) do
      if not worker.dead then worker.die() end
    end
  end
  return world
end

--- As many names for one and the same process, whose broker is its own.
function M.one_process(count)
  local client, world = clients.new(), {}
  for i = 1, count do
    world[i] = M.functions_of(client)
    world[i].client = client
  end
  function world.close() end
  return world
end

--- Both, by their names.
M.worlds = { ["in one process"] = M.one_process, ["between workers"] = M.workers }

return M
