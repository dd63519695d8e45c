# Fuzzers of whatever a peer may send or write. tests/fuzz/README.md.
# SPDX-License-Identifier: MIT
#
# A target is tests/fuzz/NAME.c that has LLVMFuzzerTestOneInput(). SAN=fuzz
# builds them with clang's libFuzzer, or with AFL++ where CC is one of its;
# SAN=coverage with a main() that runs files.

.PHONY: fuzz fuzz-afl fuzz-build fuzz-coverage

FUZZ_HELP := $(addprefix tests/fuzz/,alone.c fault.c guard.c honest.c main.c \
    side.c watch.c)
# What the targets near and engine have for themselves.
FUZZ_NEAR := $(addprefix tests/fuzz/,far_play.c far_serve.c far_side.c \
    near_calls.c)
FUZZ_ENGINE := tests/fuzz/engine_near.c tests/fuzz/engine_rare.c
FUZZ_SRC := $(filter-out $(FUZZ_HELP) $(FUZZ_NEAR) $(FUZZ_ENGINE),\
    $(wildcard tests/fuzz/*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
FUZZ_OBJ := $(call obj,$(filter-out %/main.c,$(FUZZ_HELP))) \
    $(filter-out %/main.o,$(DAEMON_OBJ)) $(LIB) $(B)/obj/sources
FUZZ_MAIN := $(if $(filter fuzz,$(SAN)),,$(call obj,tests/fuzz/main.c))

# tests/fuzz/guard.c stands between whoever calls a target and the target.
$(FUZZ): LIBS = $(INIH_LIBS) $(SECCOMP_LIBS) $(FUZZ_LINK) @tests/fuzz/wraps
$(B)/fuzz/near: $(call obj,$(FUZZ_NEAR))
$(B)/fuzz/engine: $(call obj,$(wildcard $(FUZZ_ENGINE)))
$(FUZZ): $(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(FUZZ_OBJ) $(FUZZ_MAIN) \
    tests/fuzz/wraps
	$(link)

# The calls of the target near, against a far side that scribbles beside it.
SCRIBBLE := $(B)/test/scribble_near
$(SCRIBBLE): $(call obj,tests/scribble/near.c $(addprefix tests/fuzz/,near.c \
    near_calls.c far_play.c far_serve.c)) \
    $(call obj,tests/fuzz/watch.c) $(LIB) $(B)/obj/sources
	$(link)

fuzz-build: $(FUZZ) $(SCRIBBLE)

# The variant that clang builds, of this makefile.
fuzzers = $(MAKE) SAN=$(1) CC=$(or $(FUZZ_CC),clang) fuzz-build

fuzz: ## Fuzz what a peer may send or write (SECONDS=n TARGET=name SEED=s)
	@scripts/deps install build test
	+@$(call fuzzers,fuzz)
	@tests/fuzz/run --seconds $(or $(SECONDS),60) \
	    $(if $(SEED),--seed $(SEED)) $(TARGET)

fuzz-afl: ## The same with AFL++ (TARGET=name SECONDS=n)
	@scripts/deps install build test optional
	+@$(MAKE) SAN=fuzz CC=afl-clang-fast fuzz-build
	@tests/fuzz/afl $(or $(TARGET),engine) $(or $(SECONDS),60)

fuzz-coverage: ## How much of what reads a peer is reached, and what is not
	@scripts/deps install build test optional
	+@$(call fuzzers,coverage)
	@tests/fuzz/coverage

-include $(patsubst %.o,%.d,$(call obj,$(FUZZ_SRC) $(FUZZ_HELP) \
    $(FUZZ_NEAR) $(FUZZ_ENGINE) tests/scribble/near.c))
