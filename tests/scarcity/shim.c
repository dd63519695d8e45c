// Preloaded into farsockd: makes the n-th call of one kind fail, as it would
// where the system is short of something. Tests say which through a file.
// SPDX-License-Identifier: MIT

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

// What the file holds, as test_scarcity.py writes it.
struct plan {
    _Atomic int32_t kind;  // which call, 0: none
    _Atomic int32_t left;  // calls until the first that fails
    _Atomic int32_t count; // how many fail
    _Atomic int32_t error;
    _Atomic int32_t hits; // how many did
};

enum kind {
    NONE,
    ACCEPT,
    SOCKET,
    EPOLL_ADD,
    EVENTFD,
    MEMFD,
    MMAP,
    MALLOC,
    THREAD,
    DUP,
    TRUNCATE,
    SEND,
    RECEIVE,
    PORT_RANGE,
};

static struct plan nothing;
static struct plan *plan = &nothing;

static void open_plan(void) __attribute__((constructor));
static void open_plan(void) {
    const char *path = getenv("FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *p = fd < 0 ? MAP_FAILED
                     : mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE,
                           MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) {
        plan = p;
    }
    if (fd >= 0) {
        close(fd);
    }
}

static bool fails(enum kind kind) {
    if (atomic_load(&plan->kind) != (int)kind ||
        atomic_fetch_sub(&plan->left, 1) > 0 ||
        atomic_fetch_sub(&plan->count, 1) <= 0) {
        return false;
    }
    atomic_fetch_add(&plan->hits, 1);
    errno = atomic_load(&plan->error);
    return true;
}

static void *next(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

// A call that fails with -1, and its arguments.
#define FAULT(kind, type, name, parameters, arguments)                         \
    type name parameters;                                                      \
    type name parameters {                                                     \
        static type(*_Atomic real) parameters;                                 \
        if (fails(kind)) {                                                     \
            return -1;                                                         \
        }                                                                      \
        if (!real) {                                                           \
            void *p = next(#name);                                             \
            type(*f) parameters;                                               \
            memcpy(&f, &p, sizeof f);                                          \
            real = f;                                                          \
        }                                                                      \
        return real arguments;                                                 \
    }

// The C library has other names for parameters, and names of its own.
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
// NOLINTBEGIN(readability-identifier-naming)

FAULT(ACCEPT, int, accept4,
    (int fd, __SOCKADDR_ARG sa, socklen_t *len, int flags),
    (fd, sa, len, flags))
FAULT(SOCKET, int, socket, (int family, int type, int proto),
    (family, type, proto))
FAULT(EVENTFD, int, eventfd, (unsigned value, int flags), (value, flags))
FAULT(MEMFD, int, memfd_create, (const char *name, unsigned flags),
    (name, flags))
FAULT(TRUNCATE, int, ftruncate, (int fd, off_t size), (fd, size))
FAULT(SEND, ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags),
    (fd, m, flags))
FAULT(RECEIVE, ssize_t, recvmsg, (int fd, struct msghdr *m, int flags),
    (fd, m, flags))

int epoll_ctl(int fd, int op, int target, struct epoll_event *ev) {
    static int (*_Atomic real)(int, int, int, struct epoll_event *);
    if (op == EPOLL_CTL_ADD && fails(EPOLL_ADD)) {
        return -1;
    }
    if (!real) {
        void *p = next("epoll_ctl");
        int (*f)(int, int, int, struct epoll_event *);
        memcpy(&f, &p, sizeof f);
        real = f;
    }
    return real(fd, op, target, ev);
}

int fcntl(int fd, int command, ...) {
    static int (*_Atomic real)(int, int, ...);
    va_list args;
    va_start(args, command);
    long arg = va_arg(args, long);
    va_end(args);
    if (command == F_DUPFD_CLOEXEC && fails(DUP)) {
        return -1;
    }
    if (!real) {
        void *p = next("fcntl");
        int (*f)(int, int, ...);
        memcpy(&f, &p, sizeof f);
        real = f;
    }
    return real(fd, command, arg);
}

// As Linux before 6.3, which has no IP_LOCAL_PORT_RANGE.
int setsockopt(int fd, int level, int name, const void *v, socklen_t len) {
    enum { PORT_RANGE_OPTION = 51 };
    static int (*_Atomic real)(int, int, int, const void *, socklen_t);
    if (level == IPPROTO_IP && name == PORT_RANGE_OPTION && fails(PORT_RANGE)) {
        return -1;
    }
    if (!real) {
        void *p = next("setsockopt");
        int (*f)(int, int, int, const void *, socklen_t);
        memcpy(&f, &p, sizeof f);
        real = f;
    }
    return real(fd, level, name, v, len);
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset) {
    static void *(*_Atomic real)(void *, size_t, int, int, int, off_t);
    if (fails(MMAP)) {
        return MAP_FAILED;
    }
    if (!real) {
        void *p = next("mmap");
        void *(*f)(void *, size_t, int, int, int, off_t);
        memcpy(&f, &p, sizeof f);
        real = f;
    }
    return real(at, len, prot, flags, fd, offset);
}

int pthread_create(pthread_t *t, const pthread_attr_t *attr,
    void *(*run)(void *), void *arg) {
    static int (*_Atomic real)(pthread_t *, const pthread_attr_t *,
        void *(*)(void *), void *);
    if (fails(THREAD)) {
        return errno;
    }
    if (!real) {
        void *p = next("pthread_create");
        int (*f)(pthread_t *, const pthread_attr_t *, void *(*)(void *),
            void *);
        memcpy(&f, &p, sizeof f);
        real = f;
    }
    return real(t, attr, run, arg);
}

// The C library's own names: asking for them would allocate.
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size) {
    return fails(MALLOC) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return fails(MALLOC) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    return fails(MALLOC) ? NULL : __libc_realloc(old, size);
}

// NOLINTEND(readability-identifier-naming)
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
