// System calls as steps, and allocations counted: the linker's --wrap has our
// code call these.
// SPDX-License-Identifier: MIT
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <time.h>

#include "ports/faulty/layer.h"
#include "ports/faulty/mem.h"

// clang-format off
#define CALLS(X)                                                               \
    X(int, socket, (int a, int b, int c), (a, b, c))                           \
    X(int, bind, (int a, const struct sockaddr *b, socklen_t c), (a, b, c))    \
    X(int, listen, (int a, int b), (a, b))                                     \
    X(int, connect, (int a, const struct sockaddr *b, socklen_t c), (a, b, c)) \
    X(int, accept4, (int a, struct sockaddr *b, socklen_t *c, int d),          \
        (a, b, c, d))                                                          \
    X(ssize_t, sendmsg, (int a, const struct msghdr *b, int c), (a, b, c))     \
    X(ssize_t, recvmsg, (int a, struct msghdr *b, int c), (a, b, c))           \
    X(int, recvmmsg,                                                           \
        (int a, struct mmsghdr *b, unsigned c, int d, struct timespec *e),     \
        (a, b, c, d, e))                                                       \
    X(ssize_t, send, (int a, const void *b, size_t c, int d), (a, b, c, d))    \
    X(ssize_t, recv, (int a, void *b, size_t c, int d), (a, b, c, d))          \
    X(ssize_t, write, (int a, const void *b, size_t c), (a, b, c))             \
    X(int, close, (int a), (a))                                                \
    X(int, shutdown, (int a, int b), (a, b))                                   \
    X(int, getsockname, (int a, struct sockaddr *b, socklen_t *c), (a, b, c))  \
    X(int, getpeername, (int a, struct sockaddr *b, socklen_t *c), (a, b, c))  \
    X(int, getsockopt, (int a, int b, int c, void *d, socklen_t *e),           \
        (a, b, c, d, e))                                                       \
    X(int, setsockopt, (int a, int b, int c, const void *d, socklen_t e),      \
        (a, b, c, d, e))                                                       \
    X(int, poll, (struct pollfd *a, nfds_t b, int c), (a, b, c))               \
    X(int, epoll_create1, (int a), (a))                                        \
    X(int, epoll_ctl, (int a, int b, int c, struct epoll_event *d),            \
        (a, b, c, d))                                                          \
    X(int, epoll_wait, (int a, struct epoll_event *b, int c, int d),           \
        (a, b, c, d))                                                          \
    X(int, eventfd, (unsigned a, int b), (a, b))                               \
    X(int, memfd_create, (const char *a, unsigned b), (a, b))                  \
    X(int, ftruncate, (int a, off_t b), (a, b))                                \
    X(void *, mmap, (void *a, size_t b, int c, int d, int e, off_t f),         \
        (a, b, c, d, e, f))                                                    \
    X(int, munmap, (void *a, size_t b), (a, b))                                \
    X(int, mprotect, (void *a, size_t b, int c), (a, b, c))                    \
    X(int, timerfd_settime, (int a, int b, const struct itimerspec *c,         \
        struct itimerspec *d), (a, b, c, d))

#define X(type, name, params, args)                                            \
    type __real_##name params;                                                 \
    type __wrap_##name params;                                                 \
    type __wrap_##name params {                                                \
        faulty_step(#name);                                                    \
        return __real_##name args;                                             \
    }
CALLS(X)
#undef X
// clang-format on

// The linker wants these names.
// NOLINTBEGIN(readability-identifier-naming)

// Each request that we make takes one pointer.
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...) {
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    faulty_step("ioctl");
    return __real_ioctl(fd, request, arg);
}

// --- The doorbell of far ---

static _Atomic int last_bell = -1;

void __real_bell_ring(int fd) __attribute__((weak));
void __wrap_bell_ring(int fd);
void __wrap_bell_ring(int fd) {
    last_bell = fd;
    for (uint32_t n = faulty_bell(); n > 0; n--) {
        __real_bell_ring(fd);
    }
}

void faulty_ring(void) {
    if (faulty_me() == FAULTY_NEAR) {
        faulty_ring_near_port();
    } else if (last_bell >= 0) {
        __real_bell_ring(last_bell);
    }
}

// --- Memory ---

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __real_free(void *p);
void __wrap_free(void *p);

static void *count(void *p) {
    if (p && faulty && faulty_me() != FAULTY_NONE) {
        atomic_fetch_add(&faulty->side[faulty_me()].live, 1u);
    }
    return p;
}

void *__wrap_malloc(size_t n) {
    return count(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size) {
    return count(__real_calloc(n, size));
}

void __wrap_free(void *p) {
    if (p && faulty && faulty_me() != FAULTY_NONE) {
        atomic_fetch_sub(&faulty->side[faulty_me()].live, 1u);
    }
    __real_free(p);
}

// NOLINTEND(readability-identifier-naming)
