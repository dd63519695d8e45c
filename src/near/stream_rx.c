// Streams: bytes out of the ring.
// SPDX-License-Identifier: MIT
#include "near/near.h"

struct want {
    const struct far_iov *iov; // NULL: drop the bytes
    size_t len;
    size_t done;
    bool peek;
    bool tell;     // an error is taken
    bool stop;     // at urgent data, which nothing reads across
    bool empty;    // an open socket without data, at a look just before
    uint32_t hole; // a peek has looked past the urgent byte: 1
    struct fari_got *got;
};

// How far from rx_tail on the next byte is. A peek starts again from what it
// has seen already.
static uint32_t offset_of(const struct want *q) {
    return q->peek ? (uint32_t)q->done + q->hole : 0;
}

// Under rx_lock, where a mark is. Linux stops there if it has anything, else it
// goes on behind the urgent byte.
FARI_APART static void meet_mark(struct far_link *l, uint32_t slot,
    struct want *q) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t at = s->rx_tail + offset_of(q);
    q->stop = q->done > 0;
    if (q->stop || q->len == 0 || at == s->rx_head ||
        !fari_urg_is_hole(s, at)) {
        return;
    }
    if (q->peek) {
        q->hole = 1;
        return;
    }
    fari_set(&s->rx_tail, s->rx_tail + 1u);
    fari_urg_pass(s);
    fari_publish_rx(l, slot, false);
}

// Under rx_lock: copies what is there. Bytes taken, or FAR_EFAULT: they are
// still there.
static int32_t take(struct far_link *l, uint32_t slot, struct want *q) {
    struct fari_sock *s = fari_sock(l, slot);
    size_t len = q->len - q->done;
    uint32_t offset = offset_of(q);
    // Also before it takes the last that it knows of, and where a mark is
    // known: what one is depends on where the reader is when the next comes.
    if ((s->rx_head - s->rx_tail <= len + offset ||
            fari_urg(s) != FARI_URG_NONE) &&
        fari_refresh_rx(l, slot) != FAR_OK) {
        return 0;
    }
    if (fari_urg_is_at(s, s->rx_tail + offset_of(q))) {
        meet_mark(l, slot, q);
        if (q->stop) {
            return 0;
        }
    }
    uint32_t skip = offset_of(q);
    uint32_t have = s->rx_head - s->rx_tail;
    have = have > skip ? have - skip : 0;
    uint32_t n = have < len ? have : (uint32_t)len;
    n = fari_urg_before(s, s->rx_tail + skip, n);
    if (n) {
        if (q->iov && fari_scatter(l, slot, s->rx_tail + skip, q->iov, q->done,
                          n) != FAR_OK) {
            return FAR_EFAULT;
        }
        q->got->end = s->rx_tail + skip + n;
        q->stop = fari_urg_is_at(s, q->got->end);
        if (!q->peek) {
            fari_set(&s->rx_tail, s->rx_tail + n);
            fari_urg_pass(s);
            fari_publish_rx(l, slot, false);
        }
    }
    return (int32_t)n;
}

// One try with rx_lock, which is given back: bytes (0 if none are wanted), 0 at
// the end, an error, or FAR_EAGAIN with the socket armed if asked.
static int32_t try_locked(struct far_link *l, uint32_t slot, int sock,
    struct want *q, bool arm) {
    struct fari_sock *s = fari_sock(l, slot);
    int32_t n = q->empty ? FAR_OK : fari_check_ring(l, slot, sock, &s->rx_lock);
    while (n == FAR_OK) {
        n = q->empty ? 0 : take(l, slot, q);
        q->empty = false;
        if (n != 0 || q->stop || s->rx_head - s->rx_tail > offset_of(q)) {
            break;
        }
        // The next look may find more: that must not go unnoticed.
        uint32_t seen = s->rx_head;
        int result = 0;
        if (fari_stream_over(l, slot, q->hole, q->tell && q->done == 0,
                &result)) {
            n = result;
            break;
        }
        if (!arm || fari_arm_rx(l, slot, seen) || fari_is_down(l)) {
            n = FAR_EAGAIN;
            break;
        }
    }
    fari_unlock(l, &s->rx_lock);
    return n;
}

// How much a receive that may wait waits for. Of a stale handle that may be the
// next socket's, which nobody has locked: then it is found out later.
static size_t enough(const struct far_link *l, uint32_t slot, size_t len,
    uint32_t flags) {
    if (flags & FAR_MSG_WAITALL) {
        return len;
    }
    size_t low = fari_get(&fari_sock(l, slot)->rcvlowat);
    return low < len ? low : len;
}

FARI_APART static int32_t recv_wait(struct far_link *l, int sock,
    struct want *q, uint32_t flags, uint64_t deadline_ns) {
    uint32_t slot = far_slot(sock);
    if (fari_pin(l, sock) != slot) {
        return FAR_EBADF;
    }
    size_t target = enough(l, slot, q->len, flags);
    uint64_t timeo_ns = 0;
    int32_t n = FAR_OK;
    bool more = true;
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while (more) {
        fari_lock(l, &fari_sock(l, slot)->rx_lock);
        n = try_locked(l, slot, FARI_PINNED, q, true);
        if (n > 0) {
            q->done += (uint32_t)n;
            // A peek sees no more than the ring holds.
            more = q->done < target && !q->stop &&
                   !(q->peek && q->done >= l->lay.rx_ring);
        } else if (n == FAR_EAGAIN) {
            fari_tell_moved(l, q->done);
            n = fari_sleep(l, w, deadline_ns, fari_sock(l, slot)->rcvtimeo_ms,
                &timeo_ns);
            more = n == FAR_OK;
            if (n == FAR_EAGAIN && q->len == 0) {
                n = 0; // as natively, once it has waited
            }
        } else {
            more = false;
        }
    }
    fari_wait_end(l, w);
    fari_unpin(l, slot);
    return q->done > 0 ? (int32_t)q->done : n;
}

// With rx_lock, which is given back.
FARI_APART static int32_t recv_locked(struct far_link *l, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags,
    struct fari_got *got, bool empty, uint64_t deadline_ns) {
    uint32_t slot = far_slot(sock);
    // With MSG_TRUNC a stream's bytes are dropped, as natively.
    struct want q = {
        .iov = flags & FAR_MSG_TRUNC ? NULL : iov,
        .len = fari_iov_len(iov, count),
        .peek = (flags & FAR_MSG_PEEK) != 0,
        .tell = !(flags & FAR_MSG_LATER),
        .empty = empty,
        .got = got,
    };
    bool wait = deadline_ns != FAR_NOWAIT && !(flags & FAR_MSG_DONTWAIT);
    if (wait && enough(l, slot, q.len, flags) > 1) {
        fari_unlock(l, &fari_sock(l, slot)->rx_lock);
        q.empty = false;
        return recv_wait(l, sock, &q, flags, deadline_ns);
    }
    int32_t n = try_locked(l, slot, sock, &q, false);
    if (n != FAR_EAGAIN) {
        return n;
    }
    if (wait) {
        return recv_wait(l, sock, &q, flags, deadline_ns);
    }
    // Who polls by hand finds out about far's death here.
    fari_glance(l);
    fari_lock(l, &fari_sock(l, slot)->rx_lock);
    return try_locked(l, slot, sock, &q, false);
}

// Under rx_lock, what most calls are: data in one piece, and no urgent mark.
// How many bytes, FAR_EFAULT, or 0: it is not so simple.
FARI_QUICK int32_t take_plain(struct far_link *l, uint32_t slot, int sock,
    const struct far_iov *iov, bool all, bool *empty) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t size = l->lay.rx_ring;
    if (fari_use(s) != FARI_OPEN || fari_handle(l, slot) != sock ||
        fari_urg(s) != FARI_URG_NONE) {
        return 0;
    }
    uint32_t tail = s->rx_tail;
    uint32_t n = s->rx_head - tail;
    if (n <= iov->len) {
        // As take() does.
        fari_refresh_rx(l, slot);
        n = s->rx_head - tail;
        *empty = n == 0;
        if (fari_urg(s) != FARI_URG_NONE) {
            return 0;
        }
    }
    if (n > iov->len) {
        n = (uint32_t)iov->len;
    } else if (n < iov->len && (all || s->rcvlowat != 1)) {
        return 0;
    }
    if (n == 0 || far_ring_span(size, tail, n) < n) {
        return 0;
    }
    if (fari_get_piece(l, slot, tail, iov->base, n) != FAR_OK) {
        return FAR_EFAULT;
    }
    fari_set(&s->rx_tail, tail + n);
    fari_publish_rx(l, slot, false);
    return (int32_t)n;
}

int32_t fari_stream_recv(struct far_link *l, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags,
    struct fari_got *got, uint64_t deadline_ns) {
    const uint32_t special = FAR_MSG_OOB | FAR_MSG_PEEK | FAR_MSG_TRUNC;
    uint32_t slot = far_slot(sock);
    struct fari_sock *s = fari_sock(l, slot);
    bool empty = false;
    *got = (struct fari_got){0};
    if (flags & FAR_MSG_OOB) {
        return fari_urg_recv(l, slot, sock, iov, count, flags, &got->flags);
    }
    fari_lock_here(l, &s->rx_lock);
    if (count == 1 && !(flags & special)) {
        bool all = (flags & FAR_MSG_WAITALL) != 0;
        int32_t n = take_plain(l, slot, sock, iov, all, &empty);
        if (n != 0) {
            got->end = s->rx_tail;
            fari_unlock_here(l, &s->rx_lock);
            return n;
        }
    }
    return recv_locked(l, sock, iov, count, flags, got, empty, deadline_ns);
}

int32_t far_recv(struct far_link *l, int sock, void *buf, size_t len,
    uint32_t flags, uint64_t deadline_ns) {
    struct far_iov iov = {.base = buf, .len = len};
    struct fari_got got;
    if (!fari_is_stream(l, sock) || (flags & FAR_MSG_ERRQUEUE)) {
        return fari_find(l, sock) == FARI_NO_SLOT ? FAR_EBADF : FAR_EOPNOTSUPP;
    }
    return fari_stream_recv(l, sock, &iov, 1, flags, &got, deadline_ns);
}
