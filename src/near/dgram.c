// Datagrams: records in the rings, and when a send needs no answer.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

// --- Verdicts ---
//
// The errno of a send must come from the call that natively gives it, without a
// round trip for each datagram. A destination whose last send went is trusted
// with payloads up to that size; anything else is sent with a FLUSH, whose
// answer is the call's result.

struct epochs {
    uint32_t link;
    uint32_t sock;
};

static struct epochs now_epochs(const struct far_link *l, uint32_t slot) {
    const struct far_far_ctl *ctl =
        (const struct far_far_ctl *)(const void *)(l->region +
                                                   (size_t)l->lay.far_at *
                                                       FAR_LINE);
    FAR_INV(&ctl->verdict_epoch, sizeof ctl->verdict_epoch);
    return (struct epochs){
        .link = far_load(&ctl->verdict_epoch),
        .sock = far_load(&fari_far_line(l, slot)->verdict),
    };
}

static struct fari_verdict *verdict_of(struct far_link *l, uint32_t slot,
    const struct far_addr *addr) {
    uint32_t h = slot * 2654435761u;
    for (unsigned i = 0; addr && i < sizeof addr->ip; i++) {
        h = (h ^ addr->ip[i]) * 16777619u;
    }
    h ^= addr ? addr->port * 40503u : 0;
    return &l->verdicts[(h ^ h >> 15) % FARI_VERDICTS];
}

static bool same_addr(const struct far_addr *a, const struct far_addr *b) {
    return a->family == b->family && a->port == b->port &&
           a->scope == b->scope && a->flowinfo == b->flowinfo &&
           memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static const struct far_addr connected_peer = {.family = FAR_AF_UNSPEC};

// Under tx_lock, which guards the verdicts of this slot; a race with another
// slot's entry in the same place can only lose one.
static bool is_trusted(struct far_link *l, uint32_t slot,
    const struct far_addr *addr, size_t len) {
    fari_lock(l, &l->lock);
    struct fari_verdict v = *verdict_of(l, slot, addr);
    fari_unlock(l, &l->lock);
    struct epochs e = now_epochs(l, slot);
    return v.gen == l->socks[slot].gen && v.slot == slot &&
           v.link_epoch == e.link && v.sock_epoch == e.sock &&
           len <= v.max_len &&
           same_addr(&v.addr, addr ? addr : &connected_peer);
}

static void trust(struct far_link *l, uint32_t slot,
    const struct far_addr *addr, size_t len, struct epochs e) {
    fari_lock(l, &l->lock);
    *verdict_of(l, slot, addr) = (struct fari_verdict){
        .slot = slot,
        .gen = l->socks[slot].gen,
        .link_epoch = e.link,
        .sock_epoch = e.sock,
        .max_len = (uint32_t)len,
        .addr = addr ? *addr : connected_peer,
    };
    fari_unlock(l, &l->lock);
}

void fari_forget_verdicts(struct far_link *l, uint32_t slot) {
    fari_lock(l, &l->lock);
    for (uint32_t i = 0; i < FARI_VERDICTS; i++) {
        if (l->verdicts[i].slot == slot) {
            l->verdicts[i].gen = 0;
        }
    }
    fari_unlock(l, &l->lock);
}

// --- Sending ---

// The longest payloads: 65535 without the headers.
#define UDP4_MAX 65507u
#define UDP6_MAX 65527u

struct dgram {
    const void *buf;
    size_t len;
    const struct far_addr *addr;
    int refused;  // known here; far is asked all the same
    uint32_t put; // bytes of payload in the ring
};

static uint32_t record_bytes(const struct dgram *d) {
    return (uint32_t)sizeof(struct far_dgram) +
           (d->addr ? (uint32_t)sizeof *d->addr : 0) +
           FAR_ALIGN8((uint32_t)d->len);
}

// What cannot be handed to far's kernel to refuse: IPv4 begins with the length
// and MSG_OOB, which IPv6 does not know.
static int refusal(const struct fari_sock *s, size_t len, uint32_t flags) {
    if (s->family != FAR_AF_INET) {
        return FAR_OK;
    }
    if (len > FAR_DGRAM_MAX) {
        return FAR_EMSGSIZE;
    }
    return flags & FAR_MSG_OOB ? FAR_EOPNOTSUPP : FAR_OK;
}

// True if a kernel will hardly object to the address and the length, which it
// looks at before it comes to a pending error.
static bool is_plausible(const struct fari_sock *s, const struct dgram *d) {
    const struct far_addr *a = d->addr;
    if (d->len > (s->family == FAR_AF_INET ? UDP4_MAX : UDP6_MAX)) {
        return false;
    }
    if (!a) {
        return (s->flags & FARI_PEER) != 0;
    }
    return a->port != 0 &&
           (a->family == s->family ||
               (a->family == FAR_AF_INET && s->family == FAR_AF_INET6));
}

// known: far's kernel finds nothing wrong with address and length. Else it is
// asked, and says EPIPE itself, after what it says of those.
static int may_send(struct far_link *l, uint32_t slot, const struct dgram *d,
    bool known) {
    struct fari_sock *s = &l->socks[slot];
    if (fari_is_down(l)) {
        return FAR_ENETDOWN;
    }
    int err = FAR_OK;
    if (known || (d->refused == FAR_OK && is_plausible(s, d))) {
        err = fari_take_error(l, slot);
    }
    if (err == FAR_OK && known && (s->flags & FARI_SHUT_WR)) {
        err = FAR_EPIPE;
    }
    return err;
}

static bool is_large(const struct far_link *l, const struct dgram *d) {
    return record_bytes(d) > l->lay.tx_ring;
}

// Under tx_lock: as much of the payload as there is room for, and the padding
// after its end. d->put bytes are there already.
static void put_payload(struct far_link *l, uint32_t slot, struct dgram *d) {
    struct fari_sock *s = &l->socks[slot];
    uint32_t size = l->lay.tx_ring;
    uint32_t room = size - (s->tx_head - s->tx_tail);
    uint32_t left = (uint32_t)d->len - d->put;
    // Parts end at multiples of 8, but for the last.
    uint32_t n = FAR_ALIGN8(left) <= room ? left : room & ~7u;
    if (n) {
        far_ring_put(fari_tx_ring(l, slot), size, s->tx_head,
            (const uint8_t *)d->buf + d->put, n);
    }
    d->put += n;
    s->tx_head += FAR_ALIGN8(n);
}

// Under tx_lock, with room for it, or for its beginning if it is large.
static void put_record(struct far_link *l, uint32_t slot, bool ask,
    struct dgram *d) {
    struct fari_sock *s = &l->socks[slot];
    uint8_t *ring = fari_tx_ring(l, slot);
    uint32_t size = l->lay.tx_ring;
    uint32_t old = s->tx_head;
    struct far_dgram h = {
        .len = (uint32_t)d->len,
        .flags = (uint16_t)((d->addr ? FAR_DGRAM_ADDR : 0) |
                            (ask ? FAR_DGRAM_SYNC : 0)),
    };
    far_ring_put(ring, size, old, &h, sizeof h);
    s->tx_head += (uint32_t)sizeof h;
    if (d->addr) {
        far_ring_put(ring, size, s->tx_head, d->addr, sizeof *d->addr);
        s->tx_head += (uint32_t)sizeof *d->addr;
    }
    put_payload(l, slot, d);
    fari_publish_tx(l, slot, old);
}

// A record that is large starts in an empty ring: far takes its parts out as
// they come, and so neither waits for the other.
static bool has_room_for(struct far_link *l, uint32_t slot,
    const struct dgram *d) {
    struct fari_sock *s = &l->socks[slot];
    uint32_t size = l->lay.tx_ring;
    uint32_t need = is_large(l, d) ? size : record_bytes(d);
    if (size - (s->tx_head - s->tx_tail) >= need) {
        return true;
    }
    fari_refresh_tx(l, slot);
    return size - (s->tx_head - s->tx_tail) >= need;
}

// The rest of a large record, whose sender has the socket to itself (TX_BUSY).
// What was begun is ended, whatever the caller's deadline.
static int put_rest(struct far_link *l, uint32_t slot, struct dgram *d) {
    struct fari_sock *s = &l->socks[slot];
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while (d->put < d->len && !fari_is_down(l) &&
           !(fari_state(l, slot) & FAR_ST_DRAINED)) { // poisoned
        fari_lock(l, &s->tx_lock);
        uint32_t old = s->tx_head;
        fari_refresh_tx(l, slot);
        put_payload(l, slot, d);
        bool wait = false;
        if (s->tx_head != old) {
            fari_publish_tx(l, slot, old);
        } else {
            wait = fari_arm_tx(l, slot);
        }
        fari_unlock(l, &s->tx_lock);
        if (wait) {
            fari_wait_far(l, w);
        }
    }
    fari_wait_end(l, w);
    return d->put < d->len ? FAR_ENETDOWN : FAR_OK;
}

static void set_busy(struct far_link *l, uint32_t slot, bool busy) {
    struct fari_sock *s = &l->socks[slot];
    fari_lock(l, &l->lock);
    if (busy) {
        s->flags |= FARI_TX_BUSY;
    } else {
        s->flags = (uint8_t)(s->flags & ~FARI_TX_BUSY);
        fari_wake(l, FARI_WAIT_SOCK, slot);
    }
    fari_unlock(l, &l->lock);
}

struct put_result {
    bool ask; // a FLUSH must tell how it went
    uint32_t pos;
    struct epochs epochs;
};

// One try under the lock. FAR_OK: it is in the ring.
static int try_put(struct far_link *l, uint32_t slot, struct dgram *d, bool arm,
    struct put_result *r) {
    struct fari_sock *s = &l->socks[slot];
    fari_lock(l, &s->tx_lock);
    r->epochs = now_epochs(l, slot);
    r->ask = !is_trusted(l, slot, d->addr, d->len);
    int err = may_send(l, slot, d, !r->ask);
    if (err == FAR_OK && (s->flags & FARI_TX_BUSY)) {
        err = FAR_EAGAIN;
    }
    while (err == FAR_OK && !has_room_for(l, slot, d)) {
        if (!arm || fari_arm_tx(l, slot) || fari_is_down(l)) {
            err = FAR_EAGAIN;
        }
    }
    if (err == FAR_OK) {
        if (r->ask || is_large(l, d)) {
            set_busy(l, slot, true);
        }
        r->pos = s->tx_head + record_bytes(d);
        put_record(l, slot, r->ask, d);
    }
    fari_unlock(l, &s->tx_lock);
    return err;
}

static int flush(struct far_link *l, uint32_t slot, const struct dgram *d,
    const struct put_result *r, bool wait, uint64_t deadline_ns) {
    struct far_req_flush req = {
        .pos = r->pos,
        .flags = wait ? 0 : FAR_FLUSH_NOWAIT,
    };
    struct fari_ask ask = {
        .op = FAR_OP_FLUSH,
        .slot = slot,
        .req = &req,
        .req_len = sizeof req,
        .undo = FARI_NO_SLOT,
        .slow = true,
    };
    int err = fari_request(l, &ask, wait ? deadline_ns : FAR_FOREVER);
    if (err >= 0) {
        trust(l, slot, d->addr, d->len, r->epochs);
    } else if (ask.why) {
        err = ask.why; // cancelled, and so not sent
    }
    return err;
}

int32_t fari_dgram_send(struct far_link *l, uint32_t slot, const void *buf,
    size_t len, uint32_t flags, const struct far_addr *addr,
    uint64_t deadline_ns) {
    static const struct far_addr nowhere = {.family = UINT16_MAX};
    struct dgram d = {
        .buf = buf,
        // What is longer is longer than a datagram may be.
        .len = len < FAR_DGRAM_MAX ? len : FAR_DGRAM_MAX,
        .addr = addr,
        .refused = refusal(&l->socks[slot], len, flags),
    };
    if (d.refused != FAR_OK) {
        // A send that is refused binds the socket, too.
        d.len = 0;
        d.addr = &nowhere;
    }
    bool wait = deadline_ns != FAR_NOWAIT && !(flags & FAR_MSG_DONTWAIT);
    struct put_result r;
    int err = try_put(l, slot, &d, false, &r);
    if (err == FAR_EAGAIN && wait) {
        uint64_t timeo_ns = 0;
        uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
        while ((err = try_put(l, slot, &d, true, &r)) == FAR_EAGAIN) {
            err = fari_sleep(l, w, deadline_ns, l->socks[slot].sndtimeo_ms,
                &timeo_ns);
            if (err != FAR_OK) {
                break;
            }
        }
        fari_wait_end(l, w);
    }
    if (err == FAR_OK && (r.ask || is_large(l, &d))) {
        err = put_rest(l, slot, &d);
        if (err == FAR_OK && r.ask) {
            err = flush(l, slot, &d, &r, wait, deadline_ns);
        }
        set_busy(l, slot, false);
    }
    if (d.refused != FAR_OK && (err == FAR_EAFNOSUPPORT || err == FAR_EINVAL)) {
        return d.refused;
    }
    return err < 0 ? err : (int32_t)len;
}

// --- Receiving ---

struct taken {
    void *buf;
    size_t room;
    uint32_t flags; // far_msg_flag, of the call
    struct far_addr *from;
    uint32_t out_flags;
    uint32_t left; // of a large datagram: bytes still to come, padded
    uint32_t got;  // of its payload
    uint32_t len;
};

// What the call returns for a payload of len bytes.
static int32_t result_of(struct taken *t, const struct far_dgram *h) {
    bool cut = t->room < h->len || (h->flags & FAR_DGRAM_TRUNC);
    t->out_flags = cut ? FAR_MSG_TRUNC : 0;
    if (t->flags & FAR_MSG_TRUNC) {
        return (int32_t)h->len;
    }
    return t->room < h->len ? (int32_t)t->room : (int32_t)h->len;
}

// Under rx_lock: what is there of a large datagram.
static void take_part(struct far_link *l, uint32_t slot, struct taken *t) {
    struct fari_sock *s = &l->socks[slot];
    uint32_t have = s->rx_head - s->rx_tail;
    uint32_t n = have < t->left ? have : t->left;
    uint32_t room = t->got < t->room ? (uint32_t)(t->room - t->got) : 0;
    uint32_t real = t->len - t->got < n ? t->len - t->got : n;
    uint32_t copy = real < room ? real : room;
    if (copy) {
        far_ring_get(fari_rx_ring(l, slot), l->lay.rx_ring, s->rx_tail,
            (uint8_t *)t->buf + t->got, copy);
    }
    t->got += real;
    t->left -= n;
    s->rx_tail += n;
    fari_publish_rx(l, slot, true);
}

// A datagram larger than the ring comes in parts: its reader has the socket to
// itself (RX_BUSY) until it has them all. Far holds the whole already.
static void take_rest(struct far_link *l, uint32_t slot, struct taken *t) {
    struct fari_sock *s = &l->socks[slot];
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while (t->left > 0 && !fari_is_down(l)) {
        fari_lock(l, &s->rx_lock);
        fari_refresh_rx(l, slot);
        bool wait = s->rx_head == s->rx_tail && fari_arm_rx(l, slot);
        if (!wait) {
            take_part(l, slot, t);
        }
        fari_unlock(l, &s->rx_lock);
        if (wait) {
            fari_wait_far(l, w);
        }
    }
    fari_wait_end(l, w);
    fari_lock(l, &l->lock);
    s->flags = (uint8_t)(s->flags & ~FARI_RX_BUSY);
    fari_wake(l, FARI_WAIT_SOCK, slot);
    fari_unlock(l, &l->lock);
}

// Under rx_lock: begins a large datagram, whose header and address are there.
static int32_t take_large(struct far_link *l, uint32_t slot, struct taken *t,
    const struct far_dgram *h, uint32_t skip) {
    struct fari_sock *s = &l->socks[slot];
    if (t->flags & FAR_MSG_PEEK) {
        return FAR_EMSGSIZE;
    }
    fari_lock(l, &l->lock);
    s->flags |= FARI_RX_BUSY;
    fari_unlock(l, &l->lock);
    t->left = FAR_ALIGN8(h->len);
    t->len = h->len;
    t->got = 0;
    s->rx_tail += skip;
    take_part(l, slot, t);
    return result_of(t, h);
}

// Under rx_lock: the record at the ring's tail, if there is one. Its payload's
// length, FAR_EAGAIN, or FAR_EBADMSG.
static int32_t take_record(struct far_link *l, uint32_t slot, struct taken *t) {
    struct fari_sock *s = &l->socks[slot];
    const uint8_t *ring = fari_rx_ring(l, slot);
    uint32_t size = l->lay.rx_ring;
    if (s->rx_head == s->rx_tail && fari_refresh_rx(l, slot) != FAR_OK) {
        return FAR_EBADMSG;
    }
    uint32_t have = s->rx_head - s->rx_tail;
    if (have == 0 || (s->flags & FARI_RX_BUSY)) {
        return FAR_EAGAIN;
    }
    struct far_dgram h = {0};
    if (have >= sizeof h) {
        far_ring_get(ring, size, s->rx_tail, &h, sizeof h);
    }
    uint32_t addr = h.flags & FAR_DGRAM_ADDR ? sizeof(struct far_addr) : 0;
    uint32_t skip = (uint32_t)sizeof h + addr + FAR_ALIGN8((uint32_t)h.ctl_len);
    bool large = skip + FAR_ALIGN8(h.len) > size;
    uint32_t least = large ? skip : skip + FAR_ALIGN8(h.len);
    if (h.len > FAR_DGRAM_MAX || skip > size || least > have) {
        far_link_down(l);
        return FAR_EBADMSG;
    }
    if (t->from) {
        *t->from = (struct far_addr){0};
        if (addr) {
            far_ring_get(ring, size, s->rx_tail + (uint32_t)sizeof h, t->from,
                sizeof *t->from);
        }
    }
    if (large) {
        return take_large(l, slot, t, &h, skip);
    }
    uint32_t n = t->room < h.len ? (uint32_t)t->room : h.len;
    if (n) {
        far_ring_get(ring, size, s->rx_tail + skip, t->buf, n);
    }
    if (!(t->flags & FAR_MSG_PEEK)) {
        s->rx_tail += skip + FAR_ALIGN8(h.len);
        fari_publish_rx(l, slot, false);
    }
    return result_of(t, &h);
}

// One try under the lock, as for streams, but an error comes before the data.
// wait: the caller would sleep, and wants the socket armed.
static int32_t try_take(struct far_link *l, uint32_t slot, struct taken *t,
    bool wait) {
    struct fari_sock *s = &l->socks[slot];
    fari_lock(l, &s->rx_lock);
    int32_t n = fari_take_error(l, slot);
    for (bool again = n == FAR_OK; again;) {
        int result = 0;
        again = false;
        n = take_record(l, slot, t);
        if (n != FAR_EAGAIN) {
            break;
        }
        if (fari_over_by_death(l, slot, true, &result)) {
            n = result;
        } else if (wait && (s->flags & FARI_SHUT_RD)) {
            // Natively a receive that would not wait says EAGAIN all the same.
            n = 0;
        } else if (wait) {
            again = !fari_arm_rx(l, slot) && !fari_is_down(l) &&
                    !(s->flags & FARI_RX_BUSY);
        }
    }
    fari_unlock(l, &s->rx_lock);
    if (t->left > 0) {
        take_rest(l, slot, t);
    }
    return n;
}

static int32_t wait_take(struct far_link *l, uint32_t slot, struct taken *t,
    uint64_t deadline_ns) {
    uint64_t timeo_ns = 0;
    int32_t n = FAR_EAGAIN;
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while ((n = try_take(l, slot, t, true)) == FAR_EAGAIN) {
        int err = fari_sleep(l, w, deadline_ns, l->socks[slot].rcvtimeo_ms,
            &timeo_ns);
        if (err != FAR_OK) {
            n = err;
            break;
        }
    }
    fari_wait_end(l, w);
    return n;
}

int32_t fari_dgram_recv(struct far_link *l, uint32_t slot, void *buf,
    size_t len, uint32_t flags, struct far_addr *from, uint32_t *out_flags,
    uint64_t deadline_ns) {
    if (flags & FAR_MSG_ERRQUEUE) {
        return FAR_EAGAIN;
    }
    struct taken t = {
        .buf = buf,
        .room = len < FAR_DGRAM_MAX ? len : FAR_DGRAM_MAX,
        .flags = flags,
        .from = from,
    };
    bool wait = deadline_ns != FAR_NOWAIT && !(flags & FAR_MSG_DONTWAIT);
    int32_t n = try_take(l, slot, &t, false);
    if (n == FAR_EAGAIN && wait) {
        n = wait_take(l, slot, &t, deadline_ns);
    } else if (n == FAR_EAGAIN) {
        fari_glance(l);
        n = try_take(l, slot, &t, false);
    }
    if (out_flags) {
        *out_flags = n >= 0 ? t.out_flags : 0;
    }
    return n;
}
