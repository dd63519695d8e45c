// The plain names of BSD sockets: descriptors, calls about one socket.
// SPDX-License-Identifier: MIT
#define FARSOCK_BSD_NO_NAMES
#include "farsock/bsd.h"
#include "ports/posix/bsd.h"
#include "ports/posix/guard.h"
#include "ports/posix/msghdr.h"

#include <limits.h>
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
    if (!the_posix && far_posix_open(&the_posix, &o) == FAR_OK) {
        bsd_guard_memory();
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
    int err = sa ? far_posix_addr_put(&peer, sa, len) : FAR_OK;
    if (err < 0) {
        far_close_nowait(t.l, sock);
        return bsd_result(err);
    }
    return give_number(t.l, sock, flags);
}

int far_bsd_accept(int fd, struct sockaddr *sa, socklen_t *len) {
    return far_bsd_accept4(fd, sa, len, 0);
}

// --- About one socket ---

// RFC 2133 had no scope; Linux still takes that length.
#define OLD_SIN6_LEN offsetof(struct sockaddr_in6, sin6_scope_id)

static int take_addr(struct far_addr *a, const struct sockaddr *sa,
    socklen_t len) {
    struct sockaddr_storage ss;
    int err = far_posix_addr_get(&ss, sa, len);
    if (err < 0 || len < sizeof ss.ss_family) {
        return err < 0 ? err : FAR_EINVAL;
    }
    bool v6 = ss.ss_family == AF_INET6;
    if ((v6 && len < OLD_SIN6_LEN) ||
        (ss.ss_family == AF_INET && len < sizeof(struct sockaddr_in))) {
        return FAR_EINVAL;
    }
    far_posix_addr(a, &ss, v6 ? sizeof(struct sockaddr_in6) : len);
    a->family = ss.ss_family;
    return FAR_OK;
}

// A stream does not look at an address, but it must be there.
static int take_name(const struct target *t, struct far_addr *a,
    const struct sockaddr *sa, socklen_t len) {
    struct sockaddr_storage ss;
    int err = far_posix_addr_get(&ss, sa, len);
    return err == FAR_OK ? far_posix_name(t->l, t->sock, a, &ss, len) : err;
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
    return bsd_result(err < 0 ? err : far_posix_addr_put(&a, sa, len));
}

int far_bsd_getpeername(int fd, struct sockaddr *sa, socklen_t *len) {
    struct target t;
    struct far_addr a;
    if (!is_far(fd, &t)) {
        return getpeername(fd, sa, len);
    }
    int err = far_getpeername(t.l, t.sock, &a);
    return bsd_result(err < 0 ? err : far_posix_addr_put(&a, sa, len));
}

// --- Options ---

static bool is_timeout(int level, int opt) {
    return level == SOL_SOCKET && (opt == SO_RCVTIMEO || opt == SO_SNDTIMEO);
}

#define VALUE_MAX 1024

int far_bsd_setsockopt(int fd, int level, int opt, const void *val,
    socklen_t len) {
    struct target t;
    uint64_t room[VALUE_MAX / sizeof(uint64_t)];
    if (!is_far(fd, &t)) {
        return setsockopt(fd, level, opt, val, len);
    }
    if (len > INT_MAX) {
        return bsd_result(FAR_EINVAL);
    }
    // No option reads more; most read an int, whatever the length says.
    size_t n = far_guard_some(room, val, len < sizeof room ? len : sizeof room);
    if (n < len && n < sizeof(int)) {
        return bsd_result(FAR_EFAULT);
    }
    if (is_timeout(level, opt) && n >= sizeof(struct timeval)) {
        struct timeval tv;
        memcpy(&tv, room, sizeof tv);
        int64_t far[2] = {tv.tv_sec, tv.tv_usec};
        memcpy(room, far, sizeof far);
        n = sizeof far;
    }
    return bsd_result(far_posix_setsockopt(t.l, t.sock, level, opt, room, n));
}

int far_bsd_getsockopt(int fd, int level, int opt, void *val, socklen_t *len) {
    struct target t;
    uint64_t room[VALUE_MAX / sizeof(uint64_t)];
    socklen_t had = 0;
    if (!is_far(fd, &t)) {
        return getsockopt(fd, level, opt, val, len);
    }
    if (!far_guard_copy(&had, len, sizeof had)) {
        return bsd_result(FAR_EFAULT);
    }
    if (had > INT_MAX) {
        return bsd_result(FAR_EINVAL);
    }
    bool time = is_timeout(level, opt);
    size_t n = time || had > sizeof room ? sizeof room : had;
    int err = far_getsockopt(t.l, t.sock, level, opt, room, &n);
    if (err < 0) {
        return bsd_result(err);
    }
    if (time) {
        int64_t far[2];
        memcpy(far, room, sizeof far);
        struct timeval tv = {.tv_sec = far[0], .tv_usec = far[1]};
        memcpy(room, &tv, sizeof tv);
        n = had < sizeof tv ? had : sizeof tv;
    }
    had = (socklen_t)n;
    bool there =
        far_guard_copy(val, room, n) && far_guard_copy(len, &had, sizeof had);
    return bsd_result(there ? FAR_OK : FAR_EFAULT);
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
        int on = 0;
        return far_guard_copy(&on, arg, sizeof on)
                   ? far_bsd_fcntl(fd, F_SETFL, on ? (long)O_NONBLOCK : 0)
                   : bsd_result(FAR_EFAULT);
    }
    return bsd_result(far_posix_ioctl_at(t.l, t.sock, request, arg));
}

int far_bsd_sockatmark(int fd) {
    struct target t;
    return is_far(fd, &t) ? bsd_result(far_sockatmark(t.l, t.sock))
                          : sockatmark(fd);
}

// --- Data ---

#define BYTES_MAX 0x7ffff000u // of one call, as the kernel's

// As the kernel looks at it before anything else.
static bool is_buffer(const void *buf, size_t len) {
    return far_guard_range(buf, len < BYTES_MAX ? len : BYTES_MAX);
}

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
    int err = is_buffer(buf, len) ? FAR_OK : FAR_EFAULT;
    err = err == FAR_OK && sa ? take_name(&t, &a, sa, sa_len) : err;
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
    if (!is_buffer(buf, len)) {
        return bsd_result(FAR_EFAULT);
    }
    int32_t n = far_recvfrom(t.l, t.sock, buf, len, (uint32_t)flags, &from,
        NULL, until(&t));
    int err = n >= 0 && sa ? far_posix_addr_put(&from, sa, sa_len) : FAR_OK;
    return bsd_result(err < 0 ? err : n);
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
    if (!far_guard_range(buf, len)) {
        return bsd_result(FAR_EFAULT);
    }
    return len ? far_bsd_recv(fd, buf, len, 0) : 0;
}

ssize_t far_bsd_write(int fd, const void *buf, size_t len) {
    struct target t;
    if (!is_far(fd, &t)) {
        return write(fd, buf, len);
    }
    return far_guard_range(buf, len) ? far_bsd_send(fd, buf, len, 0)
                                     : bsd_result(FAR_EFAULT);
}

static int get_pieces(struct far_posix_msg *p, const struct iovec *iov,
    int count) {
    p->m = (struct msghdr){0};
    return count < 0 || count > (int)FAR_IOV_MAX
               ? FAR_EINVAL
               : far_posix_iov_get(p, iov, (size_t)count);
}

ssize_t far_bsd_readv(int fd, const struct iovec *iov, int count) {
    struct target t;
    struct far_posix_msg p;
    struct msghdr unused;
    if (!is_far(fd, &t)) {
        return readv(fd, iov, count);
    }
    int32_t n = get_pieces(&p, iov, count);
    if (n == FAR_OK && p.total) {
        n = far_posix_msg_recv(t.l, t.sock, &p, &unused, 0, until(&t));
    }
    return bsd_result(n);
}

ssize_t far_bsd_writev(int fd, const struct iovec *iov, int count) {
    struct target t;
    struct far_posix_msg p;
    if (!is_far(fd, &t)) {
        return writev(fd, iov, count);
    }
    int32_t n = get_pieces(&p, iov, count);
    if (n == FAR_OK) {
        n = far_posix_msg_send(t.l, t.sock, &p, NULL, 0, until(&t));
    }
    return sent(t.l, t.sock, n, 0);
}
