// What mbedTLS has here.
// SPDX-License-Identifier: MIT
#ifndef FAR_MBEDTLS_CONFIG_PORT_H
#define FAR_MBEDTLS_CONFIG_PORT_H

#define MBEDTLS_ECP_NIST_OPTIM

#include <time.h>
time_t far_mp_seconds(time_t *out);
#define MBEDTLS_PLATFORM_TIME_MACRO far_mp_seconds
#define MBEDTLS_PLATFORM_MS_TIME_ALT

#define MICROPY_MBEDTLS_CONFIG_BARE_METAL (1)

#include "extmod/mbedtls/mbedtls_config_common.h"

#endif
