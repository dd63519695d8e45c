// One set of socket calls: results >= 0 are answers, < 0 are -errno. Constants
// are Linux's, which the link's equal.
// SPDX-License-Identifier: MIT
#ifndef NET_CALLS_H
#define NET_CALLS_H

#include <ifaddrs.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "farsock/farsock.h"

// wait false: the call is made as on a non-blocking socket.
struct net {
    int (*socket)(int family, int type, int proto);
    int (*close)(int s);
    int (*bind)(int s, const struct far_addr *addr);
    int (*listen)(int s, int backlog);
    int (*connect)(int s, const struct far_addr *addr, bool wait);
    int (*accept)(int s, struct far_addr *peer, bool wait);
    int (*send)(int s, const void *buf, size_t len, int flags,
        const struct far_addr *to, bool wait);
    int (*recv)(int s, void *buf, size_t len, int flags, struct far_addr *from,
        bool wait);
    int (*shutdown)(int s, int how);
    int (*getsockname)(int s, struct far_addr *addr);
    int (*getpeername)(int s, struct far_addr *addr);
    int (*setopt)(int s, int level, int opt, const void *val, size_t len);
    int (*getopt)(int s, int level, int opt, void *val, size_t *len);
    int (*poll)(struct far_pollfd *fds, size_t count, int timeout_ms);
    // < 0: EAI_..., which are negative natively too
    int (*lookup)(const char *host, const char *service, int family, int type,
        struct far_gai_entry *out, size_t max);
    int (*sendmsg)(int s, const struct msghdr *m, int flags, bool wait);
    int (*recvmsg)(int s, struct msghdr *m, int flags, bool wait);
    int (*ioctl)(int s, unsigned long request, void *arg);
    int (*getifaddrs)(struct ifaddrs **out);
    void (*freeifaddrs)(struct ifaddrs *list);
    int (*if_nametoindex)(const char *name);
    int (*if_indextoname)(unsigned index, char *name);
    // Without a copy; natively a buffer stands for the ring.
    int (*reserve)(int s, void **p, size_t want, bool wait);
    int (*commit)(int s, size_t n);
    int (*peek)(int s, const void **p, size_t want, bool wait);
    int (*consume)(int s, size_t n);
};

#endif
