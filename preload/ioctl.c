// ioctl(2) requests about a socket.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

static int readable(struct psock *s, void *arg) {
    uint8_t some[65536];
    uint32_t flags = FAR_MSG_PEEK | FAR_MSG_DONTWAIT;
    flags |= s->type == SOCK_STREAM ? 0 : FAR_MSG_TRUNC;
    call_begin(true);
    int n = far_recvfrom(s->link->near, s->handle, some, sizeof some, flags,
        NULL, NULL, FAR_NOWAIT);
    n = n < 0 ? 0 : n;
    memcpy(arg, &n, sizeof n);
    return 0;
}

int ioctl_ask(struct psock *s, unsigned long request, void *arg) {
    if (!psock_use(s)) {
        return -1;
    }
    if (request == FIONREAD && arg) {
        return readable(s, arg);
    }
    errno = arg ? ENOTTY : EFAULT;
    return -1;
}
