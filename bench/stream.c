// Bytes per second of one TCP connection.
// SPDX-License-Identifier: MIT
//
//   usage: stream write|read|both|nagle PORT SIZE
//
// An operation is SIZE bytes in one call. nagle is write without TCP_NODELAY.
// The peer answers when it has everything, so that what is still in a buffer is
// not counted as done.

#include "bench/net.h"

#include <pthread.h>

static int sock;
static bool nagle;
static size_t size;
static uint8_t *block;

static void send_bytes(uint64_t bytes) {
    while (bytes) {
        size_t len = bytes < size ? (size_t)bytes : size;
        bytes -= (uint64_t)must("send", net_send(sock, block, len));
    }
}

static void take_bytes(uint64_t bytes) {
    while (bytes) {
        size_t len = bytes < size ? (size_t)bytes : size;
        int n = must("recv", net_recv(sock, block, len));
        if (n == 0) {
            die("recv", "the peer has ended");
        }
        bytes -= (uint64_t)n;
    }
}

// The last bytes would else wait for the peer's delayed acknowledgement.
static void push(void) {
    for (int on = 1; nagle && on >= 0; on--) {
        must("option",
            net_option(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    }
}

static void *sender(void *bytes) {
    send_bytes(*(uint64_t *)bytes);
    return NULL;
}

static void both(uint64_t bytes) {
    pthread_t thread;
    must("thread", -pthread_create(&thread, NULL, sender, &bytes));
    take_bytes(bytes);
    pthread_join(thread, NULL);
}

static void round_of(char what, uint64_t bytes) {
    uint8_t done = 0;
    net_command(sock, what, bytes);
    if (what == 'r') {
        take_bytes(bytes);
        return;
    }
    if (what == 'w') {
        send_bytes(bytes);
        push();
    } else {
        both(bytes);
    }
    net_recv_all(sock, &done, 1);
}

int main(int argc, char **argv) {
    const char *work = argc > 1 ? argv[1] : "";
    nagle = work[0] == 'n';
    char what = nagle ? 'w' : work[0];
    if (!strchr("wrb", what)) {
        die("usage", "stream write|read|both|nagle PORT SIZE");
    }
    size = (size_t)number(argc, argv, 3);
    block = malloc(size);
    if (!block) {
        die("memory", "none");
    }
    memset(block, 'x', size);
    net_open(0, 0);
    sock = net_connected((int)number(argc, argv, 2), !nagle);
    ready();
    for (uint64_t n = 0; (n = next_round());) {
        uint64_t start = now_ns();
        round_of(what, n * size);
        tell(now_ns() - start, n, 0, NULL);
    }
    net_close(sock);
    net_end();
    free(block);
    return 0;
}
