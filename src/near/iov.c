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

int fari_put_piece(struct far_link *l, uint32_t slot, uint32_t pos,
    const void *src, uint32_t n) {
    return fari_put_within(l, slot, pos, src, n);
}

int fari_get_piece(struct far_link *l, uint32_t slot, uint32_t pos, void *dst,
    uint32_t n) {
    const uint8_t *from = fari_rx_ring(l, slot) + (pos & (l->lay.rx_ring - 1u));
    FAR_INV(FAR_AT_IOV_GET, from, n);
    if (!l->port->copy) {
        FAR_COPY_IN(dst, from, n);
    } else if (!copy(l, dst, from, n)) {
        return FAR_EFAULT;
    }
    return FAR_OK;
}

int fari_move(struct far_link *l, uint32_t slot, uint32_t pos,
    const struct far_iov *iov, size_t at, uint32_t n, bool in) {
    uint32_t size = in ? l->lay.tx_ring : l->lay.rx_ring;
    while (n > 0) {
        iov = find(iov, &at);
        uint8_t *p = (uint8_t *)iov->base + at;
        size_t here = iov->len - at;
        // Anew where the ring begins anew.
        uint32_t part = far_ring_span(size, pos, here < n ? (uint32_t)here : n);
        int err = in ? fari_put_piece(l, slot, pos, p, part)
                     : fari_get_piece(l, slot, pos, p, part);
        if (part == n || err != FAR_OK) {
            return err;
        }
        pos += part;
        at += part;
        n -= part;
    }
    return FAR_OK;
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
