// Streams: bytes into the ring.
// SPDX-License-Identifier: MIT
#include "near/near.h"

// A large write is published in parts, so that far starts on the first while
// near copies the next.
#define FARI_PART 16384u
// Of a ring. One is fetched back from far's processor together.
#define FARI_BLOCKS 16u

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
    struct fari_sock *s = fari_sock(l, slot);
    s->tx_more = more ? head : head - 1u;
    // Published with the head.
    far_store(&fari_near_line(l, slot)->tx_more, s->tx_more);
}

// Far runs beside us: near has a core of its own, or far follows closely; and
// there is room for two blocks.
static bool is_beside(const struct far_link *l, uint32_t slot) {
    const struct fari_sock *s = fari_sock(l, slot);
    uint32_t size = l->lay.tx_ring;
    uint32_t used = s->tx_head - s->tx_tail;
    uint32_t block = size / FARI_BLOCKS;
    return used <= (l->port->busy_poll_us ? size - 2u * block : block);
}

// Under tx_lock. A line that far has read comes back from its processor when it
// is written anew; after a small send the lock's release waits for it. Where a
// send comes to a block's end, the next block's lines come together, by a store
// to each; that is room, so nobody reads what is there.
FARI_APART static void fetch_ahead(struct far_link *l, uint32_t slot,
    uint32_t block) {
    uint32_t head = fari_sock(l, slot)->tx_head;
    if (fari_refresh_tx(l, slot) != FAR_OK || !is_beside(l, slot)) {
        return;
    }
    uint32_t next = (head | (block - 1u)) + 1u;
    uint8_t *lines = fari_tx_ring(l, slot) + (next & (l->lay.tx_ring - 1u));
    for (uint32_t at = 0; at < block; at += FAR_LINE) {
        far_store((uint32_t *)(void *)(lines + at), 0);
    }
}

// Under tx_lock, after bytes from old on.
FARI_WITHIN void look_ahead(struct far_link *l, const struct fari_sock *s,
    uint32_t slot, uint32_t old) {
    uint32_t block = l->lay.tx_ring / FARI_BLOCKS;
    if (FAR_COHERENT && !FARI_SMALL && (old ^ s->tx_head) >= block) {
        fetch_ahead(l, slot, block);
    }
}

// Under tx_lock: copies what fits, in parts. Bytes taken, or FAR_EFAULT if
// there were none and the next cannot be read.
static int32_t put(struct far_link *l, uint32_t slot, struct rest *r) {
    struct fari_sock *s = fari_sock(l, slot);
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
        look_ahead(l, s, slot, old);
        r->done += n;
        put += (int32_t)n;
    }
    return put;
}

// Under tx_lock: as put(), and says that the last byte is urgent. That goes in
// one publication, so that far never sees the byte without its mark.
FARI_APART static int32_t put_urgent(struct far_link *l, uint32_t slot,
    struct rest *r) {
    struct fari_sock *s = fari_sock(l, slot);
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

// One try with tx_lock, which is given back: bytes, or FAR_EAGAIN with the
// socket armed if asked. sock: the handle, checked here, or FARI_PINNED.
static int32_t try_locked(struct far_link *l, uint32_t slot, int sock,
    struct rest *r, bool arm) {
    struct fari_sock *s = fari_sock(l, slot);
    int32_t n = fari_check_ring(l, slot, sock, &s->tx_lock);
    // Once: what there is room for goes in as a whole, as natively, even if its
    // first bytes are answered by a reset meanwhile.
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
    struct far_req_flush req = {.pos = fari_sock(l, slot)->urg_end};
    fari_ask(l, FAR_OP_FLUSH, slot, &req, sizeof req, NULL, 0);
}

// What did not go at once.
static int send_rest(struct far_link *l, uint32_t slot, struct rest *r,
    uint64_t deadline_ns) {
    uint64_t timeo_ns = 0;
    int err = FAR_OK;
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while (r->done < r->len) {
        fari_lock(l, &fari_sock(l, slot)->tx_lock);
        int32_t n = try_locked(l, slot, FARI_PINNED, r, true);
        if (n > 0) {
            continue;
        }
        fari_tell_moved(l, r->done);
        err = n != FAR_EAGAIN ? n
                              : fari_sleep(l, w, deadline_ns,
                                    fari_sock(l, slot)->sndtimeo_ms, &timeo_ns);
        if (err != FAR_OK) {
            break;
        }
    }
    fari_wait_end(l, w);
    return err;
}

// try_locked() has taken what it could: waits for the rest, and flushes.
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

// With tx_lock, which is given back.
FARI_APART static int32_t send_locked(struct far_link *l, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags,
    uint64_t deadline_ns) {
    struct rest r = {
        .iov = iov,
        .len = fari_iov_len(iov, count),
        .more = (flags & FAR_MSG_MORE) != 0,
        .urgent = (flags & FAR_MSG_OOB) != 0,
        .waits = deadline_ns != FAR_NOWAIT && !(flags & FAR_MSG_DONTWAIT),
    };
    int32_t n = try_locked(l, far_slot(sock), sock, &r, false);
    bool rest = r.waits && r.done < r.len && (n >= 0 || n == FAR_EAGAIN);
    if (rest || (r.urgent && n > 0)) {
        return send_on(l, sock, &r, deadline_ns);
    }
    return r.done > 0 ? (int32_t)r.done : n;
}

// Under tx_lock: true if the socket is an open stream that is connected, and
// far has nothing else to say of it.
FARI_QUICK bool is_plain(const struct far_link *l, const struct fari_sock *s,
    int sock) {
    const uint32_t about = FAR_ST_CLOSED | FAR_ST_CONNECTING | FAR_ST_HUP;
    uint32_t slot = far_slot(sock);
    const struct far_far_line *line = fari_far_says(l, slot);
    if (!line || fari_use(s) != FARI_OPEN || fari_handle(l, slot) != sock) {
        return false;
    }
    uint32_t state = far_load(&line->state) & (about | FAR_ST_CONNECTED);
    return state == FAR_ST_CONNECTED && !fari_has(s, FARI_SHUT_WR) &&
           far_load(&line->err) >> 16 == fari_get(&s->err_seen) &&
           !fari_is_down(l);
}

// Under tx_lock: what most calls write, bytes in one piece for which there is
// room as far as is known. False, and nothing is written: it is not so simple.
// Of two pieces, around the ring's end, a receiver would see the first alone.
FARI_QUICK bool put_plain(struct far_link *l, struct fari_sock *s,
    uint32_t slot, const void *from, size_t len) {
    uint32_t size = l->lay.tx_ring;
    uint32_t head = s->tx_head;
    uint32_t n = (uint32_t)len;
    if (len == 0 || len > FARI_PART || n > size - (head - s->tx_tail) ||
        n > size - (head & (size - 1u)) || s->tx_more == head + n ||
        fari_put_here(l, slot, head, from, n) != FAR_OK) {
        return false;
    }
    fari_set(&s->tx_head, head + n);
    fari_store_tx(l, slot, head + n);
    look_ahead(l, s, slot, head);
    return true;
}

// Gives tx_lock back, and then looks whether far waits for the bytes from old
// on: so the lock's release is the barrier between head and look. Another
// thread may send meanwhile; it looks for what is its own.
FARI_QUICK void unlock_and_tell(struct far_link *l, struct fari_sock *s,
    uint32_t slot, uint32_t old, uint32_t head) {
    fari_let_in(l, &s->tx_lock);
    FAR_SYNC_ANEW(FAR_AT_TX_FREE_WAKE);
    fari_tell_tx(l, slot, old, head);
    fari_unhold(l);
}

int32_t fari_stream_send_bytes(struct far_link *l, int sock, const void *buf,
    size_t len, uint32_t flags, uint64_t deadline_ns) {
    uint32_t slot = far_slot(sock);
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock_here(l, &s->tx_lock);
    uint32_t old = s->tx_head;
    if (!(flags & (FAR_MSG_MORE | FAR_MSG_OOB)) && is_plain(l, s, sock) &&
        put_plain(l, s, slot, buf, len)) {
        unlock_and_tell(l, s, slot, old, old + (uint32_t)len);
        return (int32_t)len;
    }
    struct far_iov iov = {.base = (void *)(uintptr_t)buf, .len = len};
    return send_locked(l, sock, &iov, 1, flags, deadline_ns);
}

int32_t fari_stream_send(struct far_link *l, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags,
    uint64_t deadline_ns) {
    if (count == 1) {
        return fari_stream_send_bytes(l, sock, iov->base, iov->len, flags,
            deadline_ns);
    }
    fari_lock(l, &fari_sock(l, far_slot(sock))->tx_lock);
    return send_locked(l, sock, iov, count, flags, deadline_ns);
}

void fari_has_streams(struct far_link *l) {
    static const struct fari_streams streams = {
        .send_bytes = fari_stream_send_bytes,
        .send = fari_stream_send,
        .recv = fari_stream_recv,
    };
    atomic_store_explicit(&l->streams, &streams, memory_order_relaxed);
}

int32_t far_send(struct far_link *l, int sock, const void *buf, size_t len,
    uint32_t flags, uint64_t deadline_ns) {
    if (!fari_is_stream(l, sock)) {
        return fari_find(l, sock) == FARI_NO_SLOT ? FAR_EBADF : FAR_EOPNOTSUPP;
    }
    return fari_stream_send_bytes(l, sock, buf, len, flags, deadline_ns);
}
