// Copies between a ring and pieces of memory.
// SPDX-License-Identifier: MIT
#include "near/near.h"

size_t fari_iov_sum(const struct far_iov *iov, size_t count) {
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += iov[i].len < FARI_MOST - len ? iov[i].len : FARI_MOST - len;
    }
    return len;
}

// The piece in which byte at lies; *at is then within it.
static const struct far_iov *find(const struct far_iov *iov, size_t *at) {
    while (*at >= iov->len) {
        *at -= iov->len;
        iov++;
    }
    return iov;
}

void fari_gather_pieces(uint8_t *ring, uint32_t size, uint32_t pos,
    const struct far_iov *iov, size_t at, uint32_t n) {
    while (n > 0) {
        iov = find(iov, &at);
        size_t here = iov->len - at;
        uint32_t part = here < n ? (uint32_t)here : n;
        far_ring_put(ring, size, pos, (const uint8_t *)iov->base + at, part);
        pos += part;
        at += part;
        n -= part;
    }
}

void fari_scatter_pieces(const uint8_t *ring, uint32_t size, uint32_t pos,
    const struct far_iov *iov, size_t at, uint32_t n) {
    while (n > 0) {
        iov = find(iov, &at);
        size_t here = iov->len - at;
        uint32_t part = here < n ? (uint32_t)here : n;
        far_ring_get(ring, size, pos, (uint8_t *)iov->base + at, part);
        pos += part;
        at += part;
        n -= part;
    }
}
