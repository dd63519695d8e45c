// The native side of the network: servers that know what must come.
// SPDX-License-Identifier: MIT
#include "tests/sweep/sweep.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS 64

struct received received;
uint16_t peer_ports[PEERS];

static int listening[PEERS];

static struct conn {
    int fd; // 0: unused
    enum peer peer;
    uint32_t sent;
    uint32_t got;
} conns[CONNS];

void fill(void *buf, size_t from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)buf)[i] = pattern(from + i);
    }
}

bool is_pattern(const void *buf, size_t from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (((const uint8_t *)buf)[i] != pattern(from + i)) {
            return false;
        }
    }
    return true;
}

static bool is_dgram(enum peer p) {
    return p == PEER_DGRAMS || p == PEER_ANSWERS;
}

static void open_port(enum peer p) {
    int type = is_dgram(p) ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof sa;
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
        (type == SOCK_STREAM && p != PEER_REFUSES && listen(fd, 128) < 0)) {
        abort();
    }
    peer_ports[p] = ntohs(sa.sin_port);
    listening[p] = fd;
}

static uint32_t greeting(enum peer p) {
    return p == PEER_LONG                     ? LONG_BYTES
           : p == PEER_GREET || p == PEER_BYE ? GREETING
                                              : 0;
}

static void end(struct conn *c, bool reset) {
    received.reset += reset;
    close(c->fd);
    c->fd = 0;
    received.open--;
}

static void say_more(struct conn *c) {
    uint8_t buf[LONG_BYTES];
    uint32_t want = greeting(c->peer);
    while (c->sent < want) {
        fill(buf, c->sent, want - c->sent);
        ssize_t n = send(c->fd, buf, want - c->sent, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        c->sent += (uint32_t)n;
    }
    if (c->peer == PEER_BYE) {
        shutdown(c->fd, SHUT_WR);
    }
}

static void take_new(enum peer p) {
    for (int i = 0; i < CONNS; i++) {
        if (conns[i].fd) {
            continue;
        }
        int fd =
            accept4(listening[p], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        conns[i] = (struct conn){.fd = fd, .peer = p};
        received.open++;
        say_more(&conns[i]);
    }
}

static void check(struct conn *c, const uint8_t *buf, uint32_t n) {
    if (c->peer != PEER_SINK) {
        return;
    }
    if (!is_pattern(buf, c->got, n) && !received.bad) {
        received.bad = c->got + 1u;
    }
    received.bytes += n;
}

static void take_bytes(struct conn *c) {
    uint8_t buf[8192];
    for (;;) {
        ssize_t n = recv(c->fd, buf, sizeof buf, 0);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            end(c, n < 0);
            return;
        }
        check(c, buf, (uint32_t)n);
        c->got += (uint32_t)n;
        if (c->peer == PEER_ECHO) {
            send(c->fd, buf, (size_t)n, MSG_NOSIGNAL);
        }
    }
}

// Number, then the pattern.
static void take_dgram(enum peer p) {
    uint8_t buf[65536];
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(listening[p], buf, sizeof buf, 0,
        (struct sockaddr *)&from, &len);
    if (n < 0) {
        return;
    }
    if (p == PEER_ANSWERS) {
        sendto(listening[p], buf, (size_t)n, 0, (struct sockaddr *)&from, len);
        return;
    }
    uint32_t number = 0;
    memcpy(&number, buf, sizeof number);
    if (number >> 16 != received.run) {
        return; // of somebody killed, and never told that it was taken
    }
    number &= 0xffffu;
    if (number != received.dgrams || !is_pattern(buf + 4, 4, (size_t)n - 4u)) {
        received.bad = number + 1u;
    }
    received.dgrams++;
}

static void watch_all(struct pollfd *p) {
    for (int i = 0; i < PEERS; i++) {
        p[i] = (struct pollfd){.fd = listening[i], .events = POLLIN};
    }
    p[PEER_REFUSES].fd = -1;
    for (int i = 0; i < CONNS; i++) {
        bool more = conns[i].sent < greeting(conns[i].peer);
        p[PEERS + i] = (struct pollfd){
            .fd = conns[i].fd ? conns[i].fd : -1,
            .events = (short)(more ? POLLIN | POLLOUT : POLLIN),
        };
    }
}

static void serve_conn(struct conn *c, int bits) {
    if (bits & POLLOUT) {
        say_more(c);
    }
    if (bits & ~POLLOUT) {
        take_bytes(c);
    }
}

static void serve_port(enum peer p) {
    if (is_dgram(p)) {
        take_dgram(p);
    } else {
        take_new(p);
    }
}

static void *serve(void *arg) {
    struct pollfd p[PEERS + CONNS];
    (void)arg;
    for (;;) {
        watch_all(p);
        poll(p, PEERS + CONNS, -1);
        for (int i = 0; i < CONNS; i++) {
            serve_conn(&conns[i], p[PEERS + i].revents);
        }
        for (int i = 0; i < PEERS; i++) {
            if (p[i].revents) {
                serve_port((enum peer)i);
            }
        }
    }
    return NULL;
}

void peers_start(void) {
    pthread_t t;
    for (int i = 0; i < PEERS; i++) {
        open_port((enum peer)i);
    }
    pthread_create(&t, NULL, serve, NULL);
}

uint32_t peers_reset(void) {
    received.run = (received.run + 1u) & 0xffffu;
    received.bytes = received.bad = received.reset = received.dgrams = 0;
    return received.run;
}
