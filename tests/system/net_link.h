// A link's socket calls.
// SPDX-License-Identifier: MIT
#ifndef NET_LINK_H
#define NET_LINK_H

#include <stdint.h>

#include "farsock/posix.h"

#include "net_calls.h"

static struct far_posix *far_posix;

static struct far_link *the_link(void) {
    return far_posix_link(far_posix);
}

static uint64_t deadline(bool wait) {
    return wait ? FAR_FOREVER : FAR_NOWAIT;
}

static int over_socket(int family, int type, int proto) {
    return far_socket(the_link(), (uint32_t)family, (uint32_t)type,
        (uint32_t)proto);
}

static int over_close(int s) {
    return far_close(the_link(), s, FAR_FOREVER);
}

static int over_bind(int s, const struct far_addr *addr) {
    return far_bind(the_link(), s, addr);
}

static int over_listen(int s, int backlog) {
    return far_listen(the_link(), s, backlog);
}

static int over_connect(int s, const struct far_addr *addr, bool wait) {
    return far_connect(the_link(), s, addr, deadline(wait));
}

static int over_accept(int s, struct far_addr *peer, bool wait) {
    return far_accept(the_link(), s, peer, deadline(wait));
}

static int over_send(int s, const void *buf, size_t len, int flags,
    const struct far_addr *to, bool wait) {
    // What is for streams alone says so of others.
    int r =
        to ? FAR_EOPNOTSUPP
           : far_send(the_link(), s, buf, len, (uint32_t)flags, deadline(wait));
    if (r != FAR_EOPNOTSUPP) {
        return r;
    }
    return far_sendto(the_link(), s, buf, len, (uint32_t)flags, to,
        deadline(wait));
}

static int over_recv(int s, void *buf, size_t len, int flags,
    struct far_addr *from, bool wait) {
    // What is for streams alone says so of others.
    int r = from ? FAR_EOPNOTSUPP
                 : far_recv(the_link(), s, buf, len, (uint32_t)flags,
                       deadline(wait));
    if (r != FAR_EOPNOTSUPP) {
        return r;
    }
    return far_recvfrom(the_link(), s, buf, len, (uint32_t)flags, from, NULL,
        deadline(wait));
}

static int over_shutdown(int s, int how) {
    return far_shutdown(the_link(), s, how);
}

static int over_getsockname(int s, struct far_addr *addr) {
    return far_getsockname(the_link(), s, addr);
}

static int over_getpeername(int s, struct far_addr *addr) {
    return far_getpeername(the_link(), s, addr);
}

static int over_setopt(int s, int level, int opt, const void *val, size_t len) {
    return far_posix_setsockopt(the_link(), s, level, opt, val, len);
}

static int over_getopt(int s, int level, int opt, void *val, size_t *len) {
    return far_getsockopt(the_link(), s, level, opt, val, len);
}

static int over_poll(struct far_pollfd *fds, size_t count, int timeout_ms) {
    uint64_t until = FAR_FOREVER;
    if (timeout_ms >= 0) {
        until = timeout_ms ? far_posix_now() + (uint64_t)timeout_ms * 1000000u
                           : FAR_NOWAIT;
    }
    return far_poll(the_link(), fds, count, until);
}

static int over_lookup(const char *host, const char *service, int family,
    int type, struct far_gai_entry *out, size_t max) {
    struct far_req_getaddrinfo hints = {.family = family, .type = type};
    struct far_gai_result res;
    int r = far_getaddrinfo(the_link(), host, service, &hints, out, max, &res,
        NULL, FAR_FOREVER);
    if (r < 0) {
        return r;
    }
    return (int)(res.count < max ? res.count : max);
}

static int over_sendmsg(int s, const struct msghdr *m, int flags, bool wait) {
    return far_posix_sendmsg(the_link(), s, m, (uint32_t)flags, deadline(wait));
}

static int over_recvmsg(int s, struct msghdr *m, int flags, bool wait) {
    return far_posix_recvmsg(the_link(), s, m, (uint32_t)flags, deadline(wait));
}

static int over_ioctl(int s, unsigned long request, void *arg) {
    return far_posix_ioctl(the_link(), s, request, arg);
}

static int over_getifaddrs(struct ifaddrs **out) {
    return far_posix_getifaddrs(the_link(), out);
}

static int over_if_nametoindex(const char *name) {
    return far_if_nametoindex(the_link(), name);
}

static int over_if_indextoname(unsigned index, char *name) {
    return far_if_indextoname(the_link(), index, name);
}

static int over_reserve(int s, void **p, size_t want, bool wait) {
    return far_send_reserve(the_link(), s, p, want, deadline(wait));
}

static int over_commit(int s, size_t n) {
    return far_send_commit(the_link(), s, n);
}

static int over_peek(int s, const void **p, size_t want, bool wait) {
    return far_recv_peek(the_link(), s, p, want, deadline(wait));
}

static int over_consume(int s, size_t n) {
    return far_recv_consume(the_link(), s, n);
}

static const struct net net_over_link = {
    over_socket,
    over_close,
    over_bind,
    over_listen,
    over_connect,
    over_accept,
    over_send,
    over_recv,
    over_shutdown,
    over_getsockname,
    over_getpeername,
    over_setopt,
    over_getopt,
    over_poll,
    over_lookup,
    over_sendmsg,
    over_recvmsg,
    over_ioctl,
    over_getifaddrs,
    far_posix_freeifaddrs,
    over_if_nametoindex,
    over_if_indextoname,
    over_reserve,
    over_commit,
    over_peek,
    over_consume,
};

#endif
