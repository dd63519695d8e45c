# The checks of a port (tests/port), and the port that is there to be copied.
# SPDX-License-Identifier: MIT

.PHONY: port-check port-build

PORT_CHECKS := $(addprefix tests/port/,check.c hooks.c memory.c link.c)
PORT_TESTS := $(B)/test/port-template $(B)/test/port-far $(B)/test/port-posix
PORT_TEMPLATE_SRC := $(wildcard ports/template/*.c)
PORT_SRC := $(filter-out %/on_qemu.c,$(wildcard tests/port/*.c)) \
    $(PORT_TEMPLATE_SRC)
# The near library for the template's memory, beside farsockd's own.
PORT_NEAR := $(patsubst %.c,$(B)/obj/template/%.o,$(call no_tests,src/wire/*.c \
    src/ring/*.c src/near/*.c) $(PORT_TEMPLATE_SRC) $(PORT_CHECKS) \
    tests/port/on_template.c)

# Where the memory is another's there is no board to simulate.
tests-build: $(if $(MEMORY)$(FAULTS),$(B)/test/port-posix,$(PORT_TESTS))

$(B)/obj/template/%.o: %.c $(B)/obj/flags | packages
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) $(call dialect,$<) \
	    -DFAR_PORT_MEM_H='"ports/template/mem.h"' -MMD -MP -c -o $@ $<

$(B)/test/port-template: $(PORT_NEAR)
	$(link)

$(B)/test/port-far: LIBS = $(INIH_LIBS) $(SECCOMP_LIBS)
$(B)/test/port-far: $(call obj,tests/port/far.c tests/port/far_ivshmem.c) \
    $(filter-out %/main.o,$(DAEMON_OBJ)) $(LIB)
	$(link)

$(B)/test/port-posix: $(call obj,$(PORT_CHECKS) tests/port/on_posix.c) $(LIB)
	$(link)

port_flags_noncoherent := MEMORY=noncoherent
port_needs_template := $(B)/test/port-template $(B)/test/port-far
port_needs_posix := $(FARSOCKD) $(B)/test/port-posix

port_needs_qemu-ivshmem := $(FARSOCKD) $(TOOL) $(B)/test/port-far # and images
port_deps_qemu-ivshmem := qemu

port-build: $(port_needs_$(PORT))

port-check: ## Try a port's hooks, memory, doorbells and sockets (PORT=name)
	+@$(if $(PORT),scripts/deps install build test $(port_deps_$(PORT)) && $(MAKE) \
	    $(port_flags_$(PORT)) PORT=$(or $(port_kind_$(PORT)),$(PORT)) port-build)
	@FARSOCK_BUILD=$(B)$(if $(port_flags_$(PORT)),/$(PORT)) tests/port/run $(PORT)

port_kind_noncoherent := posix

-include $(PORT_NEAR:.o=.d) $(patsubst %.c,$(B)/obj/%.d,$(PORT_SRC))
