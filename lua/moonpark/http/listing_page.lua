-- SPDX-License-Identifier: MIT
-- listing_page.lua - how a folder's page looks and what its script does: sorts by column, filters by name. It loads
-- nothing, so that a strict policy fits it; without its script it is the list in natural order.

local core = require "moonpark.core"
local base64url = require("moonpark.tls.jws").base64url

local M = {}

local STYLE = [[
:root { color-scheme: light dark; --back: #fbfaf8; --text: #24211d; --soft: #6b655c; --line: #e6e1d8; --card: #fff;
  --link: #1f5fa8; --hover: #f3f0ea; --folder: #d9a441; --file: #b9b1a4; --focus: #1f5fa8; }
@media (prefers-color-scheme: dark) {
  :root { --back: #181715; --text: #ece8e1; --soft: #a39c91; --line: #322f2a; --card: #201e1b; --link: #8ab8f0;
    --hover: #2a2723; --folder: #d3a24a; --file: #6f685e; --focus: #8ab8f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; border-radius: 3px; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: center; margin-bottom: 1rem; }
h1 { flex: 1 1 16rem; min-width: 0; margin: 0; font-size: 1.25rem; line-height: 1.4; font-weight: 600;
  overflow-wrap: anywhere; }
h1 i { margin: 0 .25em; font-style: normal; font-weight: 400; color: var(--soft); }
h1 a:first-child:not(:last-child), h1 a:only-child { margin-right: .25em; }
header p { flex-basis: 100%; order: 1; margin: 0; font-size: .875rem; color: var(--soft); }
input { flex: 0 1 15rem; font: inherit; font-size: .9375rem; padding: .375rem .75rem; color: inherit;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
input:focus-visible { outline-offset: -1px; border-radius: 8px; }
input::placeholder { color: var(--soft); opacity: 1; }
table, thead, tbody { display: block; }
table { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
tr { display: grid; grid-template-columns: minmax(0, 1fr) 6rem 10.5rem; }
tbody tr { content-visibility: auto; contain-intrinsic-size: auto 2.4375rem; } /* ten thousand are fine */
th, td { padding: .4375rem 1rem; text-align: left; font-weight: 400; }
th { font-size: .8125rem; color: var(--soft); }
tbody tr { border-top: 1px solid var(--line); }
tbody tr:hover { background: var(--hover); }
th + th, td + td { padding-left: 0; text-align: right; white-space: nowrap; }
td + td { font-size: .875rem; line-height: 1.7; color: var(--soft); font-variant-numeric: tabular-nums; }
td:first-child { overflow-wrap: anywhere; unicode-bidi: isolate; padding-left: 2.625rem; text-indent: -1.625rem; }
td:first-child::before { content: ""; display: inline-block; width: 1rem; height: .875rem; margin-right: .625rem;
  text-indent: 0; vertical-align: -.0625rem; background: var(--file);
  clip-path: polygon(14% 0, 60% 0, 86% 28%, 86% 100%, 14% 100%); }
.d td:first-child::before { background: var(--folder);
  clip-path: polygon(0 8%, 38% 8%, 48% 22%, 100% 22%, 100% 95%, 0 95%); }
.up td:first-child::before { background: var(--soft); clip-path: polygon(50% 12%, 90% 58%, 62% 58%, 62% 96%, 38% 96%,
  38% 58%, 10% 58%); }
.up td, .none td { grid-column: 1 / -1; }
.none td { color: var(--soft); text-indent: 0; padding: 1.5rem 1rem; text-align: center; }
.none td::before { display: none !important; }
th button { all: unset; cursor: pointer; }
th button:hover { color: var(--text); }
th button:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; border-radius: 3px; }
th[aria-sort] button { color: var(--text); font-weight: 600; }
th[aria-sort] button::after { content: ""; display: inline-block; margin-left: .4em; border: .28em solid transparent;
  border-bottom-color: currentcolor; vertical-align: .2em; }
th[aria-sort=descending] button::after { border-color: transparent; border-top-color: currentcolor;
  vertical-align: -.1em; }
[hidden] { display: none !important; }
@media (max-width: 40rem) {
  body { padding: 1.25rem .75rem 3rem; }
  input { flex: 1 1 100%; order: 2; margin-top: .5rem; font-size: 1rem; }
  tr { grid-template-columns: auto 1fr; }
  thead tr { grid-template-columns: 1fr auto auto; }
  tbody tr { position: relative; contain-intrinsic-size: auto 3.75rem; }
  td a::after { content: ""; position: absolute; inset: 0; } /* a row is one target for a thumb */
  th { padding: .5rem .75rem; }
  td:first-child { grid-column: 1 / -1; padding: .5rem .75rem 0 2.375rem; }
  td + td { padding: 0 .75rem .5rem 0; text-align: left; font-size: .8125rem; }
  td:nth-child(2) { padding-left: 2.375rem; }
  td:nth-child(2):empty { padding-right: 0; }
  .up td:first-child { padding-bottom: .5rem; }
  .none td:first-child { padding: 1.5rem .75rem; }
}
]]

-- Times come in UTC and become the reader's own. Folders stay before files.
local SCRIPT = [==[
(() => {
  const body = document.querySelector("tbody"), heads = [...document.querySelectorAll("th")];
  const filter = document.querySelector("input"), sum = document.querySelector("header p"), all = sum.textContent;
  const two = n => String(n).padStart(2, "0");
  const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const rows = [...body.querySelectorAll(".d, .f")].map(row => {
    const [name, size, time] = row.cells;
    if (time.dataset.v) {
      const t = new Date(time.dataset.v * 1000);
      time.textContent = `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ` +
        `${two(t.getHours())}:${two(t.getMinutes())}`;
    }
    const text = name.textContent;
    return { row, low: text.toLowerCase(), folder: row.className === "d",
      values: [text, Number(size.dataset.v ?? -1), Number(time.dataset.v ?? 0)] };
  });
  // What is shown as a grid is still a table to those who listen to it.
  for (const [tags, role] of [["table", "table"], ["thead, tbody", "rowgroup"], ["tr", "row"], ["th", "columnheader"],
    ["td", "cell"]]) {
    for (const element of document.querySelectorAll(tags)) element.setAttribute("role", role);
  }
  if (!rows.length) return;
  const none = body.appendChild(document.createElement("tr"));
  none.className = "none";
  none.hidden = true;
  none.insertCell().colSpan = 3;

  const sort = column => {
    const head = heads[column], was = head.getAttribute("aria-sort");
    const down = was ? was === "ascending" : column > 0; // first the largest, and the newest
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sign = down ? -1 : 1;
    rows.sort((a, b) => b.folder - a.folder || sign * (column ? a.values[column] - b.values[column]
      : names.compare(a.values[0], b.values[0])) || names.compare(a.values[0], b.values[0]));
    const sorted = document.createDocumentFragment();
    for (const { row } of rows) sorted.append(row);
    body.insertBefore(sorted, none);
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent.replace(" (UTC)", "");
    button.onclick = () => sort(column);
    head.replaceChildren(button);
  });
  heads[0].setAttribute("aria-sort", "ascending");

  const shown = () => rows.filter(({ row }) => !row.hidden);
  filter.hidden = false;
  filter.oninput = () => {
    const wanted = filter.value.trim().toLowerCase();
    let count = 0;
    for (const { row, low } of rows) {
      row.hidden = !low.includes(wanted);
      count += !row.hidden;
    }
    sum.textContent = wanted ? `${count} of ${rows.length}` : all;
    none.hidden = count > 0;
    none.cells[0].textContent = `No name contains "${filter.value.trim()}"`;
  };
  filter.onkeydown = event => {
    if (event.key === "Escape") { filter.value = ""; filter.oninput(); filter.blur(); }
    if (event.key === "Enter") shown()[0]?.querySelector("a")?.click();
  };
  addEventListener("keydown", event => {
    if (event.key !== "/" || event.target === filter || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    filter.focus();
  });
  if (filter.value) filter.oninput();
})();
]==]

local function hash(text)
  local url_form = base64url(assert(core.sha256(text)))
  return "'sha256-" .. url_form:gsub("[-_]", { ["-"] = "+", ["_"] = "/" }) .. "='"
end

--- The page's Content-Security-Policy.
M.POLICY = ("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'"):format(hash(STYLE),
  hash(SCRIPT))

--- The page; everything is HTML already.
---@param parts {title: string, path: string, sum: string, rows: string}
---@return string
function M.page(parts)
  return table.concat { '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>', parts.title,
    "</title>\n<style>", STYLE, "</style>\n</head>\n<body>\n<header>\n<h1>", parts.path, "</h1>\n<p>", parts.sum,
    '</p>\n<input type="search" placeholder="Filter" aria-label="Filter by name" autocomplete="off" ',
    'spellcheck="false" hidden>\n</header>\n<main>\n<table>\n',
    "<thead><tr><th>Name</th><th>Size</th><th>Modified (UTC)</th></tr></thead>\n<tbody>\n", parts.rows,
    "</tbody>\n</table>\n</main>\n<script>", SCRIPT, "</script>\n</body>\n</html>\n" }
end

return M
