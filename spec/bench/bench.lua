-- SPDX-License-Identifier: MIT
-- The benchmark: whole processes, each pinned to a core, compared in interleaved rounds of one run.
--
-- usage: luajit spec/bench/bench.lua [--rounds N] [--only CASE,...] [--markdown FILE] [--plot] [--help]
-- Run from the top of the tree. In each round every contender starts afresh and is warmed up; then they take slices of
-- the measurement in turn, in another order each time, so that whatever else the machine does meets all of them. The
-- figure of a round is the mean of its slices, that of the run the median of its rounds; a ratio is the median of
-- the rounds' ratios. Goals are printed, never asserted: the status is 1 only where something could not be measured.

local folder = arg[0]:match("^(.*/)") or "./"
package.path = folder .. "?.lua;" .. package.path

local process = require "process"
local plot = require "plot"
local report = require "report"
local system = require "system"
local make_cases = require "cases"
local make_network_cases = require "network_cases"
local make_http_cases = require "http_cases"
local make_facade_cases = require "facade_cases"
local make_handler_cases = require "handler_cases"
local make_library_cases = require "library_cases"
local make_https_cases = require "https_cases"
local make_shared_cases = require "shared_cases"
local make_websocket_cases = require "websocket_cases"
local make_workers_cases = require "workers_cases"

local ROUNDS, IMAGES = 7, "docs/images"
local USAGE = [[
usage: luajit spec/bench/bench.lua [options], from the top of the tree
  --rounds N        rounds of each case, 7 if not given; a median of fewer than 5 says little
  --only A,B,...    these cases only: echo, kv, kv-random, deadline, spawn, channel, yield, memory,
                    allocations, udp, relay, relay-blocks, dial, lookup, sendfile, http, http-pipelined,
                    http-json, http-post, http-file, http-proxy, http-idle, http-param,
                    http-param-pipelined, http-real, http-real-pipelined, http-form,
                    http-middleware, http-connect, http-costs, http-limits, http-limits-pipelined,
                    https, https-handshake, https-resumed, https-file, https-idle, websocket, websocket-large,
                    websocket-all, websocket-memory, shared-dict, workers, facade-socket,
                    facade-ngx, facade-redis, library-redis, library-redis-pipelined, library-pgmoon,
                    library-pgmoon-rows
  --markdown FILE   write the tables to FILE as well, in Markdown
  --plot            draw each case as docs/images/bench-CASE.svg
  --help            this text
Client libraries are looked for in MOONPARK_LIBS, patterns as in LUA_PATH.
Contenders are used where they are installed. Bun is looked for on the PATH, or is what the variable BUN names.
]]

local function progress(format, ...)
  io.stderr:write(format:format(...), "\n")
end

local function quit(status, text)
  (status == 0 and io.stdout or io.stderr):write(text)
  os.exit(status)
end

-- What was asked for -----------------------------------------------------------------------------------------------

local function names_in(list)
  local names = {}
  for name in list:gmatch("[^,%s]+") do names[name] = true end
  return names
end

local take = {
  ["--rounds"] = function(options, value)
    local rounds = tonumber(value)
    if not rounds or rounds < 1 or rounds % 1 ~= 0 then quit(2, "--rounds needs a whole number\n" .. USAGE) end
    options.rounds = rounds
  end,
  ["--only"] = function(options, value) options.only = names_in(value) end,
  ["--markdown"] = function(options, value) options.markdown = value end,
}

local flag = {
  ["--plot"] = function(options) options.plot = true end,
  ["--help"] = function() quit(0, USAGE) end,
}

local function parse(arguments)
  local options, i = { rounds = ROUNDS }, 1
  while arguments[i] do
    local name, value = arguments[i], arguments[i + 1]
    if flag[name] then
      flag[name](options)
      i = i + 1
    elseif take[name] and value then
      take[name](options, value)
      i = i + 2
    else
      quit(2, "cannot make sense of " .. name .. "\n" .. USAGE)
    end
  end
  return options
end

local function choose(cases, only)
  if not only then return cases end
  local chosen = {}
  for _, case in ipairs(cases) do
    if only[case.name] then table.insert(chosen, case) end
    only[case.name] = nil
  end
  if next(only) then quit(2, "no case is called " .. next(only) .. "\n" .. USAGE) end
  return chosen
end

local function all_cases()
  local cases = {}
  for _, make in ipairs { make_cases, make_network_cases, make_http_cases, make_handler_cases, make_shared_cases,
    make_https_cases, make_websocket_cases, make_workers_cases, make_facade_cases,
    make_library_cases } do
    for _, case in ipairs(make()) do table.insert(cases, case) end
  end
  return cases
end

-- Measuring ----------------------------------------------------------------------------------------------------------

-- Runs a step of a contender. One that fails is out for the rest of the case.
local function attempt(contender, step, ...)
  local ok, result = pcall(step, ...)
  if ok then return result end
  if tostring(result):find "interrupted!" then error(result, 0) end
  contender.failure = tostring(result)
  progress("  %s: ERROR %s", contender.name, contender.failure)
end

local function open_all(case)
  local opened = {}
  for _, contender in ipairs(case.contenders) do
    if not contender.missing and not contender.failure then
      local instance = attempt(contender, contender.open)
      if instance then table.insert(opened, { contender = contender, instance = instance, sums = {} }) end
    end
  end
  return opened
end

local function add(sums, figures)
  for metric, figure in pairs(figures) do
    local sum = sums[metric] or { cost = 0, rate = figure.rate and 0, slices = 0 }
    sum.cost, sum.slices = sum.cost + figure.cost, sum.slices + 1
    sum.rate = figure.rate and sum.rate + figure.rate
    sums[metric] = sum
  end
end

local function take_slices(opened, slices, turn)
  for slice = 1, slices do
    for i = 1, #opened do
      local one = opened[(i + slice + turn) % #opened + 1]
      local figures = not one.contender.failure and attempt(one.contender, one.instance.slice)
      if figures then add(one.sums, figures) end
    end
  end
end

local function keep(case, round, one)
  for metric, sum in pairs(one.sums) do
    local samples = case.samples[metric] or {}
    local rounds = samples[one.contender.name] or {}
    rounds[round] = { cost = sum.cost / sum.slices, rate = sum.rate and sum.rate / sum.slices }
    samples[one.contender.name], case.samples[metric] = rounds, samples
  end
end

local function summary(case, opened)
  local parts, metric = {}, case.metrics[1]
  for _, one in ipairs(opened) do
    local sum = one.sums[metric]
    if sum then
      table.insert(parts, ("%s " .. case.format):format(one.contender.name, sum.cost / sum.slices))
    end
  end
  return table.concat(parts, ", ")
end

local function measure(case, rounds)
  case.samples = {}
  for _, contender in ipairs(case.contenders) do
    if contender.missing then progress("  %s skipped: %s", contender.name, contender.missing) end
  end
  for round = 1, rounds do
    local opened = open_all(case)
    take_slices(opened, case.slices, round)
    for _, one in ipairs(opened) do
      if not one.contender.failure then keep(case, round, one) end
      one.instance.stop()
    end
    process.stop_all()
    progress("%s %d/%d, %s: %s", case.name, round, rounds, case.unit, summary(case, opened))
  end
end

-- Reporting ----------------------------------------------------------------------------------------------------------

local function headline(rounds)
  return ("%s; %d rounds, medians; ratios are medians of the rounds' ratios\n"):format(system.describe(), rounds)
end

local function warn_of_noise()
  if system.load() > 0.5 then
    progress("warning: the machine is busy (load average %.2f): figures will wander", system.load())
  end
end

local function failed(cases)
  for _, case in ipairs(cases) do
    for _, contender in ipairs(case.contenders) do
      if contender.failure then return true end
    end
  end
  return false
end

local function write_markdown(path, head, cases)
  local file = assert(io.open(path, "w"))
  file:write(head)
  for _, case in ipairs(cases) do file:write("\n", report.case(case, report.markdown)) end
  file:close()
end

local function draw(cases, rounds)
  local machine, placed = system.describe():match("^(.-); (.*)$")
  local footer = { ("medians and ranges of %d rounds on %s"):format(rounds, machine), placed }
  for _, case in ipairs(cases) do
    local path = ("%s/bench-%s.svg"):format(IMAGES, case.name)
    local file = assert(io.open(path, "w"))
    file:write(plot.draw { source = "make bench", footer = footer, panels = report.panels(case) })
    file:close()
    progress("drawn: %s", path)
  end
end

local function main(options)
  system.look_around()
  progress("building in build/bench")
  system.build()
  local cases = choose(all_cases(), options.only)
  warn_of_noise()
  for _, case in ipairs(cases) do
    measure(case, options.rounds)
    io.stdout:write(report.case(case, report.text), "\n")
    io.stdout:flush()
  end
  local head = headline(options.rounds)
  io.stdout:write(head)
  if options.plot then draw(cases, options.rounds) end
  if options.markdown then write_markdown(options.markdown, head, cases) end
  return failed(cases) and 1 or 0
end

-- An interruption needs no traceback; what was raised with a plain text says enough as well.
local function explain(problem)
  local text = tostring(problem)
  if text:find "interrupted!" then return "interrupted" end
  return text:find "^[^\n]*%.lua:%d+:" and debug.traceback(text) or text
end

local options = parse(arg)
local ok, result = xpcall(main, explain, options)
process.stop_all()
if not ok then quit(1, tostring(result) .. "\n") end
os.exit(result)
