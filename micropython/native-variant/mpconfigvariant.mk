# The unix port with its own sockets: what farsock's MicroPython is compared
# with. Nothing but the socket module differs in features.
# SPDX-License-Identifier: MIT

MICROPY_PY_FFI = 0
MICROPY_PY_BTREE = 0

FROZEN_MANIFEST ?= $(VARIANT_DIR)/manifest.py
