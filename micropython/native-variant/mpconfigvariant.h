// The unix port with its own sockets, as its standard variant configures it.
// SPDX-License-Identifier: MIT

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

#include "ports/unix/variants/mpconfigvariant_common.h"
