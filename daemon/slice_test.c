// What farsockd asks of the scheduler.
// SPDX-License-Identifier: MIT
#include "daemon/slice.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static struct attr attr(void) {
    struct attr a = {0};
    syscall(SYS_sched_getattr, 0, &a, sizeof a, 0);
    return a;
}

// Exit status of what a child does: the test itself stays as it is.
static int in_child(int (*act)(void)) {
    fflush(stdout); // else a sanitizer's child writes it again
    pid_t pid = fork();
    if (pid == 0) {
        _exit(act());
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int is_longer_than_others(void) {
    if (setpriority(PRIO_PROCESS, 0, 7) < 0) {
        return 1;
    }
    struct attr before = attr();
    slice_give_way(true);
    struct attr after = attr();
    if (after.policy != SCHED_OTHER || after.nice != 7) {
        return 2;
    }
    // A kernel that knows nothing of slices says 0.
    return before.runtime == 0 || after.runtime > before.runtime ? 0 : 3;
}

TEST(those_it_wakes_go_before_it) {
    CHECK_EQ(in_child(is_longer_than_others), 0);
}

static int is_as_others_again(void) {
    struct attr before = attr();
    slice_give_way(true);
    slice_give_way(false);
    struct attr after = attr();
    return after.policy == SCHED_OTHER && after.runtime == before.runtime ? 0
                                                                          : 1;
}

TEST(and_as_late_as_others_when_asked) {
    CHECK_EQ(in_child(is_as_others_again), 0);
}

static int stays(void) {
    struct sched_param p = {0};
    if (sched_setscheduler(0, SCHED_BATCH, &p) < 0) {
        return 1;
    }
    struct attr before = attr();
    slice_give_way(true);
    struct attr after = attr();
    return after.policy == SCHED_BATCH && after.runtime == before.runtime ? 0
                                                                          : 2;
}

TEST(another_policy_is_left_alone) {
    CHECK_EQ(in_child(stays), 0);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(those_it_wakes_go_before_it),
        CASE(and_as_late_as_others_when_asked),
        CASE(another_policy_is_left_alone),
    };
    return RUN_TESTS(cases);
}
