// The host's messages and addresses, in memory of the caller's that may not be
// there.
// SPDX-License-Identifier: MIT
#ifndef FAR_POSIX_MSGHDR_H
#define FAR_POSIX_MSGHDR_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "farsock/posix.h"

// A message as it was when the call began.
struct far_posix_msg {
    struct msghdr m;
    size_t total; // bytes of all pieces
    struct far_iov iov[FAR_IOV_MAX];
};

// FAR_OK, FAR_EFAULT, FAR_EINVAL, FAR_EMSGSIZE, as the kernel's.
int far_posix_msg_get(struct far_posix_msg *to, const struct msghdr *m);
// The pieces alone, at most FAR_IOV_MAX.
int far_posix_iov_get(struct far_posix_msg *to, const struct iovec *iov,
    size_t count);
// to NULL: none.
int32_t far_posix_msg_send(struct far_link *l, int sock,
    struct far_posix_msg *p, struct far_addr *to, uint32_t flags,
    uint64_t deadline_ns);
// m: the caller's, which gets the results.
int32_t far_posix_msg_recv(struct far_link *l, int sock,
    struct far_posix_msg *p, struct msghdr *m, uint32_t flags,
    uint64_t deadline_ns);

// An address into the caller's memory, cut to *len, which then is its length;
// and out of it, zeros behind it. FAR_OK, FAR_EFAULT, FAR_EINVAL.
int far_posix_addr_put(const struct far_addr *a, void *sa, socklen_t *len);
int far_posix_addr_get(struct sockaddr_storage *out, const void *sa,
    socklen_t len);

#endif
