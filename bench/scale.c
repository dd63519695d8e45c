// Messages and their echoes on many connections.
// SPDX-License-Identifier: MIT
//
//   usage: scale PORT SOCKETS ACTIVE
//
// Of SOCKETS connections the ACTIVE ones, spread evenly, send a message each
// and get it back (peer echo), in turn, BATCH of them at a time. Without rounds
// it is a program with many idle connections.

#include "bench/net.h"

#define BATCH   50u
#define MESSAGE 64u
#define RING    16384u

static int *socks;
static size_t active;
static size_t step;

static void send_batch(size_t first, size_t count) {
    uint8_t message[MESSAGE] = {0};
    for (size_t i = 0; i < count; i++) {
        int s = socks[(first + i) % active * step];
        net_send_all(s, message, sizeof message);
    }
    for (size_t i = 0; i < count; i++) {
        int s = socks[(first + i) % active * step];
        net_recv_all(s, message, sizeof message);
    }
}

static void exchange(uint64_t count) {
    size_t batch = active < BATCH ? active : BATCH;
    static size_t at;
    for (uint64_t done = 0; done < count; done += batch) {
        if (batch > count - done) {
            batch = (size_t)(count - done);
        }
        send_batch(at, batch);
        at = (at + batch) % active;
    }
}

int main(int argc, char **argv) {
    int port = (int)number(argc, argv, 1);
    size_t count = (size_t)number(argc, argv, 2);
    active = (size_t)number(argc, argv, 3);
    socks = calloc(count, sizeof *socks);
    if (!socks || active == 0 || active > count) {
        die("usage", "scale PORT SOCKETS ACTIVE");
    }
    step = count / active;
    net_open((uint32_t)count + 16u, RING);
    for (size_t i = 0; i < count; i++) {
        socks[i] = net_connected(port, true);
    }
    exchange(active);
    ready();
    for (uint64_t n = 0; (n = next_round());) {
        uint64_t start = now_ns();
        exchange(n);
        tell(now_ns() - start, n, 0, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        net_close(socks[i]);
    }
    net_end();
    free(socks);
    return 0;
}
