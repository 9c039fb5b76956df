# SPDX-License-Identifier: MIT
#
#   make run       install what is missing, build, start examples/kv.lua
#   make test      install what is missing, run everything that CI runs
#   make spec      build and run the busted specs alone  (SPEC=spec/net_spec.lua, MODE=asan|hard)
#   make bench     build and print the benchmark table   (BENCH="--only echo")
#   make build     build the module alone                (MODE=release|asan|hard)
#   make install   copy module, library and command      (LUADIR, LIBDIR, BINDIR; luarocks calls this)
#   make clean     remove build/
#
# This file is the only place that knows which system it is on. Everything it makes is in build/.

VERSION := 0.1.0
MODE    ?= release
LUAJIT  ?= luajit

BUILD := build/$(MODE)
SO    := $(BUILD)/moonpark/core.so
UNITS := $(BUILD)/units.so

CC         ?= cc
CFLAGS     ?= -O2 -g
LUA_CFLAGS ?= $(shell pkg-config --cflags luajit 2>/dev/null || echo -I/usr/include/luajit-2.1)
WARNINGS   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Werror
ALL_CFLAGS  = -std=gnu11 -fPIC -fno-strict-aliasing $(WARNINGS) $(CFLAGS) $(MODE_CFLAGS) \
              -DMOONPARK_VERSION='"$(VERSION)"' $(LUA_CFLAGS) -MMD -MP

HARD := hard_off
ifeq ($(MODE),hard)
HARD := hard_on
endif
ifneq ($(filter asan hard,$(MODE)),)
MODE_CFLAGS := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
SANITIZED   := 1
endif

SOURCES := $(filter-out runtime/hard_on.c runtime/hard_off.c,$(wildcard runtime/*.c)) runtime/$(HARD).c
OBJECTS := $(SOURCES:runtime/%.c=$(BUILD)/obj/%.o)
# The floors without Lua once more with their names visible, for specs that test them alone.
UNIT_OBJECTS := $(patsubst $(BUILD)/obj/%,$(BUILD)/units/%,$(filter-out \
                $(BUILD)/obj/l_% $(BUILD)/obj/face.o $(BUILD)/obj/site.o $(BUILD)/obj/core.o,$(OBJECTS)))

.PHONY: build
build: $(SO) $(UNITS)

$(SO): $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) -shared $(MODE_CFLAGS) $(LDFLAGS) -o $@ $^

$(UNITS): $(UNIT_OBJECTS)
	$(CC) -shared $(MODE_CFLAGS) $(LDFLAGS) -o $@ $^

$(BUILD)/obj/%.o: runtime/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fvisibility=hidden -c -o $@ $<

$(BUILD)/units/%.o: runtime/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

-include $(OBJECTS:.o=.d) $(UNIT_OBJECTS:.o=.d)

.PHONY: clean
clean:
	rm -rf build
