// Copies in and out of byte rings.
// SPDX-License-Identifier: MIT
#include "ring/ring.h"

#include <string.h>

void far_ring_put(uint8_t *data, uint32_t size, uint32_t pos, const void *src,
    uint32_t n) {
    uint32_t first = far_ring_span(size, pos, n);
    FAR_STORE_BYTES(data + (pos & (size - 1u)), src, first);
    if (n > first) {
        FAR_STORE_BYTES(data, (const uint8_t *)src + first, n - first);
    }
    far_ring_clean(FAR_AT_RING_PUT, data, size, pos, n);
}

void far_ring_get(const uint8_t *data, uint32_t size, uint32_t pos, void *dst,
    uint32_t n) {
    uint32_t first = far_ring_span(size, pos, n);
    far_ring_inv(FAR_AT_RING_GET, data, size, pos, n);
    FAR_COPY_IN(dst, data + (pos & (size - 1u)), first);
    if (n > first) {
        FAR_COPY_IN((uint8_t *)dst + first, data, n - first);
    }
}
