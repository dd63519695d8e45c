// A link's life, its messages in and out, and its turns.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/bell.h"
#include "daemon/log.h"
#include "daemon/policy.h"

static void free_link(struct link *l);

void link_wake(struct link *l) {
    if (node_is_alone(&l->busy)) {
        node_append(&l->engine->busy, &l->busy);
        // Its turn ends with a look for messages, but a dead one's: its memory
        // may be another life's by now.
        if (!l->dead) {
            far_msg_awake(&l->cmd);
        }
    }
}

// --- What near did wrong ---

void link_reset(struct link *l, const char *why) {
    if (l->reset) {
        return;
    }
    if (why) {
        far_log(FAR_LOG_WARN, "link %u (%s, pid %d): reset: %s", l->id,
            l->spec.name, (int)l->spec.pid, why);
    }
    l->reset = true;
    l->dead = true;
    link_wake(l);
}

// --- Messages to near ---

// Forgets KICKs that were read, whose positions would else come round again
// after 4 GiB of messages and look unread.
static void age_kicks(struct link *l, uint32_t before) {
    if (((before ^ l->evt.head) >> 30) == 0) {
        return;
    }
    for (uint32_t i = 0; i < l->layout.sockets; i++) {
        struct slot *sl = &l->slots[i];
        sl->kicked = sl->kicked && far_msg_pending(&l->evt, sl->kicked_pos);
    }
}

static void put(struct link *l, struct far_msg m, const void *a, uint32_t a_len,
    const void *b, uint32_t b_len) {
    if (l->dead) {
        return;
    }
    // The ring holds an answer for each tag and one KICKED for each socket, so
    // that it is full only if near took more than its due.
    uint32_t before = l->evt.head;
    if (far_msg_put(&l->evt, m, a, a_len, b, b_len) != FAR_OK) {
        link_breach(l, VIOLATION_ROOM, "it takes no answers");
        return;
    }
    age_kicks(l, before);
    l->evt_dirty = true;
    l->evt_due = true;
    link_wake(l);
}

void link_kick(struct link *l, uint32_t slot) {
    struct slot *sl = &l->slots[slot];
    if (l->dead || (sl->kicked && far_msg_pending(&l->evt, sl->kicked_pos))) {
        return;
    }
    struct far_msg m = {.op = FAR_OP_KICKED, .sock = (uint16_t)slot};
    put(l, m, NULL, 0, NULL, 0);
    sl->kicked = true;
    sl->kicked_pos = l->evt.head;
    l->count.kicks++;
    if (sl->sock) {
        sl->sock->kicks_out++;
    }
}

void link_tell_closed(struct link *l, uint32_t slot) {
    bool due = l->evt_due;
    link_kick(l, slot);
    l->evt_due = due;
}

// Keeps data for FETCH. Without memory near gets the first part only, and an
// error for the rest.
static void keep(struct tag *t, const void *data, uint32_t len) {
    t->data = malloc(len);
    if (t->data) {
        memcpy(t->data, data, len);
        t->total = len;
    }
}

void link_reply_part(struct link *l, uint32_t tag, int32_t result,
    const void *part, uint32_t len, uint32_t total) {
    if (!tag) {
        return;
    }
    struct far_reply rep = {.result = result, .total = total};
    struct far_msg m = {.op = FAR_OP_REPLY, .tag = (uint16_t)tag};
    l->tags[tag].op = 0;
    l->requests--;
    put(l, m, &rep, (uint32_t)sizeof rep, part, len);
}

void link_reply(struct link *l, uint32_t tag, int32_t result, const void *data,
    uint32_t len) {
    uint32_t part = len;
    if (tag && len > FAR_REPLY_DATA_MAX) {
        part = FAR_REPLY_DATA_MAX;
        keep(&l->tags[tag], data, len);
    }
    link_reply_part(l, tag, result, data, part, len);
}

static void flush(struct link *l) {
    if (!l->evt_dirty) {
        return;
    }
    l->evt_dirty = false;
    l->evt_due = false;
    if (!far_msg_publish(&l->evt)) {
        return;
    }
    bell_ring(l->spec.bell_to_near);
    l->count.doorbells++;
}

// --- Messages from near ---

// False: it was put aside.
static bool serve(struct link *l, const struct far_msg *m,
    const void *payload) {
    if (m->tag > l->layout.tags || m->sock >= l->layout.sockets) {
        link_breach(l, VIOLATION_MESSAGE,
            "a message names no tag or socket of this link");
        return true;
    }
    if (m->op >= FAR_OP_REPLY) {
        link_breach(l, VIOLATION_MESSAGE, "a message that only far sends");
        return true;
    }
    return op_serve(l, m, payload);
}

// Messages served. *more: this turn's share of them, or its time, is used up,
// or one was put aside; else there are no more.
static uint32_t serve_messages(struct link *l, bool *more) {
    uint64_t buf[FAR_RECORD_MAX / 8u];
    *more = true;
    if (l->is_aside && !l->reset && !op_go_on(l)) {
        return 0;
    }
    for (uint32_t i = 0; i < TURN_MESSAGES; i++) {
        struct far_msg m;
        int some = l->reset ? 0 : far_msg_get(&l->cmd, &m, buf);
        if (some <= 0) {
            if (some < 0) {
                link_breach(l, VIOLATION_RING, "its message ring is garbage");
            }
            *more = false;
            return i;
        }
        if (!serve(l, &m, buf)) {
            return i + 1u;
        }
        *more = far_msg_is_there(&l->cmd);
        if (!*more || now_ns() >= l->turn_end_ns) {
            return i + 1u;
        }
    }
    return TURN_MESSAGES;
}

// --- Turns ---

static void publish_counters(struct link *l) {
    struct far_counters *c = &l->far->count;
    far_store(&c->kicks, l->count.kicks);
    far_store(&c->doorbells, l->count.doorbells);
    far_store(&c->wakeups, l->count.wakeups);
    far_store(&c->rescues, l->count.rescues);
    far_store(&c->spurious, l->count.spurious);
    FAR_CLEAN(FAR_AT_FAR_COUNT, c, sizeof *c);
}

// What a list's sockets have to do, until bytes or the time are used up. Those
// that are left are first in the next turn.
static uint32_t serve_list(struct link *l, struct node *list, uint32_t bytes) {
    struct node turn;
    node_init(&turn);
    nodes_move(&turn, list);
    bool more = true;
    while (more && !node_is_alone(&turn)) {
        struct node *n = turn.next;
        node_remove(n);
        uint32_t moved = sock_turn(OF(n, struct sock, run));
        l->engine->quiet |= moved > 0 && moved <= QUIET_BYTES;
        bytes += moved + 64u;
        more = bytes < TURN_LINK && !node_is_alone(&turn) &&
               now_ns() < l->turn_end_ns;
    }
    nodes_move(&turn, list);
    nodes_move(list, &turn);
    return bytes;
}

// Somebody floods. If somebody else had little to do, and so may wait for it,
// floods get less for a while.
static void note_rivals(struct engine *e) {
    if (e->quiet) {
        e->rival_ns = now_ns() + RIVAL_NS;
    }
}

// A socket that floods must not delay the others of its link: they go first,
// and near hears of it before the flood goes on.
static void serve_sockets(struct link *l) {
    bool waited = !node_is_alone(&l->more);
    uint32_t bytes = serve_list(l, &l->run, 0);
    if (waited || (!node_is_alone(&l->more) && now_ns() < l->turn_end_ns)) {
        note_rivals(l->engine);
        flush(l);
        serve_list(l, &l->more, bytes);
    }
}

static bool has_work(const struct link *l) {
    return !node_is_alone(&l->run) || !node_is_alone(&l->more);
}

// Near is gone: every socket gets its close, whatever the messages said last;
// some in each turn, since they may be many.
static void close_all(struct link *l) {
    for (uint32_t i = 0; i < l->layout.sockets; i++) {
        struct sock *s = l->slots[i].sock;
        if (s) {
            s->abort |= l->reset;
            sock_wake(s);
        }
    }
}

// What near had asked for before it died is done first, as much in a turn as
// ever. The bound is for a near that lives and only hung up: no more than its
// ring can have held. True when that is all.
static bool serve_last(struct link *l) {
    uint32_t most = l->layout.cmd_bytes / (uint32_t)sizeof(struct far_msg);
    bool more;
    l->last_served += serve_messages(l, &more);
    if (l->is_aside && !l->reset) {
        return false;
    }
    return !more || l->last_served >= most;
}

// False: nothing to do until a kernel socket takes more.
static bool dead_turn(struct link *l, bool *gone) {
    if (!l->drained) {
        l->turn_end_ns = now_ns() + TURN_NS;
        if (!serve_last(l)) {
            return true;
        }
        l->drained = true;
        close_all(l);
    }
    if (l->reset && !l->reset_told) {
        l->reset_told = true;
        close_all(l);
    }
    l->turn_end_ns = UINT64_MAX;
    serve_sockets(l);
    if (l->sockets > 0) {
        return has_work(l);
    }
    free_link(l);
    *gone = true;
    return false;
}

// *more: there are messages that this pass had no time for.
static void serve_pass(struct link *l, bool *more) {
    if (serve_messages(l, more) > 0 || *more) {
        l->idle_bells = 0;
        l->turn_end_ns = now_ns() + TURN_NS;
    }
    serve_sockets(l);
    // Who closes does not wait for it: while there are messages to serve, that
    // a slot is free goes with the next answer.
    if (l->evt_due || !*more) {
        promise_make(l); // near, once woken, may go before us
        flush(l);
    }
    publish_counters(l);
}

bool link_turn(struct link *l, bool *gone) {
    if (l->dead) {
        return dead_turn(l, gone);
    }
    l->turn_end_ns = now_ns() + TURN_NS;
    uint64_t end = l->turn_end_ns;
    for (;;) {
        bool more;
        serve_pass(l, &more);
        if (l->dead || more || has_work(l)) {
            l->floods =
                more || !node_is_alone(&l->more) || now_ns() >= l->turn_end_ns;
            return true;
        }
        l->floods = false;
        // Whatever this turn woke the link for, it has served: without this
        // the loop would look for events once more before it sleeps.
        node_remove(&l->busy);
        if (far_msg_may_sleep(&l->cmd)) {
            link_tick_set(l);
            return false;
        }
        // On one core near, once woken, goes before us: what it asks for next
        // is here already.
        uint64_t now = now_ns();
        if (now >= end || !engine_is_idle(l->engine)) {
            return true;
        }
        l->turn_end_ns = now + TURN_NS;
    }
}

// A doorbell is rung for a message. One that is rung without end, for nothing,
// is not heard for a while: else this link would keep the loop awake.
static void calm_storm(struct link *l) {
    uint64_t now = now_ns();
    bool storm = now - l->bells_ns < STORM_NS && !l->dead;
    l->idle_bells = 0;
    l->bells_ns = now;
    if (storm) {
        link_nuisance(l, VIOLATION_BELL, "its doorbell rings for nothing");
        engine_unwatch(l->engine, &l->bell, l->spec.bell_from_near);
        l->muted_ns = now + STORM_PAUSE_NS;
        node_append(&l->engine->muted, &l->muted);
    }
}

static void bell_ready(struct watch *w, uint32_t events) {
    struct link *l = OF(w, struct link, bell);
    (void)events;
    l->count.wakeups++;
    l->suspect = false;
    link_wake(l);
    if (++l->idle_bells >= STORM_BELLS) {
        calm_storm(l);
    }
}

void link_hear(struct link *l) {
    node_remove(&l->muted);
    // Watched anew it tells of what was rung meanwhile.
    if (engine_watch(l->engine, &l->bell, l->spec.bell_from_near, EPOLLIN) <
        0) {
        link_reset(l, "its doorbell cannot be watched");
    }
}

static void hangup_ready(struct watch *w, uint32_t events) {
    struct link *l = OF(w, struct link, hangup);
    if (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) {
        engine_link_drop(l);
    }
}

void engine_link_drop(struct link *l) {
    l->dead = true;
    link_wake(l);
}

void engine_link_abort(struct link *l, const char *why) {
    link_reset(l, why);
}

// --- Life ---

static void set_policy(struct link *l) {
    struct policy_set *set = l->engine->policies;
    l->policy =
        set ? policy_find(set, l->spec.name, l->spec.uid, l->spec.gid) : NULL;
    l->policy_epoch++;
    l->no_ports = 0;
}

void engine_set_policy(struct engine *e, struct policy_set *set) {
    e->policies = set;
    for (struct node *n = e->links.next; n != &e->links; n = n->next) {
        struct link *l = OF(n, struct link, all);
        set_policy(l);
        promise_revoke(l);
        link_forget_verdicts(l);
    }
}

static void init_far_part(struct link *l) {
    uint32_t base = l->layout.index_base;
    struct far_far_ctl *far = l->far;
    far->hdr.magic = FAR_WIRE_MAGIC;
    far->hdr.version = FAR_WIRE_VERSION;
    far->layout = l->layout;
    far_store(&far->evt.head, base);
    far_store(&far->cmd.tail, base);
    far_store(&far->cmd.wake, base);
    far->hdr.bell = l->spec.bell;
    far->hdr.features = l->spec.features;
    far_store(&far->hdr.epoch, l->spec.epoch);
    far_store(&far->hdr.seen, l->spec.seen);
    far_store(&far->hdr.ready, l->spec.epoch);
    FAR_CLEAN(FAR_AT_FAR_INIT, far, sizeof *far);
    FAR_SYNC(FAR_AT_FAR_INIT_DONE);
}

static void map_parts(struct link *l) {
    char *at = l->spec.region;
    struct far_layout *y = &l->layout;
    l->near = (void *)at;
    l->far = (void *)(at + (size_t)y->far_at * FAR_LINE);
    l->near_lines = (void *)(at + (size_t)y->near_socks * FAR_LINE);
    l->far_lines = (void *)(at + (size_t)y->far_socks * FAR_LINE);
    uint8_t *cmd = (uint8_t *)at + (size_t)y->cmd_at * FAR_LINE;
    uint8_t *evt = (uint8_t *)at + (size_t)y->evt_at * FAR_LINE;
    far_msg_reader_init(&l->cmd, &l->near->cmd, &l->far->cmd, cmd, y->cmd_bytes,
        y->index_base);
    far_msg_writer_init(&l->evt, &l->far->evt, &l->near->evt, evt, y->evt_bytes,
        y->index_base);
}

static bool watch_link(struct link *l) {
    struct engine *e = l->engine;
    l->bell.ready = bell_ready;
    l->hangup.ready = hangup_ready;
    if (engine_watch(e, &l->bell, l->spec.bell_from_near, EPOLLIN) < 0) {
        return false;
    }
    if (l->spec.hangup >= 0 &&
        engine_watch(e, &l->hangup, l->spec.hangup, EPOLLRDHUP) < 0) {
        engine_unwatch(e, &l->bell, l->spec.bell_from_near);
        return false;
    }
    return true;
}

static bool alloc_tables(struct link *l) {
    l->slots = calloc(l->layout.sockets, sizeof *l->slots);
    l->tags = calloc(l->layout.tags + 1u, sizeof *l->tags);
    return l->slots && l->tags;
}

struct link *engine_link_new(struct engine *e, const struct link_spec *spec) {
    if (far_layout_check(&spec->layout, far_layout_bytes(&spec->layout)) !=
        FAR_OK) {
        errno = EINVAL;
        return NULL;
    }
    struct link *l = calloc(1, sizeof *l);
    if (!l) {
        return NULL;
    }
    l->engine = e;
    l->spec = *spec;
    l->spec.epoch = spec->epoch != 0 ? spec->epoch : 1;
    l->spec.seen = spec->seen != 0 ? spec->seen : 1;
    l->layout = spec->layout;
    l->since_ns = now_ns();
    node_init(&l->busy);
    node_init(&l->tick);
    node_init(&l->muted);
    node_init(&l->run);
    node_init(&l->more);
    map_parts(l);
    if (!alloc_tables(l) || !watch_link(l)) {
        int saved = errno;
        free(l->slots);
        free(l->tags);
        free(l);
        errno = saved;
        return NULL;
    }
    init_far_part(l);
    set_policy(l);
    l->id = ++e->last_link_id;
    node_append(&e->links, &l->all);
    link_tick_set(l);
    return l;
}

static void free_link(struct link *l) {
    struct engine *e = l->engine;
    resolver_forget_link(l);
    orphans_forget_link(l);
    promise_end(l);
    node_remove(&l->muted);
    engine_unwatch(e, &l->bell, l->spec.bell_from_near);
    if (l->spec.hangup >= 0) {
        engine_unwatch(e, &l->hangup, l->spec.hangup);
    }
    for (uint32_t i = 0; i <= l->layout.tags; i++) {
        free(l->tags[i].data);
    }
    free(l->tags);
    free(l->slots);
    node_remove(&l->all);
    node_remove(&l->busy);
    node_remove(&l->tick);
    void (*gone)(void *) = l->spec.gone;
    void *arg = l->spec.arg;
    free(l);
    if (gone) {
        gone(arg);
    }
}
