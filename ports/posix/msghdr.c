// sendmsg() and recvmsg() with the host's structures.
// SPDX-License-Identifier: MIT
#include "farsock/posix.h"

#include <string.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

// The host's pieces as the link's. False if there are too many.
static bool pieces(struct far_iov *to, const struct msghdr *m) {
    if (m->msg_iovlen > FAR_IOV_MAX) {
        return false;
    }
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        to[i] = (struct far_iov){m->msg_iov[i].iov_base, m->msg_iov[i].iov_len};
    }
    return true;
}

void far_posix_name(struct far_link *l, int sock, struct far_addr *out,
    const void *sa, uint32_t len) {
    struct sockaddr_in in = {0};
    uint32_t family = 0;
    uint32_t ignored;
    memcpy(&in, sa, len < sizeof in ? len : sizeof in);
    far_posix_addr(out, sa, len);
    if (out->family) {
        return;
    }
    far_sockinfo(l, sock, &family, &ignored, &ignored);
    bool nothing = len < sizeof in.sin_family;
    bool v4 = family == FAR_AF_INET || (!nothing && in.sin_family == AF_INET);
    if (nothing || (v4 && len < sizeof in) || in.sin_family == AF_INET6) {
        // Port 0 is as wrong as an address that is too short.
        out->family = v4 && len < sizeof in ? FAR_AF_INET : FAR_AF_INET6;
        return;
    }
    // Linux takes family 0 for AF_INET on a socket of that.
    out->family = in.sin_family;
    out->port = ntohs(in.sin_port);
    memcpy(out->ip, &in.sin_addr, sizeof in.sin_addr);
}

int32_t far_posix_sendmsg(struct far_link *l, int sock, const struct msghdr *m,
    uint32_t flags, uint64_t deadline_ns) {
    struct far_iov iov[FAR_IOV_MAX];
    // More than far takes, so that it is far_sendmsg() that says so.
    uint8_t ctl[2u * FAR_CTL_MAX];
    struct far_addr to;
    bool cut = false;
    if (!pieces(iov, m)) {
        return FAR_EMSGSIZE;
    }
    struct far_msghdr f = {.iov = iov, .iov_count = m->msg_iovlen, .ctl = ctl};
    if (m->msg_name && m->msg_namelen) {
        far_posix_name(l, sock, &to, m->msg_name, (uint32_t)m->msg_namelen);
        f.name = &to;
    }
    if (m->msg_control && m->msg_controllen) {
        f.ctl_len = far_posix_ctl_in(ctl, sizeof ctl, m, &cut);
    }
    return cut ? FAR_ENOBUFS : far_sendmsg(l, sock, &f, flags, deadline_ns);
}

int32_t far_posix_recvmsg(struct far_link *l, int sock, struct msghdr *m,
    uint32_t flags, uint64_t deadline_ns) {
    struct far_iov iov[FAR_IOV_MAX];
    uint8_t ctl[FAR_CTL_MAX];
    struct far_addr from = {0};
    struct sockaddr_storage ss;
    if (!pieces(iov, m)) {
        return FAR_EMSGSIZE;
    }
    struct far_msghdr f = {
        .name = &from,
        .iov = iov,
        .iov_count = m->msg_iovlen,
        .ctl = ctl,
        .ctl_len = sizeof ctl,
    };
    int32_t n = far_recvmsg(l, sock, &f, flags, deadline_ns);
    if (n < 0) {
        return n;
    }
    uint32_t len = from.family ? far_posix_sockaddr(&from, &ss) : 0;
    if (m->msg_name) {
        memcpy(m->msg_name, &ss, len < m->msg_namelen ? len : m->msg_namelen);
        m->msg_namelen = len;
    }
    m->msg_flags = (int)f.flags;
    far_posix_ctl_out(m, ctl, (uint32_t)f.ctl_len);
    return n;
}
