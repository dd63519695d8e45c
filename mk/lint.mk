# Static checks. What they are is in scripts/lint and scripts/check-rules.
# SPDX-License-Identifier: MIT

.PHONY: lint tidy format

lint: ## Run every static check (format, rules, clang-tidy, cppcheck, ...)
	@scripts/deps install build lint
	+@scripts/lint

format: ## Format the C files as .clang-format says
	@git ls-files -co --exclude-standard -- '*.c' '*.h' \
	    | xargs -r clang-format-14 -i

# A file is looked at again when its object is newer: the object knows which
# headers it was made from.
TIDY_SRC := $(LIB_SRC) $(DAEMON_SRC) $(TOOLS_SRC) $(PRELOAD_SRC) $(UNIT_SRC) \
    $(SYSTEM_SRC) $(BENCH_SRC) $(FAULTS_SRC) $(PORT_SRC) \
    $(wildcard tests/fuzz/*.c tests/scribble/*.c tests/scarcity/*.c) \
    $(filter-out $(LIB_SRC),\
    $(wildcard ports/noncoherent/*.c))
TIDY := $(patsubst %.c,$(B)/tidy/%.ok,$(TIDY_SRC))

# The analyzer takes nine tenths of the time. Of tests it finds nothing that the
# sanitizers do not: they run those.
TIDY_CHECKS = $(if $(filter tests/% bench/% %_test.c,$1),--checks=-clang-analyzer-*)

# Of the core without a system: with its compiler's headers, where they are.
PICOLIBC := /usr/lib/picolibc/riscv64-unknown-elf/include
QEMU_TIDY := $(patsubst %.c,$(B)/tidy/qemu/%.ok,\
    $(wildcard ports/qemu-ivshmem/*.c tests/qemu/*.c) tests/port/on_qemu.c)

tidy: $(TIDY) $(if $(wildcard $(PICOLIBC)),$(QEMU_TIDY),tidy-no-qemu)

.PHONY: tidy-no-qemu
tidy-no-qemu:
	@echo 'ports/qemu-ivshmem: not looked at, no picolibc-riscv64-unknown-elf'

$(B)/tidy/qemu/%.ok: %.c $(QEMU_HEAD) .clang-tidy
	$(call say,TIDY,$<)
	@mkdir -p $(@D)
	$(Q)clang-tidy-14 --quiet --warnings-as-errors='*' \
	    $(call TIDY_CHECKS,$<) $< -- -std=c11 \
	    --target=riscv64-unknown-elf -march=rv64imac -mabi=lp64 \
	    -isystem $(PICOLIBC) -Iinclude -Isrc -Itests -Iports/qemu-ivshmem \
	    $(WARN) 2>/dev/null
	@touch $@

$(B)/tidy/%.ok: %.c $(B)/obj/%.o .clang-tidy
	$(call say,TIDY,$<)
	@mkdir -p $(@D)
	$(Q)clang-tidy-14 --quiet --warnings-as-errors='*' \
	    $(call TIDY_CHECKS,$<) $< -- -std=c11 \
	    $(CPPFLAGS) $(call dialect,$<) $(WARN) 2>/dev/null
	@touch $@
