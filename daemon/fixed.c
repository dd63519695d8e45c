// A link on memory that stays, whoever dies: epochs make its lives.
// SPDX-License-Identifier: MIT
#include "daemon/fixed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/ids.h"
#include "daemon/log.h"
#include "farsock/errors.h"
#include "farsock/mem.h"

// SPEC.md "Fixed memory". What an earlier life of near had written is sent
// before its memory is given up, but near does not wait longer for that.
#define DRAIN_NS UINT64_C(3000000000)

struct fixed {
    struct watch watch;
    struct fixed_spec spec;
    struct far_layout layout;
    struct far_part_header *far; // ours
    const struct far_part_header *near;
    struct far_log_rate rate;
    int link_bell; // the engine's own copy of the doorbell
    uint32_t epoch;
    uint32_t seen;     // near's life that is served, or was
    uint32_t features; // of that life
    bool over;         // that one has ended: wait for the next
    struct link *link; // NULL: none is up
    uint64_t drop_ns;  // since when it is to end, 0: it is not
    bool stopped;
};

static void ring(struct fixed *f) {
    FAR_INV(FAR_AT_FIXED_BELL, f->near, sizeof *f->near);
    int fd = f->spec.bell_to_near(f->spec.arg, far_load(&f->near->bell));
    uint64_t one = 1;
    if (fd >= 0) {
        ssize_t n = write(fd, &one, sizeof one);
        (void)n; // a full counter rings as well
    }
}

static void publish(struct fixed *f, uint32_t seen, uint32_t ready) {
    far_store(&f->far->ready, ready);
    FAR_WMB(FAR_AT_FIXED_READY);
    far_store(&f->far->seen, seen);
    FAR_CLEAN(FAR_AT_FIXED_STEP, f->far, sizeof *f->far);
    FAR_SYNC(FAR_AT_FIXED_STEP_DONE);
}

// --- Our part ---

static void *at_line(const struct fixed *f, uint32_t line) {
    return (char *)f->spec.region + (size_t)line * FAR_LINE;
}

static void clear_part(struct fixed *f) {
    struct far_far_ctl *ctl = (struct far_far_ctl *)(void *)f->far;
    uint32_t base = f->layout.index_base;
    memset(&ctl->evt, 0, sizeof *ctl - offsetof(struct far_far_ctl, evt));
    far_store(&ctl->evt.head, base);
    far_store(&ctl->cmd.tail, base);
    far_store(&ctl->cmd.wake, base);
    memset(at_line(f, f->layout.far_socks), 0,
        (size_t)f->layout.sockets * FAR_LINE);
    FAR_CLEAN(FAR_AT_FIXED_PART, ctl, sizeof *ctl);
    FAR_CLEAN(FAR_AT_FIXED_LINES, at_line(f, f->layout.far_socks),
        (size_t)f->layout.sockets * FAR_LINE);
}

static void begin_life(struct fixed *f) {
    struct far_far_ctl *ctl = (struct far_far_ctl *)(void *)f->far;
    FAR_INV(FAR_AT_FIXED_OWN, f->far, sizeof *f->far);
    uint32_t epoch = far_load(&f->far->epoch) + 1u;
    f->epoch = epoch != 0 ? epoch : 1u;
    publish(f, 0, 0);
    far_store(&f->far->magic, FAR_WIRE_MAGIC);
    far_store(&f->far->version, FAR_WIRE_VERSION);
    far_store(&f->far->features, 0);
    far_store(&f->far->bell, f->spec.bell);
    ctl->layout = f->layout; // reaches memory with the rest, before ready
    FAR_WMB(FAR_AT_FIXED_EPOCH);
    far_store(&f->far->epoch, f->epoch);
    publish(f, 0, 0);
    ring(f);
}

// --- A link ---

static void link_gone(void *arg) {
    struct fixed *f = arg;
    f->link = NULL;
    f->drop_ns = 0;
    f->over = true;
    close(f->link_bell);
    publish(f, f->seen, 0);
    if (!f->stopped) {
        far_log(FAR_LOG_INFO, "%s: the link ended", f->spec.name);
        ring(f);
        fixed_look(f);
    }
}

static void start_link(struct fixed *f) {
    struct link_spec spec = {
        .region = f->spec.region,
        .layout = f->layout,
        .bell_to_near =
            f->spec.bell_to_near(f->spec.arg, far_load(&f->near->bell)),
        .hangup = -1,
        .uid = IDS_NONE, // nobody says who it is
        .gid = IDS_NONE,
        .epoch = f->epoch,
        .seen = f->seen,
        .features = f->features,
        .bell = f->spec.bell,
        .gone = link_gone,
        .arg = f,
    };
    memcpy(spec.name, f->spec.name, sizeof spec.name);
    if (spec.bell_to_near < 0) {
        return; // its descriptor is still on its way
    }
    // epoll takes a descriptor once: ours tells of new lives, this of messages.
    spec.bell_from_near = f->link_bell = dup(f->spec.bell_from_near);
    if (f->link_bell >= 0) {
        f->link = engine_link_new(f->spec.engine, &spec);
        if (f->link == NULL) {
            close(f->link_bell);
        }
    }
    if (f->link == NULL) {
        if (far_log_allowed(&f->rate, 1)) {
            far_log(FAR_LOG_ERROR, "%s: cannot serve a link: %s", spec.name,
                strerror(errno));
        }
        return;
    }
    far_log(FAR_LOG_INFO, "%s: a near core is there (its life %u)", spec.name,
        f->seen);
}

static void drop_link(struct fixed *f) {
    if (f->drop_ns == 0) {
        f->drop_ns = clock_ns();
        engine_link_drop(f->link);
    } else if (clock_ns() - f->drop_ns > DRAIN_NS) {
        engine_link_abort(f->link,
            "what its last life had written is not taken by the network");
    }
}

// --- Near's header ---

struct seen {
    uint32_t epoch, seen, ready;
};

static struct seen load(const struct fixed *f) {
    struct seen n;
    FAR_INV(FAR_AT_FIXED_LOOK, f->near, sizeof *f->near);
    n.epoch = far_load(&f->near->epoch);
    FAR_RMB(FAR_AT_FIXED_THEN);
    n.seen = far_load(&f->near->seen);
    n.ready = far_load(&f->near->ready);
    return n;
}

static bool is_ours(const struct fixed *f) {
    return far_load(&f->near->magic) == FAR_WIRE_MAGIC &&
           far_load(&f->near->version) == FAR_WIRE_VERSION;
}

static void refuse(struct fixed *f) {
    if (far_log_allowed(&f->rate, 1)) {
        far_log(FAR_LOG_WARN,
            "%s: the near core speaks version %u of the protocol, this "
            "farsockd version %u",
            f->spec.name, far_load(&f->near->version), FAR_WIRE_VERSION);
    }
}

// The memory is ours alone: steps towards a link, each answer rung.
static void meet(struct fixed *f, struct seen n) {
    if (n.epoch != 0 && n.epoch != f->seen) {
        f->over = false;
        f->seen = n.epoch;
        publish(f, f->seen, 0);
        ring(f);
    }
    if (f->over || f->seen == 0 || n.seen != f->epoch) {
        return;
    }
    if (!is_ours(f)) {
        refuse(f);
        return;
    }
    if (far_load(&f->far->ready) != f->epoch) {
        clear_part(f);
        f->features = far_load(&f->near->features) & ENGINE_FEATURES;
        far_store(&f->far->features, f->features);
        publish(f, f->seen, f->epoch);
        ring(f);
    }
    if (n.ready == f->seen) {
        start_link(f);
    }
}

void fixed_look(struct fixed *f) {
    if (f->stopped) {
        return;
    }
    struct seen n = load(f);
    if (f->link == NULL) {
        meet(f, n);
    } else if (f->drop_ns != 0 || n.epoch != f->seen || n.ready != f->seen ||
               n.seen != f->epoch) {
        drop_link(f);
    }
}

static void bell_ready(struct watch *w, uint32_t events) {
    (void)events;
    fixed_look((struct fixed *)w);
}

// --- Life ---

struct fixed *fixed_new(const struct fixed_spec *spec) {
    struct fixed *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return NULL;
    }
    f->spec = *spec;
    f->watch.ready = bell_ready;
    f->near = spec->region;
    f->far = (void *)((char *)spec->region + spec->bytes / 2u);
    int err =
        far_layout_fit(&f->layout, spec->bytes, spec->sockets, spec->tags, 0);
    if (err == FAR_OK) {
        begin_life(f);
        if (engine_watch(spec->engine, &f->watch, spec->bell_from_near,
                EPOLLIN) == 0) {
            return f;
        }
    } else {
        errno = EINVAL;
    }
    free(f);
    return NULL;
}

void fixed_near_gone(struct fixed *f) {
    f->over = true;
    if (f->link != NULL) {
        drop_link(f);
    }
}

void fixed_stop(struct fixed *f) {
    if (f->stopped) {
        return;
    }
    f->stopped = true;
    engine_unwatch(f->spec.engine, &f->watch, f->spec.bell_from_near);
    publish(f, f->seen, 0);
    ring(f);
}

void fixed_lost(struct fixed *f, const char *why) {
    fixed_stop(f);
    if (f->link != NULL) {
        engine_link_abort(f->link, why);
    }
}

void fixed_free(struct fixed *f) {
    free(f);
}
