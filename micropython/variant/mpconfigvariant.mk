# MicroPython's unix port as a near core: `socket` is farsock's module.
# SPDX-License-Identifier: MIT

# The port's own socket module would register the same name.
MICROPY_PY_SOCKET = 0
MICROPY_PY_FFI = 0
MICROPY_PY_BTREE = 0
MICROPY_PY_THREAD = 1
MICROPY_PY_SSL = 1
MICROPY_SSL_MBEDTLS = 1

FROZEN_MANIFEST ?= $(VARIANT_DIR)/manifest.py

# These calls reach wait.c from these two files only, so that it knows what a
# poll is about to wait for, and so that a sleep cannot miss a SIGINT.
$(BUILD)/extmod/modselect.o: CFLAGS += \
	-Dmp_get_stream_raise=far_mp_poll_stream \
	-Dmp_event_wait_ms=far_mp_poll_wait_ms \
	-Dmp_event_wait_indefinite=far_mp_poll_wait
$(BUILD)/extmod/modtime.o: CFLAGS += -Dselect=far_mp_sleep
