# Programs that provoke failures; they need `FAULTS=1` (ports/faulty).
# SPDX-License-Identifier: MIT

SWEEP_SRC := $(wildcard tests/sweep/*.c)
SWEEP := $(B)/test/sweep
SOAK_SRC := $(wildcard tests/soak/*.c) tests/sweep/far.c
SOAK := $(B)/test/soak
LIVES_SRC := $(wildcard tests/lives/*.c)
LIVES := $(B)/test/lives
# Linted in the plain build, where the layer is not linked.
FAULTS_SRC := $(sort $(SWEEP_SRC) $(SOAK_SRC) $(LIVES_SRC)) $(wildcard ports/faulty/*.c)

.PHONY: faults-build sweep soak

ifneq ($(FAULTS),)
faults-build: $(FARSOCKD) $(SWEEP) $(SOAK) $(LIVES)

$(SWEEP): $(call obj,$(SWEEP_SRC)) $(LIB) $(B)/obj/sources
	$(link)

$(SOAK): $(call obj,$(SOAK_SRC)) $(LIB) $(B)/obj/sources
	$(link)

$(LIVES): LIBS = $(INIH_LIBS) $(SECCOMP_LIBS)
$(LIVES): $(call obj,$(LIVES_SRC)) $(filter-out %/main.o,$(DAEMON_OBJ)) $(LIB) \
    $(B)/obj/sources
	$(link)

else
faults-build:
	+@$(MAKE) FAULTS=1 faults-build
endif

-include $(patsubst %.c,$(B)/obj/%.d,$(FAULTS_SRC))

sweep: ## Kill either side at every step of every call (T=call: of one)
	+@$(MAKE) FAULTS=1 faults-build
	@FARSOCK_FULL=1 FARSOCK_CALL='$(T)' python3 tests/system/test_sweep.py

soak: ## Random work and random faults (SECONDS=n SEED=s)
	+@$(MAKE) FAULTS=1 faults-build
	@FARSOCK_SECONDS=$(or $(SECONDS),60) FARSOCK_SEED=$(SEED) \
	    python3 tests/system/test_soak.py
