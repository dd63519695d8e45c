// One set of socket calls, over the kernel's sockets or over a link: the same
// program text is the test and its oracle.
// SPDX-License-Identifier: MIT
#ifndef NETAPI_H
#define NETAPI_H

#include "net_link.h"
#include "net_native.h"

// mode: "native", or "far[:INDEX_BASE[:RING_BYTES[:SOCKETS]]]". NULL with *err
// set (a far_err) if there is no link.
static const struct net *net_open(const char *mode, int *err) {
    const char *like = getenv("LINK_LIKE"); // a link less safe than posix
    struct far_posix_options o = {
        .wait_s = -1,
        .rescue = like && strstr(like, "rescue"),
        .beat = like && strstr(like, "beat"),
    };
    *err = 0;
    if (!strcmp(mode, "native")) {
        return &net_native;
    }
    if (strncmp(mode, "far", 3)) {
        *err = -EINVAL;
        return NULL;
    }
    char *end = (char *)mode + 3;
    uint32_t *wishes[] = {&o.index_base, &o.ring, &o.sockets};
    for (int i = 0; i < 3 && *end == ':'; i++) {
        *wishes[i] = (uint32_t)strtoul(end + 1, &end, 0);
    }
    *err = far_posix_open(&far_posix, &o);
    return *err ? NULL : &net_over_link;
}

static void net_close(void) {
    if (far_posix) {
        far_posix_close(far_posix);
        far_posix = NULL;
    }
}

// text is a numeric address; family 0 in the result if it is none.
static struct far_addr net_addr(const char *text, int port) {
    struct far_addr a = {.port = (uint16_t)port};
    if (inet_pton(AF_INET, text, a.ip) == 1) {
        a.family = AF_INET;
    } else if (inet_pton(AF_INET6, text, a.ip) == 1) {
        a.family = AF_INET6;
    }
    return a;
}

#endif
