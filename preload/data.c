// Bytes: send and receive in all their forms.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>

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
    if (to && to_len > sizeof(struct sockaddr_storage)) {
        return far_done(FAR_EINVAL);
    }
    if (to && s->type != SOCK_STREAM) {
        far_posix_name(s->link->near, s->handle, &addr, to, to_len);
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

// The bytes of all pieces, or -1 with errno as the kernel sets it.
static ssize_t total_of(const struct msghdr *msg) {
    size_t total = 0;
    if (msg->msg_iovlen > IOV_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        if (msg->msg_iov[i].iov_len > SSIZE_MAX - total) {
            errno = EINVAL;
            return -1;
        }
        total += msg->msg_iov[i].iov_len;
    }
    return (ssize_t)total;
}

ssize_t far_send_msg(struct psock *s, const struct msghdr *msg, int flags) {
    struct msghdr m = *msg;
    ssize_t total = total_of(msg);
    if (total < 0 || !psock_use(s)) {
        return -1;
    }
    if (msg->msg_name && (int)msg->msg_namelen < 0) {
        return far_done(FAR_EINVAL);
    }
    if (m.msg_namelen > sizeof(struct sockaddr_storage)) {
        m.msg_namelen = sizeof(struct sockaddr_storage);
    }
    call_begin(!s->sndtimeo);
    int32_t n = far_posix_sendmsg(s->link->near, s->handle, &m,
        (uint32_t)(flags & FLAGS), wait_of(s, (flags & MSG_DONTWAIT) != 0));
    return sent(s, n, (size_t)total, flags);
}

ssize_t far_recv_msg(struct psock *s, struct msghdr *msg, int flags) {
    ssize_t total = total_of(msg);
    if (total < 0 || !psock_use(s)) {
        return -1;
    }
    call_begin(!s->rcvtimeo);
    int32_t n = far_posix_recvmsg(s->link->near, s->handle, msg,
        (uint32_t)(flags & FLAGS), wait_of(s, (flags & MSG_DONTWAIT) != 0));
    if (n >= 0) {
        msg->msg_flags |= flags & MSG_CMSG_CLOEXEC;
    }
    return got(s, n, (size_t)total);
}

// --- The calls ---

// A call that slept while another thread forked: the stream is the kernel's
// now.
static bool now_carried(int fd, ssize_t n) {
    return n < 0 && (errno == ENOTCONN || errno == EBADF) && carried_now(fd);
}

EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags) {
    struct psock *s = psock_at(fd);
    ssize_t n = s ? far_send_bytes(s, buf, len, flags, NULL, 0) : 0;
    return s && !now_carried(fd, n) ? n : real()->send(fd, buf, len, flags);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags,
    __CONST_SOCKADDR_ARG to, socklen_t to_len) {
    struct psock *s = psock_at(fd);
    return s ? far_send_bytes(s, buf, len, flags, to.__sockaddr__, to_len)
             : real()->sendto(fd, buf, len, flags, to, to_len);
}

EXPORT ssize_t write(int fd, const void *buf, size_t len) {
    struct psock *s = psock_at(fd);
    ssize_t n = s ? far_send_bytes(s, buf, len, 0, NULL, 0) : 0;
    return s && !now_carried(fd, n) ? n : real()->write(fd, buf, len);
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
    // Natively nothing does not reach the socket.
    return total_of(&msg) == 0 ? 0 : far_send_msg(s, &msg, 0);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags) {
    struct psock *s = psock_at(fd);
    ssize_t n = s ? far_send_msg(s, msg, flags) : 0;
    return s && !now_carried(fd, n) ? n : real()->sendmsg(fd, msg, flags);
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
    ssize_t n = s ? far_recv_bytes(s, buf, len, flags, NULL, NULL) : 0;
    return s && !now_carried(fd, n) ? n : real()->recv(fd, buf, len, flags);
}

EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags,
    __SOCKADDR_ARG from, socklen_t *restrict from_len) {
    struct psock *s = psock_at(fd);
    return s ? far_recv_bytes(s, buf, len, flags, from.__sockaddr__, from_len)
             : real()->recvfrom(fd, buf, len, flags, from, from_len);
}

EXPORT ssize_t read(int fd, void *buf, size_t len) {
    struct psock *s = psock_at(fd);
    // Natively a read of nothing does not reach the socket.
    ssize_t n = s && len ? far_recv_bytes(s, buf, len, 0, NULL, NULL) : 0;
    return s && !now_carried(fd, n) ? n : real()->read(fd, buf, len);
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
    return total_of(&msg) == 0 ? 0 : far_recv_msg(s, &msg, 0);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags) {
    struct psock *s = psock_at(fd);
    ssize_t n = s ? far_recv_msg(s, msg, flags) : 0;
    return s && !now_carried(fd, n) ? n : real()->recvmsg(fd, msg, flags);
}

// Natively recvmmsg() begins with it, also where data would come first.
static int pending_error(struct psock *s) {
    int err = 0;
    size_t len = sizeof err;
    if (psock_use(s) &&
        (far_ready(s->link->near, s->handle, 0, false) & FAR_POLLERR)) {
        call_begin(true);
        far_getsockopt(s->link->near, s->handle, FAR_SOL_SOCKET, FAR_SO_ERROR,
            &err, &len);
    }
    return err;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *all, unsigned count, int flags,
    struct timespec *timeout) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return real()->recvmmsg(fd, all, count, flags, timeout);
    }
    unsigned done = 0;
    int err = flags & MSG_ERRQUEUE ? 0 : pending_error(s);
    if (err) {
        errno = err;
        return -1;
    }
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
