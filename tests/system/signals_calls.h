// The calls of tests/system/signals.c.
// SPDX-License-Identifier: MIT
#ifndef SIGNALS_CALLS_H
#define SIGNALS_CALLS_H

#include "system/signals.h"

static long do_recv(struct scene *s) {
    char buf[10];
    return recv(s->b, buf, sizeof buf, 0);
}

static long do_read(struct scene *s) {
    char buf[10];
    return read(s->b, buf, sizeof buf);
}

static long do_readv(struct scene *s) {
    char buf[10];
    struct iovec v[2] = {{buf, 3}, {buf + 3, 7}};
    return readv(s->b, v, 2);
}

static long do_recvfrom(struct scene *s) {
    char buf[10];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    return recvfrom(s->b, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
}

static long do_recvmsg(struct scene *s) {
    char buf[10];
    struct iovec v = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return recvmsg(s->b, &m, 0);
}

static long do_peek(struct scene *s) {
    char buf[10];
    return recv(s->b, buf, sizeof buf, MSG_PEEK);
}

static long do_recvmmsg(struct scene *s) {
    char buf[2][10];
    struct iovec v[2] = {{buf[0], 10}, {buf[1], 10}};
    struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
        {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
    return recvmmsg(s->b, m, 2, MSG_WAITFORONE, NULL);
}

static long do_recvmmsg_two(struct scene *s) {
    char buf[2][10];
    struct iovec v[2] = {{buf[0], 10}, {buf[1], 10}};
    struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
        {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
    return recvmmsg(s->b, m, 2, 0, NULL);
}

static long do_waitall(struct scene *s) {
    char buf[20];
    return recv(s->b, buf, sizeof buf, MSG_WAITALL);
}

static long do_waitall_msg(struct scene *s) {
    char buf[20];
    struct iovec v = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return recvmsg(s->b, &m, MSG_WAITALL);
}

static long do_accept(struct scene *s) {
    int fd = accept(s->a, NULL, NULL);
    return fd >= 0 ? close(fd) : -1;
}

static long do_accept4(struct scene *s) {
    int fd = accept4(s->a, NULL, NULL, SOCK_CLOEXEC);
    return fd >= 0 ? close(fd) : -1;
}

static long do_connect(struct scene *s) {
    return connect(s->a, (struct sockaddr *)&s->at, sizeof s->at);
}

static size_t much = BIG; // how many bytes the next calls send

static long do_send(struct scene *s) {
    return send(s->a, big, much, 0);
}

static long do_write(struct scene *s) {
    return write(s->a, big, much);
}

static long do_writev(struct scene *s) {
    struct iovec v[2] = {{big, 10}, {big, much - 10}};
    return writev(s->a, v, 2);
}

static long do_sendto(struct scene *s) {
    return sendto(s->a, big, much, MSG_NOSIGNAL, NULL, 0);
}

static long do_sendmsg(struct scene *s) {
    struct iovec v = {big, much};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return sendmsg(s->a, &m, 0);
}

static long do_sendmmsg(struct scene *s) {
    struct iovec v = {big, much};
    struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}},
        {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}}};
    long n = sendmmsg(s->a, m, 1, 0);
    return n == 1 ? (long)m[0].msg_len : n;
}

static long do_sendfile(struct scene *s) {
    off_t at = 0;
    long n = sendfile(s->a, file, &at, much);
    must(n < 0 ? at == 0 : at == n, "the offset after sendfile");
    return n;
}

static long do_splice_in(struct scene *s) {
    return splice(s->b, NULL, s->pipe[1], NULL, 10, 0);
}

// What does not leave the pipe stays in it.
static long do_splice_out(struct scene *s) {
    static char buf[LITTLE];
    long n = splice(s->pipe[0], NULL, s->a, NULL, LITTLE, 0);
    int saved = errno;
    fcntl(s->pipe[0], F_SETFL, O_NONBLOCK);
    ssize_t left = read(s->pipe[0], buf, sizeof buf);
    must((n > 0 ? n : 0) + (left > 0 ? left : 0) == (long)LITTLE,
        "bytes in the pipe");
    errno = saved;
    return n;
}

static long do_poll(struct scene *s) {
    struct pollfd p = {.fd = s->b, .events = POLLIN};
    return poll(&p, 1, -1);
}

static long do_poll_until(struct scene *s) {
    struct pollfd p = {.fd = s->b, .events = POLLIN};
    return poll(&p, 1, FOREVER * 1000);
}

static long ppoll_with(struct scene *s, const sigset_t *mask, bool now) {
    struct pollfd p = {.fd = s->b, .events = POLLIN};
    struct timespec none = {0};
    return ppoll(&p, 1, now ? &none : NULL, mask);
}

static long do_ppoll(struct scene *s) {
    return ppoll_with(s, NULL, false);
}

static long do_select(struct scene *s) {
    fd_set in;
    FD_ZERO(&in);
    FD_SET(s->b, &in);
    struct timeval t = {.tv_sec = FOREVER};
    return select(s->b + 1, &in, NULL, NULL, &t);
}

static long pselect_with(struct scene *s, const sigset_t *mask, bool now) {
    fd_set in;
    struct timespec none = {0};
    FD_ZERO(&in);
    FD_SET(s->b, &in);
    return pselect(s->b + 1, &in, NULL, NULL, now ? &none : NULL, mask);
}

static long do_pselect(struct scene *s) {
    return pselect_with(s, NULL, false);
}

static void make_epoll(struct scene *s) {
    struct epoll_event ev = {.events = EPOLLIN};
    if (s->epfd < 0) {
        s->epfd = epoll_create1(0);
        epoll_ctl(s->epfd, EPOLL_CTL_ADD, s->b, &ev);
    }
}

static long epoll_with(struct scene *s, const sigset_t *mask, bool now) {
    struct epoll_event ev;
    make_epoll(s);
    return epoll_pwait(s->epfd, &ev, 1, now ? 0 : -1, mask);
}

static long do_epoll_wait(struct scene *s) {
    struct epoll_event ev;
    make_epoll(s);
    return epoll_wait(s->epfd, &ev, 1, FOREVER * 1000);
}

static long do_epoll_pwait(struct scene *s) {
    return epoll_with(s, NULL, false);
}

#endif
