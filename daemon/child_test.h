// For tests: what a process is by the scheduler, and trials of it in a child,
// so that the test itself stays as it is. SPDX-License-Identifier: MIT
#ifndef FARSOCKD_CHILD_TEST_H
#define FARSOCKD_CHILD_TEST_H

#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// The kernel's struct sched_attr, as it was first.
struct sched_view {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static inline struct sched_view sched_view(void) {
    struct sched_view a = {0};
    syscall(SYS_sched_getattr, 0, &a, sizeof a, 0);
    return a;
}

// What act() returns in a child, 0 to 255; -1 if a signal ended that.
static inline int in_child(int (*act)(void)) {
    fflush(stdout); // else a sanitizer's child writes it again
    pid_t pid = fork();
    if (pid == 0) {
        _exit(act());
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
