// Around each input, whatever the target: LLVMFuzzerTestOneInput() is wrapped.
// SPDX-License-Identifier: MIT
//
// A limit of processor time. A fuzzer's own one is of the clock on the wall, by
// which any input is too slow on a machine that is busy enough.
//
// And no stale pointers. What a target forgot to free is often still named by a
// word of the stack that it had, and is then no leak to LeakSanitizer. Half of
// the leaks are found by luck only, on some machines.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/input.h"

#define LIMIT_S    20
#define STACK_USED 65536u // most that a target uses, with what it calls

// NOLINTBEGIN(readability-identifier-naming)
int __real_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
// NOLINTEND(readability-identifier-naming)

static timer_t timer;
static int has_timer;

static void too_slow(int number) {
    static const char text[] = "guard: an input takes too long\n";
    (void)number;
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    abort();
}

static void limit(time_t seconds) {
    struct itimerspec when = {.it_value.tv_sec = seconds};
    if (!has_timer) {
        struct sigevent e = {
            .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
        signal(SIGPROF, too_slow);
        has_timer = timer_create(CLOCK_PROCESS_CPUTIME_ID, &e, &timer) == 0;
    }
    if (has_timer) {
        timer_settime(timer, 0, &when, NULL);
    }
}

// Its array lies where the target's frames were.
__attribute__((noinline, no_sanitize("address", "undefined"))) static void
forget(void) {
    volatile uint64_t old[STACK_USED / sizeof(uint64_t)];
    for (size_t i = 0; i < STACK_USED / sizeof(uint64_t); i++) {
        old[i] = 0;
    }
    (void)old;
}

__attribute__((noinline)) int __wrap_LLVMFuzzerTestOneInput(const uint8_t *data,
    size_t size) {
    limit(LIMIT_S);
    int result = __real_LLVMFuzzerTestOneInput(data, size);
    limit(0);
    forget();
    return result;
}
