// What closed streams still have to send, copied out of their rings.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "farsock/proto.h"

struct orphan {
    struct watch watch;
    struct node node;
    struct engine *engine;
    struct link *link; // NULL: it ended before
    int fd;
    bool abort; // close with RST
    uint64_t until_ns;
    uint32_t len, done;
    uint32_t urg_end; // behind its urgent byte; 0: there is none
    uint8_t data[];
};

static void orphan_end(struct orphan *o) {
    if (o->abort) {
        struct linger rst = {.l_onoff = 1, .l_linger = 0};
        setsockopt(o->fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    }
    engine_unwatch(o->engine, &o->watch, o->fd);
    close(o->fd);
    o->engine->orphan_bytes -= o->len;
    if (o->link) {
        o->link->orphan_bytes -= o->len;
    }
    node_remove(&o->node);
    free(o);
}

// Some of it, up to end. An urgent byte goes by itself, as from the ring, and
// the last one before it goes with it.
static ssize_t send_some(const struct orphan *o, uint32_t end) {
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (o->urg_end > o->done + 1u && end >= o->urg_end - 1u) {
        end = o->urg_end - 1u;
        flags |= MSG_MORE;
    } else if (o->urg_end == o->done + 1u) {
        end = o->urg_end;
        flags |= MSG_OOB;
    }
    return send(o->fd, o->data + o->done, end - o->done, flags);
}

static void orphan_ready(struct watch *w, uint32_t events) {
    struct orphan *o = OF(w, struct orphan, watch);
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        return;
    }
    uint32_t end =
        o->len - o->done < TURN_BYTES ? o->len : o->done + TURN_BYTES;
    while (o->done < end) {
        ssize_t n = send_some(o, end);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n < 0) {
            orphan_end(o);
            return;
        }
        o->done += (uint32_t)n;
        o->engine->total.tx_bytes += (uint64_t)n;
    }
    if (o->done < o->len) {
        // Watched anew it reports again: the next turn goes on.
        engine_rewatch(o->engine, &o->watch, &o->watch, o->fd, EPOLLOUT);
        return;
    }
    orphan_end(o);
}

bool orphan_take(struct sock *s) {
    struct link *l = s->link;
    struct engine *e = l->engine;
    uint32_t len = tx_used(s);
    if (s->type != FAR_SOCK_STREAM ||
        e->orphan_bytes + len > e->config.orphan_bytes ||
        l->orphan_bytes + len > e->config.orphan_link_bytes) {
        return false;
    }
    struct orphan *o = malloc(sizeof *o + len);
    if (!o) {
        return false;
    }
    *o = (struct orphan){
        .watch.ready = orphan_ready,
        .engine = e,
        .link = l,
        .fd = s->fd,
        .abort = s->abort,
        .until_ns = now_ns() + (uint64_t)e->config.orphan_s * 1000000000u,
        .len = len,
        .urg_end = s->tx_urg ? s->tx_urg_end - s->tx_tail : 0,
    };
    far_ring_get(s->tx, s->tx_size, s->tx_tail, o->data, len);
    // The descriptor changes its watch: watched anew it reports room that came
    // in between.
    engine_rewatch(e, &s->watch, &o->watch, o->fd, EPOLLOUT);
    s->fd = -1;
    e->orphan_bytes += len;
    l->orphan_bytes += len;
    node_append(&e->orphans, &o->node);
    return true;
}

// Each has the same time, and the newest is last.
uint64_t orphans_deadline(struct engine *e) {
    struct node *first = e->orphans.next;
    return first == &e->orphans ? UINT64_MAX
                                : OF(first, struct orphan, node)->until_ns;
}

// A peer that reads nothing must not hold memory here for ever; the kernel
// gives up on its own closed connections, too.
void orphans_expire(struct engine *e, uint64_t now) {
    while (orphans_deadline(e) <= now) {
        struct orphan *o = OF(e->orphans.next, struct orphan, node);
        o->abort = true;
        orphan_end(o);
    }
}

void orphans_forget_link(struct link *l) {
    struct node *list = &l->engine->orphans;
    for (struct node *n = list->next; n != list; n = n->next) {
        struct orphan *o = OF(n, struct orphan, node);
        o->link = o->link == l ? NULL : o->link;
    }
}

void orphans_free(struct engine *e) {
    struct node *next;
    for (struct node *n = e->orphans.next; n != &e->orphans; n = next) {
        next = n->next;
        orphan_end(OF(n, struct orphan, node));
    }
}
