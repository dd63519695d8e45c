// What is asked about sockets and interfaces by ioctl(2) and its relatives.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>

#include "ports/posix/guard.h"

int ioctl_ask(struct psock *s, unsigned long request, void *arg) {
    if (!psock_use(s)) {
        return -1;
    }
    call_begin(true);
    return far_done(far_posix_ioctl_at(s->link->near, s->handle, request, arg));
}

// The C library's own calls its ioctl() past ours.
EXPORT int sockatmark(int fd) {
    int at = 0;
    return ioctl(fd, SIOCATMARK, &at) < 0 ? -1 : at;
}

EXPORT int getifaddrs(struct ifaddrs **out) {
    struct plink *l = link_get();
    if (!l) {
        return -1;
    }
    call_begin(true);
    return far_done(far_posix_getifaddrs(l->near, out));
}

EXPORT void freeifaddrs(struct ifaddrs *list) {
    far_posix_freeifaddrs(list);
}

EXPORT unsigned if_nametoindex(const char *name) {
    struct plink *l = link_get();
    if (!l) {
        return 0;
    }
    call_begin(true);
    int n = far_done(far_if_nametoindex(l->near, name));
    return n > 0 ? (unsigned)n : 0;
}

EXPORT char *if_indextoname(unsigned index, char name[IF_NAMESIZE]) {
    struct plink *l = link_get();
    if (!l) {
        return NULL;
    }
    call_begin(true);
    return far_done(far_if_indextoname(l->near, index, name)) < 0 ? NULL : name;
}
