// Socket options and ioctls with any level, number, value and length.
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core.h"
#include "farsock/proto.h"
#include "fuzz/alone.h"
#include "fuzz/input.h"

static const struct {
    int32_t level, opt;
} known[] = {
#define X(level, lnum, name, num, kind) {lnum, num},
#include "farsock/sockopt.def"
#undef X
};

static void check(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "option: %s\n", what);
        abort();
    }
}

static void set(struct sock *s, int32_t level, int32_t opt, struct input *in) {
    uint32_t len = take_number(in) % 1009u;
    uint8_t *val = malloc(len ? len : 1); // just as long, for ASan
    take(in, val, len);
    check(opt_set(s, level, opt, val, len) <= 0, "a set's result");
    free(val);
}

static void get(struct sock *s, int32_t level, int32_t opt, struct input *in) {
    uint32_t size = take_number(in) % 1009u;
    uint8_t *val = malloc(size ? size : 1);
    check(opt_get(s, level, opt, val, size) <= (int32_t)size, "too much");
    free(val);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    fuzz_alone();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    static struct engine engine;
    static struct link link = {.engine = &engine}; // without a policy
    uint8_t kind = take8(&in);
    struct sock s = {
        .type = kind & 1 ? FAR_SOCK_DGRAM : FAR_SOCK_STREAM,
        .rcvlowat = 1,
        .link = &link,
    };
    s.fd = socket(kind & 2 ? AF_INET6 : AF_INET,
        (kind & 1 ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
        0);
    node_init(&engine.reusing);
    node_init(&s.reuse);
    while (in.left && s.fd >= 0) {
        uint8_t op = take8(&in);
        size_t i = take8(&in) % (sizeof known / sizeof *known);
        bool any = op & 0x80;
        int32_t level = any ? (int32_t)take32(&in) : known[i].level;
        int32_t opt = any ? (int32_t)take32(&in) : known[i].opt;
        if (op & 1) {
            set(&s, level, opt, &in);
        } else if (op & 2) {
            get(&s, level, opt, &in);
        } else {
            struct far_ifreq arg;
            take(&in, &arg, sizeof arg);
            ioctl_do(&s, op & 4 ? FAR_SIOCGIFNAME + (uint32_t)i : take32(&in),
                &arg);
            struct far_req_ifname name;
            take(&in, &name, sizeof name);
            ioctl_ifname(&name);
        }
    }
    node_remove(&s.reuse);
    close(s.fd);
    return 0;
}
