-- SPDX-License-Identifier: MIT
-- waits.lua - findings of waits whose results nobody looks at: loops that a cancellation does not end, and errors of
-- tasks that are lost.

local tree = require "moonpark.check.tree"
local values = require "moonpark.check.values"

local M = {}

-- The function of moonpark that a call calls: "sleep", "connection:read"; nil: it is not certain.
local function called(node)
  local fn = values.called(node)
  return fn and fn.name and fn.name:gsub("^moonpark%.", "") or nil
end

local function is_call(node) return node.tag == "call" or node.tag == "method" end

---------------------------------------------------------------------------------------------------
-- loops that a cancellation does not end

-- In a cancelled task these return nil at once; so do those of a client that has left.
local waits = {
  ["sleep"] = true, ["yield"] = true, ["channel:recv"] = true, ["channel:send"] = true, ["event:wait"] = true,
  ["connection:write"] = true, ["connection:wait_readable"] = true, ["connection:wait_writable"] = true,
  ["events:send"] = true, ["events:comment"] = true,
  ["websocket:send"] = true, ["websocket:send_binary"] = true, ["websocket:receive"] = true,
}

local function is_wait(node)
  local name = called(node)
  return name ~= nil and (waits[name] or name:find "^connection:read" ~= nil)
end

local function is_forever(node)
  local condition = node.tag == "while" and node[1] or node.tag == "repeat" and node[2]
  return condition and condition.tag == (node.tag == "while" and "true" or "false")
end

local loops = { ["while"] = true, ["repeat"] = true, ["for"] = true }

-- Functions that end a loop from within it; a generator's ends with whoever resumes it.
local function raises(node)
  local callee = node[1]
  if callee.tag == "name" then return callee.name == "error" or callee.name == "assert" end
  if callee.tag ~= "index" then return false end
  return callee.key == "exit" or callee.key == "yield" and callee[1].name == "coroutine"
end

-- Looks at a loop's body: may it be left, and which wait is a statement of it.
local function look(body, found, depth)
  tree.walk(body, function(node, parent)
    if node.tag == "function" or found.left then return false end
    if node.tag == "return" or node.tag == "goto" or node.tag == "break" and depth == 0 then found.left = true end
    if is_call(node) then
      if raises(node) then found.left = true end
      if not found.wait and parent and parent.tag == "block" and is_wait(node) then
        found.wait, found.is_own = node, parent == found.body
      end
    end
    if loops[node.tag] then
      if is_forever(node) then found.inner = true end
      for _, part in ipairs(node) do look(part, found, depth + 1) end
      return false
    end
  end)
end

-- A call's text, if its only argument is a number or it has none.
local function shown(node)
  local callee = node[1]
  local name = callee.tag == "name" and callee.name
    or callee.tag == "index" and callee.by_dot and callee[1].tag == "name" and callee[1].name .. "." .. callee.key
  if node.tag ~= "call" or not name then return nil end
  if #node == 1 then return name .. "()" end
  return #node == 2 and node[2].tag == "number" and ("%s(%s)"):format(name, node[2].value) or nil
end

-- What to write in place of it.
local function instead(loop, found)
  local name, text = called(found.wait), shown(found.wait)
  if text and found.is_own and (name == "sleep" or name == "yield") then
    return loop.tag == "while" and ("while %s do"):format(text) or ("until not %s"):format(text)
  end
  local object = found.wait.tag == "method" and found.wait[1]
  local method = object and (object.tag == "name" and object.name or "...") .. ":" .. found.wait.name
  return ("if not %s then return end"):format(text or (method or "moonpark." .. name) .. "(...)")
end

local function check_loop(state, node)
  if not is_forever(node) then return end
  local found = { body = node.tag == "while" and node[2] or node[1] }
  look(found.body, found, 0)
  if found.left or found.inner or not found.wait then return end
  state.add(found.wait, ("warning: this loop does not end when its task is canceled: the wait returns nil at once, and "
    .. "the loop runs without a pause: use '%s'"):format(instead(node, found)))
end

---------------------------------------------------------------------------------------------------
-- errors of tasks

-- A scope raises the errors of its own tasks; of a task that the script cancels, only the end is of interest.
local function is_looked_after(state, task)
  local var = task.var
  local made = var and var.init or task
  return var and state.canceled[var] or is_call(made) and called(made) == "scope:go"
end

local function check_join(state, node, parent)
  if node.tag ~= "method" or node.name ~= "join" or not parent or parent.tag ~= "block" then return end
  if called(node) ~= "task:join" or is_looked_after(state, node[1]) then return end
  state.add(node, "warning: the task's error is lost: look at what join returns, or use a scope")
end

--- Collects the locals whose tasks the script cancels: state.canceled.
---@param root moonpark.check.node
---@param state moonpark.check.state
function M.collect(root, state)
  state.canceled = {}
  tree.walk(root, function(node)
    local var = node.tag == "method" and node.name == "cancel" and node[1].var
    if var then state.canceled[var] = true end
  end)
end

--- Judges a node.
---@param state moonpark.check.state
---@param node moonpark.check.node
---@param parent moonpark.check.node|nil
function M.judge(state, node, parent)
  if state.of_specs then return end -- a test fails, or ends, whatever its tasks do
  if node.tag == "while" or node.tag == "repeat" then check_loop(state, node) end
  check_join(state, node, parent)
end

return M
