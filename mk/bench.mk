# The measuring programs, each compiled from one source with the kernel's
# sockets and with a link's; some also with the plain names of farsock/bsd.h.
# SPDX-License-Identifier: MIT

.PHONY: bench bench-build

# Peers and floors have only the kernel's.
BENCH_NATIVE := $(patsubst bench/%.c,$(B)/bench/native/%,$(BENCH_SRC))
BENCH_FAR_SRC := $(filter-out bench/peer.c bench/floor%.c,$(BENCH_SRC))
BENCH_FAR := $(patsubst bench/%.c,$(B)/bench/farsock/%,$(BENCH_FAR_SRC))
BENCH_BSD := $(patsubst %,$(B)/bench/bsd/%,stream trip poll)

# What the tests try is the plain build's.
tests-build: $(if $(SAN)$(MEMORY)$(FAULTS),,bench-build)

bench-build: $(BENCH_NATIVE) $(BENCH_FAR) $(BENCH_BSD)

$(B)/obj/bench/farsock/%.o: bench/%.c $(B)/obj/flags | packages
	$(call say,CC,$< (farsock))
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) $(HOSTED) -DBENCH_FARSOCK -MMD -MP -c -o $@ $<

$(B)/obj/bench/bsd/%.o: bench/%.c $(B)/obj/flags | packages
	$(call say,CC,$< (bsd.h))
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) $(HOSTED) -include farsock/bsd.h -MMD -MP -c \
	    -o $@ $<

$(BENCH_NATIVE): $(B)/bench/native/%: $(B)/obj/bench/%.o
	$(link)

$(BENCH_FAR): $(B)/bench/farsock/%: $(B)/obj/bench/farsock/%.o $(LIB)
	$(link)

$(BENCH_BSD): $(B)/bench/bsd/%: $(B)/obj/bench/bsd/%.o $(LIB)
	$(link)

-include $(BENCH_BSD:$(B)/bench/%=$(B)/obj/bench/%.d) $(patsubst bench/%.c,$(B)/obj/bench/farsock/%.d,$(BENCH_FAR_SRC))

bench: ## Measure beside native sockets (BENCH=pattern QUICK=1: parts of it)
	@scripts/deps install build test
	@scripts/deps install bench || echo 'going on without: there will be no plots'
	+@$(MAKE) all bench-build
	+@! command -v $(QEMU_CC) >/dev/null || \
	    $(MAKE) $(foreach a,$(QEMU_ARCHS),$(QEMU_B)/$(a)/libfarsock.a) \
	    || echo 'going on without: the sizes on RISC-V will be left out'
	@scripts/bench $(if $(QUICK),--quick) $(if $(BENCH),'$(BENCH)')
