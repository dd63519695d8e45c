// The C library's functions behind our wrappers.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_PRELOAD_REAL_H
#define FARSOCK_PRELOAD_REAL_H

#include <dlfcn.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

// clang-format off
#define REAL_FUNCTIONS(X)                                                   \
    X(socket) X(bind) X(connect) X(accept) X(accept4) X(listen)             \
    X(shutdown) X(getsockname) X(getpeername) X(getsockopt) X(setsockopt)   \
    X(send) X(sendto) X(sendmsg) X(sendmmsg) X(recv) X(recvfrom)            \
    X(recvmsg) X(recvmmsg) X(read) X(write) X(readv) X(writev)              \
    X(close) X(dup) X(dup2) X(dup3) X(fcntl) X(ioctl)                       \
    X(poll) X(ppoll) X(select) X(pselect)                                   \
    X(epoll_ctl) X(epoll_wait) X(epoll_pwait)                               \
    X(epoll_create1) X(sendfile) X(splice) X(fork) X(sigaction)     \
    X(fdopen) X(syscall) X(dlopen)                                          \
    X(execve) X(execvpe) X(fexecve) X(execveat) X(posix_spawn)              \
    X(posix_spawnp) X(posix_spawn_file_actions_adddup2) X(system) X(popen)
// clang-format on

struct real {
#define X(name) __typeof__(name) *name;
    REAL_FUNCTIONS(X)
#undef X
};

extern struct real fari_real;
extern _Atomic bool fari_real_known;
void real_find(void);

// A wrapper may be called before our constructor ran: by another one.
static inline const struct real *real(void) {
    if (!atomic_load_explicit(&fari_real_known, memory_order_acquire)) {
        real_find();
    }
    return &fari_real;
}

#endif
