-- SPDX-License-Identifier: MIT
-- http_types.lua - media types by a file's extension, and which of them are worth compressing.

local M = {}

local TEXT = "; charset=utf-8"

-- [extension] = type; "+" in front: it is text, and says so
local types = {
  avif = "image/avif", bmp = "image/bmp", css = "+text/css", csv = "+text/csv", gif = "image/gif",
  gz = "application/gzip", htm = "+text/html", html = "+text/html", ico = "image/x-icon", ics = "+text/calendar",
  jpeg = "image/jpeg", jpg = "image/jpeg", js = "+text/javascript", json = "application/json",
  jsonld = "application/ld+json", lua = "+text/plain", m4a = "audio/mp4", map = "application/json",
  md = "+text/markdown", mjs = "+text/javascript", mp3 = "audio/mpeg", mp4 = "video/mp4", oga = "audio/ogg",
  ogg = "audio/ogg", ogv = "video/ogg", opus = "audio/ogg", otf = "font/otf", pdf = "application/pdf",
  png = "image/png", rss = "application/rss+xml", rtf = "application/rtf", svg = "image/svg+xml",
  tar = "application/x-tar",
  tif = "image/tiff", tiff = "image/tiff", ttf = "font/ttf", txt = "+text/plain", vtt = "+text/vtt",
  wasm = "application/wasm", wav = "audio/wav", weba = "audio/webm", webm = "video/webm",
  webmanifest = "application/manifest+json", webp = "image/webp", woff = "font/woff", woff2 = "font/woff2",
  xhtml = "application/xhtml+xml", xml = "application/xml", zip = "application/zip",
}
for extension, kind in pairs(types) do
  if kind:sub(1, 1) == "+" then types[extension] = kind:sub(2) .. TEXT end
end

local UNKNOWN = "application/octet-stream"

--- The Content-Type for a path; "application/octet-stream" where its extension says nothing.
---@param path string
---@return string
function M.of(path)
  local extension = path:match("%.(%w+)$")
  return extension and (types[extension] or types[extension:lower()]) or UNKNOWN
end

local packed = { ["image/svg+xml"] = true, ["application/wasm"] = true, ["application/rtf"] = true,
  ["application/json"] = true, ["application/xml"] = true, ["font/ttf"] = true, ["font/otf"] = true,
  ["image/bmp"] = true, ["image/x-icon"] = true, ["application/x-tar"] = true }

--- Does compression make such a body smaller?
---@param kind string a Content-Type
---@return boolean
function M.is_compressible(kind)
  local plain = kind:match("^[^;]*")
  return plain:find("^text/") ~= nil or packed[plain] or plain:find("+json", 1, true) ~= nil
    or plain:find("+xml", 1, true) ~= nil
end

return M
