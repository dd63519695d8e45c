// Addresses of the host's form and of the link's.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

// RFC 2133 had no scope; Linux still takes that length.
#define OLD_SIN6_LEN offsetof(struct sockaddr_in6, sin6_scope_id)

static int from_in(const void *sa, socklen_t len, struct far_addr *out) {
    struct sockaddr_in in;
    if (len < sizeof in) {
        return FAR_EINVAL;
    }
    memcpy(&in, sa, sizeof in);
    out->port = ntohs(in.sin_port);
    memcpy(out->ip, &in.sin_addr, sizeof in.sin_addr);
    return FAR_OK;
}

static int from_in6(const void *sa, socklen_t len, struct far_addr *out) {
    struct sockaddr_in6 in6 = {0};
    if (len < OLD_SIN6_LEN) {
        return FAR_EINVAL;
    }
    memcpy(&in6, sa, len < sizeof in6 ? OLD_SIN6_LEN : sizeof in6);
    out->port = ntohs(in6.sin6_port);
    out->flowinfo = ntohl(in6.sin6_flowinfo);
    out->scope = in6.sin6_scope_id;
    memcpy(out->ip, &in6.sin6_addr, sizeof out->ip);
    return FAR_OK;
}

int addr_to_far(const struct sockaddr *sa, socklen_t len,
    struct far_addr *out) {
    *out = (struct far_addr){0};
    if (len > sizeof(struct sockaddr_storage)) {
        return FAR_EINVAL;
    }
    if (len < sizeof sa->sa_family) {
        return FAR_EINVAL;
    }
    if (!sa) {
        return FAR_EFAULT;
    }
    memcpy(&out->family, sa, sizeof out->family);
    switch (out->family) {
        case AF_INET:
            return from_in(sa, len, out);
        case AF_INET6:
            return from_in6(sa, len, out);
        default:
            return FAR_OK; // the kernel judges it
    }
}

static socklen_t to_in(const struct far_addr *a, struct sockaddr_storage *to) {
    struct sockaddr_in in = {
        .sin_family = AF_INET,
        .sin_port = htons(a->port),
    };
    memcpy(&in.sin_addr, a->ip, sizeof in.sin_addr);
    memcpy(to, &in, sizeof in);
    return sizeof in;
}

static socklen_t to_in6(const struct far_addr *a, struct sockaddr_storage *to) {
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6,
        .sin6_port = htons(a->port),
        .sin6_flowinfo = htonl(a->flowinfo),
        .sin6_scope_id = a->scope,
    };
    memcpy(&in6.sin6_addr, a->ip, sizeof a->ip);
    memcpy(to, &in6, sizeof in6);
    return sizeof in6;
}

socklen_t addr_to_host(const struct far_addr *a, struct sockaddr *sa,
    socklen_t *len) {
    struct sockaddr_storage all = {.ss_family = a->family};
    socklen_t size = 0;
    if (a->family == FAR_AF_INET) {
        size = to_in(a, &all);
    } else if (a->family == FAR_AF_INET6) {
        size = to_in6(a, &all);
    }
    if (sa && len) {
        memcpy(sa, &all, *len < size ? *len : size);
    }
    if (len) {
        *len = size;
    }
    return size;
}
