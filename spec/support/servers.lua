-- SPDX-License-Identifier: MIT
-- support/servers.lua - servers of Debian's packages, for the specs of their clients: each in a folder of its own, on a
-- loopback address that nobody else uses and on a unix socket. A server is started once a spec file, before its tests,
-- and killed after them; or with the process, whatever ends it.
--
--   local redis = servers.redis()       {host =, port =, path = of its unix socket, ca = a file, user =, ...}, or nil
--                                       and what is not installed
--
-- Called while a spec file is read, so outside of tasks: it may block.

local support = require "support.net"

local M = {}

local running = {} -- {pid =, folder =, pipe =}

local function read(path)
  local file = io.open(path)
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

local PLAIN = "unset LD_PRELOAD LD_LIBRARY_PATH; " -- what the sanitizers need of this process is not for others

local function output(command)
  local pipe = assert(io.popen(PLAIN .. command)) -- moonpark: ignore
  local text = pipe:read "*a"
  pipe:close()
  return text:match "^(.-)%s*$"
end

local function succeeds(command) return os.execute(PLAIN .. command .. " >/dev/null 2>&1") == 0 end -- moonpark: ignore

local function has(program) return succeeds("command -v " .. program) end

local is_root = output "id -u" == "0"

-- Servers that refuse to run as root, and all that they have, belong to nobody then.
local AS_NOBODY = is_root and "setpriv --reuid=65534 --regid=65534 --clear-groups " or ""

local function new_folder()
  local folder = output "mktemp -d /tmp/moonpark-server-XXXXXX"
  if is_root then assert(succeeds("chown 65534:65534 " .. folder)) end
  return folder
end

-- Starts it, and waits until the check succeeds. Its parent is this process, so that it dies with it.
local function start(folder, command, check)
  local log = folder .. "/log"
  local line = ("cd %s; echo $$ >pid; exec %ssetpriv --pdeathsig KILL %s >%s 2>&1"):format(folder, AS_NOBODY, command,
    log)
  local pipe = assert(io.popen(PLAIN .. line, "w")) -- moonpark: ignore
  running[#running + 1] = { folder = folder, pipe = pipe }
  local waits = ("for i in $(seq 600); do %s >/dev/null 2>&1 && exit 0; sleep 0.05; done; exit 1"):format(check)
  if not succeeds(("sh -c '%s'"):format(waits)) then
    error(("%s does not answer: %s"):format(command, read(log)))
  end
end

--- The processes of those that were started.
---@return integer[]
function M.pids()
  local pids = {}
  for i, server in ipairs(running) do pids[i] = tonumber(read(server.folder .. "/pid")) end
  return pids
end

--- Ends those that were started. The last test of a file has run: call it in a teardown.
function M.stop()
  for i, server in ipairs(running) do
    succeeds("kill -9 " .. read(server.folder .. "/pid"))
    server.pipe:close()
    succeeds("rm -rf " .. server.folder)
    running[i] = nil
  end
end

local host = support.own_host()

-- A certificate for that host in the folder, which is its own authority -> its file, its key's.
local function certificate(folder)
  local cert, key = folder .. "/cert.pem", folder .. "/key.pem"
  assert(succeeds(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=%s "
    .. "-addext subjectAltName=IP:%s -keyout %s -out %s"):format(host, host, key, cert)), "openssl failed")
  if is_root then assert(succeeds(("chown 65534:65534 %s %s && chmod 600 %s"):format(cert, key, key))) end
  return cert, key
end

function M.redis()
  if not has "redis-server" then return nil, "redis-server is not installed" end
  local folder = new_folder()
  local cert, key = certificate(folder)
  local server = { host = host, port = 6379, tls_port = 6380, path = folder .. "/redis.sock", ca = cert }
  start(folder, ("redis-server --port %d --bind %s --unixsocket %s --save '' --appendonly no --dir %s --tls-port %d "
    .. "--tls-cert-file %s --tls-key-file %s --tls-ca-cert-file %s --tls-auth-clients no"):format(server.port, host,
    server.path, folder, server.tls_port, cert, key, cert), ("redis-cli -s %s ping"):format(server.path))
  return server
end

function M.postgres()
  local bin = output "ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1"
  if bin == "" then return nil, "postgresql is not installed" end
  local folder = new_folder()
  local data = folder .. "/data"
  local cert, key = certificate(folder)
  local server = { host = host, port = 5432, path = folder .. "/.s.PGSQL.5432", user = "moonpark", password = "secret",
    database = "postgres", ca = cert }
  local words = folder .. "/password"
  local file = assert(io.open(words, "w"))
  file:write(server.password, "\n")
  file:close()
  local made = ("%s%s/initdb -D %s -U %s --pwfile=%s -A scram-sha-256 --no-sync --no-instructions"):format(AS_NOBODY,
    bin, data, server.user, words)
  assert(succeeds(made), "initdb failed: " .. made)
  start(folder, ("%s/postgres -D %s -k %s -h %s -p %d -c fsync=off -c shared_buffers=16MB -c ssl=on -c "
    .. "ssl_cert_file=%s -c ssl_key_file=%s"):format(bin, data, folder, host, server.port, cert, key),
    ("%s/pg_isready -h %s -p %d"):format(bin, folder, server.port))
  return server
end

-- Without privileges: each user may do anything.
function M.mariadb()
  if not has "mariadbd" then return nil, "mariadb-server is not installed" end
  local folder = new_folder()
  local data = folder .. "/data"
  local cert, key = certificate(folder)
  local server = { host = host, port = 3306, path = folder .. "/mariadb.sock", user = "moonpark", password = "secret",
    database = "test", ca = cert }
  local user = is_root and "--user=nobody " or ""
  local made = ("mariadb-install-db --no-defaults %s--datadir=%s --skip-name-resolve "
    .. "--auth-root-authentication-method=normal"):format(user, data)
  assert(succeeds(made), "mariadb-install-db failed")
  start(folder, ("mariadbd --no-defaults --datadir=%s --socket=%s --pid-file=%s/mariadb.pid --bind-address=%s "
    .. "--port=%d --skip-grant-tables --skip-networking=0 --innodb-flush-log-at-trx-commit=0 "
    .. "--innodb-buffer-pool-size=8M --ssl-cert=%s --ssl-key=%s"):format(data, server.path, folder, host, server.port,
    cert, key),
    ("mariadb --no-defaults -S %s -e \"create database if not exists test\""):format(server.path))
  return server
end

return M
