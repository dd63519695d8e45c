// Many messages in one call, the kernel's and a link's.
// SPDX-License-Identifier: MIT
#ifndef NET_MANY_H
#define NET_MANY_H

#include <string.h>
#include <sys/socket.h>

#include "farsock/farsock.h"

#include "net_link.h"
#include "net_native.h"

#define MANY 8

// count messages of lens bytes each, out of buf or into it, one behind the
// other; lens then says what went or came. How many that were, or an error.
static int native_many(int s, uint8_t *buf, size_t *lens, int count, bool sends,
    bool wait) {
    struct mmsghdr v[MANY] = {0};
    struct iovec iov[MANY];
    int flags = MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
    for (int i = 0; i < count; buf += lens[i++]) {
        iov[i] = (struct iovec){buf, lens[i]};
        v[i].msg_hdr.msg_iov = &iov[i];
        v[i].msg_hdr.msg_iovlen = 1;
    }
    native_block(s, true);
    int r = native_result(sends ? sendmmsg(s, v, (unsigned)count, flags)
                                : recvmmsg(s, v, (unsigned)count, flags, NULL));
    for (int i = 0; i < r; i++) {
        lens[i] = v[i].msg_len;
    }
    return r;
}

static int over_many(int s, uint8_t *buf, size_t *lens, int count, bool sends,
    bool wait) {
    struct far_mmsghdr v[MANY] = {0};
    struct far_iov iov[MANY];
    for (int i = 0; i < count; buf += lens[i++]) {
        iov[i] = (struct far_iov){buf, lens[i]};
        v[i].hdr = (struct far_msghdr){.iov = &iov[i], .iov_count = 1};
    }
    uint32_t n = (uint32_t)count;
    int r = sends ? far_sendmmsg(the_link(), s, v, n, 0, deadline(wait))
                  : far_recvmmsg(the_link(), s, v, n, 0, deadline(wait));
    for (int i = 0; i < r; i++) {
        lens[i] = v[i].len;
    }
    return r;
}

#endif
