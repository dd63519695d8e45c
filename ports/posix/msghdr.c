// sendmsg() and recvmsg() with the host's structures.
// SPDX-License-Identifier: MIT
#include "ports/posix/msghdr.h"

#include <limits.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

#include "ports/posix/guard.h"

// As many bytes as the kernel moves in one call.
#define MOST 0x7ffff000u

_Static_assert(sizeof(struct iovec) == sizeof(struct far_iov) &&
                   offsetof(struct iovec, iov_len) ==
                       offsetof(struct far_iov, len),
    "an array of the one is one of the other");

int far_posix_iov_get(struct far_posix_msg *to, const struct iovec *iov,
    size_t count) {
    size_t total = 0;
    if (!far_guard_copy(to->iov, iov, count * sizeof *iov)) {
        return FAR_EFAULT;
    }
    for (size_t i = 0; i < count; i++) {
        if (to->iov[i].len > SSIZE_MAX) {
            return FAR_EINVAL;
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t len = to->iov[i].len;
        if (!far_guard_range(to->iov[i].base, len)) {
            return FAR_EFAULT;
        }
        to->iov[i].len = len < MOST - total ? len : MOST - total;
        total += to->iov[i].len;
    }
    to->m.msg_iovlen = count;
    to->total = total;
    return FAR_OK;
}

int far_posix_msg_get(struct far_posix_msg *to, const struct msghdr *m) {
    if (!far_guard_copy(&to->m, m, sizeof to->m)) {
        return FAR_EFAULT;
    }
    if (to->m.msg_name && to->m.msg_namelen > INT_MAX) {
        return FAR_EINVAL;
    }
    if (to->m.msg_iovlen > FAR_IOV_MAX) {
        return FAR_EMSGSIZE;
    }
    return far_posix_iov_get(to, to->m.msg_iov, to->m.msg_iovlen);
}

// The host's control data, and then the link's, more than far takes, so that it
// is far_sendmsg() that says so.
static int ctl_get(const struct msghdr *m, uint8_t *ctl, uint32_t room,
    uint32_t *len) {
    union {
        struct cmsghdr align;
        uint8_t bytes[8u * FAR_CTL_MAX];
    } host;
    struct msghdr copy = {
        .msg_control = host.bytes,
        .msg_controllen = m->msg_controllen,
    };
    bool cut = false;
    if (m->msg_controllen > sizeof host) {
        return FAR_ENOBUFS;
    }
    if (!far_guard_copy(host.bytes, m->msg_control, m->msg_controllen)) {
        return FAR_EFAULT;
    }
    if (!far_posix_ctl_good(&copy)) {
        // An item that no kernel knows: it is told when its turn comes.
        struct far_ctl none = {.level = FAR_SOL_SOCKET, .type = 0xffffu};
        memcpy(ctl, &none, sizeof none);
        *len = sizeof none;
        return FAR_OK;
    }
    *len = far_posix_ctl_in(ctl, room, &copy, &cut);
    return cut ? FAR_ENOBUFS : FAR_OK;
}

int32_t far_posix_msg_send(struct far_link *l, int sock,
    struct far_posix_msg *p, struct far_addr *to, uint32_t flags,
    uint64_t deadline_ns) {
    uint8_t ctl[2u * FAR_CTL_MAX];
    uint32_t ctl_len = 0;
    int err = p->m.msg_controllen ? ctl_get(&p->m, ctl, sizeof ctl, &ctl_len)
                                  : FAR_OK;
    struct far_msghdr f = {
        .name = to,
        .iov = p->iov,
        .iov_count = p->m.msg_iovlen,
        .ctl = ctl,
        .ctl_len = ctl_len,
    };
    return err < 0 ? err : far_sendmsg(l, sock, &f, flags, deadline_ns);
}

int far_posix_addr_put(const struct far_addr *a, void *sa, socklen_t *len) {
    struct sockaddr_storage ss;
    socklen_t room = 0;
    socklen_t n = a->family ? far_posix_sockaddr(a, &ss) : 0;
    if (!far_guard_copy(&room, len, sizeof room)) {
        return FAR_EFAULT;
    }
    if (room > INT_MAX) {
        return FAR_EINVAL;
    }
    return far_guard_copy(sa, &ss, n < room ? n : room) &&
                   far_guard_copy(len, &n, sizeof n)
               ? FAR_OK
               : FAR_EFAULT;
}

int far_posix_addr_get(struct sockaddr_storage *out, const void *sa,
    socklen_t len) {
    memset(out, 0, sizeof *out);
    if (len > sizeof *out) {
        return FAR_EINVAL;
    }
    return far_guard_copy(out, sa, len) ? FAR_OK : FAR_EFAULT;
}

// As natively, what does not fit the caller's memory is as if it had not come.
static void ctl_put(struct msghdr *m, const uint8_t *ctl, uint32_t len) {
    union {
        struct cmsghdr align;
        uint8_t bytes[8u * FAR_CTL_MAX];
    } host = {0};
    struct msghdr copy = *m;
    copy.msg_control = m->msg_control ? host.bytes : NULL;
    if (copy.msg_controllen > sizeof host) {
        copy.msg_controllen = sizeof host;
    }
    far_posix_ctl_out(&copy, ctl, len);
    bool there =
        far_guard_copy(m->msg_control, host.bytes, copy.msg_controllen);
    m->msg_controllen = there ? copy.msg_controllen : 0;
    m->msg_flags = copy.msg_flags;
}

// The fields that recvmsg(2) writes, in its order.
static int head_put(struct msghdr *to, const struct msghdr *m) {
    return far_guard_copy(&to->msg_flags, &m->msg_flags, sizeof m->msg_flags) &&
                   far_guard_copy(&to->msg_controllen, &m->msg_controllen,
                       sizeof m->msg_controllen)
               ? FAR_OK
               : FAR_EFAULT;
}

int32_t far_posix_msg_recv(struct far_link *l, int sock,
    struct far_posix_msg *p, struct msghdr *m, uint32_t flags,
    uint64_t deadline_ns) {
    uint8_t ctl[FAR_CTL_MAX];
    struct far_addr from = {0};
    struct far_msghdr f = {
        .name = &from,
        .iov = p->iov,
        .iov_count = p->m.msg_iovlen,
        .ctl = ctl,
        .ctl_len = sizeof ctl,
    };
    int32_t n = far_recvmsg(l, sock, &f, flags, deadline_ns);
    if (n < 0) {
        return n;
    }
    int err = FAR_OK;
    p->m.msg_flags = (int)f.flags | (int)(flags & MSG_CMSG_CLOEXEC);
    if (f.ctl_len) {
        ctl_put(&p->m, ctl, (uint32_t)f.ctl_len);
    } else {
        p->m.msg_controllen = 0;
    }
    if (p->m.msg_name) {
        err = far_posix_addr_put(&from, p->m.msg_name, &m->msg_namelen);
    }
    err = err == FAR_OK ? head_put(m, &p->m) : err;
    return err < 0 ? err : n;
}

#define RFC2133_LEN offsetof(struct sockaddr_in6, sin6_scope_id)

// A raw socket has no ports: nothing stands for an address that is wrong.
static int raw_name(uint32_t family, uint32_t given, uint32_t len) {
    bool v6 = family == FAR_AF_INET6;
    if (!v6 && len == 0) {
        return FAR_EDESTADDRREQ;
    }
    if (len < (v6 ? RFC2133_LEN : sizeof(struct sockaddr_in))) {
        return FAR_EINVAL;
    }
    return v6 && given != AF_INET6 && given != AF_UNSPEC ? FAR_EAFNOSUPPORT
                                                         : FAR_OK;
}

int far_posix_name(struct far_link *l, int sock, struct far_addr *out,
    const void *sa, uint32_t len) {
    struct sockaddr_in in = {0};
    uint32_t family = 0;
    uint32_t type = 0;
    uint32_t ignored;
    memcpy(&in, sa, len < sizeof in ? len : sizeof in);
    far_posix_addr(out, sa, len);
    far_sockinfo(l, sock, &family, &type, &ignored);
    int err = type == FAR_SOCK_RAW ? raw_name(family, in.sin_family, len) : 0;
    if (err < 0 || out->family) {
        return err;
    }
    bool nothing = len < sizeof in.sin_family;
    bool v4 = family == FAR_AF_INET || (!nothing && in.sin_family == AF_INET);
    if (nothing || (v4 && len < sizeof in) || in.sin_family == AF_INET6) {
        // Port 0 is as wrong as an address that is too short.
        out->family = v4 && len < sizeof in ? FAR_AF_INET : FAR_AF_INET6;
        return FAR_OK;
    }
    // Linux takes family 0 for AF_INET on a socket of that.
    out->family = in.sin_family;
    out->port = ntohs(in.sin_port);
    memcpy(out->ip, &in.sin_addr, sizeof in.sin_addr);
    return FAR_OK;
}

int32_t far_posix_sendmsg(struct far_link *l, int sock, const struct msghdr *m,
    uint32_t flags, uint64_t deadline_ns) {
    struct far_posix_msg p;
    struct sockaddr_storage ss;
    struct far_addr to;
    int err = far_posix_msg_get(&p, m);
    bool named = err >= 0 && p.m.msg_name && p.m.msg_namelen;
    // The kernel cuts it to what an address can be.
    if (named && p.m.msg_namelen > sizeof ss) {
        p.m.msg_namelen = sizeof ss;
    }
    if (named) {
        err = far_posix_addr_get(&ss, p.m.msg_name, p.m.msg_namelen);
        err =
            err < 0 ? err : far_posix_name(l, sock, &to, &ss, p.m.msg_namelen);
    }
    return err < 0 ? err
                   : far_posix_msg_send(l, sock, &p, named ? &to : NULL, flags,
                         deadline_ns);
}

int32_t far_posix_recvmsg(struct far_link *l, int sock, struct msghdr *m,
    uint32_t flags, uint64_t deadline_ns) {
    struct far_posix_msg p;
    int err = far_posix_msg_get(&p, m);
    return err < 0 ? err
                   : far_posix_msg_recv(l, sock, &p, m, flags, deadline_ns);
}
