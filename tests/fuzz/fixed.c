// Memory that stays, of which the near half is anything at any time, as
// farsockd serves it beside an honest link.
// SPDX-License-Identifier: MIT
#include "daemon/fixed.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/core.h"
#include "daemon/log.h"
#include "fuzz/alone.h"
#include "fuzz/fault.h"
#include "fuzz/input.h"
#include "fuzz/side.h"
#include "fuzz/watch.h"

#define BYTES     (1u << 18)
#define HALF      (BYTES / 2u)
#define NEAR_BELL 7u
#define GONE_MAX  4096u
#define TRIES     256 // more than orders can make fail

static struct engine *engine;
static struct fixed *fixed;
static struct far_layout layout;
static uint8_t *memory;
static struct input changes;
static int to_far, to_near, usual;
static uint32_t no_bell; // looks for near's doorbell that find none

static void fail(const char *what) {
    fprintf(stderr, "fixed: %s\n", what);
    abort();
}

static int bell_to_near(void *arg, uint32_t bell) {
    (void)arg;
    no_bell -= no_bell > 0;
    return bell == NEAR_BELL && no_bell == 0 ? to_near : -1;
}

static void poke(size_t at, uint32_t v) {
    watch_poke(memory + at % HALF / 4u * 4u, &v, sizeof v);
}

static void changed(const void *p, size_t n) {
    uint8_t how = take8(&changes);
    size_t at = (size_t)((const uint8_t *)p - memory);
    if (how & 0x80) {
        poke(at + (n > 4 ? (how & 0x1cu) : 0), take_number(&changes));
    } else if (how & 0x40) {
        poke(take8(&changes) * 4u, take_number(&changes));
    }
    watch_anew(); // a version is looked at again, to be told of
}

// What is served on the memory, NULL: nothing.
static struct link *link_up(void) {
    for (struct node *n = engine->links.next; n != &engine->links;
         n = n->next) {
        struct link *l = OF(n, struct link, all);
        if (l->spec.arg == fixed) {
            return l;
        }
    }
    return NULL;
}

static const struct far_part_header *far_header(void) {
    return (const void *)(memory + HALF);
}

// The next step of a near side that links up, or nearly so.
static void keep_rules(struct input *in, uint8_t how) {
    struct far_part_header h = {
        .magic = FAR_WIRE_MAGIC,
        .version = FAR_WIRE_VERSION,
        .epoch = 1u + take8(in) % 3u,
        .seen = far_header()->epoch,
        .ready = far_header()->seen,
        .bell = NEAR_BELL,
    };
    if (how & 0x80) { // all but a word
        uint32_t v = take_number(in);
        memcpy((uint8_t *)&h + take8(in) % 8u * 4u, &v, sizeof v);
    }
    watch_poke(memory, &h, sizeof h);
    if (how & 0x40) {
        struct far_near_ctl ctl = {
            .cmd.head = layout.index_base,
            .evt = {layout.index_base, layout.index_base - 1u, {0}},
        };
        watch_poke(memory + sizeof h, (uint8_t *)&ctl + sizeof h,
            sizeof ctl - sizeof h);
    }
}

static void step(struct input *in) {
    uint8_t op = take8(in);
    uint64_t one = 1;
    ssize_t n = 0;
    switch (op % 8u) {
        case 0:
            poke(take8(in) * 4u, take_number(in));
            break;
        case 1:
            poke(take16(in) * 4u, take32(in));
            break;
        case 2:
        case 3:
            keep_rules(in, op);
            break;
        case 4:
            fixed_look(fixed);
            break;
        case 5:
            n = write(to_far, &one, sizeof one);
            break;
        case 6:
            if (op & 0x80) {
                fixed_near_gone(fixed);
            } else if (op & 0x40) {
                fault_choose(in);
            } else if (op & 0x20) {
                fault_time(in);
            } else if (op & 0x10) {
                fixed_lost(fixed, "its memory was cut");
            } else if (op & 0x08) {
                no_bell = 2; // its descriptor is still on its way
            }
            break;
        default:
            honest_turn();
            break;
    }
    (void)n;
}

static void begin(struct input *in) {
    struct fixed_spec spec = {
        .engine = engine,
        .region = memory,
        .bytes = BYTES,
        .sockets = 4,
        .tags = 4,
        .bell = 3,
        .bell_from_near = to_far,
        .name = "fixed",
        .bell_to_near = bell_to_near,
    };
    memset(memory, 0, BYTES);
    far_layout_fit(&layout, BYTES, spec.sockets, spec.tags, 0);
    uint8_t how = take8(in);
    if (how & 0x80) {
        fault_choose(in);
    }
    if (how & 0x40) { // life 0 is none
        memset(memory + HALF, 0xff, sizeof(struct far_part_header));
    }
    struct fixed_spec small = spec;
    small.sockets = 60000;
    if (how & 0x20 && fixed_new(&small)) {
        fail("it begins with more sockets than fit");
    }
    for (int i = 0; i < TRIES && !(fixed = fixed_new(&spec)); i++) {
    }
    if (!fixed) {
        fail("it does not begin");
    }
    watch_begin(memory, HALF, (size_t)layout.tx_at * FAR_LINE, changed);
}

static void end(void) {
    struct link *l;
    fixed_stop(fixed);
    for (uint32_t i = 0; i < GONE_MAX && (l = link_up()); i++) {
        if (i == 0) {
            engine_link_drop(l);
        } else if (i == GONE_MAX / 2u) {
            engine_link_abort(l, "it is time");
        }
        honest_turn();
    }
    watch_end();
    if (link_up()) {
        fail("its link does not end");
    }
    fixed_free(fixed);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    struct engine_config config = {.resolver_threads = 1};
    (void)argc;
    (void)argv;
    fuzz_alone();
    fault_clock();
    far_log_limit(FAR_LOG_ERROR);
    engine = engine_new(&config);
    memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    to_far = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    to_near = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    honest_begin(engine);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    if (size < 4 || size > 4096) {
        return -1;
    }
    if (usual == 0) {
        usual = fuzz_descriptors();
    }
    changes = split(&in, take8(&in) * size / 512u);
    begin(&in);
    while (in.left > 0) {
        step(&in);
    }
    changes.left = 0;
    fault_none();
    end();
    honest_finish();
    if (fuzz_descriptors() > usual) {
        fail("descriptors are left");
    }
    return 0;
}
