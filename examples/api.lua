-- SPDX-License-Identifier: MIT
-- api.lua - a JSON API over HTTP: a to-do list, kept in memory.
--
--   luajit examples/api.lua [address]      or: moonpark examples/api.lua [address]
--
-- Then, in another terminal:
--
--   curl -d '{"title":"buy milk"}' http://127.0.0.1:8080/tasks
--   curl http://127.0.0.1:8080/tasks/1
--   curl -X PATCH -d '{"done":true}' http://127.0.0.1:8080/tasks/1
--   curl -X DELETE -i http://127.0.0.1:8080/tasks/1
--
-- Every response is JSON, failures too: {"error": "...", "fields": {"title": "what is wrong with it"}}. Ctrl-C lets
-- running requests finish.

local http = require "moonpark.http"
local net = require "moonpark.net"

local USAGE = [[
usage: api.lua [address]      a to-do list as JSON: GET and POST /tasks; GET, PUT, PATCH and DELETE /tasks/ID
address: host:port or unix:/path; 127.0.0.1:8080 by default; port 0 picks a free one]]

local MOST_TASKS = 10000
local LONGEST_TITLE = 200 -- bytes
local LARGEST_BODY = 65536 -- bytes
local GRACE = 5           -- seconds that running requests get when the server is stopped

---------------------------------------------------------------------------------------------------
-- the tasks

local tasks, last_id, count = {}, 0, 0 -- tasks[id] = {id =, title =, done =}

local function with_title(title)
  for _, one in pairs(tasks) do
    if one.title == title then return one end
  end
end

local checks = {
  title = function(value)
    if type(value) ~= "string" then return "must be a string" end
    if not value:find("%S") then return "must not be empty" end
    if #value > LONGEST_TITLE then return ("must have at most %d bytes"):format(LONGEST_TITLE) end
  end,
  done = function(value)
    if type(value) ~= "boolean" then return "must be true or false" end
  end,
}

-- -> {[field] = what is wrong with it} | nil: all fields are valid
local function wrong_fields(body, complete)
  local wrong = {}
  if complete and body.title == nil then wrong.title = "is missing" end
  for name, value in pairs(body) do
    local check = checks[name]
    if check then wrong[name] = check(value)
    else wrong[tostring(name)] = "is unknown" end
  end
  return next(wrong) and wrong
end

---------------------------------------------------------------------------------------------------
-- requests

local function fail(res, status, text, fields)
  res.status = status
  return res:json { error = text or http.reason(status), fields = fields }
end

-- The fields of the body, or nil if an error was sent.
local function fields_of(req, res, complete)
  local body, err = req:json(LARGEST_BODY)
  if body == nil then
    res:refuse(err)
    return nil
  end
  if type(body) ~= "table" or #body > 0 then
    fail(res, 422, "the body must be an object")
    return nil
  end
  local wrong = wrong_fields(body, complete)
  if wrong then
    fail(res, 422, "invalid fields", wrong)
    return nil
  end
  return body
end

-- The task that the path names, or nil if an error was sent.
local function task_of(req, res)
  local id = req.params.id:match("^[1-9]%d*$")
  local found = id and tasks[tonumber(id)]
  if not found then fail(res, 404, "no such task") end
  return found
end

-- Whether a task may have that title; if not, an error was sent.
local function is_free(res, title, task)
  local other = title and with_title(title)
  if not other or other == task then return true end
  fail(res, 409, ("task %d already has that title"):format(other.id))
  return false
end

local function list(req, res)
  local wanted, found = req.query.done, {}
  for id = 1, last_id do
    local one = tasks[id]
    if one and (not wanted or tostring(one.done) == wanted) then found[#found + 1] = one end
  end
  return res:json_list(found)
end

local function create(req, res)
  local fields = fields_of(req, res, true)
  if not fields or not is_free(res, fields.title) then return end
  if count >= MOST_TASKS then return fail(res, 507, "too many tasks") end
  last_id, count = last_id + 1, count + 1
  local task = { id = last_id, title = fields.title, done = fields.done or false }
  tasks[task.id] = task
  res.status = 201
  res:set("Location", "/tasks/" .. task.id)
  return res:json(task)
end

local function show(req, res)
  local task = task_of(req, res)
  if task then return res:json(task) end
end

-- PUT replaces the whole task, PATCH only the fields that the body has.
local function change(complete)
  return function(req, res)
    local task = task_of(req, res)
    local fields = task and fields_of(req, res, complete)
    if not fields or not is_free(res, fields.title, task) then return end
    if complete then task.done = false end
    for name, value in pairs(fields) do task[name] = value end
    return res:json(task)
  end
end

local function remove(req, res)
  local task = task_of(req, res)
  if not task then return end
  tasks[task.id] = nil
  count = count - 1
  res.status = 204
  return res:send()
end

local function new_app()
  local app = http.router()
  app:use(function(_, res, next)
    res.fail = fail -- the router's own 404 and 405 as JSON too
    return next()
  end)
  app:get("/tasks", list):post("/tasks", create)
  app:get("/tasks/:id", show):put("/tasks/:id", change(true)):patch("/tasks/:id", change(false))
  app:delete("/tasks/:id", remove)
  return app
end

---------------------------------------------------------------------------------------------------

local function tell(server)
  print("listening on " .. server:address())
  io.stdout:flush()
end

local function main(address)
  local fine, wrong = net.check_address(address)
  if not fine then
    io.stderr:write("api: ", wrong, "\n")
    os.exit(2)
  end
  local ok, err = http.serve(new_app(), { address = address, on_listen = tell, grace = GRACE })
  if not ok and err ~= "canceled" then
    io.stderr:write("api: cannot listen on ", address, ": ", err, "\n")
    os.exit(1)
  end
end

if arg[1] == "--help" then return print(USAGE) end
main(arg[1] or "127.0.0.1:8080")
