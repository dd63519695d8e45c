// The first packet of a connection: what near wants, and whether it gets it.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_HELLO_H
#define FARSOCKD_HELLO_H

#include <stddef.h>

#include "daemon/config.h"
#include "farsock/posix.h"

// Reads a packet of len bytes. w becomes the answer, with a text if it is no.
// FAR_OK, a far_err that w says too, or FAR_EBADMSG: not one of ours, no
// answer.
int hello_check(const void *packet, size_t len, struct far_hello *hello,
    struct far_welcome *w);

// Makes w a refusal.
__attribute__((format(printf, 3, 4))) void hello_refuse(struct far_welcome *w,
    int err, const char *fmt, ...);

// The layout for what near wishes, within c's limits. FAR_OK or FAR_EINVAL.
int hello_layout(const struct far_hello *hello, const struct config *c,
    struct far_layout *out);

// Near's name for people: printable, without tabs, "-" if it gave none.
void hello_name(const struct far_hello *hello, char *out, size_t room);

#endif
