# MicroPython with farsock's sockets, and with its own to compare with.
# SPDX-License-Identifier: MIT
#
# Not called micropython.mk: MicroPython's make reads every */micropython.mk
# below the directory that USER_C_MODULES names, which is this one.

.PHONY: micropython micropython-native micropython-source

MPY_TREE := $(abspath build/src/micropython)
MPY_CACHE := $(abspath $(or $(FARSOCK_CACHE),build/cache))
MPY_B := $(abspath $(B))/micropython

micropython: $(B)/bin/micropython ## Build MicroPython with farsock's sockets

micropython-native: $(B)/bin/micropython-native ## ... with its own, to compare

micropython-source:
	@FARSOCK_CACHE=$(MPY_CACHE) scripts/get-micropython $(MPY_TREE)

# The script is free once the tree is whole, and knows better than make does.
$(MPY_TREE)/.farsock-stamp: micropython-source ;

MPY_CROSS := $(MPY_TREE)/mpy-cross/build/mpy-cross

# A line that calls make runs even under make -n, -q and -t: ours must not.
mpy_dry = $(strip $(foreach f,n q t,\
    $(findstring $(f),$(filter-out --%,$(firstword -$(MAKEFLAGS))))))

# $(call mpy_make,NAME,DIRECTORY,ARGUMENTS): MicroPython's make, its noise in a
# log. What our command line says about CFLAGS is not meant for it.
mpy_make = \
    mkdir -p $(MPY_B) && unset CFLAGS CPPFLAGS LDFLAGS && { \
    MAKEFLAGS="$${MAKEFLAGS%% -- *}" $(MAKE) \
        $(if $(findstring --jobserver,$(MAKEFLAGS)),,-j$(shell nproc)) \
        -C $(MPY_TREE)/$(2) CC="$(CC)" STRIP= $(3) 2>&1; \
        echo $$? >$(MPY_B)/$(1).status; } | \
    awk -v name=$(1) -v log_file=$(MPY_B)/$(1).log ' \
        { print >log_file } \
        /^CC / && ++n % 50 == 0 { \
            printf "  %-7s %s: %d files\n", "MPY", name, n; fflush() }' && \
    status=$$(cat $(MPY_B)/$(1).status) && \
    if [ $$status -ne 0 ]; then \
        grep -m 5 -A 2 -e ' error:' -e '^error' -e 'undefined ref' -e '[*][*][*]' $(MPY_B)/$(1).log >&2; \
        echo "$(1) does not build: $(MPY_B)/$(1).log says why" >&2; \
        exit 1; \
    fi

$(MPY_CROSS): $(MPY_TREE)/.farsock-stamp
	$(call say,MPY,mpy-cross)
	+$(Q)$(if $(mpy_dry),:,$(call mpy_make,mpy-cross,mpy-cross,))
	@touch $@

# Other compilers than upstream's warn of more; these are errors in any code.
MPY_WARN := -Wno-error -Werror=implicit-function-declaration \
    -Werror=incompatible-pointer-types

# $(call mpy_build,BINARY,VARIANT,ARGUMENTS)
mpy_build = \
    rm -f $(MPY_B)/$(2)/micropython && \
    $(call mpy_make,$(1),ports/unix,VARIANT_DIR=$(abspath micropython/$(2)) \
        BUILD=$(MPY_B)/$(2) CFLAGS_EXTRA='$(MPY_WARN) $(SAN_FLAGS)' \
        LDFLAGS_EXTRA='$(SAN_FLAGS)' $(3)) && \
    mkdir -p $(B)/bin && cp $(MPY_B)/$(2)/micropython $(B)/bin/$(1)

# MicroPython's make does not see that flags changed: start afresh.
$(MPY_B)/%/flags: micropython/%/mpconfigvariant.mk mk/mpy.mk \
    $(wildcard micropython/micropython.mk) $(MPY_TREE)/.farsock-stamp
	$(Q)rm -rf $(@D) && mkdir -p $(@D) && touch $@

MPY_OURS := $(shell find micropython \( -name native-variant -o -name qemu \) \
    -prune -o -type f -print) $(wildcard include/*.h include/*/*.h src/*.h ports/posix/*.h)

$(B)/bin/micropython: $(MPY_B)/variant/flags $(MPY_CROSS) $(MPY_OURS) \
    $(if $(LIB_SRC),$(B)/lib/libfarsock.a)
	$(call say,MPY,$@)
	+$(Q)$(if $(mpy_dry),:,$(call mpy_build,$(@F),variant, \
	    USER_C_MODULES=$(CURDIR) \
	    FARSOCK_LIB=$(abspath $(B))/lib/libfarsock.a))

$(B)/bin/micropython-native: $(MPY_B)/native-variant/flags $(MPY_CROSS) \
    $(shell find micropython/native-variant micropython/ssl.py -type f)
	$(call say,MPY,$@)
	+$(Q)$(if $(mpy_dry),:,$(call mpy_build,$(@F),native-variant,))
