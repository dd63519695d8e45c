// The host's socket addresses and the link's.
// SPDX-License-Identifier: MIT
#include "farsock/posix.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <netinet/in.h>
#include <sys/socket.h>

// RFC 2133 had no scope; Linux still takes that length.
#define OLD_SIN6_LEN offsetof(struct sockaddr_in6, sin6_scope_id)

static uint32_t addr6(const struct far_addr *a, struct sockaddr_storage *out) {
    struct sockaddr_in6 sin6 = {
        .sin6_family = AF_INET6,
        .sin6_port = htons(a->port),
        .sin6_flowinfo = htonl(a->flowinfo),
        .sin6_scope_id = a->scope,
    };
    memcpy(&sin6.sin6_addr, a->ip, sizeof sin6.sin6_addr);
    memcpy(out, &sin6, sizeof sin6);
    return sizeof sin6;
}

uint32_t far_posix_sockaddr(const struct far_addr *a,
    struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    if (a->family == FAR_AF_INET6) {
        return addr6(a, out);
    }
    struct sockaddr_in sin = {
        .sin_family = a->family == FAR_AF_INET ? AF_INET : a->family,
        .sin_port = htons(a->port),
    };
    memcpy(&sin.sin_addr, a->ip, sizeof sin.sin_addr);
    memcpy(out, &sin, sizeof sin);
    return sizeof sin;
}

void far_posix_addr(struct far_addr *out, const void *sa, uint32_t len) {
    struct sockaddr_in6 in6 = {0};
    struct sockaddr_in in = {0};
    memset(out, 0, sizeof *out);
    memcpy(&in, sa, len < sizeof in ? len : sizeof in);
    bool old = len >= OLD_SIN6_LEN && len < sizeof in6;
    memcpy(&in6, sa, old ? OLD_SIN6_LEN : len < sizeof in6 ? len : sizeof in6);
    if (len >= sizeof in && in.sin_family == AF_INET) {
        out->family = FAR_AF_INET;
        out->port = ntohs(in.sin_port);
        memcpy(out->ip, &in.sin_addr, sizeof in.sin_addr);
    } else if (len >= OLD_SIN6_LEN && in6.sin6_family == AF_INET6) {
        out->family = FAR_AF_INET6;
        out->port = ntohs(in6.sin6_port);
        out->flowinfo = ntohl(in6.sin6_flowinfo);
        out->scope = in6.sin6_scope_id;
        memcpy(out->ip, &in6.sin6_addr, sizeof in6.sin6_addr);
    }
}
