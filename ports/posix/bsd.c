// The plain names of BSD sockets: descriptors, calls about one socket.
// SPDX-License-Identifier: MIT
#define FARSOCK_BSD_NO_NAMES
#include "farsock/bsd.h"
#include "ports/posix/bsd.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/time.h>

#define DESCRIPTORS 65536

#define CLOSED   0u
#define NONBLOCK 0x80000000u

// The handle + 1, and NONBLOCK, of each descriptor that stands for a socket.
static _Atomic uint32_t table[DESCRIPTORS];
static struct far_posix *the_posix;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

struct far_posix *bsd_posix(void) {
    struct far_posix_options o = {.wait_s = -1};
    pthread_mutex_lock(&opening);
    if (!the_posix) {
        far_posix_open(&the_posix, &o);
    }
    struct far_posix *p = the_posix;
    pthread_mutex_unlock(&opening);
    return p;
}

int bsd_result(int r) {
    if (r >= 0) {
        return r;
    }
    errno = far_posix_errno(r);
    return -1;
}

struct far_link *bsd_find(int fd, int *sock, bool *nonblock) {
    uint32_t entry = fd >= 0 && fd < DESCRIPTORS ? atomic_load(&table[fd]) : 0;
    if (entry == CLOSED) {
        return NULL;
    }
    *sock = (int)(entry & ~(uint32_t)NONBLOCK) - 1;
    *nonblock = (entry & NONBLOCK) != 0;
    return far_posix_link(the_posix);
}

struct target {
    struct far_link *l;
    int sock;
    bool nonblock;
};

static bool is_far(int fd, struct target *t) {
    t->l = bsd_find(fd, &t->sock, &t->nonblock);
    return t->l != NULL;
}

static uint64_t until(const struct target *t) {
    return t->nonblock ? FAR_NOWAIT : FAR_FOREVER;
}

// A descriptor of the host's is the number: it is taken as long as we have it.
static int give_number(struct far_link *l, int sock, int type) {
    int fd = open("/", O_PATH | (type & SOCK_CLOEXEC ? O_CLOEXEC : 0));
    if (fd < 0 || fd >= DESCRIPTORS) {
        int saved = fd < 0 ? errno : EMFILE;
        if (fd >= 0) {
            close(fd);
        }
        far_close_nowait(l, sock);
        errno = saved;
        return -1;
    }
    atomic_store(&table[fd],
        (uint32_t)(sock + 1) | (type & SOCK_NONBLOCK ? NONBLOCK : 0u));
    return fd;
}

// --- Making and closing ---

int far_bsd_socket(int family, int type, int proto) {
    if (family != AF_INET && family != AF_INET6) {
        return socket(family, type, proto);
    }
    struct far_posix *p = bsd_posix();
    if (!p) {
        errno = ENETDOWN;
        return -1;
    }
    struct far_link *l = far_posix_link(p);
    uint32_t kind = (uint32_t)(type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC));
    int sock = far_socket(l, (uint32_t)family, kind, (uint32_t)proto);
    return sock < 0 ? bsd_result(sock) : give_number(l, sock, type);
}

int far_bsd_close(int fd) {
    struct target t;
    if (!is_far(fd, &t)) {
        return close(fd);
    }
    atomic_store(&table[fd], 0u);
    close(fd);
    return bsd_result(far_close(t.l, t.sock, FAR_FOREVER));
}

static void give_addr(const struct far_addr *a, struct sockaddr *sa,
    socklen_t *len) {
    struct sockaddr_storage ss;
    if (sa && len) {
        uint32_t n = a->family ? far_posix_sockaddr(a, &ss) : 0;
        memcpy(sa, &ss, n < *len ? n : *len);
        *len = n;
    }
}

int far_bsd_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags) {
    struct target t;
    struct far_addr peer = {0};
    if (!is_far(fd, &t)) {
        return accept4(fd, sa, len, flags);
    }
    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) {
        errno = EINVAL;
        return -1;
    }
    int sock = far_accept(t.l, t.sock, &peer, until(&t));
    if (sock < 0) {
        return bsd_result(sock);
    }
    give_addr(&peer, sa, len);
    return give_number(t.l, sock, flags);
}

int far_bsd_accept(int fd, struct sockaddr *sa, socklen_t *len) {
    return far_bsd_accept4(fd, sa, len, 0);
}

// --- About one socket ---

static int take_addr(struct far_addr *a, const struct sockaddr *sa,
    socklen_t len) {
    sa_family_t family = 0;
    if (!sa || len < sizeof family) {
        return FAR_EINVAL;
    }
    memcpy(&family, sa, sizeof family);
    far_posix_addr(a, sa, len);
    if (a->family == 0 && (family == AF_INET || family == AF_INET6)) {
        return FAR_EINVAL; // too short
    }
    a->family = a->family ? a->family : family;
    return FAR_OK;
}

int far_bsd_bind(int fd, const struct sockaddr *sa, socklen_t len) {
    struct target t;
    struct far_addr a;
    if (!is_far(fd, &t)) {
        return bind(fd, sa, len);
    }
    int err = take_addr(&a, sa, len);
    return bsd_result(err < 0 ? err : far_bind(t.l, t.sock, &a));
}

int far_bsd_connect(int fd, const struct sockaddr *sa, socklen_t len) {
    struct target t;
    struct far_addr a;
    if (!is_far(fd, &t)) {
        return connect(fd, sa, len);
    }
    int err = take_addr(&a, sa, len);
    return bsd_result(err < 0 ? err : far_connect(t.l, t.sock, &a, until(&t)));
}

int far_bsd_listen(int fd, int backlog) {
    struct target t;
    return is_far(fd, &t) ? bsd_result(far_listen(t.l, t.sock, backlog))
                          : listen(fd, backlog);
}

int far_bsd_shutdown(int fd, int how) {
    struct target t;
    return is_far(fd, &t) ? bsd_result(far_shutdown(t.l, t.sock, how))
                          : shutdown(fd, how);
}

int far_bsd_getsockname(int fd, struct sockaddr *sa, socklen_t *len) {
    struct target t;
    struct far_addr a;
    if (!is_far(fd, &t)) {
        return getsockname(fd, sa, len);
    }
    int err = far_getsockname(t.l, t.sock, &a);
    if (err >= 0) {
        give_addr(&a, sa, len);
    }
    return bsd_result(err);
}

int far_bsd_getpeername(int fd, struct sockaddr *sa, socklen_t *len) {
    struct target t;
    struct far_addr a;
    if (!is_far(fd, &t)) {
        return getpeername(fd, sa, len);
    }
    int err = far_getpeername(t.l, t.sock, &a);
    if (err >= 0) {
        give_addr(&a, sa, len);
    }
    return bsd_result(err);
}

// --- Options ---

static bool is_timeout(int level, int opt) {
    return level == SOL_SOCKET && (opt == SO_RCVTIMEO || opt == SO_SNDTIMEO);
}

int far_bsd_setsockopt(int fd, int level, int opt, const void *val,
    socklen_t len) {
    struct target t;
    struct timeval tv;
    if (!is_far(fd, &t)) {
        return setsockopt(fd, level, opt, val, len);
    }
    if (is_timeout(level, opt) && len >= sizeof tv) {
        memcpy(&tv, val, sizeof tv);
        int64_t far[2] = {tv.tv_sec, tv.tv_usec};
        return bsd_result(far_setsockopt(t.l, t.sock, level, opt, far,
            sizeof far));
    }
    return bsd_result(far_setsockopt(t.l, t.sock, level, opt, val, len));
}

int far_bsd_getsockopt(int fd, int level, int opt, void *val, socklen_t *len) {
    struct target t;
    if (!is_far(fd, &t)) {
        return getsockopt(fd, level, opt, val, len);
    }
    if (is_timeout(level, opt)) {
        int64_t far[2] = {0, 0};
        size_t size = sizeof far;
        int err = far_getsockopt(t.l, t.sock, level, opt, far, &size);
        struct timeval tv = {.tv_sec = far[0], .tv_usec = far[1]};
        *len = *len < sizeof tv ? *len : (socklen_t)sizeof tv;
        memcpy(val, &tv, err < 0 ? 0 : *len);
        return bsd_result(err);
    }
    size_t size = *len;
    int err = far_getsockopt(t.l, t.sock, level, opt, val, &size);
    if (err >= 0) {
        *len = (socklen_t)size;
    }
    return bsd_result(err);
}

int far_bsd_fcntl(int fd, int cmd, ...) {
    struct target t;
    va_list args;
    va_start(args, cmd);
    long arg = va_arg(args, long);
    va_end(args);
    if (!is_far(fd, &t) || cmd == F_GETFD || cmd == F_SETFD) {
        return fcntl(fd, cmd, arg);
    }
    if (cmd == F_GETFL) {
        return O_RDWR | (t.nonblock ? O_NONBLOCK : 0);
    }
    if (cmd != F_SETFL) {
        errno = EINVAL;
        return -1;
    }
    atomic_store(&table[fd],
        (uint32_t)(t.sock + 1) | (arg & O_NONBLOCK ? NONBLOCK : 0u));
    return 0;
}

int far_bsd_ioctl(int fd, unsigned long request, ...) {
    struct target t;
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    if (!is_far(fd, &t)) {
        return ioctl(fd, request, arg);
    }
    if (request == FIONBIO) {
        return far_bsd_fcntl(fd, F_SETFL, (long)(*(int *)arg ? O_NONBLOCK : 0));
    }
    return bsd_result(far_posix_ioctl(t.l, t.sock, request, arg));
}

int far_bsd_sockatmark(int fd) {
    struct target t;
    return is_far(fd, &t) ? bsd_result(far_sockatmark(t.l, t.sock))
                          : sockatmark(fd);
}

// --- Data ---

static ssize_t sent(struct far_link *l, int sock, int32_t n, int flags) {
    uint32_t type = 0;
    uint32_t ignored = 0;
    if (n == FAR_EPIPE && !(flags & MSG_NOSIGNAL) &&
        far_sockinfo(l, sock, &ignored, &type, &ignored) == FAR_OK &&
        type == FAR_SOCK_STREAM) {
        raise(SIGPIPE);
    }
    return bsd_result(n);
}

ssize_t far_bsd_sendto(int fd, const void *buf, size_t len, int flags,
    const struct sockaddr *sa, socklen_t sa_len) {
    struct target t;
    struct far_addr a;
    if (!is_far(fd, &t)) {
        return sendto(fd, buf, len, flags, sa, sa_len);
    }
    int err = sa ? take_addr(&a, sa, sa_len) : FAR_OK;
    int32_t n = err < 0 ? err
                        : far_sendto(t.l, t.sock, buf, len, (uint32_t)flags,
                              sa ? &a : NULL, until(&t));
    return sent(t.l, t.sock, n, flags);
}

ssize_t far_bsd_send(int fd, const void *buf, size_t len, int flags) {
    return far_bsd_sendto(fd, buf, len, flags, NULL, 0);
}

ssize_t far_bsd_sendmsg(int fd, const struct msghdr *m, int flags) {
    struct target t;
    if (!is_far(fd, &t)) {
        return sendmsg(fd, m, flags);
    }
    return sent(t.l, t.sock,
        far_posix_sendmsg(t.l, t.sock, m, (uint32_t)flags, until(&t)), flags);
}

ssize_t far_bsd_recvfrom(int fd, void *buf, size_t len, int flags,
    struct sockaddr *sa, socklen_t *sa_len) {
    struct target t;
    struct far_addr from = {0};
    if (!is_far(fd, &t)) {
        return recvfrom(fd, buf, len, flags, sa, sa_len);
    }
    int32_t n = far_recvfrom(t.l, t.sock, buf, len, (uint32_t)flags, &from,
        NULL, until(&t));
    if (n >= 0) {
        give_addr(&from, sa, sa_len);
    }
    return bsd_result(n);
}

ssize_t far_bsd_recv(int fd, void *buf, size_t len, int flags) {
    return far_bsd_recvfrom(fd, buf, len, flags, NULL, NULL);
}

ssize_t far_bsd_recvmsg(int fd, struct msghdr *m, int flags) {
    struct target t;
    if (!is_far(fd, &t)) {
        return recvmsg(fd, m, flags);
    }
    return bsd_result(far_posix_recvmsg(t.l, t.sock, m, (uint32_t)flags,
        until(&t)));
}

ssize_t far_bsd_read(int fd, void *buf, size_t len) {
    struct target t;
    if (!is_far(fd, &t)) {
        return read(fd, buf, len);
    }
    return len ? far_bsd_recv(fd, buf, len, 0) : 0;
}

ssize_t far_bsd_write(int fd, const void *buf, size_t len) {
    struct target t;
    return is_far(fd, &t) ? far_bsd_send(fd, buf, len, 0) : write(fd, buf, len);
}

static bool as_message(struct msghdr *m, const struct iovec *iov, int count) {
    *m = (struct msghdr){
        .msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = (size_t)count,
    };
    if (count < 0 || count > (int)FAR_IOV_MAX) {
        errno = EINVAL;
        return false;
    }
    return true;
}

ssize_t far_bsd_readv(int fd, const struct iovec *iov, int count) {
    struct target t;
    struct msghdr m;
    if (!is_far(fd, &t)) {
        return readv(fd, iov, count);
    }
    return as_message(&m, iov, count) ? far_bsd_recvmsg(fd, &m, 0) : -1;
}

ssize_t far_bsd_writev(int fd, const struct iovec *iov, int count) {
    struct target t;
    struct msghdr m;
    if (!is_far(fd, &t)) {
        return writev(fd, iov, count);
    }
    return as_message(&m, iov, count) ? far_bsd_sendmsg(fd, &m, 0) : -1;
}
