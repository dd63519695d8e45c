// The socket calls that are measured: the kernel's, or with BENCH_FARSOCK those
// of a link. Each program here is compiled both ways from one source.
// SPDX-License-Identifier: MIT
#ifndef BENCH_NET_H
#define BENCH_NET_H

// As thin as can be on both sides, or wrappers would be compared. Results >= 0
// are answers, < 0 are -errno. Addresses are a port and the last byte of
// 127.0.0.x.

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/common.h"

#ifdef BENCH_FARSOCK

    #include "farsock/posix.h"

    #define net_pollfd far_pollfd

static struct far_posix *net_posix;
static struct far_link *net_link;

// sockets and ring: what the link shall have, 0 for the defaults.
static inline void net_open(uint32_t sockets, uint32_t ring) {
    struct far_posix_options o = {
        .wait_s = -1, .sockets = sockets, .ring = ring};
    must("link", far_posix_open(&net_posix, &o));
    net_link = far_posix_link(net_posix);
}

static inline void net_end(void) {
    far_posix_close(net_posix);
}

static inline int net_socket(int type) {
    return far_socket(net_link, AF_INET, (uint32_t)type, 0);
}

static inline int net_connect(int s, int host, int port) {
    struct far_addr to = {.family = AF_INET, .port = (uint16_t)port};
    to.ip[0] = 127;
    to.ip[3] = (uint8_t)host;
    return far_connect(net_link, s, &to, FAR_FOREVER);
}

static inline int net_option(int s, int level, int opt, const void *val,
    size_t len) {
    return far_posix_setsockopt(net_link, s, level, opt, val, len);
}

static inline int net_send(int s, const void *buf, size_t len) {
    return far_sendto(net_link, s, buf, len, 0, NULL, FAR_FOREVER);
}

static inline int net_recv(int s, void *buf, size_t len) {
    return far_recvfrom(net_link, s, buf, len, 0, NULL, NULL, FAR_FOREVER);
}

static inline int net_poll(struct net_pollfd *fds, size_t count) {
    return far_poll(net_link, fds, count, FAR_FOREVER);
}

static inline void net_watch(struct net_pollfd *p, int s) {
    *p = (struct net_pollfd){.sock = s, .events = POLLIN};
}

static inline int net_close(int s) {
    return far_close(net_link, s, FAR_FOREVER);
}

#else

    #define net_pollfd pollfd

static inline int net_result(long r) {
    return r < 0 ? -errno : (int)r;
}

static inline void net_open(uint32_t sockets, uint32_t ring) {
    (void)sockets;
    (void)ring;
}

static inline void net_end(void) {
}

static inline int net_socket(int type) {
    return net_result(socket(AF_INET, type, 0));
}

static inline int net_connect(int s, int host, int port) {
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(0x7f000000u | (uint32_t)host),
    };
    return net_result(connect(s, (struct sockaddr *)&to, sizeof to));
}

static inline int net_option(int s, int level, int opt, const void *val,
    size_t len) {
    return net_result(setsockopt(s, level, opt, val, (socklen_t)len));
}

static inline int net_send(int s, const void *buf, size_t len) {
    return net_result(send(s, buf, len, MSG_NOSIGNAL));
}

static inline int net_recv(int s, void *buf, size_t len) {
    return net_result(recv(s, buf, len, 0));
}

static inline int net_poll(struct net_pollfd *fds, size_t count) {
    return net_result(poll(fds, count, -1));
}

static inline void net_watch(struct net_pollfd *p, int s) {
    *p = (struct net_pollfd){.fd = s, .events = POLLIN};
}

static inline int net_close(int s) {
    return net_result(close(s));
}

#endif

// A connection to the peer. Without Nagle's delay on either side: what is
// written goes, as in any program that cares for time.
static inline int net_connected(int port, bool nodelay) {
    int on = nodelay;
    int s = must("socket", net_socket(SOCK_STREAM));
    must("connect", net_connect(s, 1, port));
    must("option", net_option(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    return s;
}

static inline void net_send_all(int s, const void *buf, size_t len) {
    const uint8_t *p = buf;
    while (len) {
        size_t n = (size_t)must("send", net_send(s, p, len));
        p += n;
        len -= n;
    }
}

static inline void net_recv_all(int s, void *buf, size_t len) {
    uint8_t *p = buf;
    while (len) {
        size_t n = (size_t)must("recv", net_recv(s, p, len));
        if (n == 0) {
            die("recv", "the peer has ended");
        }
        p += n;
        len -= n;
    }
}

static inline void net_command(int s, char what, uint64_t count) {
    struct command c = {(uint64_t)what, count};
    net_send_all(s, &c, sizeof c);
}

#endif
