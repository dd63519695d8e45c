// Link-up: near's half of the conversation over the Unix socket.
// SPDX-License-Identifier: MIT
#include "ports/posix/hello.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// farsockd answers in well under a millisecond; one that does not in this time
// is stopped or not farsockd.
#define WELCOME_MS 5000

static int from_errno(int err) {
    switch (err) {
        case EACCES:
        case EPERM:
            return FAR_EACCES;
        case EMFILE:
            return FAR_EMFILE;
        case ENFILE:
            return FAR_ENFILE;
        case ENOMEM:
        case ENOBUFS:
            return FAR_ENOMEM;
        case EINTR:
            return FAR_EINTR;
        default:
            return FAR_ENETDOWN;
    }
}

int far_posix_dial(const char *path, int *fd) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof un.sun_path) {
        return FAR_ENETDOWN;
    }
    memcpy(un.sun_path, path, len);
    *fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (*fd < 0) {
        return from_errno(errno);
    }
    if (connect(*fd, (const struct sockaddr *)&un, sizeof un) != 0) {
        int err = from_errno(errno);
        close(*fd);
        return err;
    }
    return FAR_OK;
}

static int wait_readable(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, WELCOME_MS);
    return n > 0 ? FAR_OK : n == 0 ? FAR_ENETDOWN : from_errno(errno);
}

static int take_fds(struct msghdr *msg, int *fds, int count) {
    int got = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        int n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < n; i++) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(c) + (size_t)i * sizeof fd, sizeof fd);
            if (got < count) {
                fds[got++] = fd;
            } else {
                close(fd);
            }
        }
    }
    return got;
}

// What a welcome of n bytes says.
static int judge(struct far_welcome *w, size_t n) {
    if (n != sizeof *w || w->magic != FAR_HELLO_MAGIC) {
        w->text[0] = '\0';
        return FAR_ENETDOWN;
    }
    w->text[sizeof w->text - 1] = '\0';
    return w->status <= 0 ? w->status : FAR_EBADMSG;
}

int far_posix_hello(int conn, const struct far_hello *hello,
    struct far_welcome *w, int *fds, int count) {
    // A farsockd without descriptors says so and hangs up before it reads: its
    // welcome is there all the same.
    if (send(conn, hello, sizeof *hello, MSG_NOSIGNAL) !=
            (ssize_t)sizeof *hello &&
        errno != EPIPE) {
        return FAR_ENETDOWN;
    }
    int err = wait_readable(conn);
    if (err != FAR_OK) {
        return err;
    }
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(8 * sizeof(int))];
    } ctl;
    struct iovec iov = {.iov_base = w, .iov_len = sizeof *w};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = ctl.buf,
        .msg_controllen = sizeof ctl.buf,
    };
    ssize_t n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
    err = n < 0 ? from_errno(errno) : judge(w, (size_t)n);
    // Whatever came with it is ours from now on.
    int got = n < 0 ? 0 : take_fds(&msg, fds, count);
    if (err == FAR_OK && got == count) {
        return FAR_OK;
    }
    for (int i = 0; i < got; i++) {
        close(fds[i]);
    }
    return err != FAR_OK ? err : FAR_EBADMSG;
}
