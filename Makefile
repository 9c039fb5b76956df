# SPDX-License-Identifier: MIT
#
#   make run       install what is missing, build, start examples/hello.lua   (ADDRESS=127.0.0.1:8080)
#   make test      install what is missing, run everything that CI runs      (WHOLE=1: every spec in every build)
#   make spec      build and run busted specs alone      (SPEC=spec/net/read_spec.lua, MODE=asan|hard)
#   make fuzz      build and run the fuzz targets     (FUZZ_SECONDS=60 each, FUZZ="request url")
#   make bench     build and print the benchmark table   (BENCH="--only echo")
#   make build     build the module alone                (MODE=release|asan|hard; V=1 shows commands)
#   make deb       build a Debian package in build/
#   make install   copy module, library, command, page, what editors read
#                                                  (LUADIR, LIBDIR, BINDIR, MANDIR; luarocks calls this)
#   make clean     remove build/
#
# This file is the only place that knows which system it is on. Everything it makes is in build/.

VERSION := 0.1.0
MODE    ?= release
LUAJIT  ?= luajit

BUILD := build/$(MODE)
SO    := $(BUILD)/moonpark/core.so
UNITS := $(BUILD)/units.so
VEIL  := $(BUILD)/veil.so

CC         ?= cc
CFLAGS     ?= -O2 -g
CARES_LIBS ?= $(shell pkg-config --libs libcares 2>/dev/null || echo -lcares)
ZLIB_LIBS  ?= $(shell pkg-config --libs zlib 2>/dev/null || echo -lz)
SSL_LIBS   ?= -lssl -lcrypto
LIBS        = $(CARES_LIBS) $(ZLIB_LIBS) $(SSL_LIBS)
LUA_CFLAGS ?= $(shell pkg-config --cflags luajit 2>/dev/null || echo -I/usr/include/luajit-2.1)
WARNINGS   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Werror
ALL_CFLAGS  = -std=gnu11 -pthread -fPIC -fno-plt -fno-strict-aliasing $(WARNINGS) $(CFLAGS) $(MODE_CFLAGS) \
              -DMOONPARK_VERSION='"$(VERSION)"' -Iruntime $(LUA_CFLAGS) -MMD -MP

HARD := hard_off
ifeq ($(MODE),hard)
HARD := hard_on
endif
ifneq ($(filter asan hard,$(MODE)),)
MODE_CFLAGS := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
SANITIZED   := 1
endif

# Picked: the numbers of the build, and the list of the system's pollers.
SYSTEM := $(shell uname -s | tr A-Z a-z)
PICKED := runtime/base/$(HARD).c runtime/loop/pollers_$(SYSTEM).c
SOURCES := $(filter-out runtime/base/hard_on.c runtime/base/hard_off.c $(wildcard runtime/loop/pollers_*.c), \
             $(wildcard runtime/*/*.c)) $(PICKED)
OBJECTS := $(SOURCES:runtime/%.c=$(BUILD)/obj/%.o)
# The folders without Lua once more with their names visible, for specs that test them alone.
UNIT_OBJECTS := $(patsubst $(BUILD)/obj/%,$(BUILD)/units/%,$(filter-out $(BUILD)/obj/lua/%,$(OBJECTS)))

QUIET := $(if $(V),,@)

LIBRARY := $(wildcard lua/moonpark/*.lua lua/moonpark/*/*.lua)
ADDON   := $(BUILD)/luals

.PHONY: build
build: $(SO) $(UNITS) $(ADDON)

# What editors read: see docs/editor.md. Without an interpreter only that is left out.
$(ADDON): $(LIBRARY) rockspec/luals/write.lua
	@echo 'luals $@'
	@rm -rf $@ $@.new
	$(QUIET)if command -v $(LUAJIT) >/dev/null; then \
	  $(LUAJIT) rockspec/luals/write.lua $@.new $(LIBRARY) && mv $@.new $@; \
	else echo 'luals: $(LUAJIT) is not here; the annotations for editors are left out'; fi

# nodelete: as a Lua state closes, finalizers older than the module may call it after Lua has unloaded it.
$(SO): $(OBJECTS)
	@mkdir -p $(@D)
	@echo 'link $@'
	$(QUIET)$(CC) -shared -pthread $(MODE_CFLAGS) $(LDFLAGS) -Wl,-z,nodelete -o $@ $^ $(LIBS)

$(UNITS): $(UNIT_OBJECTS)
	@echo 'link $@'
	$(QUIET)$(CC) -shared -pthread $(MODE_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# A stream over others, for specs alone: see spec/support/veil.c. It finds nothing in the core but what it is handed.
.PHONY: veil
veil: $(VEIL)

$(VEIL): spec/support/veil.c Makefile
	@mkdir -p $(@D)
	@echo 'link $@'
	$(QUIET)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,-z,nodelete -o $@ $<

# Says what brings a header that is missing, before a compiler fails at it.
HEADERS := luajit.h:libluajit2-5.1-dev ares.h:libc-ares-dev openssl/ssl.h:libssl-dev zlib.h:zlib1g-dev

$(BUILD)/headers: Makefile
	@mkdir -p $(@D)
	@missing=''; packages=''; for each in stdio.h:libc6-dev $(HEADERS); do \
		echo "#include <$${each%%:*}>" | $(CC) $(CFLAGS) $(LUA_CFLAGS) -E - >/dev/null 2>&1 || \
			{ missing="$$missing $${each%%:*}"; packages="$$packages $${each#*:}"; }; \
	done; \
	[ -z "$$missing" ] || { printf 'headers are missing:%s\non Debian: apt-get install%s\n' \
		"$$missing" "$$packages" >&2; exit 1; }
	@touch $@

$(OBJECTS) $(UNIT_OBJECTS) $(VEIL): | $(BUILD)/headers

$(BUILD)/obj/%.o: runtime/%.c Makefile
	@mkdir -p $(@D)
	@echo 'cc   $@'
	$(QUIET)$(CC) $(ALL_CFLAGS) -fvisibility=hidden -c -o $@ $<

$(BUILD)/units/%.o: runtime/%.c Makefile
	@mkdir -p $(@D)
	@echo 'cc   $@'
	$(QUIET)$(CC) $(ALL_CFLAGS) -c -o $@ $<

-include $(OBJECTS:.o=.d) $(UNIT_OBJECTS:.o=.d) $(VEIL:.so=.d)

# ---- what Debian has to bring ----

IS_ARM64 := $(filter aarch64,$(shell uname -m))

RUN_PACKAGES   := gcc libc6-dev libc-ares-dev libssl-dev lua-cjson zlib1g-dev libbrotli1 curl
FUZZ_PACKAGES  := clang libclang-rt-dev node-llhttp
EMULATION      := gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
# Libraries that run on façades, their servers, and nginx with Lua, which is asked what is right.
CLIENT_PACKAGES := lua-socket lua-sec lua-redis redis-server postgresql libnginx-mod-http-lua libpcre2-8-0
TEST_PACKAGES  := $(RUN_PACKAGES) $(FUZZ_PACKAGES) $(if $(IS_ARM64),,$(EMULATION)) openssl \
                  redis-tools dpkg-dev lua-busted brotli python3 lua-check lua5.1 liblua5.1-0-dev luarocks \
                  bind9-dnsutils iproute2 systemd netcat-openbsd util-linux mount bsdutils libreadline8 \
                  libedit2 groff-base \
                  nginx-light nodejs node-ws python3-websockets wrk chromium \
                  $(CLIENT_PACKAGES)
BENCH_PACKAGES := $(RUN_PACKAGES) redis-server redis-tools haproxy nginx-light libnginx-mod-http-lua nodejs node-ws \
                  wrk lua-http openssl procps lua-socket lua-redis postgresql

# Installs what is missing of the packages in $(1), and a LuaJIT with headers where there is none. The two LuaJIT
# packages exclude each other and both are fine: where the library of one is there, its kind is completed.
define install_packages
@has() { dpkg-query -W -f='$${Status}' "$$1" 2>/dev/null | grep -q '^install ok installed'; }; \
command -v dpkg-query >/dev/null || { echo "No Debian: needed here are LuaJIT with headers, and $(1)"; exit 0; }; \
missing=''; \
for package in $(1); do has $$package || missing="$$missing $$package"; done; \
if has libluajit-5.1-2; then kind=luajit; else kind=luajit2; fi; \
command -v $(LUAJIT) >/dev/null || missing="$$missing $$kind"; \
echo '#include <luajit.h>' | $(CC) $(LUA_CFLAGS) -E - >/dev/null 2>&1 || missing="$$missing lib$$kind-5.1-dev"; \
[ -n "$$missing" ] || exit 0; \
as_root=''; \
if [ "$$(id -u)" != 0 ]; then as_root=sudo; command -v sudo >/dev/null || \
	{ echo "Run this as root, then try again: apt-get update && apt-get install$$missing" >&2; exit 1; }; fi; \
echo "Installing from Debian:$$missing"; \
apt="$$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -o Dpkg::Use-Pty=0"; \
$$apt update && $$apt install -y --no-install-recommends --no-remove $$missing
endef

SUB_MAKE = $(MAKE) --no-print-directory
COMPILE  = $(SUB_MAKE) build -j$(shell nproc 2>/dev/null || echo 1)
COMPILE_SPECS = $(COMPILE) veil

# ---- running ----

# What a script needs to find the modules of build $(1).
lua_env = LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$(CURDIR)/spec/?.lua;;' \
          LUA_CPATH='$(CURDIR)/$(1)/?.so;;'

ADDRESS ?= 127.0.0.1:8080

.PHONY: run
run:
	$(call install_packages,$(RUN_PACKAGES))
	@$(COMPILE)
	@echo
	@echo 'An HTTP server in Lua starts. Open http://$(ADDRESS)/hello/you in a browser, or in another terminal:'
	@echo '    curl http://$(ADDRESS)/hello/you'
	@echo 'Ctrl-C ends it.'
	@echo
	@$(call lua_env,$(BUILD)) $(LUAJIT) lua/bin/moonpark examples/hello.lua $(ADDRESS) || [ $$? -eq 130 ]

.PHONY: bench
bench:
	$(call install_packages,$(BENCH_PACKAGES))
	@$(COMPILE) MODE=release
	$(call lua_env,build/release) $(LUAJIT) spec/bench/bench.lua $(BENCH)

# ---- testing ----

# What one run of make counts is kept under this name; the makes that it calls share it. No other run has it, now or
# later: one that was interrupted leaves its counts behind.
ifndef MOONPARK_RUN
export MOONPARK_RUN := build/run-$(shell echo $$PPID-`date +%s%N`)
endif
RUNNER := $(LUAJIT) spec/support/run.lua

# Specs of the tree itself, the same in every build, and those that only the hard build can pass.
TREE_SPECS := $(sort $(wildcard spec/tree/*_spec.lua))
HARD_SPECS := $(sort $(wildcard spec/hard/*_spec.lua))
CORE_SPECS := $(filter-out $(TREE_SPECS) spec/bench/% spec/hard/%,$(sort $(shell find spec -name '*_spec.lua')))
SPEC       ?= $(if $(filter hard,$(MODE)),$(HARD_SPECS),$(CORE_SPECS))

# `make test` runs every spec in the release build on epoll, and in the other builds those that see what is different
# there: under half an hour. WHOLE=1 runs all in all of them, before a release.
# $(call chosen,PATTERNS LEFT OUT,FILES)
chosen   = $(if $(WHOLE),$(2),$(filter-out $(1),$(2)))
BROWSERS := spec/%_browser_spec.lua spec/examples/dashboard-feed_browser_spec.lua \
            spec/examples/websocket-chat_browser_spec.lua spec/http/listing_browser_spec.lua \
            spec/workers/watch_browser_spec.lua
# Programs of Lua in processes of their own, and modules that work on strings alone.
PROGRAMS := spec/cli/% spec/cli_spec.lua spec/docs/% spec/examples/% spec/http/stopping_spec.lua spec/lapis/% \
            $(filter-out spec/workers/supervisor_spec.lua \
            spec/workers/shared_spec.lua spec/workers/chaos_spec.lua,$(wildcard spec/workers/*_spec.lua))
# What is compared with libraries of others and their servers: they have short patience, and qemu is slow.
FACADES  := spec/ngx/% spec/luasocket/% spec/luasec/% spec/databases_spec.lua
STRINGS  := spec/base/% spec/tls/acme% $(patsubst %,spec/%_spec.lua,url utf8 options memo processors failure_text \
            http/client_address http/date http/docs http/fields http/h1_fold http/h1_frame http/h1_parse \
            http/http_form http/http_router http/multipart http/proxy_balance http/proxy_target http/set_cookie \
            net/addr net/addr_rank net/address net/resolv_conf net/unpack net/x509)

# LuaJIT's allocator hides pointers from LeakSanitizer, so every Lua object would be a leak to it. The specs count
# the runtime's own blocks instead. A process that loads a sanitized module needs the sanitizer from its start.
SANITIZER_ENV = LD_PRELOAD=$(shell $(CC) -print-file-name=libasan.so) \
                ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1

# $(call run_specs,NAME,BUILD,ENVIRONMENT,INTERPRETER,FILES,LIMIT): a file may take LIMIT seconds. Specs start
# programs, and make itself once: what this make was told must not reach them.
run_specs = @SPEC_LIMIT=$(or $(6),300) $(RUNNER) specs $(1) \
            env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS $(call lua_env,$(2)) $(3) $(4) -- $(5)

SPEC_ENV = $(if $(filter hard,$(MODE)),$(HARD_LEFT_OUT)) $(if $(SANITIZED),$(SANITIZER_ENV))
.PHONY: spec
spec: build veil
	$(call run_specs,$(MODE),$(BUILD),$(SPEC_ENV),$(LUAJIT),$(SPEC),600)
	@$(RUNNER) sum

.PHONY: spec-hard
spec-hard:
	@$(SUB_MAKE) spec MODE=hard

# The parts of `make test`, in order. Each is a make of its own: what it needs is there only when its turn comes.
# One that is run alone prints its own sum.
PARTS := test-tree test-epoll test-poll test-veiled test-encrypted test-other test-arm64 test-asan test-hard test-fuzz
SUM    = $(if $(filter 0,$(MAKELEVEL)),@$(RUNNER) sum)
.PHONY: test $(PARTS)
test:
	$(call install_packages,$(TEST_PACKAGES))
	@mkdir -p build
	@for part in $(PARTS); do $(SUB_MAKE) $$part || exit; done
	@$(RUNNER) sum

test-tree:
	@$(RUNNER) check 'build' $(COMPILE_SPECS) MODE=release
	@$(RUNNER) check 'luacheck' luacheck --quiet --codes --no-color .
	$(call run_specs,tree,build/release,,$(LUAJIT),$(TREE_SPECS))
	$(SUM)

test-epoll:
	@$(IN_PARALLEL) $(CORE_SPECS:%=epoll/%)
	$(SUM)

test-poll:
	@$(IN_PARALLEL) $(patsubst %,poll/%,$(call chosen,$(PROGRAMS) $(STRINGS) $(BROWSERS),$(CORE_SPECS)))
	$(SUM)

# HTTP over a stream that is as awkward as TLS, on both ends: see spec/support/veil.c.
VEILED       := $(patsubst %,spec/http/%_spec.lua,body client client_response client_response_body client_upload \
                conditions cut ending events keeper limits logger middleware pool proxy proxy_failover redirect \
                refused relaying request response router server time websocket)
VEILED_SPECS := SPEC_LEFT_OUT=spec/support/left_out_veiled.lua

test-veiled:
	@$(RUNNER) check 'build' $(COMPILE_SPECS) MODE=release
	$(call run_specs,veiled,build/release,$(VEILED_SPECS),$(LUAJIT) -lsupport.veiled,$(VEILED))
	$(SUM)

# The same over TLS itself.
ENCRYPTED_SPECS := SPEC_LEFT_OUT=spec/support/left_out_encrypted.lua

test-encrypted:
	@$(RUNNER) check 'build' $(COMPILE_SPECS) MODE=release
	$(call run_specs,tls,build/release,$(ENCRYPTED_SPECS),$(LUAJIT) -lsupport.encrypted,$(VEILED))
	$(SUM)

test-other:
	@$(RUNNER) check 'build with the other LuaJIT' $(SUB_MAKE) build-other
	@$(SUB_MAKE) test-other-specs
	$(SUM)

test-arm64:
	@$(RUNNER) check 'build for arm64' $(SUB_MAKE) build-arm64
	@[ ! -e $(ARM64)/release/moonpark/core.so ] || \
		$(IN_PARALLEL) $(patsubst %,arm64/%,$(call chosen,$(ARM64_BESIDE),$(ARM64_SPECS)))
	$(SUM)

test-asan:
	@$(RUNNER) check 'build with ASan and UBSan' $(COMPILE_SPECS) MODE=asan
	@$(IN_PARALLEL) $(patsubst %,asan/%,$(call chosen,$(BROWSERS) $(PROGRAMS),$(CORE_SPECS)))
	$(SUM)

# The hard build runs its own specs, and what holds of the others where a read is a byte: over poll(2) what sees the
# poller, as all else takes minutes there. Whole files are left out that are about short reads, of which there are none,
# and about what a test left behind, in words.
HARD_LEFT_OUT := SPEC_LEFT_OUT=spec/support/left_out_hard.lua
HARD_CORE     := $(filter-out spec/net/short_read_spec.lua spec/testing_spec.lua,$(CORE_SPECS))
HARD_POLL     := $(filter $(patsubst %,spec/%_spec.lua,loop/% net/accept net/close net/conn net/dial net/layer \
                 net/lost net/packet net/read net/timeout net/write select task),$(HARD_CORE))

test-hard:
	@$(RUNNER) check 'build hard' $(COMPILE_SPECS) MODE=hard
	@$(IN_PARALLEL) $(HARD_SPECS:%=hard/%) $(patsubst %,hard/%,$(call chosen,$(PROGRAMS) $(BROWSERS),$(HARD_CORE))) \
		$(HARD_POLL:%=hard-poll/%)
	$(SUM)

# A file on each core.
IN_PARALLEL = $(SUB_MAKE) -O -j$(shell nproc 2>/dev/null || echo 1)
.PHONY: $(CORE_SPECS:%=epoll/%) $(CORE_SPECS:%=poll/%) $(CORE_SPECS:%=other/%)
.PHONY: $(CORE_SPECS:%=asan/%) $(HARD_SPECS:%=hard/%) $(HARD_CORE:%=hard/%) $(HARD_POLL:%=hard-poll/%)

$(CORE_SPECS:%=epoll/%): epoll/%:
	$(call run_specs,epoll,build/release,MOONPARK_POLLER=epoll,$(LUAJIT),$*)

$(CORE_SPECS:%=poll/%): poll/%:
	$(call run_specs,poll,build/release,MOONPARK_POLLER=poll,$(LUAJIT),$*)

$(CORE_SPECS:%=asan/%): asan/%:
	$(call run_specs,asan,build/asan,$(SANITIZER_ENV),$(LUAJIT),$*)

$(HARD_SPECS:%=hard/%): hard/%:
	$(call run_specs,hard,build/hard,$(SANITIZER_ENV),$(LUAJIT),$*,2400)

$(HARD_CORE:%=hard/%): hard/%:
	$(call run_specs,hard,build/hard,$(HARD_LEFT_OUT) MOONPARK_POLLER=epoll $(SANITIZER_ENV),$(LUAJIT),$*,600)

$(HARD_POLL:%=hard-poll/%): hard-poll/%:
	$(call run_specs,hard,build/hard,$(HARD_LEFT_OUT) MOONPARK_POLLER=poll $(SANITIZER_ENV),$(LUAJIT),$*,600)

# ---- the LuaJIT package that is not installed, unpacked beside the build ----

OTHER      := build/other
OTHER_LIBS := $(abspath $(firstword $(wildcard $(OTHER)/root/usr/lib/*-linux-gnu*)))
OTHER_INC  := $(abspath $(firstword $(wildcard $(OTHER)/root/usr/include/luajit-*)))
OTHER_JIT  := $(abspath $(OTHER)/root/usr/bin/luajit)

$(OTHER)/root:
	@rm -rf $(OTHER)/packages $(OTHER)/unpacked
	@mkdir -p $(OTHER)/packages $(OTHER)/unpacked
	@kind=luajit2; ! dpkg -S "$$(readlink -f "$$(command -v luajit)")" | grep -q '^luajit2:' || kind=luajit; \
	cd $(OTHER)/packages; \
	fetch() { apt-get -qq download $$kind lib$$kind-5.1-2 lib$$kind-5.1-common lib$$kind-5.1-dev; }; \
	fetch || { $$([ "$$(id -u)" = 0 ] || echo sudo) apt-get -qq update && fetch; } || exit 1; \
	for package in *.deb; do dpkg -x $$package ../unpacked || exit 1; done
	@mv $(OTHER)/unpacked $@

.PHONY: build-other compile-other test-other-specs
build-other: $(OTHER)/root
	@$(SUB_MAKE) compile-other

compile-other:
	@$(COMPILE_SPECS) MODE=release BUILD=$(OTHER)/release LUA_CFLAGS='-I$(OTHER_INC)'

test-other-specs:
	@$(IN_PARALLEL) $(patsubst %,other/%,$(call chosen,$(PROGRAMS),$(CORE_SPECS)))

$(CORE_SPECS:%=other/%): other/%:
	$(call run_specs,other,$(OTHER)/release,LD_LIBRARY_PATH='$(OTHER_LIBS)',$(OTHER_JIT),$*)

# ---- another kind of CPU: arm64, compiled for here and run by qemu ----

# The core's specs: the command and the examples are programs of Lua on top of it. What qemu does not do is in a file.
# On an arm64 machine these specs run without it, in a build like the others.
ARM64          := build/arm64
ARM64_ROOT     := $(CURDIR)/$(ARM64)/root
ARM64_JIT      := $(if $(IS_ARM64),$(LUAJIT),$(CURDIR)/$(ARM64)/luajit)
ARM64_SPECS    := $(filter-out spec/cli/% spec/cli_spec.lua spec/docs/% spec/examples/%,$(CORE_SPECS))
# What stands in C alone, and what meets other programs: qemu is slow.
ARM64_BESIDE   := $(PROGRAMS) $(BROWSERS) $(FACADES) spec/base/% spec/workers/% spec/tls/% spec/net/tls_% \
                  spec/net/share% \
                  $(patsubst %,spec/%_spec.lua,http/date http/docs http/h1_fold http/h1_frame http/h1_parse \
                  http/https_crowd http/https_reload http/websocket_peers http/clients net/addr net/addr_rank \
                  net/dial_netns net/resolv_conf net/x509 shared/kill shared/processes)
ARM64_PACKAGES := libc-ares-dev libssl-dev lua-cjson lua-busted zlib1g-dev libbrotli1
ARM64_LEFT_OUT := spec/support/left_out_arm64.lua
ARM64_CC       := aarch64-linux-gnu-gcc
ARM64_ENV      := $(if $(IS_ARM64),,CC=$(ARM64_CC) SPEC_INTERPRETER='$(ARM64_JIT)' SPEC_LEFT_OUT=$(ARM64_LEFT_OUT) \
                  MOONPARK_TEST_TIMEOUT=60)
ARM64_INC       = $(wildcard $(ARM64_ROOT)/usr/include/luajit-*) $(ARM64_ROOT)/usr/include \
                  $(ARM64_ROOT)/usr/include/aarch64-linux-gnu
ARM64_CROSS     = CC=$(ARM64_CC) CFLAGS='-O2 -g' LDFLAGS= LUA_CFLAGS='$(ARM64_INC:%=-isystem %)' \
                  CARES_LIBS='$(ARM64_ROOT)/usr/lib/aarch64-linux-gnu/libcares.so.2' \
                  ZLIB_LIBS='$(ARM64_ROOT)/lib/aarch64-linux-gnu/libz.so.1' \
                  SSL_LIBS='$(patsubst %,$(ARM64_ROOT)/usr/lib/aarch64-linux-gnu/lib%.so.3,ssl crypto)'

# An apt of its own: arm64, nothing installed, and no place and no hook outside of the build.
ARM64_APT := 'APT::Architecture "arm64"; APT::Architectures "arm64"; APT::Sandbox::User "root";' \
             'Dir::State "$(CURDIR)/$(ARM64)/apt"; Dir::State::status "$(CURDIR)/$(ARM64)/apt/status";' \
             'Dir::Cache "$(CURDIR)/$(ARM64)/apt"; Dir::Log "$(CURDIR)/$(ARM64)/apt";' \
             '\#clear APT::Update::Post-Invoke;' '\#clear APT::Update::Post-Invoke-Success;' \
             '\#clear DPkg::Post-Invoke;'

$(ARM64)/root:
	@rm -rf $(ARM64)/apt $(ARM64)/unpacked
	@mkdir -p $(ARM64)/apt/lists/partial $(ARM64)/apt/archives/partial $(ARM64)/unpacked
	@: >$(ARM64)/apt/status
	@printf '%s\n' $(ARM64_APT) >$(ARM64)/apt/conf
	@apt='apt-get -qq -c $(ARM64)/apt/conf'; \
	fetch() { $$apt install -y --download-only --no-install-recommends $$1 lib$$1-5.1-dev $(ARM64_PACKAGES); }; \
	$$apt update && { fetch luajit2 || fetch luajit; } || \
		{ echo 'no packages for arm64 from Debian: they are fetched over the network' >&2; exit 1; }; \
	for package in $(ARM64)/apt/archives/*.deb; do dpkg -x $$package $(ARM64)/unpacked || exit 1; done
	@rm -rf $(ARM64)/apt
	@mv $(ARM64)/unpacked $@

# To whoever starts it a LuaJIT like any other.
$(ARM64)/luajit: $(ARM64)/root Makefile
	@qemu=$$(command -v qemu-aarch64-static || command -v qemu-aarch64) || \
		{ echo 'qemu-aarch64-static is missing (qemu-user-static)' >&2; exit 1; }; \
	printf '#!/bin/sh\nexec %s -0 "$$0" -L "%s" "%s/usr/bin/luajit" "$$@"\n' $$qemu '$(ARM64_ROOT)' '$(ARM64_ROOT)' >$@
	@chmod +x $@

.PHONY: build-arm64 compile-arm64 $(ARM64_SPECS:%=arm64/%)
build-arm64: $(if $(IS_ARM64),,$(ARM64)/luajit)
	@$(SUB_MAKE) compile-arm64
	@$(call lua_env,$(ARM64)/release) $(ARM64_JIT) -e 'assert(jit.arch == "arm64") require "moonpark"'

compile-arm64:
	@$(COMPILE_SPECS) MODE=release BUILD=$(ARM64)/release $(if $(IS_ARM64),,$(ARM64_CROSS))

$(ARM64_SPECS:%=arm64/%): arm64/%:
	$(call run_specs,arm64,$(ARM64)/release,$(ARM64_ENV),$(ARM64_JIT),$*,300)
	$(SUM)

# ---- fuzzing ----

# What the parsers promise, held to whatever libFuzzer thinks of. Those in Lua run in a Lua state of the release build.
# llhttp is read beside ours where it is installed.
FUZZ_C       := request response chunked target forwarded unpacking ws_frames ws_deflate shared
FUZZ_LUA     := url cookies multipart router json acme sealed html
FUZZ         ?= $(FUZZ_C) $(FUZZ_LUA)
FUZZ_SECONDS ?= 60
FUZZ_BUILD   := build/fuzz
FUZZ_CFLAGS  := -std=gnu11 -Iruntime -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
                -fno-sanitize-recover=all
LLHTTP       := $(firstword $(wildcard /usr/share/llhttp))
FUZZ_OBJECTS := $(patsubst %,$(FUZZ_BUILD)/%.o,h1_parse h1_scan h1_parse_chunk h1_parse_error h1_fold http_form \
                $(if $(LLHTTP),differ_llhttp llhttp_api llhttp_http llhttp_llhttp,differ_none))
FUZZ_CC       = clang $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP $(LUA_CFLAGS) -c -o $@ $<
LUA_LIBS      = $(shell pkg-config --libs luajit 2>/dev/null || echo -lluajit-5.1)
FUZZ_LLHTTP  := -DLLHTTP_STRICT_MODE=1 -isystem /usr/share/include/llhttp

$(FUZZ_BUILD)/%.o: spec/fuzz/%.c Makefile
	@mkdir -p $(@D)
	$(QUIET)$(FUZZ_CC) $(WARNINGS) $(FUZZ_LLHTTP)

$(FUZZ_BUILD)/%.o: runtime/http/%.c Makefile
	@mkdir -p $(@D)
	$(QUIET)$(FUZZ_CC) $(WARNINGS)

$(FUZZ_BUILD)/%.o: runtime/net/%.c Makefile
	@mkdir -p $(@D)
	$(QUIET)$(FUZZ_CC) $(WARNINGS)

$(FUZZ_BUILD)/%.o: runtime/ws/%.c Makefile
	@mkdir -p $(@D)
	$(QUIET)$(FUZZ_CC) $(WARNINGS)

$(FUZZ_BUILD)/%.o: runtime/shared/%.c Makefile
	@mkdir -p $(@D)
	$(QUIET)$(FUZZ_CC) $(WARNINGS)

$(FUZZ_BUILD)/%.o: runtime/base/%.c Makefile
	@mkdir -p $(@D)
	$(QUIET)$(FUZZ_CC) $(WARNINGS)

$(FUZZ_BUILD)/llhttp_%.o: $(LLHTTP)/%.c Makefile
	@mkdir -p $(@D)
	$(QUIET)$(FUZZ_CC) -w $(FUZZ_LLHTTP)

$(FUZZ_C:%=$(FUZZ_BUILD)/fuzz_%): $(FUZZ_BUILD)/fuzz_%: $(FUZZ_BUILD)/%.o $(FUZZ_OBJECTS)
	@echo 'link $@'
	$(QUIET)clang $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(FUZZ_LIBS)

$(FUZZ_BUILD)/fuzz_forwarded: $(patsubst %,$(FUZZ_BUILD)/%.o,buf forward_check http_hops forward_request)

$(FUZZ_BUILD)/fuzz_unpacking: $(FUZZ_BUILD)/unpack.o

$(FUZZ_BUILD)/fuzz_ws_frames: $(patsubst %,$(FUZZ_BUILD)/%.o,ws_frame ws_sha1 ws_utf8)

$(FUZZ_BUILD)/fuzz_ws_deflate: $(patsubst %,$(FUZZ_BUILD)/%.o,ws_pack buf)
$(FUZZ_BUILD)/fuzz_ws_deflate: FUZZ_LIBS = $(ZLIB_LIBS)

$(FUZZ_BUILD)/fuzz_shared: $(patsubst %,$(FUZZ_BUILD)/%.o,base clock sys sys_memory hard_off alive plock segment \
                             undo chunks shard dict)

$(FUZZ_BUILD)/fuzz_lua: $(FUZZ_BUILD)/lua.o
	@echo 'link $@'
	$(QUIET)clang $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LUA_LIBS)

-include $(wildcard $(FUZZ_BUILD)/*.d)

.PHONY: build-fuzz fuzz test-fuzz fuzz-long-% fuzz-brief-%
build-fuzz: $(FUZZ_C:%=$(FUZZ_BUILD)/fuzz_%) $(FUZZ_BUILD)/fuzz_lua
	@$(COMPILE) MODE=release

# $(call run_fuzz,TARGET,FOLDER FOR WHAT IS FOUND,OPTIONS): begins with the corpus that is kept. In Lua nothing is said
# to leak: see SANITIZER_ENV.
run_fuzz = $(call lua_env,build/release) FUZZ_SCRIPT=spec/fuzz/$(1).lua \
           $(if $(filter $(1),$(FUZZ_LUA)),ASAN_OPTIONS=detect_leaks=0 $(FUZZ_BUILD)/fuzz_lua,$(FUZZ_BUILD)/fuzz_$(1)) \
           $(3) -max_len=4096 \
           -dict=spec/fuzz/http.dict -artifact_prefix=$(FUZZ_BUILD)/failed-$(1)- $(2) spec/fuzz/corpus/$(1)

fuzz:
	$(call install_packages,$(RUN_PACKAGES) $(FUZZ_PACKAGES))
	@$(SUB_MAKE) build-fuzz -j$(shell nproc 2>/dev/null || echo 1)
	@for target in $(FUZZ); do $(SUB_MAKE) fuzz-long-$$target || exit; done

fuzz-long-%:
	@echo 'fuzz $*: $(FUZZ_SECONDS) s'
	@mkdir -p $(FUZZ_BUILD)/found/$*
	@$(call run_fuzz,$*,$(FUZZ_BUILD)/found/$*,-max_total_time=$(FUZZ_SECONDS) -print_final_stats=1)

# The same bytes in every run.
test-fuzz:
	@$(RUNNER) check 'build for fuzzing' $(SUB_MAKE) build-fuzz -j$(shell nproc 2>/dev/null || echo 1)
	@[ -n '$(LLHTTP)' ] || echo 'fuzz: llhttp is not installed (node-llhttp): the comparison with it is skipped'
	@for target in $(FUZZ); do $(RUNNER) check "fuzz $$target" $(SUB_MAKE) fuzz-brief-$$target; done
	$(SUM)

fuzz-brief-%:
	@rm -rf $(FUZZ_BUILD)/brief/$*
	@mkdir -p $(FUZZ_BUILD)/brief/$*
	@$(call run_fuzz,$*,$(FUZZ_BUILD)/brief/$*,-seed=1 -runs=$(if $(filter $*,$(FUZZ_LUA)),5000,20000))

# ---- installing ----

PREFIX ?= /usr/local
LUADIR ?= $(PREFIX)/share/lua/5.1
LIBDIR ?= $(PREFIX)/lib/lua/5.1
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man

.PHONY: install
install: build
	install -d '$(DESTDIR)$(LUADIR)/moonpark' '$(DESTDIR)$(LIBDIR)/moonpark' '$(DESTDIR)$(BINDIR)'
	install -d '$(DESTDIR)$(MANDIR)/man1'
	@for file in $(LIBRARY:lua/%=%); do install -D -m 644 lua/$$file '$(DESTDIR)$(LUADIR)'/$$file || exit; done
	@if [ -d $(ADDON) ]; then (cd $(ADDON) && find . -type f) | while read -r file; do \
	  install -D -m 644 "$(ADDON)/$$file" "$(DESTDIR)$(LUADIR)/moonpark/luals/$$file" || exit; done; fi
	install -m 755 $(SO) '$(DESTDIR)$(LIBDIR)/moonpark'
	install -m 755 lua/bin/moonpark '$(DESTDIR)$(BINDIR)'
	install -m 644 docs/moonpark.1 '$(DESTDIR)$(MANDIR)/man1'

# Library, command, page, completions, unit template: see rockspec/deb/build.sh.
.PHONY: deb
deb: build
	@VERSION='$(VERSION)' MAKE='$(MAKE)' LUAJIT='$(LUAJIT)' sh rockspec/deb/build.sh

.PHONY: clean
clean:
	rm -rf build
