# Running things: the demonstration and the tests.
# SPDX-License-Identifier: MIT

.PHONY: run test test-full judges memory-build

# What test_memory.py runs on emulated caches.
memory-build: $(FARSOCKD) $(TOOL) $(B)/test/daemon_fixed_test \
    $(B)/test/system/memory

# Each step is a make of its own: what a build finds must be installed first.
run: ## Run the first example over a link on this machine
	@scripts/deps install build test
	+@$(MAKE) all
	@scripts/run-demo

test: ## Run the tests (T=pattern: only those whose name matches)
	@scripts/deps install build test
	@scripts/deps install lint || echo 'going on without: lint will skip'
	@scripts/deps install qemu || echo 'going on without: the emulated core will skip'
	+@$(MAKE) tests-build
	+@! command -v $(QEMU_CC) >/dev/null || $(MAKE) qemu-test
	+@$(MAKE) SAN=address unit build/san-address/bin/farsockd
	+@$(MAKE) FAULTS=1 faults-build
	+@$(MAKE) MEMORY=noncoherent memory-build
	+@$(call fuzzers,fuzz)
	+@tests/run $(if $(T),'$(T)')

test-full: ## Run everything at full size, also under ASan, UBSan and TSan
	@scripts/deps install build test lint
	@scripts/deps install qemu || echo 'going on without: the emulated core will skip'
	+@$(MAKE) tests-build
	+@! command -v $(QEMU_CC) >/dev/null || $(MAKE) qemu
	@scripts/deps install arch || echo 'going on without: other processors will skip'
	+@! command -v $(lastword $(ARCHS))-linux-gnu-gcc >/dev/null || $(MAKE) arch
	+@$(MAKE) SAN=address tests-build
	+@$(MAKE) SAN=thread tests-build
	+@$(MAKE) MEMORY=noncoherent tests-build
	+@$(MAKE) FAULTS=1 faults-build
	+@$(MAKE) FAULTS=1 SAN=address faults-build
	+@$(call fuzzers,fuzz)
	@scripts/deps install optional || echo 'going on without: coverage will skip'
	+@! command -v llvm-cov-14 >/dev/null || $(call fuzzers,coverage)
	+@tests/run --full --jobs 2 $(if $(T),'$(T)')

judges: ## Run other people's suites and programs natively and over a link
	@scripts/deps install build test
	@scripts/deps install judges || echo 'going on without: what is missing is skipped'
	+@$(MAKE) products
	+@tests/judges/run $(T)
