-- SPDX-License-Identifier: MIT
-- Runs library_work.lua in a worker of nginx, in a timer; then nginx ends.
--
-- usage: luajit library_nginx.lua WORK HOST PORT [USER PASSWORD DATABASE], from the top of the tree
-- Prints "WORK MICROSECONDS" of CPU time.

local here = os.getenv "PWD"
local folder = here .. "/build/bench/"

local CONFIGURATION = [[
user %s;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
worker_processes 1;
daemon off;
pid %slibrary-nginx.pid;
error_log stderr crit;
events { worker_connections 256; }
http {
  access_log off;
  lua_package_path "%s;;";
  init_worker_by_lua_block {
    ngx.timer.at(0, function()
      local function spawn(fn)
        local thread = ngx.thread.spawn(fn)
        return function() assert(ngx.thread.wait(thread)) end
      end
      local ok, err = pcall(function()
        local seconds = dofile("%s/spec/bench/library_work.lua")["%s"](%s, spawn)
        io.stdout:write(string.format("%s %%.3f\n", seconds * 1e6))
      end)
      if not ok then io.stderr:write(tostring(err), "\n") end
      os.execute("kill -TERM $(cat %slibrary-nginx.pid)")
    end)
  }
}
]]

-- The worker ends the master: it is the same user's.
local function user()
  local pipe = assert(io.popen "echo $(id -un) $(id -gn)")
  local name = pipe:read "*l"
  pipe:close()
  return name
end

local work = arg[1]
local at = ("{ host = %q, port = %d"):format(arg[2], arg[3])
if arg[4] then at = at .. (", user = %q, password = %q, database = %q"):format(arg[4], arg[5], arg[6]) end
local path = folder .. "library-nginx.conf"
local file = assert(io.open(path, "w"))
file:write(CONFIGURATION:format(user(), folder, os.getenv "MOONPARK_LIBS" or "", here, work, at .. " }",
  work, folder))
file:close()
os.exit(os.execute(("exec nginx -p %s -c %s 2>&1"):format(folder, path)) == 0 and 0 or 1)
