# Random programs of socket calls, natively and over a link.
# SPDX-License-Identifier: MIT

.PHONY: differential

EXECUTOR := $(B)/test/differential/executor
# Linted, and rebuilt with its headers, as the other programs of tests.
SYSTEM_SRC += tests/differential/executor.c tests/differential/kernel.c

tests-build: $(EXECUTOR)

$(EXECUTOR): $(B)/obj/tests/differential/executor.o \
    $(B)/obj/tests/differential/kernel.o $(LIB)
	$(link)

differential: ## Compare random programs with native ones (SECONDS=n SEED=s)
	@scripts/deps install build test
	+@$(MAKE) $(FARSOCKD) $(TOOL) $(PRELOAD) $(EXECUTOR)
	@FARSOCK_BUILD=$(B) tests/differential/run \
	    --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))
