// Copies between a ring and pieces of memory.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

#define LEAST_PAGE 4096u // memory comes and goes in no smaller pieces

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

static bool copy(struct far_link *l, void *to, const void *from, uint32_t n) {
    return l->port->copy(l->ctx, to, from, n);
}

// One byte of each page, and the last.
static bool can_read(struct far_link *l, const uint8_t *from, size_t n) {
    uint8_t byte;
    for (size_t at = 0; at < n; at += LEAST_PAGE) {
        if (!copy(l, &byte, from + at, 1)) {
            return false;
        }
    }
    return n == 0 || copy(l, &byte, from + n - 1u, 1);
}

bool fari_is_there(struct far_link *l, const struct far_iov *iov, size_t count,
    size_t n) {
    for (size_t i = 0; l->port->copy && i < count && n > 0; i++) {
        size_t here = iov[i].len < n ? iov[i].len : n;
        if (!can_read(l, iov[i].base, here)) {
            return false;
        }
        n -= here;
    }
    return true;
}

// One piece into the ring: far_ring_put(), with memory that may be missing.
static bool put(struct far_link *l, uint32_t slot, uint32_t pos,
    const uint8_t *src, uint32_t n) {
    uint8_t *ring = fari_tx_ring(l, slot);
    uint32_t size = l->lay.tx_ring;
    if (!l->port->copy) {
        far_ring_put(ring, size, pos, src, n);
        return true;
    }
    uint32_t first = far_ring_span(size, pos, n);
    if (!copy(l, ring + (pos & (size - 1u)), src, first) ||
        (n > first && !copy(l, ring, src + first, n - first))) {
        return false;
    }
    far_ring_clean(FAR_AT_IOV_PUT, ring, size, pos, n);
    return true;
}

static bool get(struct far_link *l, uint32_t slot, uint32_t pos, uint8_t *dst,
    uint32_t n) {
    const uint8_t *ring = fari_rx_ring(l, slot);
    uint32_t size = l->lay.rx_ring;
    if (!l->port->copy) {
        far_ring_get(ring, size, pos, dst, n);
        return true;
    }
    uint32_t first = far_ring_span(size, pos, n);
    far_ring_inv(FAR_AT_IOV_GET, ring, size, pos, n);
    return copy(l, dst, ring + (pos & (size - 1u)), first) &&
           (n == first || copy(l, dst + first, ring, n - first));
}

// True if n bytes from byte at on lie within the first piece, and those at pos
// do not go round the ring's end: nearly always, where pieces are small.
static bool is_straight(uint32_t size, uint32_t pos, const struct far_iov *iov,
    size_t at, uint32_t n) {
    return at < iov->len && n <= iov->len - at &&
           far_ring_span(size, pos, n) == n;
}

FARI_APART static int gather(struct far_link *l, uint32_t slot, uint32_t pos,
    const struct far_iov *iov, size_t at, uint32_t n) {
    while (n > 0) {
        iov = find(iov, &at);
        size_t here = iov->len - at;
        uint32_t part = here < n ? (uint32_t)here : n;
        if (!put(l, slot, pos, (const uint8_t *)iov->base + at, part)) {
            return FAR_EFAULT;
        }
        pos += part;
        at += part;
        n -= part;
    }
    return FAR_OK;
}

int fari_gather(struct far_link *l, uint32_t slot, uint32_t pos,
    const struct far_iov *iov, size_t at, uint32_t n) {
    uint32_t size = l->lay.tx_ring;
    if (!l->port->copy || n == 0 || !is_straight(size, pos, iov, at, n)) {
        return gather(l, slot, pos, iov, at, n);
    }
    uint8_t *to = fari_tx_ring(l, slot) + (pos & (size - 1u));
    if (!copy(l, to, (const uint8_t *)iov->base + at, n)) {
        return FAR_EFAULT;
    }
    FAR_CLEAN(FAR_AT_IOV_ALL_PUT, to, n);
    return FAR_OK;
}

FARI_APART static int scatter(struct far_link *l, uint32_t slot, uint32_t pos,
    const struct far_iov *iov, size_t at, uint32_t n) {
    while (n > 0) {
        iov = find(iov, &at);
        size_t here = iov->len - at;
        uint32_t part = here < n ? (uint32_t)here : n;
        if (!get(l, slot, pos, (uint8_t *)iov->base + at, part)) {
            return FAR_EFAULT;
        }
        pos += part;
        at += part;
        n -= part;
    }
    return FAR_OK;
}

int fari_scatter(struct far_link *l, uint32_t slot, uint32_t pos,
    const struct far_iov *iov, size_t at, uint32_t n) {
    uint32_t size = l->lay.rx_ring;
    if (!l->port->copy || n == 0 || !is_straight(size, pos, iov, at, n)) {
        return scatter(l, slot, pos, iov, at, n);
    }
    const uint8_t *from = fari_rx_ring(l, slot) + (pos & (size - 1u));
    FAR_INV(FAR_AT_IOV_ALL_GET, from, n);
    return copy(l, (uint8_t *)iov->base + at, from, n) ? FAR_OK : FAR_EFAULT;
}

int fari_give(struct far_link *l, const struct far_iov *iov, const uint8_t *src,
    uint32_t n) {
    size_t at = 0;
    while (n > 0) {
        iov = find(iov, &at);
        size_t here = iov->len - at;
        uint32_t part = here < n ? (uint32_t)here : n;
        uint8_t *to = (uint8_t *)iov->base + at;
        if (!l->port->copy) {
            memcpy(to, src, part);
        } else if (!copy(l, to, src, part)) {
            return FAR_EFAULT;
        }
        src += part;
        at += part;
        n -= part;
    }
    return FAR_OK;
}
