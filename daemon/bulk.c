// Streams that near writes faster than the kernel sends, over loopback.
// SPDX-License-Identifier: MIT
//
// What waits has its place in near's ring. If more waits in the kernel as well
// it has left the cache when it is read, and BBR takes the application's speed
// for the network's, and has each packet wait for a timer from then on. So the
// kernel takes more only once it has sent what it has (TCP_NOTSENT_LOWAT). Only
// over loopback: elsewhere it must have some for when a path becomes free. And
// not where the peer has not read for a while: a program may count on what the
// kernel takes until it reads itself.
//
// Where such a stream is alone and nearly each turn finds its ring full near
// writes whenever there is room, and never while farsockd sends: they share a
// processor, and a turn ends with switches to the peer, to near and back. Then
// a turn takes all of the ring, near fills it anew before farsockd goes on, and
// nobody has to wake that. Where near has a processor of its own it goes on
// writing into what the last turn left free, so the next one begins with less
// than a ring: there a turn stays a part, or each would wait for the other.
#include "daemon/core.h"

#include <netinet/in.h>

#include "daemon/host_options.h"

#define LOOPBACK_SEGMENT 16384u // at least: half of a window, or 64 KiB
#define LOW              16384  // less than a segment: all others were sent
#define FULL_TURNS       8u     // before one takes all
#define MISS_TURNS       2u     // of those, each that finds less takes back
#define PART_TURNS       2u     // after one of which the kernel left something
#define HELD_NS          UINT64_C(20000000) // at most; no peer reads meanwhile
#define FREE_TURNS       1024u              // after that

static bool is_loopback(const struct sock *s) {
    return s->segment >= LOOPBACK_SEGMENT;
}

static int set_low(const struct sock *s, int bytes) {
    return setsockopt(s->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes,
        sizeof bytes);
}

void bulk_begin(struct sock *s) {
    int bytes = 0;
    socklen_t len = sizeof bytes;
    if (s->bulk_known || !is_loopback(s)) {
        return;
    }
    s->bulk_known = true;
    s->bulk_low =
        getsockopt(s->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, &len) == 0 &&
        bytes == 0 && set_low(s, LOW) == 0;
}

void bulk_end(struct sock *s) {
    if (!s->bulk_low) {
        return;
    }
    s->bulk_low = false;
    set_low(s, 0);
    node_remove(&s->held);
    if (s->tx_blocked) {
        s->tx_blocked = false;
        sock_wake(s);
    }
}

void bulk_hold(struct sock *s) {
    if (!s->bulk_low) {
        return;
    }
    s->held_ns = now_ns() + HELD_NS;
    if (node_is_alone(&s->held)) {
        node_append(&s->link->engine->held, &s->held);
    }
}

uint64_t bulk_deadline(struct engine *e) {
    uint64_t first = UINT64_MAX;
    struct node *next;
    for (struct node *n = e->held.next; n != &e->held; n = next) {
        struct sock *s = OF(n, struct sock, held);
        next = n->next;
        if (!s->tx_blocked || s->fd < 0) {
            node_remove(&s->held);
        } else {
            first = s->held_ns < first ? s->held_ns : first;
        }
    }
    return first;
}

void bulk_expire(struct engine *e, uint64_t now) {
    struct node *next;
    for (struct node *n = e->held.next; n != &e->held; n = next) {
        struct sock *s = OF(n, struct sock, held);
        next = n->next;
        if (s->tx_blocked && s->fd >= 0 && s->held_ns <= now) {
            bulk_end(s);
            s->bulk_known = false;
            s->segment_turns = FREE_TURNS;
        }
    }
}

static bool is_full(const struct sock *s) {
    return tx_used(s) >= s->tx_size - s->tx_size / 8u &&
           s->tx_size > TURN_TX_ALONE && is_loopback(s) && !s->tx_urg;
}

uint32_t bulk_share(struct sock *s, uint32_t n) {
    if (s->tx_blocked) {
        return n;
    }
    if (!is_full(s)) {
        s->bulk_full -= s->bulk_full < MISS_TURNS ? s->bulk_full : MISS_TURNS;
    } else if (s->bulk_full < FULL_TURNS) {
        s->bulk_full++;
    } else if (s->bulk_part > 0) {
        s->bulk_part--;
    } else {
        return tx_used(s) - tx_used(s) % s->segment;
    }
    return n;
}

void bulk_note(struct sock *s, uint32_t share, uint32_t moved) {
    if (share > TURN_TX_ALONE && moved < share) {
        s->bulk_part = PART_TURNS;
    }
}
