// What is asked about sockets and interfaces by ioctl(2) and its relatives.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>

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

static bool put_name(struct if_nameindex *to, const struct ifaddrs *i) {
    struct sockaddr_ll ll;
    memcpy(&ll, i->ifa_addr, sizeof ll);
    to->if_index = (unsigned)ll.sll_ifindex;
    to->if_name = strdup(i->ifa_name);
    return to->if_name != NULL;
}

// As if_freenameindex() does it.
static void free_names(struct if_nameindex *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(names[i].if_name);
    }
    free(names);
}

// One for each interface, and its end; for if_freenameindex().
static struct if_nameindex *names_of(const struct ifaddrs *list) {
    size_t count = 0;
    size_t done = 0;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        count++;
    }
    struct if_nameindex *names = calloc(count + 1, sizeof *names);
    for (const struct ifaddrs *i = list; names && i; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_PACKET) {
            continue;
        }
        if (!put_name(&names[done++], i)) {
            free_names(names, done);
            return NULL;
        }
    }
    return names;
}

EXPORT struct if_nameindex *if_nameindex(void) {
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) < 0) {
        return NULL;
    }
    struct if_nameindex *names = names_of(list);
    freeifaddrs(list);
    if (!names) {
        errno = ENOBUFS;
    }
    return names;
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
