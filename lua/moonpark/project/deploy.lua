-- SPDX-License-Identifier: MIT
-- deploy.lua - what `moonpark init --deploy` writes: units for systemd, and an image with its health check.
--
-- @NAME@ is the project's name, @PORT@ the server's, @ARGUMENT@ what follows server.lua on its command line.

local HEAD = [[
# @NAME@ under systemd.
#
#   cp -r . /opt/@NAME@                          the project, where WorkingDirectory= says
#   cp deploy/@NAME@.service /etc/systemd/system/
#   systemctl daemon-reload
#   systemctl enable --now @NAME@
#   systemctl reload @NAME@                      new workers, then the old ones end; no connection is refused
#
# moonpark is expected in /usr/local: luarocks --lua-version 5.1 install moonpark

]]

-- %i is the instance's name.
local TEMPLATE_HEAD = [[
# Any project under systemd: moonpark@NAME.service runs /opt/NAME/server.lua.
#
#   cp -r . /opt/hello
#   systemctl enable --now moonpark@hello
#   systemctl reload moonpark@hello              new workers, then the old ones end; no connection is refused
#
# What is in /etc/default/moonpark-hello, such as ARGUMENTS=:8080, goes to its environment, and ARGUMENTS to the script.
# For more, systemctl edit moonpark@hello; or a unit of the project's own: moonpark init --deploy.

]]

local SERVICE = [[
[Unit]
Description=@NAME@
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=60
StartLimitBurst=10

[Service]
Type=notify
WorkingDirectory=/opt/@NAME@
@SETTINGS@ExecStart=@BIN@/moonpark --workers auto --grace 20 server.lua@ARGUMENT@
ExecReload=/bin/kill -HUP $MAINPID

# SIGTERM goes to the supervisor, which drains its workers for --grace seconds. What is left is killed afterwards.
KillMode=mixed
TimeoutStopSec=30
Restart=on-failure
RestartSec=1
WatchdogSec=30

# Without workers a program that SIGTERM ends exits with 128 + 15.
SuccessExitStatus=143

# A user of its own, who exists while the service runs. Files to keep go to /var/lib/@NAME@.
DynamicUser=yes
StateDirectory=@NAME@
RuntimeDirectory=@NAME@
# The supervisor's control socket: MOONPARK_RUN_DIR=/run/@NAME@ moonpark status
Environment=MOONPARK_RUN_DIR=/run/@NAME@
UMask=0077
LimitNOFILE=65536
# MemoryMax=1G
# CPUQuota=200%

# What a network server needs no access to.
CapabilityBoundingSet=@CAPABILITY@
AmbientCapabilities=@CAPABILITY@
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
# Not MemoryDenyWriteExecute=yes: LuaJIT writes the machine code that it runs.

[Install]
WantedBy=multi-user.target
]]

local SOCKET = [[
# The listener of @NAME@, opened by systemd: a connection that comes while the server starts waits, and none is refused
# while it restarts. Optional; the server takes it from net.inherited().
#
#   cp deploy/@NAME@.socket /etc/systemd/system/
#   systemctl daemon-reload
#   systemctl stop @NAME@.service
#   systemctl enable --now @NAME@.socket

[Unit]
Description=@NAME@'s socket

[Socket]
ListenStream=@PORT@
FileDescriptorName=@NAME@
Backlog=4096
NoDelay=yes

[Install]
WantedBy=sockets.target
]]

local DOCKERFILE = [[
# @NAME@ as an image.
#
#   docker build -t @NAME@ .
#   docker run --rm -p @PORT@:@PORT@ @NAME@
#
# moonpark comes from luarocks.org, or from a rock in this folder: luarocks --lua-version 5.1 pack moonpark

FROM debian:12-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates gcc libc-ares-dev libc6-dev libluajit2-5.1-dev \
      libssl-dev luajit2 luarocks make zlib1g-dev
WORKDIR /build
# The Dockerfile is among them because COPY wants at least one file.
COPY Dockerfile *.rock *.rockspec ./
RUN rock=moonpark; \
    for file in moonpark-*.rock; do if [ -e "$file" ]; then rock=$file; fi; done; \
    luarocks --lua-version 5.1 install --deps-mode=none "$rock" # lua-cjson is Debian's, below
RUN for spec in *.rockspec; do \
      if [ -e "$spec" ]; then luarocks --lua-version 5.1 install --only-deps "$spec" || exit; fi; \
    done

FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libbrotli1 libc-ares2 libssl3 lua-cjson luajit2 zlib1g \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local /usr/local
WORKDIR /app
COPY . .
USER 10001:10001
EXPOSE @PORT@
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["moonpark", "deploy/healthcheck.lua", @CHECK@]
# In a container the server must listen on every address, not only on 127.0.0.1. docker stop waits for ten seconds.
CMD ["moonpark", "--workers", "auto", "--grace", "8", "server.lua"@WORD@]
]]

local IGNORED = [[
.dockerignore
.git
.gitignore
.luarc.json
.luarocks
lua_modules
deploy/*.service
deploy/*.socket
]]

local CHECK = [[
-- Is the server well? The image's HEALTHCHECK runs this, and people may.
--
--   moonpark deploy/healthcheck.lua 127.0.0.1:7000                   it is if it takes a connection
--   moonpark deploy/healthcheck.lua 127.0.0.1:7000 ping PING         it is if it answers the first line with the second
--   moonpark deploy/healthcheck.lua http://127.0.0.1:8080/healthz    it is if the status is 200 to 299
--
-- Status 0: it is well. 1: it is not, and a line says why.

local moonpark = require "moonpark"
local http = require "moonpark.http"
local net = require "moonpark.net"

local SECONDS = 4 -- less than --timeout of HEALTHCHECK

local function check_http(url)
  local answer, err = http.get(url, { redirects = 0, keep_alive = false })
  if not answer then return nil, err end
  if answer.status >= 200 and answer.status < 300 then return true end
  return nil, ("status %d"):format(answer.status)
end

local function check_lines(address, say, expected)
  local conn, err = net.dial(address)
  if not conn then return nil, err end
  if not say then return conn:close() end
  conn:write(say, "\n")
  local line
  line, err = conn:read_line()
  conn:close()
  if line == expected then return true end
  return nil, line and ("it answered '%s'"):format(line) or err
end

local function check(place, say, expected)
  if place:find "^https?://" then return check_http(place) end
  return check_lines(place, say, expected)
end

local place, say, expected = ...
if not place then
  io.stderr:write "usage: moonpark deploy/healthcheck.lua address|url [line answer]\n"
  os.exit(1)
end
local well, err = moonpark.timeout(SECONDS, check, place, say, expected)
if not well then
  print(("%s: %s"):format(place, err))
  os.exit(1)
end
]]

---@class moonpark.project.facts
---@field port integer
---@field http boolean does it serve HTTP?
---@field argument boolean does it take its address as its first argument?
---@field starter boolean is it the server that init writes?
---@field healthz boolean does it have a route /healthz?

-- A literal address in the script, and whether an argument may replace it.
local function address_in(text)
  local port = text:match "%.%.%. or [\"'][^\"'%s]*:(%d+)[\"']"
  if port then return tonumber(port), true end
  return tonumber(text:match "[\"'][^\"'%s/]*:(%d+)[\"']"), false
end

local M = {}

--- What can be read off a server's source. A guess: the files say what to change.
---@param text string
---@param starter string the source of init's own
---@param routes string|nil the source of its routes, if they are in a file of their own
---@return moonpark.project.facts
function M.facts(text, starter, routes)
  local http = text:find("moonpark.http", 1, true) ~= nil
  local port, argument = address_in(text)
  return { port = port and port > 0 and port < 65536 and port or http and 8080 or 7000, http = http,
    argument = argument, starter = text == starter,
    healthz = http and (text == starter or (text .. (routes or "")):find("[\"']/healthz[\"']") ~= nil) }
end

local function check_of(facts)
  local address = "127.0.0.1:" .. facts.port
  if facts.http then return ('"http://%s/%s"'):format(address, facts.healthz and "healthz" or "") end
  return ('"%s"'):format(address) .. (facts.starter and ', "ping", "PING"' or "")
end

local function filled(template, values) return (template:gsub("@(%u+)@", values)) end

--- The unit of which systemd makes one for each name: for packages.
---@return string
function M.template()
  return TEMPLATE_HEAD .. filled(SERVICE, { NAME = "%i", BIN = "/usr/bin", ARGUMENT = " $ARGUMENTS",
    CAPABILITY = "CAP_NET_BIND_SERVICE", SETTINGS = "EnvironmentFile=-/etc/default/moonpark-%i\n" })
end

--- The files, in the order they are written.
---@param name string
---@param facts moonpark.project.facts
---@return {path: string, text: string}[]
function M.files(name, facts)
  local address = ":" .. facts.port
  local values = {
    NAME = name, PORT = tostring(facts.port), CHECK = check_of(facts),
    ARGUMENT = facts.argument and " " .. address or "",
    WORD = facts.argument and (', "%s"'):format(address) or "",
    CAPABILITY = facts.port < 1024 and "CAP_NET_BIND_SERVICE" or "", BIN = "/usr/local/bin", SETTINGS = "",
  }
  local function file(path, template) return { path = path, text = filled(template, values) } end
  return {
    file(("deploy/%s.service"):format(name), HEAD .. SERVICE),
    file(("deploy/%s.socket"):format(name), SOCKET),
    file("deploy/healthcheck.lua", CHECK),
    file("Dockerfile", DOCKERFILE),
    file(".dockerignore", IGNORED),
  }
end

return M
