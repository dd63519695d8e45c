// Connections per second: connect, take the first byte, close.
// SPDX-License-Identifier: MIT
//
//   usage: connect PORT
//
// The peer (peer greet) sends a byte and closes. The address changes with every
// connection, or those that have just ended would take up all port numbers.

#include "bench/net.h"

int main(int argc, char **argv) {
    static struct times times;
    int port = (int)number(argc, argv, 1);
    uint32_t host = 0;
    net_open(0, 0);
    ready();
    for (uint64_t n = 0; (n = next_round());) {
        memset(&times, 0, sizeof times);
        uint64_t start = now_ns();
        uint64_t now = start;
        for (uint64_t i = 0; i < n; i++) {
            uint64_t from = now;
            uint8_t byte = 0;
            int s = must("socket", net_socket(SOCK_STREAM));
            host = host % HOSTS + 1u;
            must("connect", net_connect(s, (int)host, port));
            net_recv_all(s, &byte, 1);
            must("close", net_close(s));
            now = now_ns();
            times_add(&times, now - from);
        }
        tell(now - start, n, 0, &times);
    }
    net_end();
    return 0;
}
