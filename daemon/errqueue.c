// The kernel's queue of errors: MSG_ERRQUEUE.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <string.h>

#include <linux/errqueue.h>
#include <netinet/in.h>

#include "daemon/translate.h"
#include "farsock/posix.h"
#include "farsock/proto.h"

#define HOST_CTL (FAR_CTL_MAX * 4u)

// True if it is told by ICMP: such an error stands in SO_ERROR, too, and taking
// it here takes it there.
static bool is_icmp(struct msghdr *m) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        struct sock_extended_err e;
        bool is_error =
            (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
        if (is_error && c->cmsg_len >= CMSG_LEN(sizeof e)) {
            memcpy(&e, CMSG_DATA(c), sizeof e);
            return e.ee_origin == SO_EE_ORIGIN_ICMP ||
                   e.ee_origin == SO_EE_ORIGIN_ICMP6;
        }
    }
    return false;
}

// The pending error is of what was taken; what the kernel then has is of the
// next in the queue.
static void forget_error(struct sock *s) {
    if (s->err & 0xffffu) {
        s->err &= 0xffff0000u;
        s->dirty = true;
    }
}

int32_t errqueue_take(struct sock *s, uint32_t room,
    struct far_rep_errqueue *rep, uint8_t *rest) {
    struct sockaddr_storage sa;
    uint64_t control[HOST_CTL / 8u];
    struct iovec iov = {rest + FAR_CTL_MAX, room};
    struct msghdr m = {
        .msg_name = &sa,
        .msg_namelen = sizeof sa,
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    bool cut = false;
    memset(rep, 0, sizeof *rep);
    ssize_t n = recvmsg(s->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (n < 0) {
        return far_errno(errno);
    }
    if (m.msg_namelen) {
        far_addr_of(&sa, m.msg_namelen, &rep->to);
    }
    uint32_t ctl = far_posix_ctl_in(rest, FAR_CTL_MAX, &m, &cut);
    rep->dgram = (struct far_dgram){
        .len = (uint32_t)n,
        .ctl_len = (uint16_t)ctl,
        .flags = (uint16_t)((m.msg_flags & MSG_TRUNC ? FAR_DGRAM_TRUNC : 0) |
                            (cut ? FAR_DGRAM_CTRUNC : 0)),
    };
    memmove(rest + ctl, rest + FAR_CTL_MAX, (size_t)n);
    if (is_icmp(&m)) {
        forget_error(s);
    }
    sock_refresh(s);
    return FAR_OK;
}
