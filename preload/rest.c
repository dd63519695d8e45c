// What a call has left whose stream changes hands when a part has moved.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <limits.h>

// That goes the new way. Natively nothing has happened, and a call that may
// sleep moves all of it.

// The stream is no more the link's, although the thread that forks may not have
// said so yet; it lets go of what the descriptor was when it does.
static bool has_moved(int fd) {
    uint32_t unused;
    struct psock *s = psock_hold(fd);
    bool stays =
        s && (s->kind != PSOCK_FAR || far_sockinfo(s->link->near, s->handle,
                                          &unused, &unused, &unused) >= 0);
    if (s) {
        psock_let_go(s);
    }
    return !stays && carried_now(fd);
}

static bool has_rest(int fd, ssize_t done, size_t len) {
    return done > 0 && (size_t)done < len && has_moved(fd);
}

static ssize_t with(ssize_t done, ssize_t more) {
    return more > 0 ? done + more : done;
}

ssize_t send_rest_of(int fd, const void *buf, size_t len, int flags,
    ssize_t done) {
    return has_rest(fd, done, len)
               ? with(done, real()->send(fd, (const char *)buf + done,
                                len - (size_t)done, flags | MSG_NOSIGNAL))
               : done;
}

ssize_t recv_rest_of(int fd, void *buf, size_t len, int flags, ssize_t done) {
    bool all = (flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL;
    return all && has_rest(fd, done, len)
               ? with(done, real()->recv(fd, (char *)buf + done,
                                len - (size_t)done, flags))
               : done;
}

// Takes done bytes off the pieces.
static void skip(struct iovec *iov, size_t count, size_t done) {
    for (size_t i = 0; i < count && done > 0; i++) {
        size_t n = iov[i].iov_len < done ? iov[i].iov_len : done;
        iov[i].iov_base = (char *)iov[i].iov_base + n;
        iov[i].iov_len -= n;
        done -= n;
    }
}

ssize_t send_rest_pieces(int fd, const struct iovec *user, size_t count,
    int flags, ssize_t done) {
    struct iovec iov[IOV_MAX];
    size_t len = 0;
    if (done <= 0 || !has_moved(fd) || count > IOV_MAX ||
        user_copy(iov, user, count * sizeof *iov) < 0) {
        return done;
    }
    for (size_t i = 0; i < count; i++) {
        len += iov[i].iov_len;
    }
    if (!has_rest(fd, done, len)) {
        return done;
    }
    skip(iov, count, (size_t)done);
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = count};
    return with(done, real()->sendmsg(fd, &m, flags | MSG_NOSIGNAL));
}
