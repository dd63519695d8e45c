// Datagrams from the peer: records out of the ring.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

struct taken {
    struct far_msghdr *m;
    size_t room;
    size_t ctl_room;
    uint32_t flags; // far_msg_flag, of the call
    uint32_t left;  // of a large datagram: bytes still to come, padded
    uint32_t got;   // of its payload
    uint32_t len;
    uint32_t real; // with asked: length of the datagram that was copied
    bool asked;    // for a copy (RECV)
    bool missing;  // the caller's memory was not there: the datagram is lost
};

// What the call returns for a payload of len bytes.
static int32_t result_of(struct taken *t, const struct far_dgram *h) {
    if (t->missing) {
        return FAR_EFAULT;
    }
    bool cut = t->room < h->len || (h->flags & FAR_DGRAM_TRUNC);
    t->m->flags |= cut ? FAR_MSG_TRUNC : 0;
    t->m->flags |= h->flags & FAR_DGRAM_CTRUNC ? FAR_MSG_CTRUNC : 0;
    if (t->flags & FAR_MSG_TRUNC) {
        return (int32_t)h->len;
    }
    return t->room < h->len ? (int32_t)t->room : (int32_t)h->len;
}

// Under rx_lock: the record's control data, len bytes of it.
static void take_ctl(struct far_link *l, uint32_t slot, uint32_t pos,
    uint32_t len, struct taken *t) {
    uint8_t ctl[FAR_CTL_MAX];
    far_ring_get(fari_rx_ring(l, slot), l->lay.rx_ring, pos, ctl, len);
    fari_give_ctl(t->m, t->ctl_room, ctl, len);
}

// Under rx_lock: what is there of a large datagram.
static void take_part(struct far_link *l, uint32_t slot, struct taken *t) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t have = s->rx_head - s->rx_tail;
    uint32_t n = have < t->left ? have : t->left;
    uint32_t room = t->got < t->room ? (uint32_t)(t->room - t->got) : 0;
    uint32_t real = t->len - t->got < n ? t->len - t->got : n;
    uint32_t copy = real < room ? real : room;
    if (fari_scatter(l, slot, s->rx_tail, t->m->iov, t->got, copy) != FAR_OK) {
        t->missing = true;
    }
    t->got += real;
    t->left -= n;
    fari_set(&s->rx_tail, s->rx_tail + n);
    fari_publish_rx(l, slot, true);
}

// A datagram larger than the ring comes in parts: its reader has the socket to
// itself (RX_BUSY) until it has them all. Far holds the whole already; if it
// dies, t->left says that the rest is lost.
static void take_rest(struct far_link *l, uint32_t slot, struct taken *t) {
    struct fari_sock *s = fari_sock(l, slot);
    uint64_t until = fari_deadline(l, FARI_PART_MS);
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    bool more = true;
    while (t->left > 0 && more) {
        // Before the look: what was there when far died is still taken.
        more = !fari_is_down(l);
        fari_lock(l, &s->rx_lock);
        fari_refresh_rx(l, slot);
        bool wait =
            s->rx_head == s->rx_tail && fari_arm_rx(l, slot, s->rx_head);
        if (!wait) {
            take_part(l, slot, t);
        }
        fari_unlock(l, &s->rx_lock);
        if (wait) {
            fari_wait_far(l, w, until);
        } else {
            until = fari_deadline(l, FARI_PART_MS);
        }
    }
    fari_wait_end(l, w);
    fari_lock_link(l);
    fari_unmark(s, FARI_RX_BUSY);
    fari_changed(l, slot);
    fari_unlock_link(l);
}

// Under rx_lock: a large datagram's beginning, if that is all that is asked
// for. Far fills the ring with it, and does not wait for the reader to do so.
static int32_t peek_large(struct far_link *l, uint32_t slot, struct taken *t,
    const struct far_dgram *h, uint32_t skip) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t n = t->room < h->len ? (uint32_t)t->room : h->len;
    if (n > l->lay.rx_ring - skip) {
        return FAR_EMSGSIZE;
    }
    if (n > s->rx_head - s->rx_tail - skip &&
        fari_refresh_rx(l, slot) != FAR_OK) {
        return FAR_EBADMSG;
    }
    if (n > s->rx_head - s->rx_tail - skip) {
        return FAR_EAGAIN;
    }
    if (fari_scatter(l, slot, s->rx_tail + skip, t->m->iov, 0, n) != FAR_OK) {
        t->missing = true;
    }
    return result_of(t, h);
}

// Under rx_lock: begins a large datagram, whose header and address are there.
static int32_t take_large(struct far_link *l, uint32_t slot, struct taken *t,
    const struct far_dgram *h, uint32_t skip) {
    struct fari_sock *s = fari_sock(l, slot);
    if (t->flags & FAR_MSG_PEEK) {
        return peek_large(l, slot, t, h, skip);
    }
    fari_lock_link(l);
    fari_mark(s, FARI_RX_BUSY);
    fari_unlock_link(l);
    t->left = FAR_ALIGN8(h->len);
    t->len = h->len;
    t->got = 0;
    fari_set(&s->rx_tail, s->rx_tail + skip);
    take_part(l, slot, t);
    return result_of(t, h);
}

// A copy holds the beginning, as much as was asked for or fits the ring.
static int32_t result_of_copy(struct taken *t, struct far_dgram *h) {
    uint32_t wanted = t->room < t->real ? (uint32_t)t->room : t->real;
    if (h->len < wanted) {
        return FAR_EMSGSIZE;
    }
    h->len = t->real > h->len ? t->real : h->len;
    h->flags &= (uint16_t)~FAR_DGRAM_TRUNC;
    return result_of(t, h);
}

// Under rx_lock: for who asked, what comes before the payload of a record.
static void take_head(struct far_link *l, uint32_t slot, struct taken *t,
    const struct far_dgram *h, uint32_t before) {
    uint32_t at = fari_sock(l, slot)->rx_tail;
    t->m->flags = 0;
    t->m->ctl_len = 0;
    if (t->m->name) {
        *t->m->name = (struct far_addr){0};
    }
    if (t->m->name && (h->flags & FAR_DGRAM_ADDR)) {
        far_ring_get(fari_rx_ring(l, slot), l->lay.rx_ring,
            at + (uint32_t)sizeof *h, t->m->name, sizeof *t->m->name);
    }
    if (h->ctl_len) {
        take_ctl(l, slot, at + before, h->ctl_len, t);
    }
}

enum { SKIPPED = INT32_MIN }; // a copy that nobody wants any more

// Under rx_lock: the record at the ring's tail, if there is one. Its payload's
// length, FAR_EAGAIN, FAR_EBADMSG, or SKIPPED.
static int32_t take_first(struct far_link *l, uint32_t slot, struct taken *t) {
    struct fari_sock *s = fari_sock(l, slot);
    const uint8_t *ring = fari_rx_ring(l, slot);
    uint32_t size = l->lay.rx_ring;
    if (s->rx_head == s->rx_tail && fari_refresh_rx(l, slot) != FAR_OK) {
        return FAR_EBADMSG;
    }
    uint32_t have = s->rx_head - s->rx_tail;
    if (have == 0 || fari_has(s, FARI_RX_BUSY)) {
        return FAR_EAGAIN;
    }
    struct far_dgram h = {0};
    if (have >= sizeof h) {
        far_ring_get(ring, size, s->rx_tail, &h, sizeof h);
    }
    uint32_t addr = h.flags & FAR_DGRAM_ADDR ? sizeof(struct far_addr) : 0;
    uint32_t before = (uint32_t)sizeof h + addr;
    uint32_t skip = before + FAR_ALIGN8((uint32_t)h.ctl_len);
    bool large = skip + FAR_ALIGN8(h.len) > size;
    uint32_t least = large ? skip : skip + FAR_ALIGN8(h.len);
    if (h.len > FAR_DGRAM_MAX || h.ctl_len > FAR_CTL_MAX || least > have) {
        far_link_down(l);
        return FAR_EBADMSG;
    }
    bool copy = h.flags & FAR_DGRAM_COPY;
    if (copy && (large || !t->asked)) {
        fari_set(&s->rx_tail, large ? s->rx_tail : s->rx_tail + least);
        fari_publish_rx(l, slot, false);
        return large ? FAR_EMSGSIZE : SKIPPED;
    }
    take_head(l, slot, t, &h, before);
    if (large) {
        return take_large(l, slot, t, &h, skip);
    }
    uint32_t n = t->room < h.len ? (uint32_t)t->room : h.len;
    if (fari_scatter(l, slot, s->rx_tail + skip, t->m->iov, 0, n) != FAR_OK) {
        t->missing = true;
    }
    if (!(t->flags & FAR_MSG_PEEK) || copy) {
        fari_set(&s->rx_tail, s->rx_tail + skip + FAR_ALIGN8(h.len));
        fari_publish_rx(l, slot, false);
    }
    if (copy) {
        return result_of_copy(t, &h);
    }
    return result_of(t, &h);
}

static int32_t take_record(struct far_link *l, uint32_t slot, struct taken *t) {
    int32_t n = SKIPPED;
    while (n == SKIPPED) {
        n = take_first(l, slot, t);
    }
    return n;
}

// One try under the lock, as for streams, but an error comes before the data.
// wait: the caller would sleep, and wants the socket armed.
static int32_t try_take(struct far_link *l, uint32_t slot, struct taken *t,
    bool wait) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock(l, &s->rx_lock);
    bool tell = !(t->flags & FAR_MSG_LATER);
    int32_t n = tell ? fari_take_error(l, slot) : fari_peek_error(l, slot);
    for (bool again = n == FAR_OK; again;) {
        int result = 0;
        again = false;
        n = take_record(l, slot, t);
        if (n != FAR_EAGAIN) {
            break;
        }
        if (fari_over_by_death(l, slot, tell, &result)) {
            n = result;
        } else if (wait && fari_has(s, FARI_SHUT_RD)) {
            // Natively a receive that would not wait says EAGAIN all the same.
            n = 0;
        } else if (wait) {
            again = !fari_arm_rx(l, slot, s->rx_head) && !fari_is_down(l) &&
                    !fari_has(s, FARI_RX_BUSY);
        }
    }
    fari_unlock(l, &s->rx_lock);
    if (t->left > 0) {
        take_rest(l, slot, t);
        n = t->missing ? FAR_EFAULT : n;
    }
    int result = 0;
    if (t->left > 0 && fari_over_by_death(l, slot, true, &result)) {
        n = result;
    }
    return n;
}

// --- Sockets that several processes have ---

// Far reads nothing ahead for them: it brings one datagram for each that asks.
static bool must_ask(struct far_link *l, uint32_t slot) {
    const struct fari_sock *s = fari_sock(l, slot);
    if (!(fari_state(l, slot) & FAR_ST_SHARED)) {
        return false;
    }
    // Being shared just now, or a large one is being taken: not our turn.
    fari_lock_link(l);
    bool busy = fari_has(s, FARI_RX_BUSY);
    fari_unlock_link(l);
    return !busy;
}

// FAR_EAGAIN: there is none, or *again: look again.
static int32_t ask_take(struct far_link *l, uint32_t slot, struct taken *t,
    bool *again) {
    bool peek = t->flags & FAR_MSG_PEEK;
    struct far_req_recv req = {
        .room = (uint32_t)t->room,
        .flags = peek ? FAR_RECV_PEEK : 0,
    };
    int32_t r = fari_ask(l, FAR_OP_RECV, slot, &req, sizeof req, NULL, 0);
    *again = r >= 0 || r == FAR_ENETDOWN;
    if (!*again) {
        return r;
    }
    t->asked = peek && r >= 0;
    // Far's word for a length: none is longer.
    uint32_t real = r > 0 ? (uint32_t)r : 0;
    t->real = real < FAR_DGRAM_MAX ? real : FAR_DGRAM_MAX;
    return try_take(l, slot, t, false);
}

// One look, without waiting.
static int32_t ask_once(struct far_link *l, uint32_t slot, struct taken *t) {
    bool again = true;
    int32_t n = FAR_EAGAIN;
    // Others may take what there is: then there is none, but not for ever.
    for (int i = 0; i < 8 && again && n == FAR_EAGAIN; i++) {
        n = ask_take(l, slot, t, &again);
    }
    return n;
}

static bool has_data(const struct far_link *l, uint32_t slot) {
    const uint32_t both = FAR_ST_SHARED | FAR_ST_DATA;
    return (fari_state(l, slot) & both) == both;
}

static int32_t wait_take(struct far_link *l, uint32_t slot, struct taken *t,
    uint64_t deadline_ns) {
    uint64_t timeo_ns = 0;
    int32_t n = FAR_EAGAIN;
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while ((n = try_take(l, slot, t, true)) == FAR_EAGAIN) {
        bool again = false;
        if (has_data(l, slot) && must_ask(l, slot)) {
            n = ask_take(l, slot, t, &again);
        }
        if (n != FAR_EAGAIN) {
            break;
        }
        if (again && fari_now(l) < deadline_ns) {
            continue; // the state may not change any more
        }
        int err = fari_sleep(l, w, deadline_ns, fari_sock(l, slot)->rcvtimeo_ms,
            &timeo_ns);
        if (err != FAR_OK) {
            n = err;
            break;
        }
    }
    fari_wait_end(l, w);
    return n;
}

int32_t fari_dgram_recv(struct far_link *l, uint32_t slot, struct far_msghdr *m,
    uint32_t flags, uint64_t deadline_ns) {
    if ((flags & FAR_MSG_OOB) &&
        fari_type(fari_sock(l, slot)) == FAR_SOCK_RAW) {
        return FAR_EOPNOTSUPP;
    }
    if (flags & FAR_MSG_ERRQUEUE) {
        return fari_errqueue_recv(l, slot, m);
    }
    size_t room = fari_iov_len(m->iov, m->iov_count);
    struct taken t = {
        .m = m,
        .room = room < FAR_DGRAM_MAX ? room : FAR_DGRAM_MAX,
        .ctl_room = m->ctl ? m->ctl_len : 0,
        .flags = flags,
    };
    bool wait = deadline_ns != FAR_NOWAIT && !(flags & FAR_MSG_DONTWAIT);
    m->flags = 0;
    m->ctl_len = 0;
    int32_t n = try_take(l, slot, &t, false);
    bool ask = n == FAR_EAGAIN && must_ask(l, slot);
    if (ask) {
        n = ask_once(l, slot, &t);
    }
    if (n == FAR_EAGAIN && wait) {
        n = wait_take(l, slot, &t, deadline_ns);
    } else if (n == FAR_EAGAIN && !ask) {
        fari_glance(l);
        n = try_take(l, slot, &t, false);
    }
    return n;
}
