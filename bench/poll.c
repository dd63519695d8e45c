// poll() over many connections of which one can be read.
// SPDX-License-Identifier: MIT
//
//   usage: poll PORT SOCKETS

#include "bench/net.h"

int main(int argc, char **argv) {
    int port = (int)number(argc, argv, 1);
    size_t count = (size_t)number(argc, argv, 2);
    struct net_pollfd *fds = calloc(count, sizeof *fds);
    int *socks = calloc(count, sizeof *socks);
    if (!fds || !socks || count == 0) {
        die("memory", "none");
    }
    net_open((uint32_t)count + 16u, 16384);
    for (size_t i = 0; i < count; i++) {
        socks[i] = net_connected(port, true);
        net_watch(&fds[i], socks[i]);
    }
    // Asked for and never read: it stays the one.
    net_command(socks[count / 2], 'r', 1);
    must("poll", net_poll(fds, count));
    ready();
    for (uint64_t n = 0; (n = next_round());) {
        uint64_t start = now_ns();
        for (uint64_t i = 0; i < n; i++) {
            if (must("poll", net_poll(fds, count)) != 1) {
                die("poll", "not one of them");
            }
        }
        tell(now_ns() - start, n, 0, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        net_close(socks[i]);
    }
    net_end();
    free(socks);
    free(fds);
    return 0;
}
