// One measurement for each line on stdin: bulk each way and round trips, over
// the kernel's sockets or over a link. scripts/bench-quick runs it.
// SPDX-License-Identifier: MIT
//
//   usage: quick MODE WORK PORT AMOUNT     native, or far as in netapi.h
//          quick native peer PORT AMOUNT
//
// WORK: write and read move AMOUNT bytes in calls of 64 KiB, ping makes AMOUNT
// round trips of one byte. The peer serves all three; it answers when it has
// everything, so that what is still in a buffer is not counted as done. Prints
// nanoseconds: of the whole, and for ping the 50th and 99th percentile.

#include "tests/system/netapi.h"

#include <time.h>

#define BLOCK 65536u

static const struct net *net;
static uint8_t block[BLOCK];
static uint64_t amount;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int must(const char *what, int r) {
    if (r < 0) {
        fprintf(stderr, "quick: %s: %s\n", what, strerror(-r));
        exit(1);
    }
    return r;
}

static void send_bytes(int s, uint64_t count) {
    while (count) {
        size_t len = count < BLOCK ? (size_t)count : BLOCK;
        count -=
            (uint64_t)must("send", net->send(s, block, len, 0, NULL, true));
    }
}

// False at the end of the stream.
static bool take_bytes(int s, uint64_t count) {
    while (count) {
        size_t len = count < BLOCK ? (size_t)count : BLOCK;
        int n = must("recv", net->recv(s, block, len, 0, NULL, true));
        if (n == 0) {
            return false;
        }
        count -= (uint64_t)n;
    }
    return true;
}

static void send_command(int s, char command) {
    block[0] = (uint8_t)command;
    send_bytes(s, 1);
}

// --- The near side ---

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void ping(int s, uint64_t times[]) {
    for (uint64_t i = 0; i < amount; i++) {
        uint64_t start = now_ns();
        send_command(s, 'p');
        take_bytes(s, 1);
        times[i] = now_ns() - start;
    }
    qsort(times, amount, sizeof *times, by_value);
}

static void measure(int s, char work, uint64_t times[]) {
    uint64_t start = now_ns();
    uint64_t p50 = 0;
    uint64_t p99 = 0;
    if (work == 'p') {
        ping(s, times);
        p50 = times[amount / 2];
        p99 = times[amount * 99 / 100];
    } else if (work == 'w') {
        send_command(s, 'w');
        send_bytes(s, amount);
        take_bytes(s, 1);
    } else {
        send_command(s, 'r');
        take_bytes(s, amount);
    }
    printf("%llu %llu %llu\n", (unsigned long long)(now_ns() - start),
        (unsigned long long)p50, (unsigned long long)p99);
    fflush(stdout);
}

static void run_near(const struct far_addr *addr, char work) {
    char line[16];
    int on = 1;
    uint64_t *times = calloc(amount, sizeof *times);
    int s = must("socket", net->socket(AF_INET, SOCK_STREAM, 0));
    must("connect", net->connect(s, addr, true));
    must("option", net->setopt(s, IPPROTO_TCP, 1, &on, sizeof on));
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        measure(s, work, times);
    }
    net->close(s);
    net_close();
    free(times);
}

// --- The peer ---

static void serve(int s) {
    while (take_bytes(s, 1)) {
        uint8_t command = block[0];
        if (command == 'r') {
            send_bytes(s, amount);
            continue;
        }
        if (command == 'w' && !take_bytes(s, amount)) {
            break;
        }
        send_bytes(s, 1);
    }
}

static void run_peer(const struct far_addr *addr) {
    int on = 1;
    int s = must("socket", net->socket(AF_INET, SOCK_STREAM, 0));
    must("option", net->setopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    must("bind", net->bind(s, addr));
    must("listen", net->listen(s, 1));
    printf("ready\n");
    fflush(stdout);
    int conn = must("accept", net->accept(s, NULL, true));
    must("option", net->setopt(conn, IPPROTO_TCP, 1, &on, sizeof on));
    serve(conn);
}

int main(int argc, char **argv) {
    int err = -EINVAL;
    net = argc == 5 ? net_open(argv[1], &err) : NULL;
    must("usage, or no link", err);
    struct far_addr addr = net_addr("127.0.0.1", (int)strtol(argv[3], NULL, 0));
    amount = strtoull(argv[4], NULL, 0);
    if (!strcmp(argv[2], "peer")) {
        run_peer(&addr);
    } else {
        run_near(&addr, argv[2][0]);
    }
    return 0;
}
