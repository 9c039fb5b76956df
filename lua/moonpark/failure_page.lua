-- SPDX-License-Identifier: MIT
-- failure_page.lua - a failure as a page, which loads itself again once the program has changed.

local failure_text = require "moonpark.failure_text"

local M = {}

local HOLD = 20 -- seconds that a page waits for the answer to its question

--- Where the page asks whether the program has changed: the answer is "changed", or "waiting" after a while.
M.QUESTION = "/.moonpark/changed"

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- Control characters would hide what is there.
local function escape(text)
  return (text:gsub("[&<>\"']", entities):gsub("[%z\1-\8\11-\31\127]", "\239\191\189"))
end

local STYLE = [[
:root { color-scheme: light dark; --back: #fbfaf8; --text: #24211d; --soft: #6b655c; --line: #e2ddd4; --card: #fff;
  --red: #b3261e; --mark: #fdecea; }
@media (prefers-color-scheme: dark) {
  :root { --back: #181715; --text: #ece8e1; --soft: #a39c91; --line: #37332e; --card: #211f1c; --red: #ff8a80;
    --mark: #47211f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 58rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 1rem; font-size: 1rem; font-weight: 600; color: var(--red); }
h2 { margin: 2rem 0 .5rem; font-size: .875rem; font-weight: 600; color: var(--soft); }
pre, code { font: 14px/1.55 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.message { margin: 0 0 1.5rem; font-size: 1.125rem; white-space: pre-wrap; tab-size: 2; overflow-wrap: anywhere; }
.place { user-select: all; overflow-wrap: anywhere; }
.source { margin: .5rem 0 0; padding: .5rem 0; overflow-x: auto; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; }
.source span { display: block; padding: 0 1rem 0 0; min-width: max-content; tab-size: 4; }
.source i { display: inline-block; width: 4rem; padding-right: 1rem; text-align: right; font-style: normal;
  color: var(--soft); user-select: none; }
.source .failed { background: var(--mark); }
.source .failed i { color: var(--red); font-weight: 600; }
ol { margin: 0; padding: 0; list-style: none; border-top: 1px solid var(--line); }
li { padding: .375rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
li code { color: var(--soft); }
li .place { color: var(--text); }
footer { margin-top: 2rem; font-size: .875rem; color: var(--soft); }
]]

-- While nobody answers, the program is starting, or the command has ended: it asks again.
local SCRIPT = [[
(async () => {
  const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));
  for (;;) {
    try {
      const answer = await fetch("%s", { cache: "no-store" });
      if (await answer.text() !== "waiting") return location.reload();
    } catch { await pause(250); }
  }
})();
]]

local function source(excerpt)
  local rows = {}
  for i, line in ipairs(excerpt.lines) do
    local number = excerpt.first + i - 1
    rows[i] = ('<span%s><i>%d</i>%s</span>'):format(number == excerpt.line and ' class="failed"' or "", number,
      line == "" and " " or escape(line))
  end
  return '<pre class="source">' .. table.concat(rows) .. "</pre>\n"
end

local function trace_row(row)
  local text = row.text
  if row.place then
    return ('<li><code><span class="place">%s</span> %s</code></li>\n'):format(escape(row.place),
      escape((text:gsub("^[^\n]-:%d+:%s*", "", 1))))
  end
  return ("<li><code>%s</code></li>\n"):format(escape(text))
end

local function trace(rows)
  if #rows == 0 then return "" end
  local parts = {}
  for i, row in ipairs(rows) do parts[i] = trace_row(row) end
  return "<h2>Traceback</h2>\n<ol>\n" .. table.concat(parts) .. "</ol>\n"
end

-- again: it loads itself again; else the request would be repeated.
local function html(title, failure, again)
  local parts = { '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n', "<title>", escape(title), "</title>\n",
    again and '<noscript><meta http-equiv="refresh" content="2"></noscript>\n' or "", "<style>\n", STYLE,
    "</style>\n</head>\n<body>\n<main>\n<h1>", escape(title), '</h1>\n<pre class="message">', escape(failure.message),
    "</pre>\n" }
  local function add(...)
    for _, text in ipairs { ... } do parts[#parts + 1] = text end
  end
  if failure.excerpt then
    add('<code class="place">', escape(failure.place), "</code>\n", source(failure.excerpt))
  end
  add(trace(failure.trace), "</main>\n<footer>",
    again and "This page loads again as soon as a file of the program changes."
    or "Send the request again when the program is mended.", "</footer>\n")
  if again then add("<script>\n", SCRIPT:format(M.QUESTION), "</script>\n") end
  add "</body>\n</html>\n"
  return table.concat(parts)
end

--- Is the page what this client wants?
---@param req moonpark.http.request
---@return boolean
function M.is_wanted(req) return (req:header "accept" or ""):lower():find("text/html", 1, true) ~= nil end

--- Answers with the failure: as the page, or as text for clients that are no browsers.
---@param req moonpark.http.request
---@param res moonpark.http.response
---@param title string
---@param text string the error, with its traceback
---@param loaded string[] paths that the program has loaded
---@return true|nil
---@return string? err
---@return integer? errno
function M.send(req, res, title, text, loaded)
  res.status = 500
  res:set("Cache-Control", "no-store")
  if not M.is_wanted(req) then
    res.type = "text/plain; charset=utf-8"
    return res:send(title .. "\n\n" .. text .. "\n")
  end
  res.type = "text/html; charset=utf-8"
  return res:send(html(title, failure_text.read(text, loaded), req.method == "GET" or req.method == "HEAD"))
end

--- Answers the page's question once `over` is set, or after a while.
---@param res moonpark.http.response
---@param over moonpark.event
---@return true|nil
---@return string? err
---@return integer? errno
function M.answer(res, over)
  res:set("Cache-Control", "no-store")
  return res:send(over:wait(HOLD) and "changed" or "waiting")
end

return M
