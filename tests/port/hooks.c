// Clock, sleeping, waking: what a port does without the other core.
// SPDX-License-Identifier: MIT
#include "port/check.h"

#define NAP   (20u * CHECK_MS)
#define LATE  (20u * CHECK_MS) // the best of some tries is not later than this
#define TRIES 5u
#define SPINS 20000000u // looks at a clock that stands

static int wait_until(uint64_t deadline_ns) {
    return target->port->wait(target->ctx, deadline_ns);
}

// --- Clock ---

static const char *clock_moves(void) {
    uint64_t first = check_now();
    for (uint32_t i = 0; i < SPINS; i++) {
        if (check_now() != first) {
            return NULL;
        }
    }
    return "now_ns() stands still";
}

static const char *clock_goes_forward(void) {
    uint64_t first = check_now();
    uint64_t last = first;
    uint64_t step = UINT64_MAX;
    uint32_t looks = 0;
    while (last - first < 300u * CHECK_MS && looks < 20u * SPINS) {
        uint64_t now = check_now();
        if (now < last) {
            return "now_ns() went back";
        }
        if (now - last > 3600000u * CHECK_MS) {
            return "now_ns() jumped by more than an hour";
        }
        step = now > last && now - last < step ? now - last : step;
        last = now;
        looks++;
    }
    check_note("least step", step, "ns");
    check_note("one look", (last - first) / looks, "ns");
    return NULL;
}

// --- Sleeping ---

// A sleep that ends at its deadline, how often it ended before for no reason,
// and how late it was. False: at another moment, or never.
static bool sleep_to(uint64_t deadline, uint64_t *late, uint32_t *spurious) {
    for (uint32_t i = 0; i < 100000; i++) {
        int err = wait_until(deadline);
        uint64_t now = check_now();
        if (err == FAR_ETIMEDOUT) {
            *late = now - deadline;
            return now >= deadline;
        }
        (*spurious)++;
        if (err != FAR_OK || now > deadline + 1000u * CHECK_MS) {
            return false;
        }
    }
    return false;
}

static const char *wait_ends(void) {
    struct check_times late = {.n = 0};
    uint32_t spurious = 0;
    for (uint32_t i = 0; i < TRIES; i++) {
        uint64_t ns;
        if (!sleep_to(check_now() + NAP, &ns, &spurious)) {
            return "wait() gave FAR_ETIMEDOUT before the deadline, or never";
        }
        check_time(&late, ns);
    }
    check_note_times("late", &late);
    if (check_least(&late) > LATE) {
        return "wait() returned more than 20 ms after its deadline";
    }
    return spurious > TRIES ? "wait() returned FAR_OK for nothing, often"
                            : NULL;
}

static const char *wait_of_the_past(void) {
    static const uint64_t past[] = {0, 1};
    struct check_times took = {.n = 0};
    for (uint32_t i = 0; i < 2u * TRIES; i++) {
        uint64_t begin = check_now();
        int err = wait_until(i < 2 ? past[i] : begin - 1u);
        if (err != FAR_OK && err != FAR_ETIMEDOUT) {
            return "wait() of a past deadline gave another error";
        }
        check_time(&took, check_now() - begin);
    }
    return check_least(&took) > 5u * CHECK_MS
               ? "wait() slept although its deadline had passed"
               : NULL;
}

static const char *wait_is_idle(void) {
    uint32_t spurious = 0;
    uint64_t late;
    uint64_t begin = check_now();
    if (!target->cpu_ns) {
        return check_skip("this port does not know its processor time");
    }
    uint64_t cpu = target->cpu_ns();
    while (check_now() < begin + 300u * CHECK_MS) {
        if (!sleep_to(check_now() + 50u * CHECK_MS, &late, &spurious)) {
            return "wait() did not end at its deadline";
        }
    }
    cpu = target->cpu_ns() - cpu;
    uint64_t percent = cpu * 100u / (check_now() - begin);
    check_note("processor time while it sleeps", percent, "%");
    // Of a machine that others use, even a busy loop gets only a share.
    return percent >= 2 ? "wait() is a busy loop" : NULL;
}

// --- Waking ---

static const char *wake_before(void) {
    uint64_t begin = check_now();
    target->port->wake(target->ctx);
    int err = wait_until(begin + 5000u * CHECK_MS);
    if (err != FAR_OK || check_now() - begin >= 5000u * CHECK_MS) {
        return "wait() slept although wake() had been called before";
    }
    uint64_t late;
    uint32_t spurious = 0;
    if (!sleep_to(check_now() + NAP, &late, &spurious) || spurious > 2) {
        return "one wake() ended more than one wait()";
    }
    return NULL;
}

static void call_wake(void *arg) {
    (void)arg;
    target->port->wake(target->ctx);
}

static const char *wake_during(void) {
    if (!target->later) {
        return check_skip("nothing calls wake() here while the core sleeps");
    }
    uint64_t begin = check_now();
    target->later(call_wake, NULL, 30);
    int err;
    do {
        err = wait_until(begin + 5000u * CHECK_MS);
    } while (err == FAR_OK && check_now() - begin < 25u * CHECK_MS);
    return err == FAR_OK && check_now() - begin < 5000u * CHECK_MS
               ? NULL
               : "wake() did not end a wait() that slept";
}

// --- Tasks ---

static _Atomic uint32_t word;

static void call_unpark(void *arg) {
    (void)arg;
    word = 1;
    target->port->unpark(target->ctx, &word);
}

// False: it came back too late.
static bool parked(uint32_t value, uint64_t ns) {
    uint64_t begin = check_now();
    target->port->park(target->ctx, &word, value, begin + ns);
    return check_now() - begin < ns + 1000u * CHECK_MS;
}

static const char *parks(void) {
    if (!target->port->park) {
        return check_skip("a port without tasks");
    }
    word = 0;
    uint64_t begin = check_now();
    target->port->park(target->ctx, &word, 1, begin + 5000u * CHECK_MS);
    if (check_now() - begin >= 5000u * CHECK_MS) {
        return "park() slept although the word had another value";
    }
    if (!parked(0, NAP)) {
        return "park() did not end at its deadline";
    }
    if (!target->later) {
        return NULL;
    }
    begin = check_now();
    target->later(call_unpark, NULL, 30);
    while (word == 0 && check_now() - begin < 5000u * CHECK_MS) {
        target->port->park(target->ctx, &word, 0, begin + 5000u * CHECK_MS);
    }
    return check_now() - begin < 5000u * CHECK_MS
               ? NULL
               : "unpark() did not end park()";
}

const struct check check_hooks[] = {
    {"hooks", "the clock moves", clock_moves,
        "now_ns(): is the counter switched on, is it read at all", true},
    {"hooks", "the clock goes forward", clock_goes_forward,
        "now_ns(): a counter of 32 bits that wraps, halves that are read one "
        "after the other, a product that overflows",
        true},
    {"hooks", "wait() ends at its deadline", wait_ends,
        "wait(): is a timer set, is its unit right, is it rounded up; an "
        "interrupt that is never acknowledged",
        true},
    {"hooks", "wait() does not sleep for a deadline that has passed",
        wait_of_the_past,
        "wait(): the time left is unsigned, and below zero very long", true},
    {"hooks", "wait() leaves the processor alone", wait_is_idle,
        "wait(): does it sleep (wfi, a semaphore), or poll; is an interrupt "
        "acknowledged",
        false},
    {"hooks", "wake() before wait() is not lost", wake_before,
        "wake() and wait(): what is rung must be remembered, and forgotten "
        "when told",
        false},
    {"hooks", "wake() ends a wait() that sleeps", wake_during,
        "wake(): does it end the sleep, also from an interrupt handler", false},
    {"hooks", "park() and unpark()", parks,
        "park(): look at the word after saying that one sleeps; unpark(): wake "
        "all of that word",
        false},
    {.name = NULL},
};
