-- SPDX-License-Identifier: MIT
-- types.lua - media types by a file's extension, or by its bytes, and which of them are worth compressing.

local is_utf8 = require("moonpark.utf8").is_valid

local M = {}

local TEXT = "; charset=utf-8"
local PLAIN = "text/plain" .. TEXT

-- [extension] = type; "+" in front: it is text, and says so. Texts that people read are text/plain: browsers show it,
-- and save text/markdown, text/x-lua and their like.
local types = {
  avif = "image/avif", bmp = "image/bmp", css = "+text/css", csv = "+text/csv", gif = "image/gif",
  gz = "application/gzip", htm = "+text/html", html = "+text/html", ico = "image/x-icon", ics = "+text/calendar",
  jpeg = "image/jpeg", jpg = "image/jpeg", js = "+text/javascript", json = "application/json",
  jsonld = "application/ld+json", m4a = "audio/mp4", map = "application/json",
  mjs = "+text/javascript", mp3 = "audio/mpeg", mp4 = "video/mp4", oga = "audio/ogg",
  ogg = "audio/ogg", ogv = "video/ogg", opus = "audio/ogg", otf = "font/otf", pdf = "application/pdf",
  png = "image/png", rss = "application/rss+xml", rtf = "application/rtf", svg = "image/svg+xml",
  tar = "application/x-tar",
  tif = "image/tiff", tiff = "image/tiff", ttf = "font/ttf", txt = "+text/plain", vtt = "+text/vtt",
  wasm = "application/wasm", wav = "audio/wav", weba = "audio/webm", webm = "video/webm",
  webmanifest = "application/manifest+json", webp = "image/webp", woff = "font/woff", woff2 = "font/woff2",
  xhtml = "application/xhtml+xml", xml = "application/xml", zip = "application/zip",
}
for extension in ([[bash bat c cc cfg cmake conf cpp diff fish go h hpp ini java log lua markdown md nix org patch
  php pl properties py rb rockspec rs rst service sh sql srt tex toml tsx txt vue yaml yml zsh]]):gmatch "%S+" do
  types[extension] = "+text/plain"
end
for extension, kind in pairs(types) do
  if kind:sub(1, 1) == "+" then types[extension] = kind:sub(2) .. TEXT end
end

--- What nothing is known of.
M.UNKNOWN = "application/octet-stream"

--- How many bytes M.of_bytes wants to see.
M.LOOKED_AT = 65536

--- The Content-Type for a path; "application/octet-stream" for an unknown extension.
---@param path string
---@return string
function M.of(path)
  local extension = path:match("%.(%w+)$")
  return extension and (types[extension] or types[extension:lower()]) or M.UNKNOWN
end

--- The Content-Type of a file whose name says nothing, by its first bytes: text for people, or unknown. Text is UTF-8
--- without control bytes other than those of white space, backspace and escape.
---@param bytes string at most LOOKED_AT of them
---@param whole boolean there are no more
---@return string
function M.of_bytes(bytes, whole)
  local is_text = not bytes:find "[%z\1-\7\14-\26\28-\31\127]" and is_utf8(bytes, not whole)
  return is_text and PLAIN or M.UNKNOWN
end

-- Beside all texts, and what is JSON or XML by its suffix.
local compressible = {}
for _, kind in ipairs { "application/javascript", "application/json", "application/rtf",
  "application/vnd.ms-fontobject", "application/wasm", "application/x-ndjson", "application/x-tar", "application/xml",
  "font/otf", "font/ttf", "image/bmp", "image/x-icon" } do
  compressible[kind] = true
end

--- Does compression make such a body smaller?
---@param kind string a Content-Type
---@return boolean
function M.is_compressible(kind)
  local plain = kind:match("^%s*([^;%s]*)"):lower()
  return compressible[plain] or plain:find("^text/") ~= nil or plain:find("%+json$") ~= nil
    or plain:find("%+xml$") ~= nil
end

return M
