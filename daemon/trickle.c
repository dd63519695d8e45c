// What trickles: a stream that near rings for a little of, again and again, and
// a peer's datagrams that come one by one.
// SPDX-License-Identifier: MIT
//
// Near writes small pieces without a pause, and nobody else wants anything.
// Farsockd gives way to all others (slice.h), and so is owed time: on near's
// processor it goes before near at each doorbell, finds little, sleeps, and is
// rung again. Such a stream it serves as others would: near goes on, and far
// finds a ring that is full. Likewise a peer on that processor: farsockd would
// go before it at each datagram, and have near woken for one.
#include "daemon/core.h"

#include "daemon/slice.h"
#include "farsock/proto.h"

static void set(struct engine *e, bool on) {
    e->trickle.rings = 0;
    if (e->trickle.on != on) {
        e->trickle.on = on;
        if (e->config.gives_way) {
            slice_give_way(!on);
        }
    }
}

void trickle_end(struct engine *e) {
    set(e, false);
}

// Near has rung, for a little that it wrote since it rang last, or for more.
static void judge(struct engine *e, bool little) {
    struct trickle *t = &e->trickle;
    t->rings = little ? t->rings + 1u : 0;
    if (!t->on && t->rings >= TRICKLE_RINGS && e->runs == TURNS_LONG) {
        set(e, true);
    } else if (t->on && t->rings >= TRICKLE_VAIN) {
        // Near sleeps, or does something else, in between: it would have to
        // wait, for nothing.
        set(e, false);
        e->runs = 0;
    }
}

// A turn in which only near sends is an answer: with it the count begins anew.
// For what trickles already it is one in vain.
static void note_datagrams(struct sock *s, uint32_t got) {
    struct engine *e = s->link->engine;
    judge(e, got > 0 ? s->rx_taken == 1 : e->trickle.on);
}

void trickle_note(struct sock *s, uint32_t moved, uint32_t got) {
    struct engine *e = s->link->engine;
    bool rung = s->kicks_in != s->kicks_seen;
    s->kicks_seen = s->kicks_in;
    if (e->runs == 0) {
        set(e, false);
    } else if (s->type == FAR_SOCK_DGRAM) {
        note_datagrams(s, got);
    } else if (got > 0) {
        set(e, false);
    } else if (rung) {
        judge(e, e->trickle.bytes < s->tx_size / TRICKLE_PART);
        e->trickle.bytes = 0;
    }
    e->trickle.bytes += moved;
}
