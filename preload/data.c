// Bytes: send and receive in all their forms.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "ports/posix/msghdr.h"

// The flags of the host equal the link's; those that are not there go no
// further.
#define FLAGS                                                                  \
    (MSG_OOB | MSG_PEEK | MSG_DONTROUTE | MSG_TRUNC | MSG_DONTWAIT | MSG_EOR | \
        MSG_WAITALL | MSG_CONFIRM | MSG_ERRQUEUE | MSG_NOSIGNAL | MSG_MORE |   \
        MSG_PROXY) // glibc's name of MSG_PROBE

#define MSG_CMSG_COMPAT INT_MIN // the kernel's mark of 32-bit programs

#define BYTES_MAX 0x7ffff000u // of one call, as the kernel's

static ssize_t sent(struct psock *s, ssize_t n, size_t len, int flags) {
    if (n == FAR_EPIPE && s->type == SOCK_STREAM && !(flags & MSG_NOSIGNAL)) {
        pthread_kill(pthread_self(), SIGPIPE);
    }
    bool full = n == FAR_EAGAIN || (n >= 0 && (size_t)n < len);
    if (full) {
        atomic_fetch_add(&s->full, 1);
    }
    if (full || s->type != SOCK_STREAM) {
        psock_mark(s);
    }
    return far_done_long(n);
}

static ssize_t got(struct psock *s, ssize_t n, size_t len) {
    // Behind a stream's end nothing comes that is an edge by this.
    bool ended = n == 0 && s->type == SOCK_STREAM;
    bool dry = n == FAR_EAGAIN || (n >= 0 && !ended && (size_t)n < len);
    if (dry) {
        atomic_fetch_add(&s->dry, 1);
    }
    if (dry || s->type != SOCK_STREAM) {
        psock_mark(s);
    }
    // A stream ends; who serves datagrams asks for the next.
    if (n <= 0 && s->type != SOCK_STREAM && !far_link_is_up(s->link->near)) {
        dead_pause();
    }
    return far_done_long(n);
}

// What is true of most calls: neither has anything to do.
static bool is_plain(const struct psock *s, ssize_t n, size_t len) {
    return n > 0 && (size_t)n == len && s->type == SOCK_STREAM;
}

// As the kernel looks at it before anything else.
static bool is_buffer(const void *buf, size_t len) {
    return user_range((uintptr_t)buf, len < BYTES_MAX ? len : BYTES_MAX);
}

// A stream does not look at an address, but it must be there.
static bool is_named(const struct psock *s, const struct sockaddr *to,
    socklen_t len, struct far_addr *out) {
    struct sockaddr_storage ss;
    int err = addr_take(&ss, to, len);
    if (err == FAR_OK) {
        err = far_posix_name(s->link->near, s->handle, out, &ss, len);
    }
    return far_done(err) == 0;
}

static ssize_t send_to(struct psock *s, const void *buf, size_t len, int flags,
    const struct far_addr *to) {
    call_begin(!s->sndtimeo);
    int32_t n = far_sendto(s->link->near, s->handle, buf, len,
        (uint32_t)(flags & FLAGS), to, wait_of(s, (flags & MSG_DONTWAIT) != 0));
    return is_plain(s, n, len) ? n : sent(s, n, len, flags);
}

static ssize_t recv_from(struct psock *s, void *buf, size_t len, int flags,
    struct far_addr *from) {
    call_begin(!s->rcvtimeo);
    int32_t n = far_recvfrom(s->link->near, s->handle, buf, len,
        (uint32_t)(flags & FLAGS), from, NULL,
        wait_of(s, (flags & MSG_DONTWAIT) != 0));
    return is_plain(s, n, len) ? n : got(s, n, len);
}

__attribute__((noinline)) static ssize_t send_named(struct psock *s,
    const void *buf, size_t len, int flags, const struct sockaddr *to,
    socklen_t to_len) {
    struct far_addr addr;
    if (to_len == 0 && s->type == SOCK_RAW && s->family == AF_INET) {
        return send_to(s, buf, len, flags, NULL); // to whom it is connected
    }
    return is_named(s, to, to_len, &addr) ? send_to(s, buf, len, flags, &addr)
                                          : -1;
}

__attribute__((noinline)) static ssize_t recv_named(struct psock *s, void *buf,
    size_t len, int flags, struct sockaddr *from, socklen_t *from_len) {
    struct far_addr addr = {0};
    ssize_t r = recv_from(s, buf, len, flags, &addr);
    return r >= 0 && addr_give(&addr, from, from_len) < 0 ? -1 : r;
}

ssize_t far_send_bytes(struct psock *s, const void *buf, size_t len, int flags,
    const struct sockaddr *to, socklen_t to_len) {
    if (!is_buffer(buf, len) || !psock_use(s)) {
        return -1;
    }
    return to ? send_named(s, buf, len, flags, to, to_len)
              : send_to(s, buf, len, flags, NULL);
}

ssize_t far_recv_bytes(struct psock *s, void *buf, size_t len, int flags,
    struct sockaddr *from, socklen_t *from_len) {
    if (!is_buffer(buf, len) || !psock_use(s)) {
        return -1;
    }
    return from ? recv_named(s, buf, len, flags, from, from_len)
                : recv_from(s, buf, len, flags, NULL);
}

// --- Several pieces ---

static ssize_t send_msg(struct psock *s, struct far_posix_msg *p, int flags) {
    struct far_addr addr;
    bool named = p->m.msg_name && p->m.msg_namelen;
    if (!psock_use(s)) {
        return -1;
    }
    // The kernel cuts it to what an address can be.
    socklen_t len = p->m.msg_namelen < sizeof(struct sockaddr_storage)
                        ? p->m.msg_namelen
                        : sizeof(struct sockaddr_storage);
    if (named && !is_named(s, p->m.msg_name, len, &addr)) {
        return -1;
    }
    call_begin(!s->sndtimeo);
    int32_t n =
        far_posix_msg_send(s->link->near, s->handle, p, named ? &addr : NULL,
            (uint32_t)(flags & FLAGS), wait_of(s, (flags & MSG_DONTWAIT) != 0));
    return sent(s, n, p->total, flags);
}

// m: the program's, which gets the results.
static ssize_t recv_msg(struct psock *s, struct far_posix_msg *p,
    struct msghdr *m, int flags, bool later) {
    if (!psock_use(s)) {
        return -1;
    }
    call_begin(!s->rcvtimeo);
    int32_t n = far_posix_msg_recv(s->link->near, s->handle, p, m,
        (uint32_t)(flags & (FLAGS | MSG_CMSG_CLOEXEC)) |
            (later ? FAR_MSG_LATER : 0),
        wait_of(s, (flags & MSG_DONTWAIT) != 0));
    return got(s, n, p->total);
}

ssize_t far_send_msg(struct psock *s, const struct msghdr *msg, int flags,
    size_t *total) {
    struct far_posix_msg p;
    int err = far_posix_msg_get(&p, msg);
    *total = err < 0 ? 0 : p.total;
    return err < 0 ? far_done(err) : send_msg(s, &p, flags);
}

ssize_t far_recv_msg(struct psock *s, struct msghdr *msg, int flags,
    bool later) {
    struct far_posix_msg p;
    int err = far_posix_msg_get(&p, msg);
    return err < 0 ? far_done(err) : recv_msg(s, &p, msg, flags, later);
}

// The pieces of readv() and writev(), as a message.
static bool get_pieces(struct far_posix_msg *p, const struct iovec *iov,
    int count) {
    p->m = (struct msghdr){0};
    int err = count < 0 || count > IOV_MAX
                  ? FAR_EINVAL
                  : far_posix_iov_get(p, iov, (size_t)count);
    return far_done(err) == 0;
}

// Natively nothing does not reach the socket, here and in readv().
ssize_t far_writev(struct psock *s, const struct iovec *iov, int count) {
    struct far_posix_msg p;
    if (!get_pieces(&p, iov, count)) {
        return -1;
    }
    return p.total ? send_msg(s, &p, 0) : 0;
}

ssize_t far_readv(struct psock *s, const struct iovec *iov, int count) {
    struct far_posix_msg p;
    struct msghdr unused;
    if (!get_pieces(&p, iov, count)) {
        return -1;
    }
    return p.total ? recv_msg(s, &p, &unused, 0, false) : 0;
}

// --- The calls ---

// A token carries no urgent data.
static bool is_refused(int fd, int flags) {
    bool refused = (flags & MSG_OOB) && is_carried(fd);
    if (refused) {
        errno = EOPNOTSUPP;
    }
    return refused;
}

// A stream looks at no address, but a token would.
static ssize_t send_other_to(int fd, const void *buf, size_t len, int flags,
    __CONST_SOCKADDR_ARG to, socklen_t to_len) {
    struct sockaddr_storage ss;
    if (!is_carried(fd)) {
        return real()->sendto(fd, buf, len, flags, to, to_len);
    }
    if (is_refused(fd, flags) ||
        (to.__sockaddr__ &&
            far_done(addr_take(&ss, to.__sockaddr__, to_len)) < 0)) {
        return -1;
    }
    return real()->send(fd, buf, len, flags);
}

EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags) {
    struct psock *s = psock_at(fd);
    ssize_t n = s ? far_send_bytes(s, buf, len, flags, NULL, 0) : 0;
    if (s && !now_carried(fd, n)) {
        return send_rest(fd, buf, len, flags, n);
    }
    return is_refused(fd, flags) ? -1 : real()->send(fd, buf, len, flags);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags,
    __CONST_SOCKADDR_ARG to, socklen_t to_len) {
    struct psock *s = psock_at(fd);
    ssize_t n =
        s ? far_send_bytes(s, buf, len, flags, to.__sockaddr__, to_len) : 0;
    return s && !now_carried(fd, n)
               ? send_rest(fd, buf, len, flags, n)
               : send_other_to(fd, buf, len, flags, to, to_len);
}

EXPORT ssize_t write(int fd, const void *buf, size_t len) {
    struct psock *s = psock_at(fd);
    if (s && !user_range((uintptr_t)buf, len)) {
        return -1;
    }
    ssize_t n = s ? far_send_bytes(s, buf, len, 0, NULL, 0) : 0;
    return s && !now_carried(fd, n) ? send_rest(fd, buf, len, 0, n)
                                    : real()->write(fd, buf, len);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count) {
    struct psock *s = psock_at(fd);
    ssize_t n = s ? far_writev(s, iov, count) : 0;
    return s && !now_carried(fd, n)
               ? send_rest_pieces(fd, iov, (size_t)count, 0, n)
               : real()->writev(fd, iov, count);
}

// The calls of messages refuse this before anything else.
bool flags_good(int flags) {
    if (flags & MSG_CMSG_COMPAT) {
        errno = EINVAL;
        return false;
    }
    return true;
}

// Of sockets that are not far.
static ssize_t send_other(int fd, const struct msghdr *msg, int flags) {
    struct msghdr m;
    if (is_refused(fd, flags)) {
        return -1;
    }
    if (is_carried(fd) && user_copy(&m, msg, sizeof m) == 0 && m.msg_name) {
        m.msg_name = NULL; // as send_other_to()
        m.msg_namelen = 0;
        return real()->sendmsg(fd, &m, flags);
    }
    return fari_fds_top == 0 || rights_share(msg)
               ? real()->sendmsg(fd, msg, flags)
               : -1;
}

static ssize_t recv_other(int fd, struct msghdr *msg, int flags) {
    ssize_t n = real()->recvmsg(fd, msg, flags);
    if (n >= 0) {
        rights_take(msg);
    }
    return n;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags) {
    struct psock *s = psock_at(fd);
    struct msghdr m;
    size_t total;
    if (s && !flags_good(flags)) {
        return -1;
    }
    ssize_t n = s ? far_send_msg(s, msg, flags, &total) : 0;
    if (!s || now_carried(fd, n)) {
        return send_other(fd, msg, flags);
    }
    return n > 0 && user_copy(&m, msg, sizeof m) == 0
               ? send_rest_pieces(fd, m.msg_iov, m.msg_iovlen, flags, n)
               : n;
}

EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags) {
    struct psock *s = psock_at(fd);
    ssize_t n = s ? far_recv_bytes(s, buf, len, flags, NULL, NULL) : 0;
    return s && !now_carried(fd, n) ? recv_rest(fd, buf, len, flags, n)
                                    : real()->recv(fd, buf, len, flags);
}

EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags,
    __SOCKADDR_ARG from, socklen_t *restrict from_len) {
    struct psock *s = psock_at(fd);
    ssize_t n =
        s ? far_recv_bytes(s, buf, len, flags, from.__sockaddr__, from_len) : 0;
    return s && !now_carried(fd, n)
               ? recv_rest(fd, buf, len, flags, n)
               : real()->recvfrom(fd, buf, len, flags, from, from_len);
}

EXPORT ssize_t read(int fd, void *buf, size_t len) {
    struct psock *s = psock_at(fd);
    if (s && !user_range((uintptr_t)buf, len)) {
        return -1;
    }
    // Natively a read of nothing does not reach the socket.
    ssize_t n = s && len ? far_recv_bytes(s, buf, len, 0, NULL, NULL) : 0;
    return s && !now_carried(fd, n) ? n : real()->read(fd, buf, len);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int count) {
    struct psock *s = psock_at(fd);
    ssize_t n = s ? far_readv(s, iov, count) : 0;
    return s && !now_carried(fd, n) ? n : real()->readv(fd, iov, count);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags) {
    struct psock *s = psock_at(fd);
    if (s && !flags_good(flags)) {
        return -1;
    }
    ssize_t n = s ? far_recv_msg(s, msg, flags, false) : 0;
    return s && !now_carried(fd, n) ? n : recv_other(fd, msg, flags);
}

// What compilers make of them under _FORTIFY_SOURCE.
void __chk_fail(void) __attribute__((noreturn));
ssize_t __read_chk(int fd, void *buf, size_t len, size_t size);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len, size_t size,
    int flags, __SOCKADDR_ARG from, socklen_t *restrict from_len);

static void check(size_t len, size_t size) {
    if (len > size) {
        __chk_fail();
    }
}

EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t size) {
    check(len, size);
    return read(fd, buf, len);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size,
    int flags) {
    check(len, size);
    return recv(fd, buf, len, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len,
    size_t size, int flags, __SOCKADDR_ARG from, socklen_t *restrict from_len) {
    check(len, size);
    return recvfrom(fd, buf, len, flags, from, from_len);
}
