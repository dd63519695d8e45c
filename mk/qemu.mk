# A near core without an operating system, in QEMU.
# SPDX-License-Identifier: MIT

.PHONY: qemu qemu-test run-qemu bench-qemu size

QEMU_B := $(abspath build)/qemu
QEMU_CC ?= riscv64-unknown-elf-gcc
QEMU_rv64 := -march=rv64imac -mabi=lp64 -misa-spec=2.2 -mcmodel=medany
QEMU_rv32 := -march=rv32imac -mabi=ilp32 -misa-spec=2.2 -mcmodel=medany
QEMU_ARCHS := rv64 rv32
# Small code, before quick code. Functions save and restore registers by calls,
# in some places twice as many instructions.
QEMU_SMALL := -Os -msave-restore -mtune=size
QEMU_PORT := ports/qemu-ivshmem
QEMU_NEAR := $(call no_tests,src/wire/*.c src/ring/*.c src/near/*.c)
QEMU_PORT_SRC := $(filter-out %/echo.c,$(wildcard $(QEMU_PORT)/*.c))
QEMU_HEAD := $(wildcard include/farsock/* src/*/*.h tests/port/*.h $(QEMU_PORT)/*.h \
    $(QEMU_PORT)/virt.ld)
QEMU_MPY_SRC := $(wildcard micropython/qemu/* micropython/*.*)

QEMU_IMAGES := $(foreach a,$(QEMU_ARCHS),$(QEMU_B)/$(a)/micropython.elf)
# Programs without MicroPython, and what each is made of beside the port.
QEMU_PROGRAMS := echo port-check console hostile measure
qemu_src_echo := $(QEMU_PORT)/echo.c
qemu_src_port-check = $(PORT_CHECKS) tests/port/on_qemu.c
qemu_src_console := tests/qemu/console.c
qemu_src_hostile := tests/qemu/hostile.c
qemu_src_measure := tests/qemu/measure.c
QEMU_ELFS := $(foreach a,$(QEMU_ARCHS),$(QEMU_PROGRAMS:%=$(QEMU_B)/$(a)/%.elf))
QEMU_CHECKS := $(filter %/port-check.elf,$(QEMU_ELFS))

qemu: $(QEMU_IMAGES) $(QEMU_ELFS) ## Build MicroPython for a core without a system

# What make test runs: MicroPython for RV32 is for test-full.
qemu-test: $(QEMU_B)/rv64/micropython.elf $(QEMU_ELFS)

run-qemu: ## Run the first example on an emulated RISC-V core without a system
	@scripts/deps install build test qemu
	+@$(MAKE) products $(MPY_CROSS) $(QEMU_B)/rv64/micropython.elf
	@scripts/run-demo --qemu

ifeq ($(PORT),qemu-ivshmem)
port-build: $(QEMU_CHECKS)
endif

# $(1): the architecture
define qemu_rules
$(QEMU_B)/$(1)/near/%.o: %.c $(QEMU_HEAD) mk/qemu.mk
	$$(call say,CC,$(1) $$<)
	@mkdir -p $$(@D)
	$$(Q)$(QEMU_CC) $(QEMU_$(1)) -std=c11 $(QEMU_SMALL) -g \
	    -ffunction-sections -fdata-sections -fcallgraph-info=su $(WARN) \
	    --specs=picolibc.specs \
	    -Iinclude -Isrc -Itests -I$(QEMU_PORT) -c -o $$@ $$<
$(QEMU_B)/$(1)/near/%.o: %.S mk/qemu.mk
	$$(call say,AS,$(1) $$<)
	@mkdir -p $$(@D)
	$$(Q)$(QEMU_CC) $(QEMU_$(1)) -c -o $$@ $$<
$(QEMU_B)/$(1)/libfarsock.a: $(patsubst %.c,$(QEMU_B)/$(1)/near/%.o,$(QEMU_NEAR))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && riscv64-unknown-elf-ar rcs $$@ $$^
$(QEMU_B)/$(1)/micropython.elf: $(QEMU_HEAD) $(QEMU_MPY_SRC) \
    $(QEMU_PORT_SRC) $(QEMU_NEAR) $(QEMU_PORT)/start.S $(MPY_CROSS)
	$$(call say,MPY,$$@)
	+$$(Q)$$(if $$(mpy_dry),:,$$(call qemu_mpy,$(1)))
endef
$(foreach a,$(QEMU_ARCHS),$(eval $(call qemu_rules,$(a))))

# $(1): the architecture, $(2): the program
define qemu_program
$(QEMU_B)/$(1)/$(2).elf: $(patsubst %.c,$(QEMU_B)/$(1)/near/%.o,\
    $(QEMU_PORT_SRC) $(qemu_src_$(2))) \
    $(QEMU_B)/$(1)/near/$(QEMU_PORT)/start.o $(QEMU_B)/$(1)/libfarsock.a
	$$(call say,LD,$$@)
	$$(Q)$(QEMU_CC) $(QEMU_$(1)) --specs=picolibc.specs -nostartfiles \
	    -T $(QEMU_PORT)/virt.ld -Wl,--gc-sections \
	    -Wl,--no-warn-rwx-segments -o $$@ $$^
endef
$(foreach a,$(QEMU_ARCHS),$(foreach p,$(QEMU_PROGRAMS),\
    $(eval $(call qemu_program,$(a),$(p)))))

# The tree is the unix builds' own, and is only read.
qemu_mpy = mkdir -p $(QEMU_B)/$(1) && unset CFLAGS CPPFLAGS LDFLAGS && { \
    MAKEFLAGS="$${MAKEFLAGS%% -- *}" $(MAKE) -C micropython/qemu \
        MPY_TREE=$(MPY_TREE) ARCH=$(1) BUILD=$(QEMU_B)/$(1)/micropython \
        MICROPY_MPYCROSS=$(abspath $(MPY_CROSS)) \
        MICROPY_MPYCROSS_DEPENDENCY=$(abspath $(MPY_CROSS)) \
        >$(QEMU_B)/$(1)/micropython.log 2>&1 || { \
        grep -m 5 -A 2 -e ' error:' -e 'undefined ref' -e '[*][*][*]' \
            $(QEMU_B)/$(1)/micropython.log >&2; \
        echo "it does not build: $(QEMU_B)/$(1)/micropython.log says why" >&2; \
        exit 1; }; } && \
    cp $(QEMU_B)/$(1)/micropython/micropython.elf $(QEMU_B)/$(1)/

bench-qemu: ## Print the figures of docs/qemu.md for this machine
	@scripts/deps install build qemu
	+@$(MAKE) products $(filter %/measure.elf,$(QEMU_ELFS))
	@scripts/bench-qemu

size: ## Say what the near library needs on RISC-V: code, stack, memory
	@scripts/deps install build qemu
	+@$(MAKE) $(filter %/echo.elf,$(QEMU_ELFS))
	@scripts/size-report
