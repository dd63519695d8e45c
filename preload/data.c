// Bytes: send and receive in all their forms.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

// The flags of the host equal the link's; those that are not there go no
// further.
#define FLAGS                                                                  \
    (MSG_OOB | MSG_PEEK | MSG_DONTROUTE | MSG_TRUNC | MSG_DONTWAIT | MSG_EOR | \
        MSG_WAITALL | MSG_CONFIRM | MSG_ERRQUEUE | MSG_NOSIGNAL | MSG_MORE)

static ssize_t sent(struct psock *s, ssize_t n, size_t len, int flags) {
    if (n == FAR_EPIPE && s->type == SOCK_STREAM && !(flags & MSG_NOSIGNAL)) {
        pthread_kill(pthread_self(), SIGPIPE);
    }
    if (n == FAR_EAGAIN || (n >= 0 && (size_t)n < len)) {
        atomic_fetch_add(&s->full, 1);
    }
    return far_done_long(n);
}

static ssize_t got(struct psock *s, ssize_t n, size_t len) {
    if (n == FAR_EAGAIN || (n >= 0 && (size_t)n < len)) {
        atomic_fetch_add(&s->dry, 1);
    }
    return far_done_long(n);
}

ssize_t far_send_bytes(struct psock *s, const void *buf, size_t len, int flags,
    const struct sockaddr *to, socklen_t to_len) {
    struct far_addr addr;
    if (!psock_use(s)) {
        return -1;
    }
    if (!buf && len > 0) {
        errno = EFAULT;
        return -1;
    }
    if (to && s->type != SOCK_STREAM) {
        int err = addr_to_far(to, to_len, &addr);
        if (err != FAR_OK) {
            return far_done(err);
        }
    }
    call_begin(!s->sndtimeo);
    int32_t n = far_sendto(s->link->near, s->handle, buf, len,
        (uint32_t)(flags & FLAGS), to ? &addr : NULL,
        wait_of(s, (flags & MSG_DONTWAIT) != 0));
    return sent(s, n, len, flags);
}

ssize_t far_recv_bytes(struct psock *s, void *buf, size_t len, int flags,
    struct sockaddr *from, socklen_t *from_len) {
    struct far_addr addr;
    if (!psock_use(s)) {
        return -1;
    }
    if (!buf && len > 0) {
        errno = EFAULT;
        return -1;
    }
    call_begin(!s->rcvtimeo);
    int32_t n = far_recvfrom(s->link->near, s->handle, buf, len,
        (uint32_t)(flags & FLAGS), from ? &addr : NULL, NULL,
        wait_of(s, (flags & MSG_DONTWAIT) != 0));
    if (n >= 0 && from && from_len) {
        addr_to_host(&addr, from, from_len);
    }
    return got(s, n, len);
}

// --- Several pieces ---

static ssize_t total_of(const struct iovec *iov, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (iov[i].iov_len > SSIZE_MAX - total) {
            return -1;
        }
        total += iov[i].iov_len;
    }
    return (ssize_t)total;
}

static void gather(uint8_t *to, const struct iovec *iov, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (iov[i].iov_len) {
            memcpy(to, iov[i].iov_base, iov[i].iov_len);
            to += iov[i].iov_len;
        }
    }
}

static void scatter(const uint8_t *from, size_t len, const struct iovec *iov,
    size_t count) {
    for (size_t i = 0; i < count && len > 0; i++) {
        size_t n = iov[i].iov_len < len ? iov[i].iov_len : len;
        if (n) {
            memcpy(iov[i].iov_base, from, n);
        }
        from += n;
        len -= n;
    }
}

// Many small pieces go as one; a large stream piece by piece.
#define BOUNCE 65536

static ssize_t send_pieces(struct psock *s, const struct iovec *iov,
    size_t count, int flags) {
    ssize_t done = 0;
    for (size_t i = 0; i < count; i++) {
        if (iov[i].iov_len == 0) {
            continue;
        }
        ssize_t n =
            far_send_bytes(s, iov[i].iov_base, iov[i].iov_len, flags, NULL, 0);
        if (n < 0) {
            return done > 0 ? done : n;
        }
        done += n;
        if ((size_t)n < iov[i].iov_len) {
            break;
        }
    }
    return done;
}

ssize_t far_send_msg(struct psock *s, const struct msghdr *msg, int flags) {
    const struct iovec *iov = msg->msg_iov;
    size_t count = msg->msg_iovlen;
    const struct sockaddr *to = msg->msg_name;
    if (count == 1) {
        return far_send_bytes(s, iov->iov_base, iov->iov_len, flags, to,
            msg->msg_namelen);
    }
    ssize_t total = count > IOV_MAX ? -1 : total_of(iov, count);
    if (total < 0) {
        errno = count > IOV_MAX ? EMSGSIZE : EINVAL;
        return -1;
    }
    if (total > BOUNCE) {
        if (s->type == SOCK_STREAM) {
            return send_pieces(s, iov, count, flags);
        }
        errno = EMSGSIZE;
        return -1;
    }
    uint8_t *all = malloc(total ? (size_t)total : 1);
    if (!all) {
        errno = ENOBUFS;
        return -1;
    }
    gather(all, iov, count);
    ssize_t n =
        far_send_bytes(s, all, (size_t)total, flags, to, msg->msg_namelen);
    int saved = errno;
    free(all);
    errno = saved;
    return n;
}

static ssize_t recv_one(struct psock *s, struct msghdr *msg, void *buf,
    size_t len, int flags) {
    struct far_addr addr = {0};
    uint32_t out = 0;
    if (!psock_use(s)) {
        return -1;
    }
    call_begin(!s->rcvtimeo);
    int32_t n = far_recvfrom(s->link->near, s->handle, buf, len,
        (uint32_t)(flags & FLAGS), &addr, &out,
        wait_of(s, (flags & MSG_DONTWAIT) != 0));
    if (n >= 0) {
        if (msg->msg_name) {
            addr_to_host(&addr, msg->msg_name, &msg->msg_namelen);
        } else {
            msg->msg_namelen = 0;
        }
        msg->msg_flags = (int)out | (flags & MSG_CMSG_CLOEXEC);
        msg->msg_controllen = 0;
    }
    return got(s, n, len);
}

ssize_t far_recv_msg(struct psock *s, struct msghdr *msg, int flags) {
    const struct iovec *iov = msg->msg_iov;
    size_t count = msg->msg_iovlen;
    if (count == 1) {
        return recv_one(s, msg, iov->iov_base, iov->iov_len, flags);
    }
    ssize_t total = count > IOV_MAX ? -1 : total_of(iov, count);
    if (total < 0) {
        errno = count > IOV_MAX ? EMSGSIZE : EINVAL;
        return -1;
    }
    size_t room = (size_t)total < (1u << 20) ? (size_t)total : 1u << 20;
    uint8_t *all = malloc(room ? room : 1);
    if (!all) {
        errno = ENOBUFS;
        return -1;
    }
    ssize_t n = recv_one(s, msg, all, room, flags);
    int saved = errno;
    if (n > 0) {
        scatter(all, (size_t)n < room ? (size_t)n : room, iov, count);
    }
    free(all);
    errno = saved;
    return n;
}

// --- The calls ---

EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags) {
    struct psock *s = psock_at(fd);
    return s ? far_send_bytes(s, buf, len, flags, NULL, 0)
             : real()->send(fd, buf, len, flags);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags,
    __CONST_SOCKADDR_ARG to, socklen_t to_len) {
    struct psock *s = psock_at(fd);
    return s ? far_send_bytes(s, buf, len, flags, to.__sockaddr__, to_len)
             : real()->sendto(fd, buf, len, flags, to, to_len);
}

EXPORT ssize_t write(int fd, const void *buf, size_t len) {
    struct psock *s = psock_at(fd);
    return s ? far_send_bytes(s, buf, len, 0, NULL, 0)
             : real()->write(fd, buf, len);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return real()->writev(fd, iov, count);
    }
    if (count < 0 || count > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    struct msghdr msg = {
        .msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = (size_t)count,
    };
    return far_send_msg(s, &msg, 0);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags) {
    struct psock *s = psock_at(fd);
    return s ? far_send_msg(s, msg, flags) : real()->sendmsg(fd, msg, flags);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *all, unsigned count, int flags) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return real()->sendmmsg(fd, all, count, flags);
    }
    unsigned done = 0;
    while (done < count && done < IOV_MAX) {
        ssize_t n = far_send_msg(s, &all[done].msg_hdr, flags);
        if (n < 0) {
            break;
        }
        all[done++].msg_len = (unsigned)n;
    }
    return done > 0 || count == 0 ? (int)done : -1;
}

EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags) {
    struct psock *s = psock_at(fd);
    return s ? far_recv_bytes(s, buf, len, flags, NULL, NULL)
             : real()->recv(fd, buf, len, flags);
}

EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags,
    __SOCKADDR_ARG from, socklen_t *restrict from_len) {
    struct psock *s = psock_at(fd);
    return s ? far_recv_bytes(s, buf, len, flags, from.__sockaddr__, from_len)
             : real()->recvfrom(fd, buf, len, flags, from, from_len);
}

EXPORT ssize_t read(int fd, void *buf, size_t len) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return real()->read(fd, buf, len);
    }
    // Natively a read of nothing does not reach the socket.
    return len ? far_recv_bytes(s, buf, len, 0, NULL, NULL) : 0;
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int count) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return real()->readv(fd, iov, count);
    }
    if (count < 0 || count > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    struct msghdr msg = {
        .msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = (size_t)count,
    };
    return far_recv_msg(s, &msg, 0);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags) {
    struct psock *s = psock_at(fd);
    return s ? far_recv_msg(s, msg, flags) : real()->recvmsg(fd, msg, flags);
}

EXPORT int recvmmsg(int fd, struct mmsghdr *all, unsigned count, int flags,
    struct timespec *timeout) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return real()->recvmmsg(fd, all, count, flags, timeout);
    }
    unsigned done = 0;
    uint64_t until = deadline_of_timespec(timeout);
    while (done < count && done < IOV_MAX) {
        ssize_t n =
            far_recv_msg(s, &all[done].msg_hdr, flags & ~MSG_WAITFORONE);
        if (n < 0) {
            break;
        }
        all[done++].msg_len = (unsigned)n;
        if (flags & MSG_WAITFORONE) {
            flags |= MSG_DONTWAIT;
        }
        // As natively: looked at after each datagram only.
        if (timeout && far_posix_now() >= until) {
            break;
        }
    }
    return done > 0 || count == 0 ? (int)done : -1;
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
