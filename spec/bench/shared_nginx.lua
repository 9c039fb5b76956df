-- SPDX-License-Identifier: MIT
-- The case of shared dicts in nginx: its workers do it as they start, and then end it.
--
-- usage: luajit shared_nginx.lua PROCESSES; prints what its processes report, see shared_work.lua.

local processes = tonumber(arg[1])
local folder = os.getenv "PWD" .. "/build/bench/"

local CONFIGURATION = [[
user %s;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
worker_processes %d;
daemon off;
pid %sshared-nginx.pid;
error_log stderr crit;
events { worker_connections 64; }
http {
  access_log off;
  lua_shared_dict bench 10m;
  init_worker_by_lua_block {
    ngx.timer.at(0, function()
      local function now() ngx.update_time() return ngx.now() end
      local dict = ngx.shared.bench
      local ok, err = pcall(dofile("%s/spec/bench/shared_work.lua"), dict, %d, now, function(line)
        io.stdout:write(line)
        io.stdout:flush()
      end)
      if not ok then io.stderr:write(err, "\n") end
      if dict:incr("ended", 1, 0) == %d then os.execute("kill -TERM $(cat %sshared-nginx.pid)") end
    end)
  }
}
]]

-- The workers end the master: they are the same user's.
local function user()
  local pipe = assert(io.popen "echo $(id -un) $(id -gn)")
  local name = pipe:read "*l"
  pipe:close()
  return name
end

local path = folder .. "shared-nginx.conf"
local file = assert(io.open(path, "w"))
file:write(CONFIGURATION:format(user(), processes, folder, os.getenv "PWD", processes, processes, folder))
file:close()
os.exit(os.execute(("exec nginx -p %s -c %s 2>&1"):format(folder, path)) == 0 and 0 or 1)
