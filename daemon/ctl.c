// What farsock show and farsock dump print: the daemon's state as text.
// SPDX-License-Identifier: MIT
#include "daemon/ctl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/text.h"
#include "farsock/proto.h"

enum stage {
    STAGE_DAEMON,
    STAGE_RULES,
    STAGE_LINK,
    STAGE_REQUESTS,
    STAGE_SOCKETS
};

// Where the text goes. Never overflows: a piece starts only with room for it.
struct out {
    char *text;
    size_t len;
    size_t room;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o,
    const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(o->text + o->len, o->room - o->len, fmt, args);
    va_end(args);
    if (n > 0 && (size_t)n < o->room - o->len) {
        o->len += (size_t)n;
    }
}

static uint64_t ms(uint64_t ns) {
    return ns / 1000000u;
}

static uint32_t count_links(struct engine *e) {
    uint32_t n = 0;
    struct link *l = NULL;
    while ((l = engine_link_next(e, l)) != NULL) {
        n++;
    }
    return n;
}

// --- For programs; farsock(1) names the columns ---

// "index=2,ring=1", or "-". Of a link, or with NULL of all that there were.
#define KINDS_TEXT 160
static const char *kinds(const struct ctl *c, const struct link_info *i,
    char text[static KINDS_TEXT]) {
    size_t n = 0;
    text[0] = '\0';
    for (int k = 0; k < VIOLATION_KINDS && n < KINDS_TEXT - 24u; k++) {
        uint32_t count = i ? i->violations[k]
                           : engine_violations(c->engine, (enum violation)k);
        if (count > 0) {
            n += (size_t)snprintf(text + n, KINDS_TEXT - n, "%s%s=%u",
                n > 0 ? "," : "", violation_name((enum violation)k), count);
        }
    }
    return n > 0 ? text : "-";
}

static uint32_t all_kinds(const struct link_info *i) {
    uint32_t n = 0;
    for (int k = 0; k < VIOLATION_KINDS; k++) {
        n += i->violations[k];
    }
    return n;
}

static void dump_daemon(struct ctl *c, struct out *o) {
    struct engine_totals all;
    engine_get_totals(c->engine, &all);
    put(o, "daemon\t%s\t%u\t%d\t%" PRIu64 "\t%u\t%u", FARSOCK_VERSION,
        FAR_WIRE_VERSION, (int)getpid(), ms(clock_ns() - c->started_ns),
        count_links(c->engine), c->config->max_links);
    char text[KINDS_TEXT];
    put(o, "\t%u\t%u\t%" PRIu64 "\t%" PRIu64 "\t%s\n", all.links, all.sockets,
        all.tx_bytes, all.rx_bytes, kinds(c, NULL, text));
}

static void dump_counters(struct out *o, const struct far_counters *n) {
    put(o, "\t%u\t%u\t%u\t%u\t%u", n->kicks, n->doorbells, n->wakeups,
        n->rescues, n->spurious);
}

static void dump_link(const struct ctl *c, const struct link_info *i,
    struct out *o) {
    char text[KINDS_TEXT];
    put(o, "link\t%u\t%s\t%d\t%u\t%u\t%" PRIu64 "\t%s\t%u\t%u\t%u", i->id,
        i->name, (int)i->pid, i->uid, i->gid, ms(i->age_ns),
        i->draining ? "draining" : "up", i->sockets, i->sockets_max,
        i->requests);
    dump_counters(o, &i->near);
    dump_counters(o, &i->far);
    put(o, "\t%u\t%" PRIu64 "\t%s%s", all_kinds(i), i->orphan_bytes,
        i->policy == NULL    ? "-"
        : *i->policy == '\0' ? "policy"
                             : "policy ",
        i->policy == NULL ? "" : i->policy);
    put(o, "\t%s\n", kinds(c, i, text));
}

static void dump_rule(const struct policy *p, const struct policy_rule *r,
    struct out *o) {
    put(o, "rule\tpolicy%s%s", p->name[0] != '\0' ? " " : "", p->name);
    if (r != NULL) {
        put(o, "\t%u\t%" PRIu64 "\t%s\n", r->line, r->count.hits, r->text);
    } else {
        put(o, "\t0\t%" PRIu64 "\tdefault %s\n", p->count.hits,
            p->allow ? "allow" : "deny");
    }
}

static void dump_request(uint32_t link, const struct req_info *r,
    struct out *o) {
    put(o, "request\t%u\t%u\t%s\t%d\t%" PRIu64 "\n", link, r->tag,
        far_op_name(r->op), r->slot, ms(r->age_ns));
}

// --- What a socket waits for ---

// Near's sends and POLLOUT want a third of the ring free.
static bool tx_is_full(const struct sock_info *s) {
    return s->tx_used > s->tx_ring - s->tx_ring / 3;
}

// What the kernel has for near finds no room in its ring.
static bool rx_is_full(const struct sock_info *s) {
    return s->rx_used > 0 && s->rx_kernel > 0;
}

// A comma-separated list, "-" for nothing.
static const char *waits(const struct sock_info *s, char list[static 48]) {
    bool network = (s->state & FAR_ST_CONNECTING) != 0 || s->tx_used > 0 ||
                   s->tx_kernel > 0;
    bool near = s->rx_used > 0 || (s->state & FAR_ST_ACCEPT) != 0;
    snprintf(list, 48, "%s%s%s%s", network ? ",network" : "",
        tx_is_full(s) ? ",tx-room" : "", near ? ",near" : "",
        rx_is_full(s) ? ",rx-room" : "");
    return list[0] == '\0' ? "-" : list + 1;
}

static const char *family_name(uint32_t family) {
    return family == FAR_AF_INET    ? "inet"
           : family == FAR_AF_INET6 ? "inet6"
                                    : "?";
}

static const char *type_name(uint32_t type) {
    return type == FAR_SOCK_STREAM  ? "stream"
           : type == FAR_SOCK_DGRAM ? "dgram"
           : type == FAR_SOCK_RAW   ? "raw"
                                    : "?";
}

static void dump_socket(uint32_t link, const struct sock_info *s,
    struct out *o) {
    char local[TEXT_ADDR];
    char peer[TEXT_ADDR];
    char list[48];
    put(o, "socket\t%u\t%u\t%s\t%s\t%u\t%s\t%s\t%s", link, s->slot,
        family_name(s->family), type_name(s->type), s->proto, s->state_text,
        text_addr(local, &s->local), text_addr(peer, &s->peer));
    put(o, "\t%u\t%u\t%u\t%u\t%u\t%u", s->tx_ring, s->tx_used, s->tx_kernel,
        s->rx_ring, s->rx_used, s->rx_kernel);
    put(o, "\t%" PRIu64 "\t%" PRIu64 "\t%u\t%u\t%s\t%s\n", s->tx_bytes,
        s->rx_bytes, s->kicks_in, s->kicks_out, text_err(s->last_error),
        waits(s, list));
}

// --- For people ---

static void show_totals(struct ctl *c, struct out *o) {
    struct engine_totals all;
    char sent[TEXT_SIZE];
    char rcvd[TEXT_SIZE];
    engine_get_totals(c->engine, &all);
    put(o, "in all: links %u, sockets %u, bytes sent %s, received %s\n",
        all.links, all.sockets, text_size(sent, all.tx_bytes),
        text_size(rcvd, all.rx_bytes));
}

static void show_daemon(struct ctl *c, struct out *o) {
    char age[TEXT_AGE];
    put(o, "farsockd %s, process %d, up %s, protocol %u, %u of %u links\n",
        FARSOCK_VERSION, (int)getpid(),
        text_age(age, clock_ns() - c->started_ns), FAR_WIRE_VERSION,
        count_links(c->engine), c->config->max_links);
    show_totals(c, o);
    for (uint32_t i = 0; i < c->config->links; i++) {
        put(o, "listens at %s\n", c->config->link[i]);
    }
}

static void show_rule(const struct policy *p, const struct policy_rule *r,
    struct out *o) {
    bool first = r == p->rules;
    if (first) {
        put(o, "policy%s%s:\n", p->name[0] != '\0' ? " " : "", p->name);
    }
    put(o, "  %10" PRIu64 "  %s%s\n", r != NULL ? r->count.hits : p->count.hits,
        r != NULL ? "" : "default ",
        r != NULL  ? r->text
        : p->allow ? "allow"
                   : "deny");
}

static void show_counters(struct out *o, const char *who,
    const struct far_counters *n) {
    put(o, "  %-5s kicks %u, doorbells %u, wake-ups %u (%u for nothing)", who,
        n->kicks, n->doorbells, n->wakeups, n->spurious);
    put(o, ", rescues %u\n", n->rescues);
}

static void show_link(const struct link_info *i, struct out *o) {
    char age[TEXT_AGE];
    char size[TEXT_SIZE];
    put(o, "\nlink %u: %s, process %d, user %u, up %s, sockets %u of %u", i->id,
        i->name, (int)i->pid, i->uid, text_age(age, i->age_ns), i->sockets,
        i->sockets_max);
    put(o, ", open requests %u\n", i->requests);
    show_counters(o, "near:", &i->near);
    show_counters(o, "far:", &i->far);
    if (i->draining) {
        put(o, "  the near core is gone; what it had written is being sent\n");
    }
    if (i->orphan_bytes > 0) {
        put(o, "  of closed sockets, not yet sent: %s bytes\n",
            text_size(size, i->orphan_bytes));
    }
    if (all_kinds(i) > 0) {
        char text[KINDS_TEXT];
        put(o, "  the near core broke the protocol %u times: %s\n",
            all_kinds(i), kinds(NULL, i, text));
    }
}

static void show_request(const struct req_info *r, struct out *o) {
    char age[TEXT_AGE];
    put(o, "  request %u: %s", r->tag, far_op_name(r->op));
    if (r->slot >= 0) {
        put(o, " on socket %d", r->slot);
    }
    put(o, ", open for %s\n", text_age(age, r->age_ns));
}

static const char *short_type(const struct sock_info *s, char out[static 16]) {
    const char *type = s->type == FAR_SOCK_STREAM  ? "tcp"
                       : s->type == FAR_SOCK_DGRAM ? "udp"
                                                   : type_name(s->type);
    snprintf(out, 16, "%s%s", type, s->family == FAR_AF_INET6 ? "6" : "");
    return out;
}

// "12.0K+3.1K": in the ring and in the kernel.
static const char *queued(char out[static 2 * TEXT_SIZE], uint32_t ring,
    uint32_t kernel) {
    char a[TEXT_SIZE];
    char b[TEXT_SIZE];
    snprintf(out, 2 * TEXT_SIZE, "%s+%s", text_size(a, ring),
        text_size(b, kernel));
    return out;
}

#define SOCKET_ROW "  %5s %-5s %-12s %-22s %-22s %13s %13s %7s %7s  %-12s %s\n"

static void show_heading(struct out *o) {
    put(o, SOCKET_ROW, "sock", "type", "state", "local", "peer", "out+kernel",
        "in+kernel", "sent", "rcvd", "last error", "waits for");
}

static void show_socket(const struct sock_info *s, struct out *o) {
    char slot[12];
    char type[16];
    char local[TEXT_ADDR];
    char peer[TEXT_ADDR];
    char tx[2 * TEXT_SIZE];
    char rx[2 * TEXT_SIZE];
    char sent[TEXT_SIZE];
    char rcvd[TEXT_SIZE];
    char list[48];
    snprintf(slot, sizeof(slot), "%u", s->slot);
    put(o, SOCKET_ROW, slot, short_type(s, type), s->state_text,
        text_addr(local, &s->local), text_addr(peer, &s->peer),
        queued(tx, s->tx_used, s->tx_kernel),
        queued(rx, s->rx_used, s->rx_kernel), text_size(sent, s->tx_bytes),
        text_size(rcvd, s->rx_bytes), text_err(s->last_error), waits(s, list));
}

// --- One piece after the other ---

// The link with the least id above last, so that links which come and go
// between two pieces make us neither skip nor repeat one.
static struct link *link_after(struct engine *e, uint32_t last,
    struct link_info *info) {
    struct link *best = NULL;
    struct link *l = NULL;
    while ((l = engine_link_next(e, l)) != NULL) {
        struct link_info i;
        link_get_info(l, &i);
        if (i.id > last && (best == NULL || i.id < info->id)) {
            best = l;
            *info = i;
        }
    }
    return best;
}

static void piece_daemon(struct ctl *c, struct out *o) {
    if (c->dump) {
        dump_daemon(c, o);
    } else {
        show_daemon(c, o);
    }
    c->stage = STAGE_RULES;
}

static void piece_rule(struct ctl *c, struct out *o) {
    const struct policy *p;
    const struct policy_rule *r;
    if (!policy_row(&c->config->policy, c->rule++, &p, &r)) {
        c->stage = STAGE_LINK;
    } else if (c->dump) {
        dump_rule(p, r, o);
    } else {
        show_rule(p, r, o);
    }
}

static bool piece_link(struct ctl *c, struct out *o) {
    struct link_info info;
    if (link_after(c->engine, c->link, &info) == NULL) {
        return false;
    }
    if (c->dump) {
        dump_link(c, &info, o);
    } else {
        show_link(&info, o);
    }
    c->link = info.id;
    c->next = 0;
    c->headed = false;
    c->stage = STAGE_REQUESTS;
    return true;
}

static bool piece_request(struct ctl *c, struct link *l, struct out *o) {
    struct req_info r;
    if (!link_next_req(l, &c->next, &r)) {
        return false;
    }
    if (c->dump) {
        dump_request(c->link, &r, o);
    } else {
        show_request(&r, o);
    }
    return true;
}

static bool piece_socket(struct ctl *c, struct link *l, struct out *o) {
    struct sock_info s;
    if (!link_next_sock(l, &c->next, &s)) {
        return false;
    }
    if (c->dump) {
        dump_socket(c->link, &s, o);
        return true;
    }
    if (!c->headed) {
        show_heading(o);
        c->headed = true;
    }
    show_socket(&s, o);
    return true;
}

static void piece_of_link(struct ctl *c, struct out *o) {
    struct link_info info;
    struct link *l = link_after(c->engine, c->link - 1, &info);
    bool there = l != NULL && info.id == c->link;
    if (there && c->stage == STAGE_REQUESTS && piece_request(c, l, o)) {
        return;
    }
    if (there && c->stage == STAGE_SOCKETS && piece_socket(c, l, o)) {
        return;
    }
    c->next = 0;
    c->stage = c->stage == STAGE_REQUESTS ? STAGE_SOCKETS : STAGE_LINK;
}

size_t ctl_fill(struct ctl *c, char *text, size_t room) {
    struct out o = {.text = text, .room = room};
    while (o.room - o.len >= CTL_ROOM_MIN) {
        if (c->stage == STAGE_DAEMON) {
            piece_daemon(c, &o);
        } else if (c->stage == STAGE_RULES) {
            piece_rule(c, &o);
        } else if (c->stage > STAGE_LINK) {
            piece_of_link(c, &o);
        } else if (!piece_link(c, &o)) {
            break;
        }
    }
    return o.len;
}
