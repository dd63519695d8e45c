// Socket options with the host's structures.
// SPDX-License-Identifier: MIT
#include "farsock/posix.h"

#include <stdbool.h>
#include <string.h>

#include <netinet/in.h>
#include <sys/socket.h>

// Bytes of the host's form, 0: the link's is the same.
static size_t host_size(int level, int opt) {
    if (level != IPPROTO_IP && level != IPPROTO_IPV6) {
        return 0;
    }
    switch (opt) {
        case MCAST_JOIN_GROUP:
        case MCAST_LEAVE_GROUP:
            return sizeof(struct group_req);
        case MCAST_BLOCK_SOURCE:
        case MCAST_UNBLOCK_SOURCE:
        case MCAST_JOIN_SOURCE_GROUP:
        case MCAST_LEAVE_SOURCE_GROUP:
            return sizeof(struct group_source_req);
        default:
            return 0;
    }
}

int far_posix_setsockopt(struct far_link *l, int sock, int level, int opt,
    const void *val, size_t len) {
    struct group_source_req host = {0};
    struct far_group g = {0};
    size_t size = host_size(level, opt);
    if (size == 0) {
        return far_setsockopt(l, sock, level, opt, val, len);
    }
    // IPv4 wants sources to have just that length.
    bool longer = level == IPPROTO_IP && size == sizeof host && len > size;
    if (len < size || longer) {
        // Of a wrong length in either form: the kernel says what it says of
        // such.
        return far_setsockopt(l, sock, level, opt, &g, 0);
    }
    memcpy(&host, val, size);
    g.interface = host.gsr_interface;
    far_posix_addr(&g.group, &host.gsr_group, sizeof host.gsr_group);
    far_posix_addr(&g.source, &host.gsr_source, sizeof host.gsr_source);
    return far_setsockopt(l, sock, level, opt, &g,
        size == sizeof host ? sizeof g : offsetof(struct far_group, source));
}
