// Control data in the link's form and in the host's, and addresses in both.
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/text.h"
#include "daemon/translate.h"
#include "farsock/posix.h"
#include "fuzz/input.h"

static void check(int good, const char *what) {
    if (!good) {
        fprintf(stderr, "control data: %s\n", what);
        abort();
    }
}

static void there_and_back(struct input *in) {
    uint32_t len = take16(in) % (2u * FAR_CTL_MAX);
    size_t room = take16(in) % 3000u;
    uint8_t *ctl = malloc(len ? len : 1); // just as long, for ASan
    uint8_t *host = malloc(room ? room : 1);
    uint8_t *back = malloc(FAR_CTL_MAX);
    bool cut = false;
    take(in, ctl, len);
    struct msghdr m = {
        .msg_control = room == 2999u ? NULL : host,
        .msg_controllen = room,
    };
    far_posix_ctl_out(&m, ctl, len);
    check(m.msg_controllen <= room, "more than its room");
    uint32_t left = take16(in) % (FAR_CTL_MAX + 1u);
    check(far_posix_ctl_in(back, left, &m, &cut) <= left, "more than its room");
    free(back);
    free(host);
    free(ctl);
}

// What a program hands to sendmsg() may be any bytes.
static void from_host(struct input *in) {
    size_t len = take16(in) % 600u;
    uint8_t *host = malloc(len ? len : 1);
    uint8_t out[FAR_CTL_MAX];
    bool cut = false;
    take(in, host, len);
    struct msghdr m = {.msg_control = host, .msg_controllen = len};
    uint32_t n = far_posix_ctl_good(&m)
                     ? far_posix_ctl_in(out, sizeof out, &m, &cut)
                     : 0;
    check(n <= sizeof out && n % 8u == 0, "not in eights");
    free(host);
}

static void address(struct input *in) {
    struct far_addr a;
    struct far_addr b;
    struct sockaddr_storage sa;
    char text[TEXT_ADDR];
    take(in, &a, sizeof a);
    socklen_t len = host_addr(&a, &sa);
    check(len <= sizeof sa, "an address too long");
    far_addr_of(&sa, len, &b);
    if (b.family) {
        check(b.family == a.family && b.port == a.port &&
                  memcmp(a.ip, b.ip, a.family == 2 ? 4 : 16) == 0,
            "an address that comes back as another");
    }
    check(strlen(text_addr(text, &a)) < sizeof text, "a text too long");
    far_posix_addr(&b, &a, take8(in) % sizeof a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    switch (take8(&in) % 3u) {
        case 0:
            there_and_back(&in);
            break;
        case 1:
            from_host(&in);
            break;
        default:
            address(&in);
            break;
    }
    return 0;
}
