// What farsockd cannot do any more, and what it still can.
// SPDX-License-Identifier: MIT
#include "daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "daemon/child_test.h"
#include "unit.h"

enum { NO_FILTER = 99 };

static int (*behind_it)(void);

static int filtered(void) {
    int err = sandbox_filter();
    return err > 0 ? NO_FILTER : err < 0 ? 98 : behind_it();
}

// What act() returns in a child behind the filter.
static int behind(int (*act)(void)) {
    behind_it = act;
    return in_child(filtered);
}

// The number of the first that is not refused; 0: all are.
#define REFUSED(number, call)                                                  \
    errno = 0;                                                                 \
    if ((call) >= 0 || errno != EPERM) {                                       \
        return number;                                                         \
    }

static int forbidden(void) {
    char *args[] = {(char[]){"/bin/true"}, NULL};
    REFUSED(1, execv(args[0], args))
    REFUSED(2, fork())
    REFUSED(3, syscall(SYS_ptrace, PTRACE_ATTACH, getppid(), 0, 0))
    REFUSED(4, open("/dev/null", O_WRONLY | O_CLOEXEC))
    REFUSED(5, open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600))
    REFUSED(6, open("/dev/null", O_RDONLY | O_CREAT | O_CLOEXEC, 0600))
    REFUSED(7, open("/dev/null", O_RDONLY | O_TRUNC | O_CLOEXEC))
    REFUSED(8, socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0))
    REFUSED(9, socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0))
    REFUSED(10, syscall(SYS_mount, "a", "/", "b", 0, NULL))
    REFUSED(11, syscall(SYS_setns, 0, 0))
    REFUSED(12, syscall(SYS_unshare, 0))
    REFUSED(13, syscall(SYS_setuid, 0))
    REFUSED(14, syscall(SYS_bpf, 0, NULL, 0))
    REFUSED(15, syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0))
    REFUSED(16, syscall(SYS_chmod, "/nowhere", 0))
    REFUSED(17, syscall(SYS_io_uring_setup, 1, NULL))
    REFUSED(18, syscall(SYS_mkdir, "/nowhere/at/all", 0))
    REFUSED(19, syscall(SYS_sched_setattr, getppid(), NULL, 0))
    return 0;
}

static int needed(void) {
    struct addrinfo *list = NULL;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int memory = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *p;
    if (listener < 0 || listen(listener, 1) < 0) {
        return 1;
    }
    if (memory < 0 || ftruncate(memory, 4096) < 0) {
        return 2;
    }
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (p == MAP_FAILED || eventfd(0, EFD_CLOEXEC) < 0) {
        return 3;
    }
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0) {
        return 4;
    }
    if (getaddrinfo("localhost", "80", NULL, &list) == EAI_SYSTEM) {
        return 5;
    }
    // They say what is wrong with the arguments, not that they are refused.
    if (syscall(SYS_sched_getattr, 0, NULL, 0, 0) == 0 || errno == EPERM ||
        syscall(SYS_sched_setattr, 0, NULL, 0) == 0 || errno == EPERM) {
        return 6;
    }
    p = malloc(1u << 24);
    int all = p ? 0 : 7;
    free(p);
    return all;
}

static void *wait_and_try(void *pipe_end) {
    char byte;
    ssize_t n = read(*(int *)pipe_end, &byte, 1);
    errno = 0;
    bool refused = fork() < 0 && errno == EPERM;
    return n == 1 && refused ? pipe_end : NULL;
}

// A thread that was there before the filter.
static int try_in_thread(void) {
    int ends[2];
    pthread_t t;
    void *result = NULL;
    if (pipe(ends) < 0 || pthread_create(&t, NULL, wait_and_try, &ends[0])) {
        return 1;
    }
    int err = sandbox_filter();
    if (err > 0) {
        return NO_FILTER;
    }
    ssize_t n = write(ends[1], "x", 1);
    pthread_join(t, &result);
    return err == 0 && n == 1 && result ? 0 : 2;
}

TEST(what_it_never_does_is_refused) {
    int got = behind(forbidden);
    if (got == NO_FILTER) {
        SKIP("this build has no filter");
    }
    CHECK_EQ(got, 0);
}

TEST(what_it_does_is_not) {
    int got = behind(needed);
    if (got == NO_FILTER) {
        SKIP("this build has no filter");
    }
    CHECK_EQ(got, 0);
}

TEST(threads_that_are_there_are_filtered) {
    int got = in_child(try_in_thread);
    if (got == NO_FILTER) {
        SKIP("this build has no filter");
    }
    CHECK_EQ(got, 0);
}

static const struct test_case cases[] = {
    CASE(what_it_never_does_is_refused),
    CASE(what_it_does_is_not),
    CASE(threads_that_are_there_are_filtered),
};

int main(void) {
    return RUN_TESTS(cases);
}
