// What there is, as values, for show and dump.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/sockios.h>

#include "daemon/policy.h"
#include "daemon/translate.h"
#include "farsock/proto.h"

struct link *engine_link_next(struct engine *e, struct link *l) {
    struct node *n = l ? l->all.next : e->links.next;
    return n == &e->links ? NULL : OF(n, struct link, all);
}

void engine_get_totals(const struct engine *e, struct engine_totals *out) {
    *out = e->total;
    out->links = e->last_link_id;
}

static struct far_counters load_counters(const struct far_counters *c) {
    FAR_INV(FAR_AT_SHOW_COUNT, c, sizeof *c);
    return (struct far_counters){
        .kicks = far_load(&c->kicks),
        .doorbells = far_load(&c->doorbells),
        .wakeups = far_load(&c->wakeups),
        .rescues = far_load(&c->rescues),
        .spurious = far_load(&c->spurious),
    };
}

void link_get_info(struct link *l, struct link_info *out) {
    *out = (struct link_info){
        .id = l->id,
        .pid = l->spec.pid,
        .uid = l->spec.uid,
        .gid = l->spec.gid,
        .age_ns = now_ns() - l->since_ns,
        .near = load_counters(&l->near->count),
        .far = l->count,
        .sockets = l->sockets,
        .sockets_max = l->layout.sockets,
        .requests = l->requests,
        .orphan_bytes = l->orphan_bytes,
        .policy = l->policy ? l->policy->name : NULL,
        .draining = l->dead,
    };
    memcpy(out->violations, l->violations, sizeof out->violations);
    snprintf(out->name, sizeof out->name, "%s", l->spec.name);
}

static const char *stream_state(const struct sock *s) {
    static const struct {
        uint32_t bit;
        const char *text;
    } names[] = {
        {FAR_ST_LISTENING, "listening"},
        {FAR_ST_CONNECTING, "connecting"},
        {FAR_ST_HUP, "hung up"},
        {FAR_ST_RDHUP, "peer closed"},
        {FAR_ST_FIN, "peer closed"},
        {FAR_ST_CONNECTED, "connected"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (s->state & names[i].bit) {
            return names[i].text;
        }
    }
    return "new";
}

static const char *state_text(const struct sock *s) {
    if (s->fd < 0) {
        return "poisoned";
    }
    if (s->closing) {
        return "closing";
    }
    if (s->type != FAR_SOCK_STREAM) {
        return s->connected ? "connected" : "open";
    }
    return stream_state(s);
}

static uint32_t queued(int fd, unsigned long what) {
    int n = 0;
    return ioctl(fd, what, &n) < 0 || n < 0 ? 0 : (uint32_t)n;
}

static void get_names(int fd, struct sock_info *out) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) == 0) {
        far_addr_of(&sa, len, &out->local);
    }
    len = sizeof sa;
    if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0) {
        far_addr_of(&sa, len, &out->peer);
    }
}

static void get_info(const struct sock *s, struct sock_info *out) {
    *out = (struct sock_info){
        .slot = s->slot,
        .family = s->family,
        .type = s->type,
        .proto = s->proto,
        .state = s->state,
        .tx_ring = s->tx_size,
        .tx_used = tx_used(s),
        .rx_ring = s->rx_size,
        .rx_used = s->rx_head - s->rx_tail,
        .tx_bytes = s->tx_bytes,
        .rx_bytes = s->rx_bytes,
        .kicks_in = s->kicks_in,
        .kicks_out = s->kicks_out,
        .last_error = s->last_error,
    };
    snprintf(out->state_text, sizeof out->state_text, "%s", state_text(s));
    if (s->fd >= 0) {
        get_names(s->fd, out);
        out->tx_kernel = queued(s->fd, SIOCOUTQ);
        out->rx_kernel = queued(s->fd, SIOCINQ);
    }
}

// What is in the rings by the near line as it is now; a wild one is found at
// its turn.
static void look_now(const struct sock *s, const struct far_near_line *near,
    struct sock_info *out) {
    FAR_INV(FAR_AT_SHOW_LINE, near, sizeof *near);
    if (far_load(&near->gen) != s->gen) {
        return;
    }
    uint32_t tx = far_load(&near->tx_head) - s->tx_tail;
    uint32_t rx = s->rx_head - far_load(&near->rx_tail);
    out->tx_used = tx <= s->tx_size ? tx : out->tx_used;
    out->rx_used = rx <= s->rx_size ? rx : out->rx_used;
}

bool link_next_sock(struct link *l, uint32_t *slot, struct sock_info *out) {
    for (uint32_t i = *slot; i < l->layout.sockets; i++) {
        struct sock *s = l->slots[i].sock;
        if (s) {
            get_info(s, out);
            look_now(s, &l->near_lines[i], out);
            *slot = i + 1u;
            return true;
        }
    }
    return false;
}

bool link_next_req(struct link *l, uint32_t *tag, struct req_info *out) {
    for (uint32_t i = *tag; i <= l->layout.tags; i++) {
        struct tag *t = &l->tags[i];
        if (t->op) {
            *out = (struct req_info){
                .tag = i,
                .op = t->op,
                .slot = t->slot,
                .age_ns = now_ns() - t->since_ns,
            };
            *tag = i + 1u;
            return true;
        }
    }
    return false;
}
