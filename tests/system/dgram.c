// Sends or takes numbered datagrams whose size and content a seed makes.
// SPDX-License-Identifier: MIT
//
//   usage: dgram MODE send|take ADDR PORT POOL STREAM SMALL LARGE WINDOW
//
// First SMALL datagrams of 0 to 1472 bytes, then LARGE ones of up to 65507.
// send: waits for a line on stdin with how many have arrived before more than
// WINDOW bytes (counted with DGRAM_COST) are under way. take: prints such a
// line after each of them; binds to ADDR, prints "ready", and ends when all
// came. Ends with 1 at the first that is lost, doubled or different.

#include "content.h"
#include "netapi.h"

#define SMALL_MAX  1472u
#define LARGE_MAX  65507u
#define DGRAM_COST 1024u // bytes a datagram costs a buffer beyond its content

static const struct net *net;
static struct content content;
static uint32_t small;
static uint32_t count;

static void die(const char *what, long result) {
    fprintf(stderr, "%s: %ld %s\n", what, result,
        result < 0 ? strerror((int)-result) : "");
    exit(1);
}

static uint32_t size_of(uint32_t i) {
    uint32_t x = i * 2654435761u;
    return (x >> 8) % (i < small ? SMALL_MAX + 1 : LARGE_MAX + 1);
}

// Its number, as far as it fits, then a part of the pool.
static uint32_t make(uint32_t i, uint8_t *buf) {
    uint32_t len = size_of(i);
    uint64_t head = content_head(&content, i);
    uint32_t head_len = len < PIECE_HEAD ? len : PIECE_HEAD;
    memcpy(buf, &head, head_len);
    memcpy(buf + head_len, content_at(&content, i), len - head_len);
    return len;
}

static void run_send(int s, const struct far_addr *addr, uint64_t window) {
    static uint8_t buf[65536];
    char line[32];
    uint32_t arrived = 0;
    uint64_t under_way = 0;
    struct far_addr to = *addr;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = make(i, buf);
        while (arrived < i && under_way + len + DGRAM_COST > window) {
            if (!fgets(line, sizeof line, stdin)) {
                die("the other side ended at", i);
            }
            uint32_t now = (uint32_t)strtoul(line, NULL, 10);
            for (; arrived < now; arrived++) {
                under_way -= size_of(arrived) + DGRAM_COST;
            }
        }
        int r = net->send(s, buf, len, 0, &to, true);
        if (r != (int)len) {
            die("sendto", r);
        }
        under_way += len + DGRAM_COST;
    }
}

static void run_take(int s) {
    static uint8_t buf[65536];
    static uint8_t want[65536];
    for (uint32_t i = 0; i < count; i++) {
        struct far_addr from = {0};
        int n = net->recv(s, buf, sizeof buf, 0, &from, true);
        if (n < 0) {
            die("recvfrom", n);
        }
        uint32_t len = make(i, want);
        if ((uint32_t)n != len || memcmp(buf, want, len) || !from.port) {
            fprintf(stderr, "got %d bytes, not %u; ", n, (unsigned)len);
            die("not the expected datagram", i);
        }
        printf("%u\n", (unsigned)(i + 1));
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    int err = EINVAL;
    net = argc == 10 ? net_open(argv[1], &err) : NULL;
    if (!net) {
        die("usage, or no link", err);
    }
    struct far_addr addr = net_addr(argv[3], (int)strtol(argv[4], NULL, 0));
    content.pool = content_pool(argv[5]);
    content.stream = strtoull(argv[6], NULL, 0);
    small = (uint32_t)strtoul(argv[7], NULL, 0);
    count = small + (uint32_t)strtoul(argv[8], NULL, 0);
    int s = net->socket(addr.family, SOCK_DGRAM, 0);
    if (s < 0) {
        die("socket", s);
    }
    if (!strcmp(argv[2], "send")) {
        run_send(s, &addr, strtoull(argv[9], NULL, 0));
    } else {
        int room = 1 << 20;
        net->setopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        err = net->bind(s, &addr);
        if (err) {
            die("bind", err);
        }
        printf("ready\n");
        fflush(stdout);
        run_take(s);
    }
    net->close(s);
    net_close();
    free(content.pool);
    return 0;
}
