// Takes connections at the places we listen at.
// SPDX-License-Identifier: MIT
#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/conn.h"
#include "daemon/log.h"
#include "farsock/errors.h"

#define RETRY_NS     UINT64_C(200000000) // to accept, without descriptors
#define ACCEPT_BURST 4                   // connections in one turn

struct port {
    struct watch watch;
    struct listener *l;
    const struct place *place;
};

struct listener {
    struct watch timer;
    struct service s;
    int reserve; // given up to accept and refuse when there are none left
    size_t count;
    struct port ports[];
};

static void keep_reserve(struct listener *l) {
    if (l->reserve < 0) {
        l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

// No descriptor is left: the one in reserve lets us take the connection and say
// so, instead of leaving it to wait for ever.
static bool accept_and_refuse(struct listener *l, int listening, int err) {
    if (l->reserve < 0) {
        return false;
    }
    close(l->reserve);
    l->reserve = -1;
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        conn_turn_away(fd, err);
    }
    keep_reserve(l);
    return fd >= 0;
}

// True if it is worth trying again at once.
static bool accept_failed(struct listener *l, int listening) {
    int err = errno == EMFILE   ? FAR_EMFILE
              : errno == ENFILE ? FAR_ENFILE
                                : FAR_ENOMEM;
    if (errno == EAGAIN) {
        return false;
    }
    if (errno == ECONNABORTED || errno == EINTR) {
        return true;
    }
    if (far_log_allowed(&l->s.rate, LOG_BURST)) {
        far_log(FAR_LOG_ERROR, "cannot accept a connection: %s",
            strerror(errno));
    }
    if (accept_and_refuse(l, listening, err)) {
        return true;
    }
    l->s.retry_ns = clock_ns() + RETRY_NS;
    service_set_timer(&l->s);
    return false;
}

static void port_ready(struct watch *watch, uint32_t events) {
    struct port *p = (struct port *)watch;
    int listening = p->place->fd;
    (void)events;
    // Those that have said hello come first: else they would count as silent.
    for (int i = 0; i < ACCEPT_BURST && p->l->s.late == 0; i++) {
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_new(&p->l->s, fd);
        } else if (!accept_failed(p->l, listening)) {
            return;
        }
    }
    service_rewatch(&p->l->s, &p->watch, listening, EPOLLIN);
}

// --- The timer ---

static void timer_ready(struct watch *watch, uint32_t events) {
    struct listener *l = (struct listener *)watch;
    (void)events;
    uint64_t count;
    ssize_t n = read(l->s.timer_fd, &count, sizeof(count));
    (void)n;
    service_drop_late(&l->s);
    if (l->s.retry_ns != 0 && l->s.retry_ns <= clock_ns()) {
        l->s.retry_ns = 0;
        keep_reserve(l);
        for (size_t i = 0; i < l->count; i++) {
            port_ready(&l->ports[i].watch, EPOLLIN);
        }
    }
    service_set_timer(&l->s);
}

// --- Life ---

static int watch_all(struct listener *l, const struct place *places) {
    struct engine *e = l->s.engine;
    if (engine_watch(e, &l->timer, l->s.timer_fd, EPOLLIN) < 0) {
        return -1;
    }
    for (size_t i = 0; i < l->count; i++) {
        struct port *p = &l->ports[i];
        *p = (struct port){{port_ready}, l, &places[i]};
        if (engine_watch(e, &p->watch, places[i].fd, EPOLLIN) < 0) {
            return -1;
        }
    }
    return 0;
}

struct listener *listener_new(struct engine *e, const struct config *config,
    const struct place *places, size_t count) {
    struct listener *l = calloc(1, sizeof(*l) + count * sizeof(l->ports[0]));
    if (l == NULL) {
        return NULL;
    }
    l->s = (struct service){
        .engine = e,
        .config = config,
        .started_ns = clock_ns(),
        .timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
    };
    TAILQ_INIT(&l->s.conns);
    l->timer.ready = timer_ready;
    l->count = count;
    l->reserve = -1;
    keep_reserve(l);
    if (l->s.timer_fd < 0 || l->reserve < 0 || watch_all(l, places) < 0) {
        return NULL; // nothing is to be saved: the daemon ends
    }
    return l;
}

void listener_stop(struct listener *l) {
    struct engine *e = l->s.engine;
    for (size_t i = 0; i < l->count; i++) {
        engine_unwatch(e, &l->ports[i].watch, l->ports[i].place->fd);
    }
    while (!TAILQ_EMPTY(&l->s.conns)) {
        conn_close(TAILQ_FIRST(&l->s.conns));
    }
    engine_unwatch(e, &l->timer, l->s.timer_fd);
}

void listener_free(struct listener *l) {
    close(l->s.timer_fd);
    if (l->reserve >= 0) {
        close(l->reserve);
    }
    free(l);
}
