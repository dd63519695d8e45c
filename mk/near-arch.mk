# Near programs for other processors, which qemu runs against the native
# farsockd: tests/system/test_arch.py.
# SPDX-License-Identifier: MIT

.PHONY: arch

ARCHS := riscv64 aarch64
ARCH_B := build/arch
ARCH_LIB := $(call no_tests,src/wire/*.c src/ring/*.c src/near/*.c ports/posix/*.c)
ARCH_HEAD := $(wildcard include/farsock/* src/*/*.h ports/posix/*.h \
    tests/port/*.h tests/system/*.h)

arch: ## Build near programs for riscv64 and aarch64
	@scripts/deps install build arch
	+@$(MAKE) $(foreach a,$(ARCHS),$(ARCH_B)/$(a)/stream $(ARCH_B)/$(a)/port-posix)

# $(1): the architecture
define arch_rules
$(ARCH_B)/$(1)/%.o: %.c $(ARCH_HEAD)
	$$(call say,CC,$(1) $$<)
	@mkdir -p $$(@D)
	$$(Q)$(1)-linux-gnu-gcc -std=c11 -O2 $(WARN) $(HOSTED) \
	    -DFARSOCK_VERSION='"$(VERSION)"' -Iinclude -Isrc -I. -Itests -c -o $$@ $$<
$(ARCH_B)/$(1)/stream: $(patsubst %.c,$(ARCH_B)/$(1)/%.o,$(ARCH_LIB) \
    tests/system/stream.c)
$(ARCH_B)/$(1)/port-posix: $(patsubst %.c,$(ARCH_B)/$(1)/%.o,$(ARCH_LIB) \
    $(PORT_CHECKS) tests/port/on_posix.c)
$(ARCH_B)/$(1)/stream $(ARCH_B)/$(1)/port-posix:
	$$(call say,LD,$$@)
	$$(Q)$(1)-linux-gnu-gcc -static -Wl,--no-warnings -o $$@ $$^ -pthread
endef
$(foreach a,$(ARCHS),$(eval $(call arch_rules,$(a))))
