// System calls that fail when the input says so.
// SPDX-License-Identifier: MIT
#include "fuzz/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/engine.h"
#include "daemon/fixed.h"

enum call {
    MEMORY,
    SOCKET,
    ACCEPT,
    CONNECT,
    SENDMSG,
    RECVMSG,
    SEND,
    RECV,
    GETSOCKOPT,
    TCP_STATE, // it says another one
    ERROR,     // a pending error there is not
    NAME,
    IOCTL,
    POLL,
    BITS, // poll() says other ones
    EPOLL_CTL,
    DUP,
    FSTAT,
    SETSOCKOPT,
    SHORT, // half of it is sent
    CALLS,
};

#define ORDERS 4u
#define SPARED 4u

static struct order {
    enum call call;
    uint8_t what;   // of the tables below
    uint32_t after; // calls that go well before it
    uint32_t times; // 0: none
} orders[ORDERS];
static uint32_t next_order;
static int spared[SPARED];
static uint32_t spared_count;
static _Thread_local uint32_t serving;
bool (*fault_waits)(void);

void fault_choose(struct input *in) {
    static const uint32_t times[] = {1, 2, 8, 64};
    uint8_t call = take8(in);
    uint8_t how = take8(in);
    orders[next_order++ % ORDERS] = (struct order){
        .call = (enum call)(call % CALLS),
        .what = how & 15u,
        .after = how >> 4 & 3u,
        .times = times[how >> 6],
    };
}

void fault_none(void) {
    for (uint32_t i = 0; i < ORDERS; i++) {
        orders[i].times = 0;
    }
    next_order = 0;
}

void fault_spare(int fd) {
    spared[spared_count++ % SPARED] = fd;
}

void fault_within(bool on) {
    serving += on ? 1u : -1u;
}

// The order for this call, NULL: it goes as it goes.
static const struct order *ordered(enum call call, int fd) {
    for (uint32_t i = 0; serving > 0 && fd >= 0 && i < spared_count; i++) {
        if (spared[i] == fd) {
            return NULL;
        }
    }
    for (uint32_t i = 0; serving > 0 && i < ORDERS; i++) {
        struct order *o = &orders[i];
        if (o->times == 0 || o->call != call) {
            continue;
        }
        if (o->after > 0) {
            o->after--;
            continue;
        }
        o->times--;
        return o;
    }
    return NULL;
}

static bool fails(enum call call, int fd) {
    static const int errors[16] = {EAGAIN, EINTR, ENOMEM, ENOBUFS, EPIPE,
        ECONNRESET, EMFILE, ENOTCONN, EINVAL, EHOSTUNREACH, ENOSPC, ENOTSOCK,
        EALREADY, EINPROGRESS, ETIMEDOUT, EIO};
    const struct order *o = ordered(call, fd);
    if (o) {
        errno = errors[o->what];
    }
    return o != NULL;
}

// --- The clock ---

static _Atomic uint64_t clock_ns_now; // 0: it is the machine's

void fault_clock(void) {
    clock_ns_now = UINT64_C(1000000000);
}

void fault_time(struct input *in) {
    static const uint32_t ms[] = {1, 15, 30, 110, 1100, 3500, 11000, 601000};
    clock_ns_now += ms[take8(in) & 7u] * UINT64_C(1000000);
}

void fault_age(void) {
    clock_ns_now += UINT64_C(601000000000);
}

// The linker wants these names.
// NOLINTBEGIN(readability-identifier-naming)

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t) {
    if (clock_ns_now == 0 || id != CLOCK_MONOTONIC) {
        return __real_clock_gettime(id, t);
    }
    uint64_t now = atomic_fetch_add(&clock_ns_now, 1000u);
    *t = (struct timespec){
        .tv_sec = (time_t)(now / 1000000000u),
        .tv_nsec = (long)(now % 1000000000u),
    };
    return 0;
}

// --- When it counts ---

int __real_engine_turn(struct engine *e, bool sleep);
int __wrap_engine_turn(struct engine *e, bool sleep);
int __wrap_engine_turn(struct engine *e, bool sleep) {
    serving++;
    int r = __real_engine_turn(e, sleep);
    serving--;
    return r;
}

struct link *__real_engine_link_new(struct engine *e,
    const struct link_spec *spec);
struct link *__wrap_engine_link_new(struct engine *e,
    const struct link_spec *spec);
struct link *__wrap_engine_link_new(struct engine *e,
    const struct link_spec *spec) {
    serving++;
    struct link *l = __real_engine_link_new(e, spec);
    serving--;
    return l;
}

// Nobody starts another process here.
int __wrap_ivshmem_server_start(const char *path, uint32_t mode, size_t bytes,
    char *reason, size_t reason_len);
int __wrap_ivshmem_server_start(const char *path, uint32_t mode, size_t bytes,
    char *reason, size_t reason_len) {
    (void)mode;
    (void)bytes;
    snprintf(reason, reason_len, "no server at %s", path);
    return -1;
}

struct fixed *__real_fixed_new(const struct fixed_spec *spec);
struct fixed *__wrap_fixed_new(const struct fixed_spec *spec);
struct fixed *__wrap_fixed_new(const struct fixed_spec *spec) {
    serving++;
    struct fixed *f = __real_fixed_new(spec);
    serving--;
    return f;
}

// --- Calls that fail ---

// clang-format off
#define FAILING(X)                                                             \
    X(MEMORY, -1, void *, NULL, malloc, (size_t a), (a))                       \
    X(MEMORY, -1, void *, NULL, calloc, (size_t a, size_t b), (a, b))          \
    X(SOCKET, -1, int, -1, socket, (int a, int b, int c), (a, b, c))           \
    X(ACCEPT, a, int, -1, accept4,                                             \
        (int a, struct sockaddr *b, socklen_t *c, int d), (a, b, c, d))        \
    X(CONNECT, a, int, -1, connect,                                            \
        (int a, const struct sockaddr *b, socklen_t c), (a, b, c))             \
    X(RECVMSG, a, ssize_t, -1, recvmsg,                                        \
        (int a, struct msghdr *b, int c), (a, b, c))                           \
    X(RECVMSG, a, int, -1, recvmmsg,                                           \
        (int a, struct mmsghdr *b, unsigned c, int d, struct timespec *e),     \
        (a, b, c, d, e))                                                       \
    X(SEND, a, ssize_t, -1, send,                                              \
        (int a, const void *b, size_t c, int d), (a, b, c, d))                 \
    X(RECV, a, ssize_t, -1, recv,                                              \
        (int a, void *b, size_t c, int d), (a, b, c, d))                       \
    X(NAME, a, int, -1, getsockname,                                           \
        (int a, struct sockaddr *b, socklen_t *c), (a, b, c))                  \
    X(NAME, a, int, -1, getpeername,                                           \
        (int a, struct sockaddr *b, socklen_t *c), (a, b, c))                  \
    X(DUP, -1, int, -1, dup, (int a), (a))                                     \
    X(FSTAT, a, int, -1, fstat, (int a, struct stat *b), (a, b))               \
    X(SETSOCKOPT, a, int, -1, setsockopt,                                      \
        (int a, int b, int c, const void *d, socklen_t e), (a, b, c, d, e))

#define X(call, fd, type, failed, name, params, args)                          \
    type __real_##name params;                                                 \
    type __wrap_##name params;                                                 \
    type __wrap_##name params {                                                \
        return fails(call, fd) ? failed : __real_##name args;                  \
    }
FAILING(X)
#undef X
// clang-format on

// Each request that we make takes one pointer.
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...) {
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    return fails(IOCTL, fd) ? -1 : __real_ioctl(fd, request, arg);
}

// Of a descriptor that is watched, no other request needs memory.
int __real_epoll_ctl(int epoll, int request, int fd, struct epoll_event *e);
int __wrap_epoll_ctl(int epoll, int request, int fd, struct epoll_event *e);
int __wrap_epoll_ctl(int epoll, int request, int fd, struct epoll_event *e) {
    return request == EPOLL_CTL_ADD && fails(EPOLL_CTL, fd)
               ? -1
               : __real_epoll_ctl(epoll, request, fd, e);
}

int __real_fcntl(int fd, int request, ...);
int __wrap_fcntl(int fd, int request, ...);
int __wrap_fcntl(int fd, int request, ...) {
    va_list args;
    va_start(args, request);
    long arg = va_arg(args, long);
    va_end(args);
    return request == F_DUPFD_CLOEXEC && fails(DUP, fd)
               ? -1
               : __real_fcntl(fd, request, arg);
}

// --- Calls that lie ---

ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags) {
    struct msghdr half = *m;
    struct iovec iov;
    if (fails(SENDMSG, fd)) {
        return -1;
    }
    if (m->msg_iovlen > 0 && ordered(SHORT, fd)) {
        iov = m->msg_iov[0];
        iov.iov_len = (iov.iov_len + 1u) / 2u;
        half.msg_iov = &iov;
        half.msg_iovlen = 1;
    }
    return __real_sendmsg(fd, &half, flags);
}

int __real_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *val, socklen_t *len) {
    const struct order *o = NULL;
    if (fails(GETSOCKOPT, fd)) {
        return -1;
    }
    int r = __real_getsockopt(fd, level, name, val, len);
    if (r == 0 && level == IPPROTO_TCP && name == TCP_INFO &&
        (o = ordered(TCP_STATE, fd))) {
        ((struct tcp_info *)val)->tcpi_state = o->what;
    }
    if (r == 0 && level == SOL_SOCKET && name == SO_ERROR && fails(ERROR, fd)) {
        *(int *)val = errno;
    }
    return r;
}

int __real_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms) {
    static const short bits[16] = {0, POLLIN, POLLOUT, POLLPRI, POLLHUP,
        POLLRDHUP, POLLERR, POLLERR | POLLHUP, POLLIN | POLLRDHUP,
        POLLOUT | POLLHUP, POLLIN | POLLPRI, POLLHUP | POLLRDHUP,
        POLLIN | POLLOUT, POLLERR | POLLOUT, POLLERR | POLLIN,
        POLLIN | POLLOUT | POLLRDHUP};
    const struct order *o = NULL;
    if (count > 0 && fails(POLL, fds[0].fd)) {
        return -1;
    }
    if (serving > 0 && ms > 0 && fault_waits && !fault_waits()) {
        return 0;
    }
    int r = __real_poll(fds, count, ms);
    if (count == 1 && (o = ordered(BITS, fds[0].fd))) {
        fds[0].revents = bits[o->what];
        return fds[0].revents != 0;
    }
    return r;
}

// NOLINTEND(readability-identifier-naming)
