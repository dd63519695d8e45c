// What farsockd asks of the scheduler.
// SPDX-License-Identifier: MIT
#include "daemon/slice.h"

#include <sched.h>
#include <sys/resource.h>

#include "daemon/child_test.h"
#include "unit.h"

static int is_longer_than_others(void) {
    if (setpriority(PRIO_PROCESS, 0, 7) < 0) {
        return 1;
    }
    struct sched_view before = sched_view();
    slice_give_way(true);
    struct sched_view after = sched_view();
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
    struct sched_view before = sched_view();
    slice_give_way(true);
    slice_give_way(false);
    struct sched_view after = sched_view();
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
    struct sched_view before = sched_view();
    slice_give_way(true);
    struct sched_view after = sched_view();
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
