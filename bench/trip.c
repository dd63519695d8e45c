// Round trips of one byte on a TCP connection.
// SPDX-License-Identifier: MIT
//
//   usage: trip PORT

#include "bench/net.h"

int main(int argc, char **argv) {
    static struct times times;
    int port = (int)number(argc, argv, 1);
    uint8_t byte = 'x';
    net_open(0, 0);
    int s = net_connected(port, true);
    ready();
    for (uint64_t n = 0; (n = next_round());) {
        memset(&times, 0, sizeof times);
        net_command(s, 'p', n);
        uint64_t start = now_ns();
        uint64_t now = start;
        for (uint64_t i = 0; i < n; i++) {
            uint64_t from = now;
            net_send_all(s, &byte, 1);
            net_recv_all(s, &byte, 1);
            now = now_ns();
            times_add(&times, now - from);
        }
        tell(now - start, n, 0, &times);
    }
    net_close(s);
    net_end();
    return 0;
}
