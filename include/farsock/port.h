// What a platform must supply to the near library.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_PORT_H
#define FARSOCK_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// What a task holds of the library, where code of the program runs on top of
// it.
struct far_held {
    _Atomic uint32_t depth; // locks, and that others wait for what it does
    _Atomic uint32_t late;  // not 0: let_go() is due when depth is 0
};

// Only the task itself writes depth; who runs on top leaves it as it was. True
// at the end of a hold: let_go() is due.
static inline void far_hold(struct far_held *h) {
    uint32_t depth = atomic_load_explicit(&h->depth, memory_order_relaxed);
    atomic_store_explicit(&h->depth, depth + 1u, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}
static inline bool far_unhold(struct far_held *h) {
    atomic_signal_fence(memory_order_seq_cst);
    uint32_t depth = atomic_load_explicit(&h->depth, memory_order_relaxed) - 1u;
    atomic_store_explicit(&h->depth, depth, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return depth == 0 &&
           atomic_load_explicit(&h->late, memory_order_relaxed) != 0;
}

// A port is one `const struct far_port` in ports/<name>/; the library includes
// no platform header and calls nothing else. ctx is the port's own, given at
// far_link_init().
//
// Context: T = task, I = interrupt or signal handler. A hook marked [TI] may be
// called from both and does not sleep.
struct far_port {
    // [TI] Monotonic time in nanoseconds; never wraps in practice.
    uint64_t (*now_ns)(void *ctx);

    // [TI] Rings far's doorbell. Every store made before must be visible to far
    // no later than the doorbell: the hook owns the barrier between memory and
    // the doorbell register.
    void (*notify)(void *ctx);

    // [T] Sleeps until far's doorbell, wake(), deadline_ns (absolute;
    // UINT64_MAX for ever) or an interruption. One thread at a time is in it.
    // Spurious returns are allowed, lost doorbells are not: one that came since
    // the last return makes it return at once. FAR_OK, FAR_ETIMEDOUT,
    // FAR_EINTR, or FAR_ELINKDOWN when far is known to be gone.
    int (*wait)(void *ctx, uint64_t deadline_ns);

    // [TI] Makes the wait() that runs now, or the next one, return.
    void (*wake)(void *ctx);

    // [T] Sleeps while *word == value, until unpark() of that word, deadline_ns
    // or an interruption; may return for no reason. As futex(2). NULL where
    // there is only one task.
    void (*park)(void *ctx, _Atomic uint32_t *word, uint32_t value,
        uint64_t deadline_ns);

    // [TI] Wakes those parked on word. NULL where park is.
    void (*unpark)(void *ctx, _Atomic uint32_t *word);

    // [T] True if the calling task should leave its call with FAR_EINTR
    // (Ctrl-C, a signal). Asked before each sleep and after it. NULL: never.
    // Whoever makes it true calls far_link_interrupt() afterwards.
    bool (*interrupted)(void *ctx);

    // [T] The calling task's call has moved a part of its bytes and is about to
    // sleep for the rest: from now on an interruption that it would have gone
    // on after ends it, with what it has (signal(7)). NULL: there are none.
    void (*moved)(void *ctx);

    // [T] Far told something about the socket in this slot (far_slot()), or
    // another thread's call has changed what a poll of it shows: who keeps a
    // list of sockets to look at adds it. Called under the link's lock: no call
    // of the library, no sleep. NULL: nobody does.
    void (*told)(void *ctx, uint32_t slot);

    // [T] The calling task's own: while depth is not 0, code of the program
    // that runs on top of it (a signal handler) must not call the library.
    // NULL: no such code does.
    struct far_held *(*held)(void);

    // [T] depth has become 0, and late is not. NULL where held is.
    void (*let_go)(void);

    // Not 0: doorbells may get lost, both ways. While somebody waits, the
    // library looks that often by itself, and counts what it found so.
    uint32_t rescue_ms;

    // How long, in microseconds, a call that must wait looks at memory before
    // it sleeps (as net.core.busy_poll): an answer that comes meanwhile costs
    // no doorbell and no wake-up. Where such looks find nothing, they become
    // rare. 0: never. Not 0 also says that this core is near's alone: sends
    // then fetch lines of a ring ahead (FAR_COHERENT), which costs a little
    // where far shares it.
    uint32_t busy_poll_us;

    // [T] Copies n bytes to or from memory that the caller of far_send(),
    // far_recv() and their relatives gave. False if that memory is not there:
    // the call then ends with FAR_EFAULT. NULL: it always is.
    bool (*copy)(void *ctx, void *to, const void *from, uint32_t n);
};

#endif
