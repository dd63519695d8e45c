// Near's port, each of whose calls is a step.
// SPDX-License-Identifier: MIT
#include "farsock/farsock.h"
#include "farsock/port.h"
#include "farsock/posix.h"
#include "ports/faulty/layer.h"
#include "ports/faulty/mem.h"

// The port below; all links of a process have the same. Its own structure may
// go with its link.
static struct far_port below_port;
static const struct far_port *below;
static void *last_ctx;

static uint64_t now_ns(void *ctx) {
    return below->now_ns(ctx); // reads a clock: nothing that could matter
}

static void notify(void *ctx) {
    faulty_step("notify");
    for (uint32_t n = faulty_bell(); n > 0; n--) {
        below->notify(ctx);
    }
}

static int wait(void *ctx, uint64_t deadline_ns) {
    faulty_step("wait");
    return below->wait(ctx, deadline_ns);
}

static void wake(void *ctx) {
    faulty_step("wake");
    below->wake(ctx);
}

static void park(void *ctx, _Atomic uint32_t *word, uint32_t value,
    uint64_t deadline_ns) {
    faulty_step("park");
    below->park(ctx, word, value, deadline_ns);
}

static void unpark(void *ctx, _Atomic uint32_t *word) {
    faulty_step("unpark");
    below->unpark(ctx, word);
}

static bool interrupted(void *ctx) {
    return below->interrupted && below->interrupted(ctx);
}

void faulty_ring_near_port(void) {
    if (last_ctx) {
        below->notify(last_ctx);
    }
}

// The linker wants these names.
// NOLINTBEGIN(readability-identifier-naming)
struct far_link *__real_far_link_init(void *mem, void *region,
    uint64_t region_bytes, const struct far_layout *layout,
    const struct far_port *port, void *ctx, int *err)
    __attribute__((weak)); // farsockd has none
struct far_link *__wrap_far_link_init(void *mem, void *region,
    uint64_t region_bytes, const struct far_layout *layout,
    const struct far_port *port, void *ctx, int *err);

struct far_link *__wrap_far_link_init(void *mem, void *region,
    uint64_t region_bytes, const struct far_layout *layout,
    const struct far_port *port, void *ctx, int *err) {
    static struct far_port faulty_port;
    below_port = *port;
    below = &below_port;
    last_ctx = ctx;
    faulty_port = *port;
    faulty_port.now_ns = now_ns;
    faulty_port.notify = notify;
    faulty_port.wait = wait;
    faulty_port.wake = wake;
    faulty_port.park = port->park ? park : NULL;
    faulty_port.unpark = port->unpark ? unpark : NULL;
    faulty_port.interrupted = interrupted;
    faulty_port.copy = NULL; // the copies in mem.h are steps
    return __real_far_link_init(mem, region, region_bytes, layout, &faulty_port,
        ctx, err);
}

void __real_far_posix_close(struct far_posix *port) __attribute__((weak));
void __wrap_far_posix_close(struct far_posix *port);

// Its steps, and those until the next link, have nothing to ring.
void __wrap_far_posix_close(struct far_posix *port) {
    last_ctx = NULL;
    __real_far_posix_close(port);
}
// NOLINTEND(readability-identifier-naming)
