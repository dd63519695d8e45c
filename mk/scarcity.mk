# A library that makes farsockd's calls fail, for tests/system/test_scarcity.py.
# SPDX-License-Identifier: MIT

SCARCITY_SRC := tests/scarcity/shim.c
SCARCITY := $(B)/test/scarcity.so

tests-build: $(SCARCITY)

$(SCARCITY): $(call obj,$(SCARCITY_SRC))
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -o $@ $(filter %.o,$^) -ldl

-include $(patsubst %.o,%.d,$(call obj,$(SCARCITY_SRC)))
