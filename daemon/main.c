// farsockd: serves the network of this machine to near cores.
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/ivshmem.h"
#include "daemon/listener.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/reload.h"
#include "daemon/sandbox.h"
#include "daemon/slice.h"
#include "daemon/place.h"
#include "ports/posix/map.h"

enum { EXIT_USAGE = 2 };

struct server;

struct signals {
    struct watch watch;
    struct server *server;
    int fd;
};

struct server {
    struct options options;
    struct config config;
    size_t count;
    struct place places[CONFIG_LINKS];
    size_t ivshmems;
    struct ivshmem *ivshmem[CONFIG_LINKS];
    struct signals signals;
    struct engine *engine;
    struct listener *listener;
};

// --- Before serving: one line that says what is wrong ---

static int refuse(const char *reason, int status) {
    // What somebody named may hold a newline, and a line shall stay one.
    fputs("farsockd: ", stderr);
    for (const char *p = reason; *p != '\0'; p++) {
        bool control = (unsigned char)*p < ' ' || *p == 0x7f;
        fputc(control ? '?' : *p, stderr);
    }
    fputc('\n', stderr);
    return status;
}

// More sockets than the soft limit allows (often 1024) are the normal case.
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        far_log(FAR_LOG_WARN, "the descriptor limit stays: %s",
            strerror(errno));
    }
}

static bool is_ivshmem(const char *path) {
    return strncmp(path, IVSHMEM_PREFIX, strlen(IVSHMEM_PREFIX)) == 0;
}

// A server of them may let us wait.
static int open_ivshmems(struct server *v, char *reason, size_t len) {
    const struct config *c = &v->config;
    for (uint32_t i = 0; i < c->links; i++) {
        if (is_ivshmem(c->link[i])) {
            struct ivshmem *s = ivshmem_open(c->link[i], c, reason, len);
            if (s == NULL) {
                return -1;
            }
            v->ivshmem[v->ivshmems++] = s;
        }
    }
    return 0;
}

static int open_place(struct server *v, const char *path, char *reason,
    size_t len) {
    if (place_open(&v->places[v->count], path, SOCK_SEQPACKET, v->config.mode,
            reason, len) < 0) {
        return -1;
    }
    v->count++;
    return 0;
}

static int open_places(struct server *v, char *reason, size_t len) {
    struct config *c = &v->config;
    if (c->links == 0) {
        if (place_default(c->link[0], sizeof(c->link[0]), reason, len) < 0) {
            return -1;
        }
        c->links = 1;
    }
    for (uint32_t i = 0; i < c->links; i++) {
        if (!is_ivshmem(c->link[i]) &&
            open_place(v, c->link[i], reason, len) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < v->count; i++) {
        if (place_give(&v->places[i], geteuid() == 0 ? c->user : IDS_NONE,
                c->group, reason, len) < 0) {
            return -1;
        }
    }
    return 0;
}

static int drop_rights(const struct config *c, char *reason, size_t len) {
    return sandbox_drop(c->user, sandbox_rights(&c->policy, c->user), reason,
        len);
}

// When all threads are there.
static int filter_calls(const struct config *c) {
    int err = c->seccomp ? sandbox_filter() : 0;
    if (err > 0) {
        far_log(FAR_LOG_DEBUG, "this build has no filter for system calls");
    }
    return err < 0 ? -1 : 0;
}

static void close_places(struct server *v) {
    while (v->count > 0) {
        place_close(&v->places[--v->count]);
    }
}

static void close_ivshmems(struct server *v) {
    while (v->ivshmems > 0) {
        ivshmem_close(v->ivshmem[--v->ivshmems]);
    }
}

// --- Signals ---

static void signal_ready(struct watch *watch, uint32_t events) {
    struct signals *s = (struct signals *)watch;
    struct signalfd_siginfo info;
    (void)events;
    while (read(s->fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            reload(&s->server->config, &s->server->options, s->server->engine);
            continue;
        }
        far_log(FAR_LOG_INFO, "stopping: %s",
            info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
        engine_stop(s->server->engine);
    }
}

// Blocked before any thread begins, so that none of them is interrupted.
static int make_signals(struct signals *s) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a region above RLIMIT_FSIZE is an error only
    s->watch.ready = signal_ready;
    s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return s->fd;
}

// --- Serving ---

#define SPARE_LOOKUPS 8u // threads beside those that the configuration names

static int start(struct server *v) {
    struct engine_config ec = {
        .resolver_threads = v->config.lookups,
        .resolver_spare = SPARE_LOOKUPS,
        .orphan_bytes = v->config.orphans,
        .orphan_link_bytes = v->config.max_orphans,
        .orphan_s = v->config.orphan_time,
        .gives_way = true,
    };
    v->engine = engine_new(&ec);
    if (v->engine == NULL) {
        return -1;
    }
    engine_set_policy(v->engine, &v->config.policy);
    v->signals.server = v;
    if (engine_watch(v->engine, &v->signals.watch, v->signals.fd, EPOLLIN) <
        0) {
        return -1;
    }
    for (size_t i = 0; i < v->ivshmems; i++) {
        if (ivshmem_start(v->ivshmem[i], v->engine) < 0) {
            return -1;
        }
    }
    v->listener = listener_new(v->engine, &v->config, v->places, v->count);
    return v->listener != NULL ? 0 : -1;
}

static void say_ready(const struct server *v) {
    for (size_t i = 0; i < v->count; i++) {
        const struct place *p = &v->places[i];
        far_log(FAR_LOG_INFO, "farsockd %s listens at %s%s", FARSOCK_VERSION,
            p->path, p->took_over ? " (left behind by another)" : "");
    }
    for (size_t i = 0; i < v->ivshmems; i++) {
        far_log(FAR_LOG_INFO, "farsockd %s waits for a near core at ivshmem:%s",
            FARSOCK_VERSION, ivshmem_path(v->ivshmem[i]));
    }
    notify("READY=1\nSTATUS=serving");
}

// No new near core finds us while the links end.
static void stop(struct server *v) {
    notify("STOPPING=1");
    listener_stop(v->listener);
    close_places(v);
    for (size_t i = 0; i < v->ivshmems; i++) {
        ivshmem_stop(v->ivshmem[i]);
    }
    engine_unwatch(v->engine, &v->signals.watch, v->signals.fd);
    engine_free(v->engine);
    close_ivshmems(v);
    listener_free(v->listener);
    close(v->signals.fd);
}

// Signals before paths: these are ours to remove. What takes time before both:
// meanwhile a signal ends us, and nothing is left.
static int begin(struct server *v, char *reason, size_t len) {
    if (open_ivshmems(v, reason, len) < 0) {
        return -1;
    }
    bool ready = make_signals(&v->signals) >= 0;
    if (ready && open_places(v, reason, len) < 0) {
        return -1;
    }
    far_map_prepare();
    if (ready && drop_rights(&v->config, reason, len) < 0) {
        return -1;
    }
    raise_descriptor_limit();
    slice_give_way(true);
    if (!ready || start(v) < 0 || filter_calls(&v->config) < 0) {
        snprintf(reason, len, "cannot start: %s", strerror(errno));
        return -1;
    }
    return 0;
}

static int serve(struct server *v) {
    char reason[CONFIG_REASON];
    if (begin(v, reason, sizeof(reason)) < 0) {
        close_places(v);
        close_ivshmems(v);
        return refuse(reason, EXIT_FAILURE);
    }
    say_ready(v);
    int status = EXIT_SUCCESS;
    if (engine_run(v->engine) < 0) {
        far_log(FAR_LOG_ERROR, "the event loop failed: %s", strerror(errno));
        status = EXIT_FAILURE;
    }
    stop(v);
    return status;
}

static int finish_output(void);

static int check_config(struct config *c, const char *call) {
    char reason[CONFIG_REASON];
    struct policy_query q;
    if (call == NULL) {
        config_print(c, stdout);
    } else if (policy_parse_query(&q, call, reason, sizeof reason) < 0) {
        return refuse(reason, EXIT_USAGE);
    } else {
        policy_explain(&c->policy, &q, stdout);
    }
    return finish_output();
}

static int finish_output(void) {
    return fflush(stdout) == 0 ? EXIT_SUCCESS
                               : refuse(strerror(errno), EXIT_FAILURE);
}

int main(int argc, char **argv) {
    static struct server server;
    struct options *o = &server.options;
    char reason[CONFIG_REASON];
    if (options_parse(o, argc, argv, reason, sizeof(reason)) < 0) {
        return refuse(reason, EXIT_USAGE);
    }
    if (o->action == ACTION_HELP || o->action == ACTION_VERSION) {
        fputs(o->action == ACTION_HELP ? options_help
                                       : "farsockd " FARSOCK_VERSION "\n",
            stdout);
        return finish_output();
    }
    config_init(&server.config);
    if (o->config != NULL &&
        config_read(&server.config, o->config, reason, sizeof(reason)) < 0) {
        return refuse(reason, EXIT_FAILURE);
    }
    if (options_apply(o, &server.config, reason, sizeof(reason)) < 0) {
        return refuse(reason, EXIT_USAGE);
    }
    if (o->action == ACTION_CHECK) {
        return check_config(&server.config, o->explain);
    }
    far_log_limit((enum far_log_level)server.config.log_level);
    return serve(&server);
}
