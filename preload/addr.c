// Addresses of the host's form and of the link's.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "ports/posix/msghdr.h"

#define RFC2133_LEN offsetof(struct sockaddr_in6, sin6_scope_id)

int addr_take(struct sockaddr_storage *out, const struct sockaddr *sa,
    socklen_t len) {
    return far_posix_addr_get(out, sa, len);
}

int addr_to_far(const struct sockaddr_storage *sa, socklen_t len,
    struct far_addr *out) {
    sa_family_t family = 0;
    *out = (struct far_addr){0};
    if (len > sizeof(struct sockaddr_storage) || len < sizeof family) {
        return FAR_EINVAL;
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

int addr_refused(const struct psock *s, const struct sockaddr_storage *sa,
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

int addr_give(const struct far_addr *a, struct sockaddr *sa, socklen_t *len) {
    return far_done(far_posix_addr_put(a, sa, len));
}
