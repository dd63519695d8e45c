# The socket module, for MicroPython's make: USER_C_MODULES is the directory
# above this one.
# SPDX-License-Identifier: MIT
#
#   FARSOCK_LIB           a built libfarsock.a; without it the library is
#                         compiled along
#   FARSOCK_PORT          posix, or none: then your port supplies what
#                         modsocket_link.h says
#   FARSOCK_COMPAT_K230   1: read() on a non-blocking socket gives b""

FARSOCK_TOP := $(abspath $(USERMOD_DIR)/..)
FARSOCK_NAME := $(notdir $(FARSOCK_TOP))
FARSOCK_PORT ?= posix

# $(call farsock_files,PATTERNS): sources by their path from the directory that
# holds the repository. As micropython/x.c their objects would want to be in
# $(BUILD)/micropython, which in the unix port is the program.
vpath %.c $(abspath $(FARSOCK_TOP)/..)
farsock_files = $(patsubst $(FARSOCK_TOP)/%,$(FARSOCK_NAME)/%, \
	$(filter-out %_test.c,$(wildcard $(addprefix $(FARSOCK_TOP)/,$(1)))))

# Sources with names for MicroPython's string table, and what these are made from.
QSTR_GLOBAL_DEPENDENCIES += $(addprefix $(FARSOCK_TOP)/include/farsock/, \
	sockopt.def proto.h errors.h)
SRC_USERMOD_C += $(filter-out %_posix.c,$(call farsock_files,micropython/*.c))
ifeq ($(FARSOCK_PORT),posix)
# variant/wait.c is the variant's, which the port compiles by itself.
SRC_USERMOD_C += $(call farsock_files,micropython/*_posix.c)
endif

ifeq ($(FARSOCK_LIB),)
SRC_USERMOD_LIB_C += $(call farsock_files,src/wire/*.c src/ring/*.c \
	src/near/*.c $(if $(filter posix,$(FARSOCK_PORT)),ports/posix/*.c))
CFLAGS_USERMOD += -I$(FARSOCK_TOP) -I$(FARSOCK_TOP)/src
# The library is C11; MicroPython's ports say gnu99.
$(BUILD)/$(FARSOCK_NAME)/src/%.o $(BUILD)/$(FARSOCK_NAME)/ports/%.o: \
	CFLAGS += -std=gnu11 -D_GNU_SOURCE
else
LDFLAGS_USERMOD += $(FARSOCK_LIB)
endif

CFLAGS_USERMOD += -I$(FARSOCK_TOP)/include -I$(FARSOCK_TOP)/micropython
ifneq ($(FARSOCK_COMPAT_K230),)
CFLAGS_USERMOD += -DFARSOCK_COMPAT_K230=$(FARSOCK_COMPAT_K230)
endif
