// Streams: bytes through the rings.
// SPDX-License-Identifier: MIT
#include "near/near.h"

// A large write is published in parts, so that far starts on the first while
// near copies the next.
#define FARI_PART 16384u

// What the state alone says.
static int by_state(const struct fari_sock *s, uint32_t state) {
    if (s->flags & FARI_SHUT_WR) {
        return FAR_EPIPE;
    }
    if (state & FAR_ST_CLOSED) {
        return FAR_ENOTCONN; // it changed its link
    }
    if (state & FAR_ST_CONNECTING) {
        return FAR_EAGAIN;
    }
    if ((state & FAR_ST_HUP) || !(state & FAR_ST_CONNECTED)) {
        return FAR_EPIPE;
    }
    return FAR_OK;
}

// Far is down, or has told an error.
FARI_APART static int by_error(struct far_link *l, uint32_t slot, bool tell,
    uint32_t state) {
    struct fari_sock *s = &l->socks[slot];
    if (fari_is_down(l)) {
        fari_lock(l, &l->lock);
        int err = s->flags & FARI_DOWN_TOLD ? FAR_EPIPE : FAR_ECONNRESET;
        fari_mark(s, tell ? FARI_DOWN_TOLD : 0);
        fari_unlock(l, &l->lock);
        return err;
    }
    int err = tell ? fari_take_error(l, slot) : fari_peek_error(l, slot);
    return err != FAR_OK ? err : by_state(s, state);
}

int fari_may_send(struct far_link *l, uint32_t slot, bool tell) {
    const struct fari_sock *s = &l->socks[slot];
    const struct far_far_line *line = fari_far_says(l, slot);
    uint32_t state = line ? far_load(&line->state) : 0;
    // The error after the state.
    if (fari_is_down(l) ||
        (line && far_load(&line->err) >> 16 != fari_get(&s->err_seen))) {
        return by_error(l, slot, tell, state);
    }
    return by_state(s, state);
}

// What a call still has to send.
struct rest {
    const struct far_iov *iov;
    size_t len;
    size_t done;
    bool more;   // MSG_MORE
    bool urgent; // MSG_OOB: the last byte is
    bool waits;
};

// Under tx_lock: says whether more follows what ends at head, so that far need
// not send a segment that is not full.
static void mark_more(struct far_link *l, uint32_t slot, uint32_t head,
    bool more) {
    struct fari_sock *s = &l->socks[slot];
    s->tx_more = more ? head : head - 1u;
    // Published with the head.
    far_store(&fari_near_line(l, slot)->tx_more, s->tx_more);
}

// Under tx_lock: copies what fits, in parts. Bytes taken, or FAR_EFAULT if
// there were none and the next cannot be read.
static int32_t put(struct far_link *l, uint32_t slot, struct rest *r) {
    struct fari_sock *s = &l->socks[slot];
    uint32_t size = l->lay.tx_ring;
    int32_t put = 0;
    while (r->done < r->len) {
        uint32_t room = size - (s->tx_head - s->tx_tail);
        size_t left = r->len - r->done;
        size_t want = left < FARI_PART ? left : FARI_PART;
        if (room < want) {
            if (fari_refresh_tx(l, slot) != FAR_OK) {
                break;
            }
            room = size - (s->tx_head - s->tx_tail);
        }
        uint32_t n = want < room ? (uint32_t)want : room;
        if (n == 0) {
            break;
        }
        uint32_t old = s->tx_head;
        if (fari_gather(l, slot, old, r->iov, r->done, n) != FAR_OK) {
            return put > 0 ? put : FAR_EFAULT;
        }
        fari_set(&s->tx_head, old + n);
        if (r->more || s->tx_more == s->tx_head) {
            mark_more(l, slot, s->tx_head, r->more);
        }
        fari_publish_tx(l, slot, old);
        r->done += n;
        put += (int32_t)n;
    }
    return put;
}

// Under tx_lock: as put(), and says that the last byte is urgent. That goes in
// one publication, so that far never sees the byte without its mark.
FARI_APART static int32_t put_urgent(struct far_link *l, uint32_t slot,
    struct rest *r) {
    struct fari_sock *s = &l->socks[slot];
    struct far_near_line *line = fari_near_line(l, slot);
    uint32_t old = s->tx_head;
    fari_refresh_tx(l, slot);
    uint32_t room = l->lay.tx_ring - (old - s->tx_tail);
    size_t left = r->len - r->done;
    uint32_t n = left < room ? (uint32_t)left : room;
    if (n == 0) {
        return 0;
    }
    if (fari_gather(l, slot, old, r->iov, r->done, n) != FAR_OK) {
        return FAR_EFAULT;
    }
    fari_set(&s->tx_head, old + n);
    r->done += n;
    if (r->done == r->len || !r->waits) {
        s->urg_end = s->tx_head;
        far_store(&line->urg_end, s->urg_end);
        far_store(&line->urg_count, ++s->urg_count);
    }
    fari_publish_tx(l, slot, old);
    return (int32_t)n;
}

// One try under the lock: bytes, or FAR_EAGAIN with the socket armed if asked.
// sock: the handle, checked under the lock, or FARI_PINNED.
static int32_t try_send(struct far_link *l, uint32_t slot, int sock,
    struct rest *r, bool arm) {
    struct fari_sock *s = &l->socks[slot];
    int32_t n = fari_lock_ring(l, slot, sock, &s->tx_lock);
    if (n == FAR_OK) {
        n = fari_may_send(l, slot, r->done == 0);
    }
    while (n == FAR_OK && r->len > r->done) {
        n = r->urgent ? put_urgent(l, slot, r) : put(l, slot, r);
        if (n == 0 && (!arm || fari_arm_tx(l, slot) || fari_is_down(l))) {
            n = FAR_EAGAIN;
        }
    }
    fari_unlock(l, &s->tx_lock);
    return n;
}

// Far has handed its kernel what that takes, and so the next urgent byte does
// not take this one's place. What comes of it is not this call's.
static void flush_urgent(struct far_link *l, uint32_t slot) {
    struct far_req_flush req = {.pos = l->socks[slot].urg_end};
    struct fari_ask ask = {
        .op = FAR_OP_FLUSH,
        .slot = slot,
        .req = &req,
        .req_len = sizeof req,
        .undo = FARI_NO_SLOT,
    };
    fari_request(l, &ask, FAR_FOREVER);
}

// What did not go at once.
static int send_rest(struct far_link *l, uint32_t slot, struct rest *r,
    uint64_t deadline_ns) {
    uint64_t timeo_ns = 0;
    int err = FAR_OK;
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while (r->done < r->len) {
        int32_t n = try_send(l, slot, FARI_PINNED, r, true);
        if (n > 0) {
            continue;
        }
        fari_tell_moved(l, r->done);
        err = n != FAR_EAGAIN ? n
                              : fari_sleep(l, w, deadline_ns,
                                    l->socks[slot].sndtimeo_ms, &timeo_ns);
        if (err != FAR_OK) {
            break;
        }
    }
    fari_wait_end(l, w);
    return err;
}

// try_send() has taken what it could: waits for the rest, and flushes.
FARI_APART static int32_t send_on(struct far_link *l, int sock, struct rest *r,
    uint64_t deadline_ns) {
    uint32_t slot = far_slot(sock);
    int err = FAR_EBADF;
    if (fari_pin(l, sock) == slot) {
        bool rest = r->waits && r->done < r->len;
        err = rest ? send_rest(l, slot, r, deadline_ns) : FAR_OK;
        if (r->urgent && r->done > 0) {
            flush_urgent(l, slot);
        }
        fari_unpin(l, slot);
    }
    return r->done > 0 ? (int32_t)r->done : err;
}

int32_t fari_stream_send(struct far_link *l, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags,
    uint64_t deadline_ns) {
    bool wait = deadline_ns != FAR_NOWAIT && !(flags & FAR_MSG_DONTWAIT);
    struct rest r = {
        .iov = iov,
        .len = fari_iov_len(iov, count),
        .more = (flags & FAR_MSG_MORE) != 0,
        .urgent = (flags & FAR_MSG_OOB) != 0,
        .waits = wait,
    };
    int32_t n = try_send(l, far_slot(sock), sock, &r, false);
    bool rest = wait && r.done < r.len && (n >= 0 || n == FAR_EAGAIN);
    return rest || (r.urgent && n > 0) ? send_on(l, sock, &r, deadline_ns) : n;
}

struct want {
    const struct far_iov *iov; // NULL: drop the bytes
    size_t len;
    size_t done;
    bool peek;
    bool stop;     // at urgent data, which nothing reads across
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
    struct fari_sock *s = &l->socks[slot];
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
    struct fari_sock *s = &l->socks[slot];
    size_t len = q->len - q->done;
    uint32_t offset = offset_of(q);
    // Also before it takes the last that it knows of, and where a mark is
    // known: what one is depends on where the reader is when the next comes.
    if ((s->rx_head - s->rx_tail <= len + offset ||
            s->urg_state != FARI_URG_NONE) &&
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

// One try under the lock: bytes (0 if none are wanted), 0 at the end, an error,
// or FAR_EAGAIN with the socket armed if asked.
static int32_t try_recv(struct far_link *l, uint32_t slot, int sock,
    struct want *q, bool arm) {
    struct fari_sock *s = &l->socks[slot];
    int32_t n = fari_lock_ring(l, slot, sock, &s->rx_lock);
    while (n == FAR_OK) {
        n = take(l, slot, q);
        if (n != 0 || q->stop || s->rx_head - s->rx_tail > offset_of(q)) {
            break;
        }
        // The next look may find more: that must not go unnoticed.
        uint32_t seen = s->rx_head;
        int result = 0;
        if (fari_stream_over(l, slot, q->hole, q->done == 0, &result)) {
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

// How much a receive that may wait waits for.
static size_t enough(const struct far_link *l, uint32_t slot, size_t len,
    uint32_t flags) {
    if (flags & FAR_MSG_WAITALL) {
        return len;
    }
    size_t low = l->socks[slot].rcvlowat;
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
        n = try_recv(l, slot, FARI_PINNED, q, true);
        if (n > 0) {
            q->done += (uint32_t)n;
            // A peek sees no more than the ring holds.
            more = q->done < target && !q->stop &&
                   !(q->peek && q->done >= l->lay.rx_ring);
        } else if (n == FAR_EAGAIN) {
            fari_tell_moved(l, q->done);
            n = fari_sleep(l, w, deadline_ns, l->socks[slot].rcvtimeo_ms,
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

int32_t fari_stream_recv(struct far_link *l, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags,
    struct fari_got *got, uint64_t deadline_ns) {
    uint32_t slot = far_slot(sock);
    *got = (struct fari_got){0};
    if (flags & FAR_MSG_OOB) {
        return fari_urg_recv(l, slot, sock, iov, count, flags, &got->flags);
    }
    // With MSG_TRUNC a stream's bytes are dropped, as natively.
    struct want q = {
        .iov = flags & FAR_MSG_TRUNC ? NULL : iov,
        .len = fari_iov_len(iov, count),
        .peek = (flags & FAR_MSG_PEEK) != 0,
        .got = got,
    };
    bool wait = deadline_ns != FAR_NOWAIT && !(flags & FAR_MSG_DONTWAIT);
    if (wait && enough(l, slot, q.len, flags) > 1) {
        return recv_wait(l, sock, &q, flags, deadline_ns);
    }
    int32_t n = try_recv(l, slot, sock, &q, false);
    if (n != FAR_EAGAIN) {
        return n;
    }
    if (wait) {
        return recv_wait(l, sock, &q, flags, deadline_ns);
    }
    // Who polls by hand finds out about far's death here.
    fari_glance(l);
    return try_recv(l, slot, sock, &q, false);
}
