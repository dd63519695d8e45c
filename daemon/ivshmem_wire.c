// The protocol between an ivshmem server and its clients.
// SPDX-License-Identifier: MIT
#include "daemon/ivshmem_wire.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(4 * sizeof(int))];
};

bool ivshmem_send(int sock, int64_t number, int fd) {
    uint64_t word = htole64((uint64_t)number);
    union control control = {0};
    struct iovec iov = {.iov_base = &word, .iov_len = sizeof word};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof fd);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof word;
}

// Keeps the first descriptor that came; nobody sends more on purpose.
static int take_descriptor(struct msghdr *msg) {
    int kept = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (kept < 0) {
                kept = fd;
            } else {
                close(fd);
            }
        }
    }
    return kept;
}

int ivshmem_receive(int sock, int64_t *number, int *fd) {
    uint64_t word;
    union control control;
    struct iovec iov = {.iov_base = &word, .iov_len = sizeof word};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    // A number is sent whole, by one call, so that it is there whole or not.
    ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    *fd = -1;
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    *fd = take_descriptor(&msg);
    if (n != sizeof word) {
        if (*fd >= 0) {
            close(*fd);
            *fd = -1;
        }
        return -1;
    }
    *number = (int64_t)le64toh(word);
    return 1;
}
