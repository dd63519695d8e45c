// Steps with arguments at and beyond the edges of what the calls take, and with
// what stays from step to step: an epoll instance.
// SPDX-License-Identifier: MIT
#ifndef EDGES_H
#define EDGES_H

#include "differential/descriptors.h"

#include <sys/sendfile.h>

// --- In place: reserve and commit, peek and consume ---

static int send_in_place(struct sock *k, uint32_t len) {
    void *p = NULL;
    if (k->net != &net_over_link) {
        return k->net->send(k->handle, content(k, len), len, 0, NULL, true);
    }
    int r = k->net->reserve(k->handle, &p, len, true);
    if (r > 0) {
        memcpy(p, content(k, (uint32_t)r), (uint32_t)r);
        int err = k->net->commit(k->handle, (uint32_t)r);
        r = err < 0 ? err : r;
    }
    return r;
}

// zsend NAME LENGTH: what is built in the ring, natively sent as usual.
static void step_zsend(struct step *s) {
    struct sock *k = sock(s);
    uint32_t len = (uint32_t)number(s, 2);
    uint32_t done = 0;
    int r = 1;
    while (done < len && r > 0) {
        r = send_in_place(k, len - done);
        k->sent += r > 0 ? (uint32_t)r : 0;
        done += r > 0 ? (uint32_t)r : 0;
    }
    say(s, "%u ", done);
    say_result(s, r < 0 ? r : 0);
}

// zrecv NAME LENGTH: what is there, read where it lies.
static void step_zrecv(struct step *s) {
    struct sock *k = sock(s);
    uint32_t len = (uint32_t)number(s, 2);
    uint64_t hash = HASH_START;
    uint32_t done = 0;
    bool settled = false;
    int r = 1;
    while (done < len && r > 0) {
        const void *p = NULL;
        r = k->net->peek(k->handle, &p, len - done, false);
        if (r == -EAGAIN && !settled) {
            settle(); // there may be more than the ring holds
            settled = true;
            r = 1;
        } else if (r > 0) {
            settled = false;
            hash = hash_of(hash, p, (size_t)r);
            done += (uint32_t)r;
            int err = k->net->consume(k->handle, (size_t)r);
            r = err < 0 ? err : r;
        }
    }
    say(s, "%u %016llx ", done, (unsigned long long)hash);
    say_result(s, done < len && r < 0 ? r : 0);
}

// --- One epoll instance for the program ---

static int epoll_fd = -1;

static void epoll_forget(void) {
    if (epoll_fd >= 0) {
        close(epoll_fd);
    }
    epoll_fd = -1;
}

static int the_epoll(void) {
    if (epoll_fd < 0) {
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    }
    return epoll_fd;
}

// epctl OP NAME EVENTS
static void step_epctl(struct step *s) {
    const struct sock *k = find(word(s, 2));
    struct epoll_event e = {.events = (uint32_t)strtoul(word(s, 3), NULL, 0)};
    e.data.u32 = (uint32_t)(k - socks);
    say_result(s, native_result(epoll_ctl(the_epoll(), (int)number(s, 1),
                      k->handle, &e)));
}

// epwait MOST: who is ready, in the order of names.
static void step_epwait(struct step *s) {
    struct epoll_event got[NAMES];
    int most = (int)number(s, 1);
    int n = epoll_wait(the_epoll(), got, most < NAMES ? most : NAMES, 0);
    say_result(s, native_result(n));
    for (int i = 0; i < sock_count; i++) {
        for (int j = 0; j < n; j++) {
            if (got[j].data.u32 == (uint32_t)i) {
                say(s, " %s:0x%x", socks[i].name, got[j].events);
            }
        }
    }
}

// --- Descriptors ---

// dup2 NAME NEW FLAGS: onto the other's number, which is closed by that.
static void step_dup2(struct step *s) {
    const struct sock *k = sock(s);
    struct sock *new = find(word(s, 2));
    int flags = (int)number(s, 3);
    int to = new->open ? new->handle : -1;
    int r = native_result(flags == -1 ? dup2(k->handle, to)
                                      : dup3(k->handle, to, flags));
    if (r >= 0) {
        new->stream = k->stream;
        r = 0;
    }
    say_result(s, r);
}

// dupfd NAME NEW FROM
static void step_dupfd(struct step *s) {
    const struct sock *k = sock(s);
    int r = native_result(fcntl(k->handle, F_DUPFD_CLOEXEC, (int)number(s, 3)));
    if (r >= 0) {
        struct sock *new = find(word(s, 2));
        if (new->open) {
            new->net->close(new->handle);
        }
        new->handle = r;
        new->open = true;
        new->stream = k->stream;
        say(s, "%d ", fcntl(r, F_GETFD));
    }
    say_result(s, r < 0 ? r : 0);
}

// --- Files ---

// sendfile NAME OFFSET LENGTH: of a file of 10000 bytes.
static void step_sendfile(struct step *s) {
    static int file = -1;
    struct sock *k = sock(s);
    if (file < 0) {
        struct sock any = {.name = "f0"};
        file = memfd_create("file", MFD_CLOEXEC);
        if (file < 0 || write(file, content(&any, 10000), 10000) != 10000) {
            abort();
        }
    }
    off_t at = number(s, 2);
    native_block(k->handle, true);
    long r = sendfile(k->handle, file, &at, (size_t)number(s, 3));
    say_result(s, native_result(r));
    say(s, " %ld", (long)at);
}

// splice NAME LENGTH: into a pipe, and out of it.
static void step_splice(struct step *s) {
    static uint8_t buf[65536];
    const struct sock *k = sock(s);
    int p[2];
    if (pipe2(p, O_CLOEXEC | O_NONBLOCK)) {
        abort();
    }
    long r = native_result(splice(k->handle, NULL, p[1], NULL,
        (size_t)number(s, 2), SPLICE_F_NONBLOCK));
    say_result(s, (int)r);
    if (r > 0) {
        long n = read(p[0], buf, sizeof buf);
        say(s, " %ld %016llx", n,
            (unsigned long long)hash_of(HASH_START, buf,
                n > 0 ? (size_t)n : 0));
    }
    close(p[0]);
    close(p[1]);
}

// --- Strange arguments ---

static long odd_counts(const struct sock *k, const char *call, long n) {
    static struct iovec iov[1100];
    static struct mmsghdr v[1100];
    static uint8_t buf[1100];
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    for (size_t i = 0; i < sizeof iov / sizeof *iov; i++) {
        iov[i] = (struct iovec){buf + i, 0};
        v[i].msg_hdr = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1};
    }
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    if (!strcmp(call, "sendmsg")) {
        return sendmsg(k->handle, &m, flags);
    }
    if (!strcmp(call, "recvmsg")) {
        return recvmsg(k->handle, &m, flags);
    }
    if (!strcmp(call, "sendmmsg")) {
        return sendmmsg(k->handle, v, n < 1100 ? (unsigned)n : 1100, flags);
    }
    if (!strcmp(call, "recvmmsg")) {
        return recvmmsg(k->handle, v, n < 1100 ? (unsigned)n : 1100, flags,
            NULL);
    }
    native_block(k->handle, false);
    return call[0] == 'r' ? readv(k->handle, iov, (int)n)
                          : writev(k->handle, iov, (int)n);
}

static long odd_pieces(const struct sock *k, const char *call, long n) {
    static uint8_t buf[2][ROOM]; // more never comes
    struct iovec iov[2] = {{buf[0], 16}, {buf[1], (size_t)n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    native_block(k->handle, false);
    if (!strcmp(call, "sendmsg.piece")) {
        return sendmsg(k->handle, &m, flags);
    }
    if (!strcmp(call, "recvmsg.piece")) {
        return recvmsg(k->handle, &m, flags);
    }
    return call[0] == 'r' ? readv(k->handle, iov, 2)
                          : writev(k->handle, iov, 2);
}

// A name of n bytes, or control data of which one item says that it has n.
static long odd_parts(const struct sock *k, const char *call, long n) {
    static uint8_t buf[16];
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)(port_base + 11)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct iovec iov = {buf, sizeof buf};
    uint64_t ctl[8] = {0};
    struct cmsghdr c = {(size_t)n, IPPROTO_IP, IP_TTL};
    struct msghdr m = {.msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1};
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    memcpy(ctl, &c, sizeof c);
    ((uint8_t *)ctl)[sizeof c] = 9;
    m.msg_namelen = strstr(call, ".name") ? (socklen_t)n : sizeof to;
    if (strstr(call, ".item")) {
        m.msg_control = ctl;
        m.msg_controllen = CMSG_SPACE(4);
    } else if (strstr(call, ".ctl")) {
        ((struct cmsghdr *)ctl)->cmsg_len = CMSG_LEN(4);
        m.msg_control = ctl;
        m.msg_controllen = (size_t)n;
    }
    if (call[0] == 's') {
        return sendmsg(k->handle, &m, flags);
    }
    long r = recvmsg(k->handle, &m, flags);
    return r;
}

// Some of two messages in n seconds: how many, and whether the time was told.
static long odd_left(const struct sock *k, long n) {
    static const struct timespec fixed = {9, 0};
    static uint8_t buf[2][16];
    struct iovec iov[2] = {{buf[0], 16}, {buf[1], 16}};
    struct mmsghdr v[2] = {{.msg_hdr = {.msg_iov = iov, .msg_iovlen = 1}},
        {.msg_hdr = {.msg_iov = iov + 1, .msg_iovlen = 1}}};
    struct timespec t = {n, 0};
    struct timespec *at = n < 0 ? (struct timespec *)(uintptr_t)&fixed : &t;
    long r = recvmmsg(k->handle, v, 2, MSG_DONTWAIT, at);
    bool told = n > 0 && (t.tv_sec != n || t.tv_nsec);
    return r < 0 ? r : r + (told ? 100 : 0);
}

// One message of n bytes, then an empty one: how many went. n 0: as much as no
// connection takes.
static long odd_part(const struct sock *k, size_t n) {
    size_t most = (size_t)64 << 20;
    void *much =
        mmap(NULL, most, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec iov = {much, n ? n : most};
    struct mmsghdr v[2] = {{.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}}};
    long r = sendmmsg(k->handle, v, 2, MSG_DONTWAIT | MSG_NOSIGNAL);
    munmap(much, most);
    return r;
}

static long odd_others(const struct sock *k, const char *call, long n) {
    int value = 1;
    socklen_t len = (socklen_t)n;
    struct timespec t = {0, n};
    struct pollfd p = {k->handle, POLLIN, 0};
    struct epoll_event e = {.events = EPOLLIN};
    if (!strcmp(call, "setsockopt")) {
        return setsockopt(k->handle, SOL_SOCKET, SO_KEEPALIVE, &value, len);
    }
    if (!strcmp(call, "getsockopt")) {
        return getsockopt(k->handle, SOL_SOCKET, SO_KEEPALIVE, &value, &len);
    }
    if (!strcmp(call, "recvmmsg.time")) {
        struct mmsghdr v = {0};
        return recvmmsg(k->handle, &v, 1, MSG_DONTWAIT, &t);
    }
    if (!strcmp(call, "sendmmsg.part")) {
        return odd_part(k, (size_t)n);
    }
    if (!strcmp(call, "recvmmsg.left")) {
        return odd_left(k, n);
    }
    if (!strcmp(call, "ppoll.time")) {
        t.tv_sec = n < 0 ? -1 : 0;
        return ppoll(&p, 1, n > 0 && n < 1000000000 ? NULL : &t, NULL) < 0 ? -1
                                                                           : 0;
    }
    if (!strcmp(call, "epoll_wait")) {
        return epoll_wait(the_epoll(), &e, (int)n, 0) < 0 ? -1 : 0;
    }
    if (!strcmp(call, "select")) {
        struct timeval none = {0};
        return select((int)n, NULL, NULL, NULL, &none);
    }
    return epoll_ctl(the_epoll(), (int)n, k->handle, &e);
}

// odd CALL NAME NUMBER: a count, a length or a time that is none.
static void step_odd(struct step *s) {
    const struct sock *k = find(word(s, 2));
    const char *call = word(s, 1);
    const char *dot = strchr(call, '.');
    static const char *const counts[] = {
        "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "readv", "writev"};
    long n = strtol(word(s, 3), NULL, 0);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (!strcmp(call, counts[i])) {
            say_result(s, native_result(odd_counts(k, call, n)));
            return;
        }
    }
    long r = dot && !strcmp(dot, ".piece") ? odd_pieces(k, call, n)
             : !strncmp(call, "sendmsg", 7) || (!strncmp(call, "recvmsg", 7))
                 ? odd_parts(k, call, n)
                 : odd_others(k, call, n);
    say_result(s, native_result(r));
}

#endif
