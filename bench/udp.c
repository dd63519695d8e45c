// Datagrams per second.
// SPDX-License-Identifier: MIT
//
//   usage: udp send|receive PORT SIZE
//          udp peer PORT
//
// The sender has at most WINDOW datagrams under way, which fit into the
// kernel's buffers, so that nobody has a reason to lose any; what is lost
// nevertheless is counted.

#include "bench/datagram.h"
#include "bench/net.h"

static int sock;
static uint8_t packet[65536];

static void send_head(enum kind kind, uint32_t size, uint64_t n, size_t len) {
    struct head h = {kind, size, n};
    memcpy(packet, &h, sizeof h);
    must("send", net_send(sock, packet, len));
}

// False if nothing came in time (SO_RCVTIMEO).
static bool take_head(struct head *h) {
    int n = net_recv(sock, packet, sizeof packet);
    if (n == -EAGAIN) {
        return false;
    }
    if (must("recv", n) < (int)sizeof *h) {
        die("recv", "a datagram that is none of ours");
    }
    memcpy(h, packet, sizeof *h);
    return true;
}

// Returns with at most room datagrams under way; those that nobody tells of
// for too long are no longer.
static void wait_for_room(uint64_t sent, uint64_t *got, uint64_t room) {
    struct head h;
    while (sent - *got > room) {
        if (!take_head(&h)) {
            *got = sent;
        } else if (h.kind == GOT && h.n > *got && h.n <= sent) {
            *got = h.n;
        }
    }
}

static void send_many(uint64_t count, uint32_t size) {
    uint64_t got = 0;
    for (uint64_t i = 0; i < count; i++) {
        send_head(DATA, (uint32_t)count, i, size);
        wait_for_room(i + 1u, &got, WINDOW - 1u);
    }
    wait_for_room(count, &got, 0);
}

// Takes the rest of count after the first; how many have arrived.
static uint64_t take_many(struct head h, uint64_t count) {
    uint64_t arrived = 0;
    bool more = true;
    while (more && h.kind == DATA) {
        arrived++;
        if ((h.n + 1u) % ACK == 0 || h.n + 1u == count) {
            send_head(GOT, 0, h.n + 1u, sizeof h);
        }
        more = h.n + 1u < count && take_head(&h);
    }
    return arrived;
}

static uint64_t ask_count(void) {
    struct head h = {.kind = DATA};
    for (int i = 0; i < 20; i++) {
        send_head(COUNT, 0, 0, sizeof h);
        while (take_head(&h)) {
            if (h.kind == COUNT) {
                return h.n;
            }
        }
    }
    die("peer", "it does not answer");
    return 0;
}

static uint64_t round_of(bool sends, uint64_t count, uint32_t size) {
    struct head h;
    if (sends) {
        send_many(count, size);
        return 0;
    }
    send_head(SEND, size, count, sizeof h);
    return take_head(&h) ? take_many(h, count) : 0;
}

static void set_patience(void) {
    struct timeval patience = {.tv_usec = 300000};
    must("option",
        net_option(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
}

static void run_near(bool sends, int port, uint32_t size) {
    net_open(0, 0);
    sock = must("socket", net_socket(SOCK_DGRAM));
    must("connect", net_connect(sock, 1, port));
    set_patience();
    ready();
    for (uint64_t n = 0; (n = next_round());) {
        uint64_t start = now_ns();
        uint64_t arrived = round_of(sends, n, size);
        uint64_t ns = now_ns() - start;
        if (sends) {
            arrived = ask_count();
        }
        tell(ns, n, n - arrived, NULL);
    }
    net_close(sock);
    net_end();
}

#ifndef BENCH_FARSOCK

// Who sends the first datagram is who it is connected to.
static void meet(int port) {
    struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof at;
    sock = must("socket", net_socket(SOCK_DGRAM));
    must("bind", net_result(bind(sock, (struct sockaddr *)&at, len)));
    ready();
    must("recv", net_result(recvfrom(sock, packet, 1, MSG_PEEK,
                     (struct sockaddr *)&at, &len)));
    must("connect", net_result(connect(sock, (struct sockaddr *)&at, len)));
}

static void run_peer(int port) {
    struct head h;
    uint64_t arrived = 0;
    meet(port);
    set_patience();
    for (;;) {
        if (!take_head(&h)) {
            continue;
        }
        if (h.kind == SEND) {
            send_many(h.n, h.size);
        } else if (h.kind == DATA) {
            arrived += take_many(h, h.size);
        } else if (h.kind == COUNT) {
            send_head(COUNT, 0, arrived, sizeof h);
            arrived = 0;
        }
    }
}

#endif

int main(int argc, char **argv) {
    const char *work = argc > 1 ? argv[1] : "";
    int port = (int)number(argc, argv, 2);
#ifndef BENCH_FARSOCK
    if (!strcmp(work, "peer")) {
        run_peer(port);
    }
#endif
    run_near(work[0] == 's', port, (uint32_t)number(argc, argv, 3));
    return 0;
}
