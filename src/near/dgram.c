// Datagrams to the peer: records in the ring, and their results.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

// The longest payloads: 65535 without the headers.
#define UDP4_MAX 65507u
#define UDP6_MAX 65527u

struct dgram {
    const struct far_msghdr *m;
    uint32_t len;
    int refused;  // known here; far is asked all the same
    uint32_t put; // bytes of payload in the ring
    uint16_t flags;
    bool missing; // memory of the payload was not there
    bool probed;  // far finds nothing wrong with where it shall go
};

static uint32_t head_bytes(const struct dgram *d) {
    return (uint32_t)sizeof(struct far_dgram) +
           (d->m->name ? (uint32_t)sizeof *d->m->name : 0) +
           FAR_ALIGN8((uint32_t)d->m->ctl_len);
}

static uint32_t record_bytes(const struct dgram *d) {
    return head_bytes(d) + FAR_ALIGN8(d->len);
}

// What cannot be handed to far's kernel to refuse: IPv4 begins with the length
// and MSG_OOB, which IPv6 does not know but for raw sockets.
static int refusal(const struct fari_sock *s, const struct far_addr *to,
    size_t len, uint32_t flags) {
    bool oob = (flags & FAR_MSG_OOB) != 0;
    bool over_v4 = fari_type(s) == FAR_SOCK_DGRAM &&
                   (to ? fari_is_ipv4(to) : FARI_GET(s->over_v4));
    if (s->family != FAR_AF_INET && !over_v4) {
        return oob && fari_type(s) == FAR_SOCK_RAW ? FAR_EOPNOTSUPP : FAR_OK;
    }
    if (len > FAR_DGRAM_MAX) {
        return FAR_EMSGSIZE;
    }
    return oob ? FAR_EOPNOTSUPP : FAR_OK;
}

// False if a kernel says EMSGSIZE before it comes to a pending error.
static bool fits(const struct fari_sock *s, const struct dgram *d) {
    const struct far_addr *to = d->m->name;
    bool v4 = s->family == FAR_AF_INET ||
              (to ? fari_is_ipv4(to) : FARI_GET(s->over_v4));
    return d->len <= (v4 ? UDP4_MAX : UDP6_MAX);
}

// known: far's kernel finds nothing wrong with address and length. Else it is
// asked, and says EPIPE itself, after what it says of those; a pending error is
// told once a probe has found nothing wrong (*doubt).
static int may_send(struct far_link *l, uint32_t slot, const struct dgram *d,
    bool known, bool *doubt) {
    struct fari_sock *s = fari_sock(l, slot);
    if (fari_is_down(l)) {
        return FAR_ENETDOWN;
    }
    int err = FAR_OK;
    bool whole = d->refused == FAR_OK && fits(s, d);
    // Linux makes a raw socket's headers without a look at its error.
    bool looks = fari_type(s) != FAR_SOCK_RAW || FARI_GET(s->own_headers);
    // With a datagram begun, a kernel knows already where it goes.
    if (looks && (known || d->probed || fari_has(s, FARI_GATHERS))) {
        err = fari_take_error(l, slot);
    } else if (looks && whole && !(d->flags & FAR_DGRAM_PROBE)) {
        err = fari_peek_error(l, slot);
        *doubt = err != FAR_OK;
    }
    // Linux sends on a raw socket that was shut down.
    if (err == FAR_OK && known && fari_has(s, FARI_SHUT_WR) &&
        fari_type(s) != FAR_SOCK_RAW) {
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
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t size = l->lay.tx_ring;
    uint32_t room = size - (s->tx_head - s->tx_tail);
    uint32_t left = d->len - d->put;
    // Parts end at multiples of 8, but for the last.
    uint32_t n = FAR_ALIGN8(left) <= room ? left : room & ~7u;
    // The padding of the end is whatever the ring held.
    if (fari_gather(l, slot, s->tx_head, d->m->iov, d->put, n) != FAR_OK) {
        d->missing = true;
    }
    d->put += n;
    fari_set(&s->tx_head, s->tx_head + FAR_ALIGN8(n));
}

// Under tx_lock: more of the record's head.
static inline void put_part(struct far_link *l, uint32_t slot, const void *p,
    size_t len) {
    struct fari_sock *s = fari_sock(l, slot);
    far_ring_put(fari_tx_ring(l, slot), l->lay.tx_ring, s->tx_head, p,
        (uint32_t)len);
    fari_set(&s->tx_head, s->tx_head + FAR_ALIGN8((uint32_t)len));
}

// Under tx_lock, with room for it, or for its beginning if it is large. False
// and nothing is in the ring if the payload cannot be read.
static bool put_record(struct far_link *l, uint32_t slot, bool ask,
    struct dgram *d) {
    uint32_t old = fari_sock(l, slot)->tx_head;
    struct {
        struct far_dgram h;
        struct far_addr name;
    } head;
    size_t len = sizeof head.h;
    _Static_assert(sizeof head == sizeof head.h + sizeof head.name,
        "as they lie in the ring");
    head.h = (struct far_dgram){
        .len = d->len,
        .ctl_len = (uint16_t)d->m->ctl_len,
        .flags = (uint16_t)(d->flags | (d->m->name ? FAR_DGRAM_ADDR : 0) |
                            (ask ? FAR_DGRAM_SYNC : 0)),
    };
    if (d->m->name) {
        head.name = *d->m->name;
        len = sizeof head;
    }
    put_part(l, slot, &head, len);
    if (d->m->ctl_len) {
        put_part(l, slot, d->m->ctl, d->m->ctl_len);
    }
    put_payload(l, slot, d);
    if (d->missing) {
        fari_sock(l, slot)->tx_head = old;
        return false;
    }
    fari_publish_tx(l, slot, old);
    return true;
}

// A record that is large starts in an empty ring: far takes its parts out as
// they come, and so neither waits for the other.
static bool has_room_for(struct far_link *l, uint32_t slot,
    const struct dgram *d) {
    struct fari_sock *s = fari_sock(l, slot);
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
    struct fari_sock *s = fari_sock(l, slot);
    uint64_t until = fari_deadline(l, FARI_PART_MS);
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
            fari_wait_far(l, w, until);
        } else {
            until = fari_deadline(l, FARI_PART_MS);
        }
    }
    fari_wait_end(l, w);
    if (d->missing) {
        return FAR_EFAULT; // taken away since it was looked at
    }
    return d->put < d->len ? FAR_ENETDOWN : FAR_OK;
}

static void set_busy(struct far_link *l, uint32_t slot, bool busy) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock_link(l);
    if (busy) {
        fari_mark(s, FARI_TX_BUSY);
    } else {
        fari_unmark(s, FARI_TX_BUSY);
        fari_changed(l, slot);
    }
    fari_unlock_link(l);
}

struct put_result {
    bool ask;   // a FLUSH must tell how it went
    bool doubt; // an error is pending: of which far may say another first
    uint32_t pos;
    struct fari_epochs epochs;
};

// One try under the lock. FAR_OK: it is in the ring.
static int try_put(struct far_link *l, uint32_t slot, struct dgram *d, bool arm,
    struct put_result *r) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock(l, &s->tx_lock);
    r->epochs = fari_now_epochs(l, slot);
    // Flags and control data change the path: no verdict is for them.
    r->ask = d->flags || d->m->ctl_len ||
             !fari_is_trusted(l, slot, d->m->name, d->len, r->epochs);
    r->doubt = false;
    int err = may_send(l, slot, d, !r->ask, &r->doubt);
    if (err == FAR_OK && fari_has(s, FARI_TX_BUSY)) {
        err = FAR_EAGAIN;
    }
    while (err == FAR_OK && !has_room_for(l, slot, d)) {
        if (!arm || fari_arm_tx(l, slot) || fari_is_down(l)) {
            err = FAR_EAGAIN;
        }
    }
    // Half a datagram cannot be taken back: a large one is looked at first.
    if (err == FAR_OK && is_large(l, d) &&
        !fari_is_there(l, d->m->iov, d->m->iov_count, d->len)) {
        err = FAR_EFAULT;
    }
    if (err == FAR_OK) {
        bool busy = r->ask || is_large(l, d);
        if (busy) {
            set_busy(l, slot, true);
        }
        r->pos = s->tx_head + record_bytes(d);
        if (!put_record(l, slot, r->ask, d)) {
            err = FAR_EFAULT;
            if (busy) {
                set_busy(l, slot, false);
            }
        }
    }
    fari_unlock(l, &s->tx_lock);
    return err;
}

static void set_gathers(struct far_link *l, uint32_t slot, bool gathers) {
    if (fari_has(fari_sock(l, slot), FARI_GATHERS) != gathers) {
        fari_set_flags(l, slot, FARI_GATHERS, gathers);
    }
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
    if (!(d->flags & FAR_DGRAM_PROBE)) {
        set_gathers(l, slot, err >= 0 && (d->flags & FAR_DGRAM_MORE));
    }
    if (err >= 0 && (d->flags & FAR_DGRAM_MORE)) {
        // The next one ends this one: its result is for both.
        fari_forget_verdicts(l, slot);
    } else if (err >= 0 && !d->flags && !d->m->ctl_len) {
        fari_trust(l, slot, d->m->name, d->len, r->epochs);
    } else if (ask.why) {
        err = ask.why; // cancelled, and so not sent
    }
    return err;
}

static uint16_t record_flags(uint32_t flags) {
    return (uint16_t)((flags & FAR_MSG_MORE ? FAR_DGRAM_MORE : 0) |
                      (flags & FAR_MSG_DONTROUTE ? FAR_DGRAM_DONTROUTE : 0) |
                      (flags & FAR_MSG_CONFIRM ? FAR_DGRAM_CONFIRM : 0) |
                      (flags & FAR_MSG_PROBE ? FAR_DGRAM_PROBE : 0));
}

// Into the ring, or its beginning, once there is room.
static int put(struct far_link *l, uint32_t slot, struct dgram *d, bool wait,
    uint64_t deadline_ns, struct put_result *r) {
    int err = try_put(l, slot, d, false, r);
    if (err == FAR_EAGAIN && wait) {
        uint64_t timeo_ns = 0;
        uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
        while ((err = try_put(l, slot, d, true, r)) == FAR_EAGAIN) {
            err = fari_sleep(l, w, deadline_ns, fari_sock(l, slot)->sndtimeo_ms,
                &timeo_ns);
            if (err != FAR_OK) {
                break;
            }
        }
        fari_wait_end(l, w);
    }
    return err;
}

static int send(struct far_link *l, uint32_t slot, struct dgram *d, bool wait,
    uint64_t deadline_ns, struct put_result *r) {
    int err = put(l, slot, d, wait, deadline_ns, r);
    if (err == FAR_OK && (r->ask || is_large(l, d))) {
        err = put_rest(l, slot, d);
        if (err == FAR_OK && r->ask) {
            err = flush(l, slot, d, r, wait, deadline_ns);
        }
        set_busy(l, slot, false);
    }
    return err;
}

// What far's kernel says of the destination and the control data, which it
// looks at before pending errors and the payload. Nothing is sent. A raw
// socket's payload may be an IP header, which is looked at as well if it is
// there.
static int probe(struct far_link *l, uint32_t slot, const struct dgram *d,
    bool missing) {
    const struct far_msghdr empty = {
        .name = d->m->name,
        .ctl = d->m->ctl,
        .ctl_len = d->m->ctl_len,
    };
    struct fari_sock *s = fari_sock(l, slot);
    uint16_t route = d->flags & FAR_DGRAM_DONTROUTE;
    bool raw = fari_type(s) == FAR_SOCK_RAW;
    struct dgram p = {
        .m = raw && !missing ? d->m : &empty,
        .len = raw && !missing ? d->len : 0,
        .flags = (uint16_t)(route | FAR_DGRAM_PROBE),
    };
    struct put_result r;
    if (fari_has(s, FARI_GATHERS)) {
        return FAR_OK; // it would end what has begun
    }
    int err = send(l, slot, &p, false, FAR_NOWAIT, &r);
    // An empty payload is too short a header, if it shall be one.
    uint32_t least = s->family == FAR_AF_INET ? 20 : 40;
    bool other = raw && missing && err == FAR_EINVAL && d->len >= least;
    // No room, or no answer yet: then it is not said of this one.
    if (err == FAR_EAGAIN || other) {
        err = FAR_OK;
    }
    bool shut = missing && !raw && fari_has(s, FARI_SHUT_WR);
    return err == FAR_OK && shut ? FAR_EPIPE : err;
}

int32_t fari_dgram_send(struct far_link *l, uint32_t slot,
    const struct far_msghdr *m, uint32_t flags, uint64_t deadline_ns) {
    static struct far_addr nowhere = {.family = UINT16_MAX};
    static const struct far_msghdr none = {.name = &nowhere};
    size_t len = fari_iov_len(m->iov, m->iov_count);
    if (m->ctl_len > FAR_CTL_MAX) {
        return FAR_ENOBUFS;
    }
    struct dgram d = {
        .m = m,
        // What is longer is longer than a datagram may be.
        .len = len < FAR_DGRAM_MAX ? (uint32_t)len : FAR_DGRAM_MAX,
        .refused = refusal(fari_sock(l, slot), m->name, len, flags),
        .flags = record_flags(flags),
    };
    if (d.refused != FAR_OK) {
        // A send that is refused binds the socket, too.
        d.len = 0;
        d.m = &none;
    }
    bool wait = deadline_ns != FAR_NOWAIT && !(flags & FAR_MSG_DONTWAIT);
    struct put_result r;
    int err = send(l, slot, &d, wait, deadline_ns, &r);
    if (r.doubt || (err == FAR_EFAULT && r.ask)) {
        int before = probe(l, slot, &d, err == FAR_EFAULT);
        if (before != FAR_OK) {
            return before;
        }
    }
    if (r.doubt) {
        d.probed = true;
        err = send(l, slot, &d, wait, deadline_ns, &r);
    }
    if (d.refused != FAR_OK &&
        (err >= 0 || err == FAR_EAFNOSUPPORT || err == FAR_EINVAL)) {
        return d.refused;
    }
    return err < 0 ? err : (int32_t)len;
}
