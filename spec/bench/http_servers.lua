-- SPDX-License-Identifier: MIT
-- The HTTP servers of the benchmark: how each is started, and what it needs here.

local process = require "process"
local start = require "start"
local system = require "system"

local BUILD = start.BUILD

local M = {}

local function folder() return assert(os.getenv "PWD") .. "/" .. BUILD end

-- One worker, nothing logged, and connections that live as long as wrk wants.
local NGINX = [[
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
daemon off;
master_process off;
pcre_jit on;
pid %snginx.pid;
error_log stderr;
events { worker_connections 20000; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  client_body_temp_path %sbody;
  upstream files { server 127.0.0.1:%s; keepalive 64; keepalive_requests 1000000000; }
  server {
    %s
    default_type text/plain;
    location = /hello { content_by_lua_block { ngx.header.content_length = 13 ngx.print("Hello, World!") } }
    location ~ ^/hello/([^/]+)$ {
      content_by_lua_block {
        local body = "Hello, " .. ngx.var[1] .. "!"
        ngx.header.content_length = #body
        ngx.print(body)
      }
    }
    location = /json {
      default_type application/json;
      content_by_lua_block {
        local body = require("cjson").encode { message = "Hello, World!" }
        ngx.header.content_length = #body
        ngx.print(body)
      }
    }
    location ~ ^/users/([^/]+)$ {
      default_type application/json;
      content_by_lua_block {
        local var = ngx.var
        local body = require("cjson").encode {
          id = var[1],
          page = ngx.req.get_uri_args().page,
          language = var.http_accept_language,
          session = var.cookie_session,
          scores = { 3, 14, 159 },
        }
        ngx.header.content_length = #body
        ngx.print(body)
      }
    }
    location = /form {
      default_type application/json;
      content_by_lua_block {
        ngx.req.read_body()
        local body = require("cjson").encode(ngx.req.get_post_args())
        ngx.header.content_length = #body
        ngx.print(body)
      }
    }
    location = /echo {
      client_body_buffer_size 64k;
      content_by_lua_block {
        ngx.req.read_body()
        local body = ngx.req.get_body_data()
        ngx.header.content_length = #body
        ngx.print(body)
      }
    }
    location /files/ { alias %s; }
    location /proxy/ {
      proxy_pass http://files/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering on;
    }
  }
}
]]

local PLAIN = "listen 127.0.0.1:%s backlog=4096;"

-- One session ticket a handshake, as moonpark gives, where OpenSSL would give two.
local SECURE = [[
listen 127.0.0.1:%s ssl backlog=4096;
    ssl_certificate %s;
    ssl_certificate_key %s;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_conf_command NumTickets 1;]]

local certificate

-- ECDSA on P-256, made once: the file with the certificate, and the one with the key.
local function certified()
  if certificate then return certificate[1], certificate[2] end
  local cert, key = folder() .. "tls.crt", folder() .. "tls.key"
  local pipe = assert(io.popen(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
    .. " -subj /CN=bench -addext subjectAltName=IP:127.0.0.1 -keyout '%s' -out '%s' 2>&1 && echo made")
    :format(key, cert)))
  local output = pipe:read("*a")
  pipe:close()
  if not output:find "made\n$" then error("openssl made no certificate; it wrote:\n" .. output, 0) end
  certificate = { cert, key }
  return cert, key
end

---An nginx on a core, with the routes of the others. It relays /proxy/ to the port `upstream`.
---@param secure? boolean it speaks TLS
---@return table process
function M.nginx_at(name, core, port, upstream, secure)
  local here, path = folder(), BUILD .. "nginx-" .. name .. ".conf"
  local listen = secure and SECURE:format(port, certified()) or PLAIN:format(port)
  start.write_file(path, NGINX:format(here .. name, here, upstream or "1", listen, here))
  local options = { quiet = true, argv = { "nginx", "-p", here, "-c", folder() .. "nginx-" .. name .. ".conf" } }
  options.name, options.core, options.log = "nginx " .. name, core, BUILD .. "nginx-" .. name .. ".log"
  local child = process.start(options)
  child:wait_port(tonumber(port))
  return child
end

local function start_nginx(upstream, secure)
  local port = tostring(process.free_port())
  return M.nginx_at("server", system.server_core, port, upstream, secure), port
end

local function start_secure_nginx() return start_nginx(nil, true) end

local function announced(name, options)
  return function()
    local child = start.server("http " .. name, options())
    return child, child:expect "^listening (%d+)$"
  end
end

-- Its log goes to the standard output, as a script's does that asks for nothing else.
local function start_middleware()
  local port = tostring(process.free_port())
  local child = start.server("http middleware", { quiet = true, argv = { "sh", "-c", 'exec "$@" >/dev/null', "sh",
    system.luajit, start.HERE .. "middleware_moonpark.lua", "127.0.0.1:" .. port } })
  child:wait_port(tonumber(port))
  return child, port
end

---Each starts a server and returns the process and its port.
M.starters = {
  moonpark = announced("moonpark", function() return start.luajit_script("http_moonpark.lua", folder()) end),
  ["moonpark with middleware"] = start_middleware,
  ["moonpark, priced"] = announced("costs", function() return start.luajit_script "costs_moonpark.lua" end),
  ["moonpark, limited"] = announced("limits", function()
    return start.luajit_script("costs_moonpark.lua", "limits")
  end),
  ["C limit"] = announced("limit", function() return { argv = { BUILD .. "limit_http" } } end),
  ["nginx with Lua"] = start_nginx,
  nginx = start_nginx,
  Bun = announced("Bun", function() return { argv = { system.bun, start.HERE .. "http_bun.js" } } end),
  ["Go net/http"] = announced("Go", function() return { argv = { BUILD .. "http_go" }, env = start.GO } end),
  ["Node http"] = announced("Node", function() return { argv = { "node", start.HERE .. "http_node.js" } } end),
  ["lua-http"] = announced("lua-http", function() return start.luajit_script "http_lua_http.lua" end),
}

---Those that speak TLS 1.3, with one certificate. Go and Bun take no list of suites: they take the one that is offered.
M.secure = {
  moonpark = announced("moonpark TLS", function()
    return start.luajit_script("http_moonpark.lua", folder(), "", certified())
  end),
  ["nginx with Lua"] = start_secure_nginx,
  nginx = start_secure_nginx,
  Bun = announced("Bun TLS", function() return { argv = { system.bun, start.HERE .. "http_bun.js", certified() } } end),
  ["Go net/http"] = announced("Go TLS", function()
    return { argv = { BUILD .. "http_go", certified() }, env = start.GO }
  end),
}

---What each of them needs, as `system` calls it.
M.needs = { moonpark = "moonpark", ["moonpark with middleware"] = "moonpark",
  ["moonpark, priced"] = "moonpark", ["moonpark, limited"] = "moonpark", ["C limit"] = "cc",
  ["nginx with Lua"] = "nginx-lua", nginx = "nginx", Bun = "bun", ["Go net/http"] = "go", ["Node http"] = "node",
  ["lua-http"] = "lua-http" }

return M
