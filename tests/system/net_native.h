// The kernel's socket calls.
// SPDX-License-Identifier: MIT
#ifndef NET_NATIVE_H
#define NET_NATIVE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_calls.h"

static int native_result(long r) {
    return r < 0 ? -errno : (int)r;
}

static void native_block(int s, bool wait) {
    int flags = fcntl(s, F_GETFL);
    int want = wait ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    if (flags >= 0 && want != flags) {
        fcntl(s, F_SETFL, want);
    }
}

static socklen_t native_from_far(struct sockaddr_storage *ss,
    const struct far_addr *a) {
    memset(ss, 0, sizeof *ss);
    ss->ss_family = a->family;
    if (a->family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
        in6->sin6_port = htons(a->port);
        in6->sin6_flowinfo = htonl(a->flowinfo);
        in6->sin6_scope_id = a->scope;
        memcpy(&in6->sin6_addr, a->ip, 16);
        return sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)ss;
    in->sin_port = htons(a->port);
    memcpy(&in->sin_addr, a->ip, 4);
    return sizeof *in;
}

static void native_to_far(struct far_addr *a,
    const struct sockaddr_storage *ss) {
    memset(a, 0, sizeof *a);
    a->family = ss->ss_family;
    if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
        a->port = ntohs(in6->sin6_port);
        a->flowinfo = ntohl(in6->sin6_flowinfo);
        a->scope = in6->sin6_scope_id;
        memcpy(a->ip, &in6->sin6_addr, 16);
    } else if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
        a->port = ntohs(in->sin_port);
        memcpy(a->ip, &in->sin_addr, 4);
    }
}

static int native_socket(int family, int type, int proto) {
    return native_result(socket(family, type, proto));
}

static int native_close(int s) {
    return native_result(close(s));
}

static int native_bind(int s, const struct far_addr *addr) {
    struct sockaddr_storage ss;
    socklen_t len = native_from_far(&ss, addr);
    return native_result(bind(s, (struct sockaddr *)&ss, len));
}

static int native_listen(int s, int backlog) {
    return native_result(listen(s, backlog));
}

static int native_connect(int s, const struct far_addr *addr, bool wait) {
    struct sockaddr_storage ss;
    socklen_t len = native_from_far(&ss, addr);
    native_block(s, wait);
    return native_result(connect(s, (struct sockaddr *)&ss, len));
}

static int native_accept(int s, struct far_addr *peer, bool wait) {
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    native_block(s, wait);
    int r = native_result(accept(s, (struct sockaddr *)&ss, &len));
    if (r >= 0 && peer) {
        native_to_far(peer, &ss);
    }
    return r;
}

static int native_send(int s, const void *buf, size_t len, int flags,
    const struct far_addr *to, bool wait) {
    struct sockaddr_storage ss;
    socklen_t to_len = to ? native_from_far(&ss, to) : 0;
    flags |= MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
    native_block(s, true);
    return native_result(sendto(s, buf, len, flags,
        to ? (struct sockaddr *)&ss : NULL, to_len));
}

static int native_recv(int s, void *buf, size_t len, int flags,
    struct far_addr *from, bool wait) {
    struct sockaddr_storage ss = {0};
    socklen_t from_len = sizeof ss;
    native_block(s, true);
    int r = native_result(recvfrom(s, buf, len,
        flags | (wait ? 0 : MSG_DONTWAIT), (struct sockaddr *)&ss, &from_len));
    if (r >= 0 && from) {
        native_to_far(from, &ss);
    }
    return r;
}

static int native_shutdown(int s, int how) {
    return native_result(shutdown(s, how));
}

static int native_getsockname(int s, struct far_addr *addr) {
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    int r = native_result(getsockname(s, (struct sockaddr *)&ss, &len));
    native_to_far(addr, &ss);
    return r;
}

static int native_getpeername(int s, struct far_addr *addr) {
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    int r = native_result(getpeername(s, (struct sockaddr *)&ss, &len));
    native_to_far(addr, &ss);
    return r;
}

static int native_setopt(int s, int level, int opt, const void *val,
    size_t len) {
    return native_result(setsockopt(s, level, opt, val, (socklen_t)len));
}

static int native_getopt(int s, int level, int opt, void *val, size_t *len) {
    socklen_t n = (socklen_t)*len;
    int r = native_result(getsockopt(s, level, opt, val, &n));
    *len = n;
    return r;
}

static int native_poll(struct far_pollfd *fds, size_t count, int timeout_ms) {
    struct pollfd *p = calloc(count + 1, sizeof *p);
    for (size_t i = 0; i < count; i++) {
        p[i] = (struct pollfd){fds[i].sock, (short)fds[i].events, 0};
    }
    int r = native_result(poll(p, count, timeout_ms));
    for (size_t i = 0; i < count; i++) {
        fds[i].revents = (uint16_t)p[i].revents;
    }
    free(p);
    return r;
}

static int native_lookup(const char *host, const char *service, int family,
    int type, struct far_gai_entry *out, size_t max) {
    struct addrinfo hints = {.ai_family = family, .ai_socktype = type};
    struct addrinfo *list = NULL;
    int r = getaddrinfo(host, service, &hints, &list);
    if (r) {
        return r;
    }
    size_t n = 0;
    for (const struct addrinfo *a = list; a && n < max; a = a->ai_next) {
        struct sockaddr_storage ss = {0};
        memcpy(&ss, a->ai_addr, a->ai_addrlen);
        out[n].type = a->ai_socktype;
        out[n].proto = a->ai_protocol;
        native_to_far(&out[n++].addr, &ss);
    }
    freeaddrinfo(list);
    return (int)n;
}

static int native_sendmsg(int s, const struct msghdr *m, int flags, bool wait) {
    flags |= MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
    native_block(s, true);
    return native_result(sendmsg(s, m, flags));
}

static int native_recvmsg(int s, struct msghdr *m, int flags, bool wait) {
    native_block(s, true);
    return native_result(recvmsg(s, m, flags | (wait ? 0 : MSG_DONTWAIT)));
}

static int native_ioctl(int s, unsigned long request, void *arg) {
    return native_result(ioctl(s, request, arg));
}

static int native_getifaddrs(struct ifaddrs **out) {
    return native_result(getifaddrs(out));
}

static int native_if_nametoindex(const char *name) {
    unsigned index = if_nametoindex(name);
    return index ? (int)index : -errno;
}

static int native_if_indextoname(unsigned index, char *name) {
    return if_indextoname(index, name) ? 0 : -errno;
}

static uint8_t native_buffer[1u << 20];

static int native_reserve(int s, void **p, size_t want, bool wait) {
    struct pollfd f = {.fd = s, .events = POLLOUT};
    int r = native_result(poll(&f, 1, wait ? -1 : 0));
    *p = native_buffer;
    want = want < sizeof native_buffer ? want : sizeof native_buffer;
    return r > 0 ? (int)want : r == 0 ? -EAGAIN : r;
}

static int native_commit(int s, size_t n) {
    int r = n ? native_send(s, native_buffer, n, 0, NULL, true) : 0;
    return r < 0 ? r : 0;
}

static int native_peek(int s, const void **p, size_t want, bool wait) {
    want = want < sizeof native_buffer ? want : sizeof native_buffer;
    *p = native_buffer;
    return native_recv(s, native_buffer, want, MSG_PEEK, NULL, wait);
}

static int native_consume(int s, size_t n) {
    int r = native_recv(s, native_buffer, n, MSG_WAITALL, NULL, true);
    return r < 0 ? r : 0;
}

static const struct net net_native = {
    native_socket,
    native_close,
    native_bind,
    native_listen,
    native_connect,
    native_accept,
    native_send,
    native_recv,
    native_shutdown,
    native_getsockname,
    native_getpeername,
    native_setopt,
    native_getopt,
    native_poll,
    native_lookup,
    native_sendmsg,
    native_recvmsg,
    native_ioctl,
    native_getifaddrs,
    freeifaddrs,
    native_if_nametoindex,
    native_if_indextoname,
    native_reserve,
    native_commit,
    native_peek,
    native_consume,
};

#endif
