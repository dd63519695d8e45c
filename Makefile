# Builds farsock. `make help` lists the targets; files are found by wildcard, so
# a new source needs no change here.
# SPDX-License-Identifier: MIT
#
#   V=1              show commands
#   SAN=address      with ASan and UBSan, into build/san-address
#   SAN=thread       with TSan, into build/san-thread
#   FAULTS=1         with faults to order (ports/faulty), into build/faults
#   CC=clang         into build/clang
#   MEMORY=noncoherent   each side with a cache of its own (docs/memory.md),
#                    into build/noncoherent
#   EXTRA_CFLAGS=... added to every compilation and link

VERSION := 0.1.0
SOVERSION := 0

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# As many jobs as processors, unless the command line has -j: that one wins.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar

V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
else
Q :=
say =
endif

empty :=
space := $(empty) $(empty)
comma := ,

# Each variant has its own tree with bin/, lib/ and test/: no two clobber each
# other. The compiler's name may carry a path or a wrapper (ccache clang).
variant := $(if $(SAN),san-$(SAN)) $(MEMORY) $(if $(FAULTS),faults) \
    $(filter-out gcc cc,$(notdir $(lastword $(CC))))
variant := $(subst $(space),-,$(strip $(variant)))
B := build$(if $(variant),/$(variant))

SAN_FLAGS_address := -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_FLAGS_thread := -fsanitize=thread
# For mk/fuzz.mk. The memory of a peer is read by way of tests/fuzz/mem.h.
afl := $(findstring afl-,$(CC))
SAN_FLAGS_fuzz := $(SAN_FLAGS_address) $(if $(afl),,-fsanitize=fuzzer-no-link)
SAN_FLAGS_coverage := -fprofile-instr-generate -fcoverage-mapping
FUZZ_LINK := $(if $(filter fuzz,$(SAN)),-fsanitize=fuzzer)
SAN_DEFINES := $(if $(filter fuzz coverage,$(SAN)),\
    -DFAR_PORT_MEM_H='"fuzz/mem.h"')
ifneq ($(SAN),)
ifeq ($(SAN_FLAGS_$(SAN)),)
$(error SAN is address, thread, fuzz or coverage, not "$(SAN)")
endif
SAN_FLAGS := $(SAN_FLAGS_$(SAN)) -fno-omit-frame-pointer
# Two run times that share one set of options: only so does gcc's UBSan heed
# log_path, by which tests/run sees the reports of every process.
SAN_STATIC := -static-libasan -static-libubsan
ifeq ($(SAN)$(findstring clang,$(CC)),address)
SAN_FLAGS += $(SAN_STATIC)
endif
endif

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
CFLAGS := -std=c11 -O2 -g $(WARN) -fPIC -fno-semantic-interposition \
    $(SAN_FLAGS) $(EXTRA_CFLAGS)
CPPFLAGS := -Iinclude -Isrc -I. -Itests -DFARSOCK_VERSION='"$(VERSION)"' \
    $(SAN_DEFINES)
LDFLAGS := $(SAN_FLAGS) $(EXTRA_CFLAGS) $(EXTRA_LDFLAGS)
HOSTED := -D_GNU_SOURCE -pthread

# src/ is freestanding C11, except for its tests.
dialect = $(if $(filter-out %_test.c,$(filter src/%,$(1))),,$(HOSTED))

# --- What there is ---------------------------------------------------------

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
no_tests = $(filter-out %_test.c,$(wildcard $(1)))

LIB_SRC := $(call no_tests,src/wire/*.c src/ring/*.c src/near/*.c \
    ports/posix/*.c)
MAP_SRC := ports/posix/map.c
# Emulated caches in place of shared memory.
ifeq ($(MEMORY),noncoherent)
LIB_SRC := $(filter-out $(MAP_SRC),$(LIB_SRC)) $(wildcard ports/noncoherent/*.c)
MAP_SRC := $(wildcard ports/noncoherent/*.c)
CPPFLAGS += -DFAR_PORT_MEM_H='"ports/noncoherent/mem.h"'
endif
# What orders faults stands between our code and memory, port and kernel.
FAULTY_SRC := $(if $(FAULTS),$(wildcard ports/faulty/*.c))
ifneq ($(FAULTS),)
LIB_SRC += $(FAULTY_SRC)
CPPFLAGS += -DFAR_PORT_MEM_H='"ports/faulty/mem.h"'
LDFLAGS += @ports/faulty/wraps
endif
DAEMON_SRC := $(call no_tests,daemon/*.c)
TOOLS_SRC := $(call no_tests,tools/*.c)
PRELOAD_SRC := $(call no_tests,preload/*.c)
SYSTEM_SRC := $(wildcard tests/system/*.c)
BENCH_SRC := $(wildcard bench/*.c)
UNIT_SRC := $(wildcard $(addsuffix *_test.c,src/wire/ src/ring/ src/near/ \
    ports/posix/ daemon/ tools/ preload/))
ifneq ($(MEMORY),)
# The regions of the others are not the emulator's.
UNIT_SRC := daemon/fixed_test.c
endif

LIB := $(B)/lib/libfarsock.a
SHLIB := $(B)/lib/libfarsock.so.$(SOVERSION)
PRELOAD := $(if $(PRELOAD_SRC),$(B)/lib/libfarsock-preload.so)
FARSOCKD := $(if $(DAEMON_SRC),$(B)/bin/farsockd)
TOOL := $(if $(TOOLS_SRC),$(B)/bin/farsock)
UNIT := $(addprefix $(B)/test/,$(subst /,_,$(UNIT_SRC:.c=)))
SYSTEM := $(patsubst tests/system/%.c,$(B)/test/system/%,$(SYSTEM_SRC))
PRODUCTS := $(if $(LIB_SRC),$(LIB) $(SHLIB) $(B)/lib/libfarsock.so) \
    $(FARSOCKD) $(TOOL) $(PRELOAD)

INIH_CFLAGS := $(shell pkg-config --cflags inih 2>/dev/null)
INIH_LIBS := $(shell pkg-config --libs inih 2>/dev/null || echo -linih)
# Without it farsockd does not filter its system calls, and says so.
SECCOMP_LIBS := $(shell pkg-config --libs libseccomp 2>/dev/null)
SECCOMP_CFLAGS := $(if $(SECCOMP_LIBS),-DHAVE_SECCOMP \
    $(shell pkg-config --cflags libseccomp))

# --- Targets ---------------------------------------------------------------

.PHONY: all products unit tests-build clean distclean help FORCE

# MicroPython with native sockets is what ours is compared with: one serves
# every variant. Under TSan there is no MicroPython: its threads run without a
# lock and race among themselves; the tests take the plain one.
MICROPYTHON := $(if $(wildcard mk/mpy.mk),\
    $(if $(filter thread,$(SAN)),,$(B)/bin/micropython) \
    $(if $(SAN)$(MEMORY),,$(B)/bin/micropython-native))

all: products $(MICROPYTHON) ## Build everything (the default)

products: $(PRODUCTS)

unit: $(UNIT) $(B)/test/unit.list

tests-build: all unit $(SYSTEM)

clean: ## Remove what was built; keep what was downloaded
	$(call say,RM,build)
	$(Q)for d in build/*; do \
	    case $$d in build/cache) ;; *) rm -rf "$$d" ;; esac; \
	done

distclean: ## Remove what was built and downloaded
	$(call say,RM,build)
	$(Q)rm -rf build

help: ## Show this list
	@echo 'usage: make [TARGET] [V=1] [SAN=address|thread] [CC=clang]'
	@sed -n 's/^\([a-z-]*\):.*## */\1\t/p' $(MAKEFILE_LIST) | sort \
	    | awk -F '\t' '{ printf "  %-14s %s\n", $$1, $$2 }'

# --- Compile and link ------------------------------------------------------

# These change when the flags or the list of sources do, and what depends on
# them is then rebuilt; otherwise they keep their time.
write_if_changed = \
    $(file >$@.new,$(1))@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(B)/obj/flags: FORCE | $(B)/obj
	$(call write_if_changed,$(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS))

$(B)/obj/sources: FORCE | $(B)/obj
	$(call write_if_changed,$(LIB_SRC) $(DAEMON_SRC) $(TOOLS_SRC) $(PRELOAD_SRC))

$(B)/test/unit.list: FORCE | $(B)/test
	$(call write_if_changed,$(notdir $(UNIT)))

$(B)/obj $(B)/test:
	@mkdir -p $@

# The build begins with naming missing packages, once, instead of with a
# compiler's message about a header.
$(B)/obj/%.o: %.c $(B)/obj/flags | packages
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) $(call dialect,$<) $(DIR_CFLAGS) \
	    -MMD -MP -c -o $@ $<

$(B)/obj/daemon/%.o: DIR_CFLAGS = $(INIH_CFLAGS) $(SECCOMP_CFLAGS)
# Only what is marked is seen by the program. Fortified headers would define
# some of what we define.
$(B)/obj/preload/%.o: DIR_CFLAGS = -fvisibility=hidden -U_FORTIFY_SOURCE

LIB_OBJ := $(call obj,$(LIB_SRC))
FAR_OBJ := $(call obj,$(filter src/wire/% src/ring/% ports/posix/errno.c \
    ports/posix/addr.c ports/posix/cmsg.c $(MAP_SRC) $(FAULTY_SRC),$(LIB_SRC)))
DAEMON_OBJ := $(call obj,$(DAEMON_SRC))
TOOLS_OBJ := $(call obj,$(TOOLS_SRC))
PRELOAD_OBJ := $(call obj,$(PRELOAD_SRC))
MAP := $(wildcard src/libfarsock.map)

$(LIB): $(LIB_OBJ) $(B)/obj/sources
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)

# A sanitizer's run time is the program's, so only a plain build can insist
# that nothing is undefined.
$(SHLIB): $(LIB_OBJ) $(B)/obj/sources $(MAP)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -Wl,-soname,libfarsock.so.$(SOVERSION) \
	    $(if $(MAP),-Wl$(comma)--version-script=$(MAP)) \
	    $(if $(SAN),,-Wl$(comma)-z$(comma)defs) \
	    $(filter-out $(SAN_STATIC),$(LDFLAGS)) -o $@ $(LIB_OBJ) -pthread

$(B)/lib/libfarsock.so: $(SHLIB)
	$(Q)ln -sf $(<F) $@

$(PRELOAD): $(PRELOAD_OBJ) $(LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -Wl,--exclude-libs,ALL \
	    $(filter-out $(SAN_STATIC),$(LDFLAGS)) -o $@ $(PRELOAD_OBJ) $(LIB) -pthread -ldl

define link
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) -pthread $(LIBS)
endef

$(FARSOCKD): LIBS = $(INIH_LIBS) $(SECCOMP_LIBS)
$(FARSOCKD): $(DAEMON_OBJ) $(FAR_OBJ) $(B)/obj/sources
	$(link)

$(TOOL): $(TOOLS_OBJ) $(LIB) $(B)/obj/sources
	$(link)

# A test of a program's module sees all of that program but its main().
define unit_rule
$(B)/test/$(subst /,_,$(1:.c=)): $(call obj,$(1)) $(2) $(LIB) $(B)/obj/sources
	$$(link)
endef
$(foreach t,$(filter src/% ports/%,$(UNIT_SRC)),$(eval $(call unit_rule,$(t))))
$(foreach d,daemon tools preload,\
    $(foreach t,$(filter $(d)/%,$(UNIT_SRC)),$(eval $(call unit_rule,$(t),\
        $(filter-out %/main.o,$(call obj,$(call no_tests,$(d)/*.c)))))))
$(B)/test/daemon_%: LIBS = $(INIH_LIBS) $(SECCOMP_LIBS)
$(B)/test/preload_%: LIBS = -ldl

$(SYSTEM): $(B)/test/system/%: $(B)/obj/tests/system/%.o $(LIB)
	$(link)

include $(wildcard mk/*.mk)

$(if $(MICROPYTHON),micropython-source): | packages

-include $(patsubst %.o,%.d,$(LIB_OBJ) $(DAEMON_OBJ) $(TOOLS_OBJ) \
    $(PRELOAD_OBJ) $(call obj,$(UNIT_SRC) $(SYSTEM_SRC) $(BENCH_SRC)))
