// What farsock show and dump take from a farsockd.
// SPDX-License-Identifier: MIT
#include "tools/show.c" // NOLINT(bugprone-suspicious-include)

#include <stdarg.h>
#include <stdlib.h>

#include "fuzz/fault.h"
#include "fuzz/input.h"

int tool_fail(int status, const char *fmt, ...) {
    char line[8192];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    return status;
}

int tool_no_arguments(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return TOOL_OK;
}

static void send_packets(int fd, struct input *in) {
    struct far_welcome w = {.magic = FAR_HELLO_MAGIC};
    uint8_t packet[512];
    uint8_t how = take8(in);
    memcpy(packet, &w, sizeof w);
    take(in, packet + (how & 1 ? 8 : 0), how & 2 ? 120 : 0);
    send(fd, packet, how & 4 ? take8(in) : sizeof w, MSG_NOSIGNAL);
    for (int i = 0; i < 8 && in->left; i++) {
        size_t len = take8(in) * 2u;
        take(in, packet, len);
        send(fd, packet, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    stdout = fopen("/dev/null", "we");
    return stdout ? 0 : 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    int pair[2];
    if (take8(&in) & 1) {
        fault_choose(&in);
    }
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    send_packets(pair[1], &in);
    shutdown(pair[1], SHUT_WR);
    fault_within(true);
    if (say_hello(pair[0], "path", FAR_HELLO_SHOW) == TOOL_OK) {
        copy_text(pair[0], "path");
    }
    fault_within(false);
    fault_none();
    close(pair[0]);
    close(pair[1]);
    return 0;
}
