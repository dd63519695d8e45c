// Entropy of the host's device, and the clock's date, for mbedTLS.
// SPDX-License-Identifier: MIT
#include "py/mpconfig.h"

#include "mbedtls_config_port.h"

#include "mbedtls/entropy.h"
#include "mbedtls/platform_time.h"

#include "virt.h"

int mbedtls_hardware_poll(void *data, unsigned char *output, size_t len,
    size_t *olen) {
    (void)data;
    *olen = virt_random(output, len) ? len : 0;
    return *olen == len ? 0 : MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
}

time_t far_mp_seconds(time_t *out) {
    time_t now = (time_t)(virt_date_ns() / 1000000000u);
    if (out != NULL) {
        *out = now;
    }
    return now;
}

mbedtls_ms_time_t mbedtls_ms_time(void) {
    return (mbedtls_ms_time_t)(virt_date_ns() / 1000000u);
}

unsigned long far_mp_seed(void) {
    unsigned long seed;
    return virt_random(&seed, sizeof seed) ? seed
                                           : (unsigned long)virt_date_ns();
}
