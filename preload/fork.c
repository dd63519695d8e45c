// Processes: what a child has of its parent's sockets.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <pthread.h>

static void before_fork(void) {
    table_lock();
}

static void in_parent(void) {
    table_unlock();
}

// The link is the parent's: what is in its memory must not be touched.
static void in_child(void) {
    table_inherit();
    table_unlock();
    link_forget_after_fork();
}

__attribute__((constructor)) static void start(void) {
    real();
    pthread_atfork(before_fork, in_parent, in_child);
}

// A child that shares our memory would change our table of descriptors.
// NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork)
EXPORT pid_t vfork(void) {
    return real()->fork();
}

bool psock_adopt(struct psock *s) {
    (void)s;
    errno = ENETDOWN;
    return false;
}
