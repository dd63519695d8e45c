// Addresses of the host's form and of the link's.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define RFC2133_LEN offsetof(struct sockaddr_in6, sin6_scope_id)

int addr_to_far(const struct sockaddr *sa, socklen_t len,
    struct far_addr *out) {
    sa_family_t family = 0;
    *out = (struct far_addr){0};
    if (len > sizeof(struct sockaddr_storage) || len < sizeof family) {
        return FAR_EINVAL;
    }
    if (!sa) {
        return FAR_EFAULT;
    }
    memcpy(&family, sa, sizeof family);
    far_posix_addr(out, sa, len);
    if (!out->family && (family == AF_INET || family == AF_INET6)) {
        return FAR_EINVAL; // too short
    }
    if (!out->family) {
        // The kernel judges it: Linux takes 0 for AF_INET in places.
        struct sockaddr_in in = {0};
        memcpy(&in, sa, len < sizeof in ? len : sizeof in);
        out->family = family;
        out->port = ntohs(in.sin_port);
        memcpy(out->ip, &in.sin_addr, sizeof in.sin_addr);
    }
    return FAR_OK;
}

static bool is_v6_only(const struct psock *s) {
    int only = 0;
    size_t len = sizeof only;
    far_getsockopt(s->link->near, s->handle, IPPROTO_IPV6, IPV6_V6ONLY, &only,
        &len);
    return only;
}

int addr_refused(const struct psock *s, const struct sockaddr *sa,
    socklen_t len, bool connects) {
    bool v6 = s->family == AF_INET6;
    sa_family_t family;
    if (len > sizeof(struct sockaddr_storage) || len < sizeof family) {
        return FAR_EINVAL;
    }
    memcpy(&family, sa, sizeof family);
    if (connects && family == AF_UNSPEC) {
        return FAR_OK;
    }
    if (connects && v6 && family == AF_INET && s->type != SOCK_STREAM) {
        bool shorter = len < sizeof(struct sockaddr_in);
        return !shorter        ? FAR_OK
               : is_v6_only(s) ? FAR_EAFNOSUPPORT
                               : FAR_EINVAL;
    }
    if (len < (v6 ? RFC2133_LEN : sizeof(struct sockaddr_in))) {
        return FAR_EINVAL;
    }
    bool other = v6 ? family != AF_INET6 : family == AF_INET6;
    return other && s->type != SOCK_RAW ? FAR_EAFNOSUPPORT : FAR_OK;
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
