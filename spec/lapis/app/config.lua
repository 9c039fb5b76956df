-- SPDX-License-Identifier: MIT
-- config.lua - of the application that lapis_spec.lua asks; where its database is, the environment says.

local config = require "lapis.config"

config({ "development", "test", "production" }, {
  server = "nginx", port = 8080, secret = "a secret of the specs", code_cache = "off",
  postgres = { host = os.getenv "PG_HOST", port = os.getenv "PG_PORT", user = os.getenv "PG_USER",
    password = os.getenv "PG_PASSWORD", database = os.getenv "PG_DATABASE" },
})

config("production", { num_workers = 2, code_cache = "on", logging = { requests = false } })
