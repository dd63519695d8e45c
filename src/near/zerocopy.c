// Building in a stream's ring, and reading from it, without a copy.
// SPDX-License-Identifier: MIT
#include "near/near.h"

// FARI_NO_SLOT with *err set, unless the handle is a stream's.
static uint32_t find_stream(struct far_link *l, int sock, int *err) {
    uint32_t slot = fari_pin(l, sock);
    *err = FAR_EBADF;
    if (slot != FARI_NO_SLOT &&
        fari_type(fari_sock(l, slot)) != FAR_SOCK_STREAM) {
        fari_unpin(l, slot);
        *err = FAR_EOPNOTSUPP;
        return FARI_NO_SLOT;
    }
    return slot;
}

// --- Sending ---

// Contiguous bytes at tx_head, at most want.
static uint32_t tx_span(struct far_link *l, uint32_t slot, size_t want) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t size = l->lay.tx_ring;
    uint32_t room = size - (s->tx_head - s->tx_tail);
    room = room < want ? room : (uint32_t)want;
    return far_ring_span(size, s->tx_head, room);
}

// One try under the lock: bytes, or FAR_EAGAIN with the socket armed if asked.
static int32_t try_reserve(struct far_link *l, uint32_t slot, void **p,
    size_t want, bool arm) {
    struct fari_sock *s = fari_sock(l, slot);
    int32_t n = fari_lock_ring(l, slot, FARI_PINNED, &s->tx_lock);
    if (n == FAR_OK) {
        n = fari_may_send(l, slot, true);
    }
    while (n == FAR_OK) {
        fari_refresh_tx(l, slot);
        n = (int32_t)tx_span(l, slot, want);
        if (n == 0 && (!arm || fari_arm_tx(l, slot) || fari_is_down(l))) {
            n = FAR_EAGAIN;
        }
    }
    if (n > 0) {
        *p = fari_tx_ring(l, slot) + (s->tx_head & (l->lay.tx_ring - 1u));
    }
    fari_unlock(l, &s->tx_lock);
    return n;
}

static int32_t reserve(struct far_link *l, uint32_t slot, void **p, size_t want,
    uint64_t deadline_ns) {
    bool wait = deadline_ns != FAR_NOWAIT;
    int32_t n = try_reserve(l, slot, p, want, false);
    if (n != FAR_EAGAIN || !wait) {
        return n;
    }
    uint64_t timeo_ns = 0;
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while ((n = try_reserve(l, slot, p, want, true)) == FAR_EAGAIN) {
        int err = fari_sleep(l, w, deadline_ns, fari_sock(l, slot)->sndtimeo_ms,
            &timeo_ns);
        if (err != FAR_OK) {
            n = err;
            break;
        }
    }
    fari_wait_end(l, w);
    return n;
}

int32_t far_send_reserve(struct far_link *l, int sock, void **p, size_t want,
    uint64_t deadline_ns) {
    int err = FAR_OK;
    uint32_t slot = find_stream(l, sock, &err);
    if (slot == FARI_NO_SLOT) {
        return err;
    }
    int32_t n = want ? reserve(l, slot, p, want, deadline_ns) : FAR_EINVAL;
    fari_unpin(l, slot);
    return n;
}

int far_send_commit(struct far_link *l, int sock, size_t n) {
    int err = FAR_OK;
    uint32_t slot = find_stream(l, sock, &err);
    if (slot == FARI_NO_SLOT) {
        return err;
    }
    struct fari_sock *s = fari_sock(l, slot);
    err = fari_lock_ring(l, slot, FARI_PINNED, &s->tx_lock);
    if (err == FAR_OK) {
        err = n <= tx_span(l, slot, n) ? fari_may_send(l, slot, true)
                                       : FAR_EINVAL;
    }
    if (err == FAR_OK && n > 0) {
        uint32_t old = s->tx_head;
        far_ring_clean(FAR_AT_SEND_COMMIT, fari_tx_ring(l, slot),
            l->lay.tx_ring, old, (uint32_t)n);
        fari_set(&s->tx_head, old + (uint32_t)n);
        fari_publish_tx(l, slot, old);
    }
    fari_unlock(l, &s->tx_lock);
    fari_unpin(l, slot);
    return err;
}

// --- Receiving ---

// Bytes at *pos: rx_tail, or behind the urgent byte that is there.
static uint32_t rx_span(struct far_link *l, uint32_t slot, size_t want,
    uint32_t *pos) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_refresh_rx(l, slot);
    *pos = s->rx_tail;
    if (s->rx_head != s->rx_tail && fari_urg_is_hole(s, s->rx_tail)) {
        *pos = s->rx_tail + 1u;
    }
    uint32_t have = fari_urg_before(s, *pos, s->rx_head - *pos);
    have = have < want ? have : (uint32_t)want;
    return far_ring_span(l->lay.rx_ring, *pos, have);
}

int32_t far_recv_peek(struct far_link *l, int sock, const void **p, size_t want,
    uint64_t deadline_ns) {
    int err = FAR_OK;
    uint32_t slot = find_stream(l, sock, &err);
    if (slot == FARI_NO_SLOT) {
        return err;
    }
    uint8_t first = 0;
    struct fari_got none;
    struct far_iov iov = {&first, 1};
    // Waiting, the end and errors are those of a receive that takes nothing.
    int32_t n = want ? fari_stream_recv(l, sock, &iov, 1, FAR_MSG_PEEK, &none,
                           deadline_ns)
                     : FAR_EINVAL;
    if (n > 0) {
        struct fari_sock *s = fari_sock(l, slot);
        n = fari_lock_ring(l, slot, FARI_PINNED, &s->rx_lock);
        if (n == FAR_OK) {
            uint32_t size = l->lay.rx_ring;
            uint32_t pos = 0;
            n = (int32_t)rx_span(l, slot, want, &pos);
            far_ring_inv(FAR_AT_RECV_PEEK, fari_rx_ring(l, slot), size, pos,
                (uint32_t)n);
            *p = fari_rx_ring(l, slot) + (pos & (size - 1u));
        }
        fari_unlock(l, &s->rx_lock);
    }
    fari_unpin(l, slot);
    return n;
}

int far_recv_consume(struct far_link *l, int sock, size_t n) {
    int err = FAR_OK;
    uint32_t slot = find_stream(l, sock, &err);
    if (slot == FARI_NO_SLOT) {
        return err;
    }
    struct fari_sock *s = fari_sock(l, slot);
    err = fari_lock_ring(l, slot, FARI_PINNED, &s->rx_lock);
    uint32_t hole = fari_urg_is_hole(s, s->rx_tail) ? 1u : 0;
    if (err == FAR_OK && n > 0 && n + hole > s->rx_head - s->rx_tail) {
        err = FAR_EINVAL;
    }
    if (err == FAR_OK && n > 0) {
        fari_set(&s->rx_tail, s->rx_tail + (uint32_t)n + hole);
        fari_urg_pass(s);
        fari_publish_rx(l, slot, false);
    }
    fari_unlock(l, &s->rx_lock);
    fari_unpin(l, slot);
    return err;
}
