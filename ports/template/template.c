// The hooks of struct far_port over board.h, and link-up.
// SPDX-License-Identifier: MIT
#include "ports/template/template.h"

#include <stdatomic.h>

#include "ports/template/board.h"

#define NS_PER_S UINT64_C(1000000000)

// Doorbells rung before both sides listen may be lost: look again by then.
#define STEP_NS UINT64_C(5000000)

static struct {
    _Atomic bool rung; // a doorbell or wake() that no wait() has told yet
    _Atomic bool stop; // Ctrl-C
    _Atomic bool up;
    struct far_link *link;
    struct far_join join;
} core;

// [TI] Called before every sleep and after it, so cheap. What can go wrong: a
// product that overflows (ticks * 1000000000 does after 11 minutes at 27 MHz).
static uint64_t now_ns(void *ctx) {
    (void)ctx;
    uint64_t t = board_ticks();
    return t / BOARD_HZ * NS_PER_S + t % BOARD_HZ * NS_PER_S / BOARD_HZ;
}

// [TI] Seldom called: a link that is busy rings nobody. What can go wrong: the
// doorbell overtakes the stores (see board_bell_ring()); a mailbox that still
// holds the last message makes it wait, which it must not: one pending doorbell
// says as much as two, so drop the second.
static void notify(void *ctx) {
    (void)ctx;
    board_bell_ring();
}

// [I] The doorbell's handler: notes and wakes, and nothing else. The library
// runs in the task that wait() wakes; so no lock is taken here.
static void bell_rang(void) {
    board_bell_ack();
    atomic_store(&core.rung, true);
    board_event();
}

// [TI] By another task that has something for the one that waits.
static void wake(void *ctx) {
    (void)ctx;
    atomic_store(&core.rung, true);
    board_event();
}

// [TI]
static bool interrupted(void *ctx) {
    (void)ctx;
    return atomic_load(&core.stop);
}

// [T] One task at a time is in here, without any lock of the library's. The
// count of events is taken before the look: whatever happens afterwards ends
// the sleep. What can go wrong: looking first and sleeping then without that
// count loses the doorbell that rings in between, about once in some million
// times, and the program hangs; a deadline rounded down returns early and makes
// the caller spin; returning FAR_OK for nothing is allowed and costs a look.
static int wait(void *ctx, uint64_t deadline_ns) {
    for (;;) {
        uint32_t seen = board_events();
        bool rung = atomic_exchange(&core.rung, false);
        if (atomic_load(&core.up) && !far_join_holds(&core.join)) {
            return FAR_ELINKDOWN; // farsockd has ended or begun anew
        }
        if (rung) {
            return FAR_OK;
        }
        if (interrupted(ctx)) {
            return FAR_EINTR;
        }
        uint64_t now = now_ns(ctx);
        if (now >= deadline_ns) {
            return FAR_ETIMEDOUT;
        }
        board_sleep(seen,
            deadline_ns == UINT64_MAX ? UINT64_MAX : deadline_ns - now);
    }
}

// [T] Where there are several tasks: they sleep here while one waits for the
// doorbell, and for each other's locks. All of them wake at each event and look
// at their own words: fine for a few tasks; for many, give each word a queue of
// its own (a futex, an event flag). Without tasks leave park and unpark NULL.
static void park(void *ctx, _Atomic uint32_t *word, uint32_t value,
    uint64_t deadline_ns) {
    uint32_t seen = board_events();
    uint64_t now = now_ns(ctx);
    if (atomic_load(word) == value && now < deadline_ns) {
        board_sleep(seen,
            deadline_ns == UINT64_MAX ? UINT64_MAX : deadline_ns - now);
    }
}

// [TI] The word was changed before.
static void unpark(void *ctx, _Atomic uint32_t *word) {
    (void)ctx;
    (void)word;
    board_event();
}

// rescue_ms is 0: these doorbells arrive. Where one may get lost, say how often
// who waits shall look by itself (FAR_RESCUE_MS), have FAR_FEATURE_RESCUE in
// far_join.wants, so that far looks, too, and find out why it does. Where
// nobody tells one side of the other's death: FAR_FEATURE_BEAT, and
// far_link_beat() from a timer. copy is NULL: memory that the program gives is
// always there. moved is NULL: no signal goes on after a call that has moved a
// part.
static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = wait,
    .wake = wake,
    .park = park,
    .unpark = unpark,
    .interrupted = interrupted,
};

const struct far_port *far_template_port(void) {
    return &port;
}

void far_template_start(void) {
    board_bell_start(bell_rang);
}

void far_template_interrupt(int on) {
    atomic_store(&core.stop, on != 0);
    board_event();
    if (on && core.link != NULL) {
        far_link_interrupt(core.link); // whoever sleeps asks interrupted()
    }
}

// --- Link-up: SPEC.md, "Fixed memory" ---

static int join(uint64_t deadline_ns) {
    atomic_store(&core.up, false);
    core.join = (struct far_join){
        .bell = BOARD_BELL,
        .port = &port,
    };
    core.join.region = board_shared(&core.join.region_bytes);
    far_join_begin(&core.join);
    for (;;) {
        int err = far_join_step(&core.join);
        uint64_t now = now_ns(NULL);
        if (err == FAR_OK) {
            return FAR_OK;
        }
        // Any other error may pass as well: farsockd may be on its way up.
        if (now >= deadline_ns) {
            return err == FAR_EAGAIN ? FAR_ETIMEDOUT : err;
        }
        uint64_t next = now + STEP_NS;
        if (wait(NULL, next < deadline_ns ? next : deadline_ns) == FAR_EINTR) {
            return FAR_EINTR;
        }
    }
}

int far_template_up(void *mem, size_t mem_bytes, uint64_t deadline_ns,
    struct far_link **out) {
    int err = join(deadline_ns);
    if (err != FAR_OK) {
        return err;
    }
    if (far_link_size(&core.join.layout) > mem_bytes) {
        return FAR_ENOMEM;
    }
    core.link = *out = far_link_init_joined(mem, &core.join, &err);
    atomic_store(&core.up, *out != NULL);
    return err;
}
