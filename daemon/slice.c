// How long farsockd runs before others get its processor.
// SPDX-License-Identifier: MIT
#include "daemon/slice.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// Longer than anybody's whom nobody gave one: up to 3 ms. Who wakes up with a
// shorter slice goes before who runs with a longer one. Farsockd serves floods
// without a pause, and on its processor their near cores and peers would wait
// for the end of its slice, and so would everybody else that it serves. The
// longest there is: in the last 3 ms of it all wait as for anybody.
#define SLICE_NS UINT64_C(100000000)

// The kernel's struct sched_attr, as it was first.
struct attr {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

void slice_give_way(bool way) {
    struct attr a = {.size = sizeof a};
    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) == 0 &&
        a.policy == SCHED_OTHER) {
        a.runtime = way ? SLICE_NS : 0;
        syscall(SYS_sched_setattr, 0, &a, 0);
    }
}
