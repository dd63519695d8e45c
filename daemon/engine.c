// The loop: events, turns of busy links, deadlines.
// SPDX-License-Identifier: MIT
#include "daemon/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "daemon/batch.h"
#include "daemon/core.h"
#include "daemon/log.h"

#define DEFAULT_THREADS      4u
#define DEFAULT_ORPHANS      (256ull << 20)
#define DEFAULT_LINK_ORPHANS (16ull << 20)
#define DEFAULT_TOKENS       4096u
#define DEFAULT_ORPHAN_S     600u

uint64_t now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int engine_watch(struct engine *e, struct watch *w, int fd, uint32_t events) {
    struct epoll_event ev = {
        .events = events | EPOLLET,
        .data.ptr = w,
    };
    return epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

// What this turn has fetched and not served may name w.
static void forget_events(struct engine *e, const struct watch *w) {
    for (int i = e->event_next; i < e->event_count; i++) {
        if (e->events[i].data.ptr == w) {
            e->events[i].data.ptr = NULL;
        }
    }
}

void engine_rewatch(struct engine *e, struct watch *old, struct watch *w,
    int fd, uint32_t events) {
    struct epoll_event ev = {
        .events = events | EPOLLET,
        .data.ptr = w,
    };
    epoll_ctl(e->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
    if (old != w) {
        forget_events(e, old);
    }
}

void engine_unwatch(struct engine *e, struct watch *w, int fd) {
    epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    forget_events(e, w);
}

static void stop_ready(struct watch *w, uint32_t events) {
    // Never read: the flag says it, the descriptor only ends epoll_wait().
    (void)w;
    (void)events;
}

void engine_stop(struct engine *e) {
    int saved = errno;
    uint64_t one = 1;
    e->stop = true;
    // Fails only when it is full, and then the loop is awake.
    ssize_t n = write(e->stop_fd, &one, sizeof one);
    (void)n;
    errno = saved;
}

static bool open_descriptors(struct engine *e) {
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->epoll_fd < 0) {
        return false;
    }
    e->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->stop_fd < 0) {
        return false;
    }
    e->stop_watch.ready = stop_ready;
    if (engine_watch(e, &e->stop_watch, e->stop_fd, EPOLLIN) < 0) {
        return false;
    }
    e->resolver =
        resolver_new(e, e->config.resolver_threads, e->config.resolver_spare);
    return e->resolver != NULL;
}

struct engine *engine_new(const struct engine_config *config) {
    struct engine *e = calloc(1, sizeof *e);
    if (!e) {
        return NULL;
    }
    e->config = *config;
    if (!e->config.resolver_threads) {
        e->config.resolver_threads = DEFAULT_THREADS;
    }
    if (!e->config.orphan_bytes) {
        e->config.orphan_bytes = DEFAULT_ORPHANS;
    }
    if (!e->config.orphan_link_bytes) {
        e->config.orphan_link_bytes = DEFAULT_LINK_ORPHANS;
    }
    if (!e->config.user_tokens) {
        e->config.user_tokens = DEFAULT_TOKENS;
    }
    if (!e->config.orphan_s) {
        e->config.orphan_s = DEFAULT_ORPHAN_S;
    }
    e->epoll_fd = e->stop_fd = e->route_fd = -1;
    node_init(&e->links);
    node_init(&e->busy);
    node_init(&e->more);
    node_init(&e->ending);
    node_init(&e->ticking);
    node_init(&e->muted);
    node_init(&e->lingering);
    node_init(&e->held);
    node_init(&e->orphans);
    node_init(&e->tokens);
    node_init(&e->reusing);
    if (!open_descriptors(e)) {
        int saved = errno;
        engine_free(e);
        errno = saved;
        return NULL;
    }
    route_open(e);
    return e;
}

// Closes its sockets as if near had gone. What the kernel does not take at once
// is lost: nobody will be here to send it.
static void end_link(struct link *l) {
    bool gone = false;
    engine_link_drop(l);
    while (!gone && link_turn(l, &gone)) {
    }
    if (!gone) {
        link_reset(l, NULL);
    }
    while (!gone) {
        link_turn(l, &gone);
    }
}

void engine_free(struct engine *e) {
    struct link *l;
    while ((l = engine_link_next(e, NULL)) != NULL) {
        end_link(l);
    }
    orphans_free(e);
    tokens_free(e);
    route_close(e);
    if (e->resolver) {
        resolver_free(e->resolver);
    }
    batch_free(e);
    if (e->stop_fd >= 0) {
        close(e->stop_fd);
    }
    if (e->epoll_fd >= 0) {
        close(e->epoll_fd);
    }
    free(e);
}

// Milliseconds until the first lingering close gives up, a link is to be looked
// at, or a stream has been held for long; -1: never. They are few and rare, so
// there is no order to keep.
static int next_deadline(struct engine *e) {
    uint64_t first = orphans_deadline(e);
    uint64_t held = bulk_deadline(e);
    first = held < first ? held : first;
    for (struct node *n = e->lingering.next; n != &e->lingering; n = n->next) {
        struct sock *s = OF(n, struct sock, linger);
        first = s->linger_until_ns < first ? s->linger_until_ns : first;
    }
    for (struct node *n = e->ticking.next; n != &e->ticking; n = n->next) {
        uint64_t at = OF(n, struct link, tick)->tick_ns;
        first = at < first ? at : first;
    }
    for (struct node *n = e->muted.next; n != &e->muted; n = n->next) {
        uint64_t at = OF(n, struct link, muted)->muted_ns;
        first = at < first ? at : first;
    }
    if (first == UINT64_MAX) {
        return -1;
    }
    uint64_t now = now_ns();
    uint64_t ms = first > now ? (first - now) / 1000000u + 1u : 0;
    return ms > 3600000u ? 3600000 : (int)ms;
}

static void hear_again(struct engine *e, uint64_t now) {
    struct node *next;
    for (struct node *n = e->muted.next; n != &e->muted; n = next) {
        struct link *l = OF(n, struct link, muted);
        next = n->next;
        if (l->muted_ns <= now) {
            link_hear(l);
        }
    }
}

static void serve_deadlines(struct engine *e) {
    if (node_is_alone(&e->lingering) && node_is_alone(&e->orphans) &&
        node_is_alone(&e->muted) && node_is_alone(&e->held)) {
        return;
    }
    uint64_t now = now_ns();
    hear_again(e, now);
    bulk_expire(e, now);
    orphans_expire(e, now);
    struct node *next;
    for (struct node *n = e->lingering.next; n != &e->lingering; n = next) {
        struct sock *s = OF(n, struct sock, linger);
        next = n->next;
        if (s->linger_until_ns <= now) {
            close_expired(s);
        }
    }
}

static bool has_work(const struct engine *e) {
    return !node_is_alone(&e->busy) || !node_is_alone(&e->more) ||
           !node_is_alone(&e->ending);
}

bool engine_is_idle(const struct engine *e) {
    return !e->crowded && !has_work(e);
}

// Instead of a sleep: how many events there are, 0, or -1. Most look in vain
// where all share one processor, and nobody can do anything meanwhile: so one
// in vain counts for two that pay. Nor does who looks at once do a stream good
// that has much: it is served in smaller pieces.
static int look_early(struct engine *e) {
    struct early *y = &e->early;
    if (e->bulk) {
        return 0;
    }
    if (y->skip > 0) {
        y->skip--;
        return 0;
    }
    uint64_t end = now_ns() + EARLY_NS;
    int n;
    do {
        n = epoll_wait(e->epoll_fd, e->events, TURN_EVENTS, 0);
    } while (n == 0 && now_ns() < end);
    if (n != 0) {
        y->misses -= y->misses > 0;
    } else {
        y->misses += 2u;
        y->misses = y->misses < EARLY_MISSES ? y->misses : EARLY_MISSES;
        y->skip = (1u << y->misses) - 1u;
    }
    return n;
}

static int wait_events(struct engine *e, bool sleep) {
    int ms = sleep && !has_work(e) ? next_deadline(e) : 0;
    int n = ms != 0 ? look_early(e) : 0;
    if (n == 0) {
        n = epoll_wait(e->epoll_fd, e->events, TURN_EVENTS, ms);
    }
    if (n < 0) {
        return errno == EINTR ? 0 : -1;
    }
    e->event_count = n;
    for (e->event_next = 0; e->event_next < e->event_count;) {
        struct epoll_event *ev = &e->events[e->event_next++];
        struct watch *w = ev->data.ptr;
        if (w) {
            w->ready(w, ev->events);
        }
    }
    e->event_count = 0;
    return 0;
}

uint32_t engine_share(struct engine *e, uint32_t all) {
    if (e->rival_ns && now_ns() >= e->rival_ns) {
        e->rival_ns = 0;
    }
    return e->rival_ns ? all / RIVAL_PART : all;
}

static void serve_link(struct link *l) {
    struct engine *e = l->engine;
    bool gone = false;
    node_remove(&l->busy);
    if (!link_turn(l, &gone) || gone) {
        return;
    }
    node_remove(&l->busy);
    node_append(l->dead     ? &e->ending
                : l->floods ? &e->more
                            : &e->busy,
        &l->busy);
}

// The first of a list.
static void serve_next(struct engine *e, struct node *list) {
    struct link *l = OF(list->next, struct link, busy);
    if (l->dead) {
        node_remove(&l->busy);
        node_append(&e->ending, &l->busy);
        return;
    }
    serve_link(l);
}

// Those that flood, until a turn's time is over: then there is a look at what
// has happened to the others. Those that are left are the first next time.
static void serve_floods(struct engine *e, struct node *floods) {
    uint64_t end = now_ns() + TURN_NS;
    do {
        serve_next(e, floods);
    } while (!node_is_alone(floods) && now_ns() < end);
    nodes_move(floods, &e->more);
    nodes_move(&e->more, floods);
}

// One turn for each link that something happened to; those that become busy
// meanwhile wait for the next round, behind new events. Then those that flood.
// Of links that end one has its turn: each unmaps a region, whatever its size.
static void serve_links(struct engine *e) {
    struct node turn;
    struct node floods;
    node_init(&turn);
    node_init(&floods);
    nodes_move(&turn, &e->busy);
    nodes_move(&floods, &e->more);
    e->quiet = false;
    e->bulk = false;
    e->crowded = turn.next != turn.prev || !node_is_alone(&floods);
    while (!node_is_alone(&turn)) {
        serve_next(e, &turn);
    }
    if (!node_is_alone(&floods)) {
        serve_floods(e, &floods);
    }
    if (!node_is_alone(&e->ending)) {
        serve_link(OF(e->ending.next, struct link, busy));
    }
}

uint64_t engine_turns(const struct engine *e) {
    return e->turns;
}

int engine_turn(struct engine *e, bool sleep) {
    e->turns++;
    if (wait_events(e, sleep) < 0) {
        return -1;
    }
    serve_deadlines(e);
    links_tick(e);
    serve_links(e);
    return 0;
}

int engine_run(struct engine *e) {
    while (!e->stop) {
        if (engine_turn(e, true) < 0) {
            return -1;
        }
    }
    return 0;
}
