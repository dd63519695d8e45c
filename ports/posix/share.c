// Tokens: sockets that change their link.
// SPDX-License-Identifier: MIT
#include "ports/posix/hello.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

// Far takes them when it serves the request that follows.
static int send_descriptors(struct far_posix *p, const int *fds, size_t count) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    char byte = 0;
    int conn = -1;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = CMSG_SPACE(count * sizeof(int)),
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    far_posix_fds(p, &conn, 1);
    return sendmsg(conn, &msg, MSG_NOSIGNAL) == 1 ? FAR_OK : FAR_ENETDOWN;
}

int far_posix_share(struct far_posix *p, int sock, int token, int end) {
    const int fds[] = {token, end};
    int err = send_descriptors(p, fds, 2);
    return err != FAR_OK ? err : far_share(far_posix_link(p), sock);
}

int far_posix_adopt(struct far_posix *p, int token, uint32_t family,
    uint32_t type, uint32_t proto) {
    int err = send_descriptors(p, &token, 1);
    return err != FAR_OK ? err
                         : far_adopt(far_posix_link(p), family, type, proto);
}
