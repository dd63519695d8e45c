// The native side of the soak: one thread, thousands of connections.
// SPDX-License-Identifier: MIT
#include "tests/soak/soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE    16384u
#define EVENTS   256
#define SLOW_MS  20 // between two bites of a slow peer
#define DOUBTS   4096
#define DOUBT_NS 2000000000ull

struct conn {
    int fd;
    enum soak_port port;
    uint64_t got;
    uint64_t limit;    // of SOAK_RESET
    uint32_t key;      // of SOAK_SINK
    uint32_t sink;     // its place
    uint32_t from, to; // what is to be sent back
    uint8_t head[8];
    struct conn *next_slow;
    uint8_t buf[PIECE];
};

struct received received;
uint16_t soak_ports[SOAK_PORTS];
static int listening[SOAK_PORTS];
static int epoll_fd;
static struct conn *slow;

static bool is_slow(enum soak_port p) {
    return p == SOAK_SLOW || p == SOAK_BITES;
}

static bool is_sink(enum soak_port p) {
    return p == SOAK_SINK || p == SOAK_BITES;
}

static void open_port(enum soak_port p) {
    int type = p == SOAK_DGRAM ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof sa;
    int small = 8192;
    if (is_slow(p)) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
        (type == SOCK_STREAM && listen(fd, 4096) < 0)) {
        abort();
    }
    soak_ports[p] = ntohs(sa.sin_port);
    listening[p] = fd;
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)p};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

// A sink that ended early, to be looked at again: farsockd may have been
// killed, and whoever counts its lives, or the near core, does not know yet.
static struct doubt {
    uint64_t since_ns;
    uint32_t key, sink, got;
    bool reset;
} doubts[DOUBTS];
static unsigned doubt_count;

static bool is_short(uint32_t key, uint32_t sink, uint32_t got) {
    const struct soak_sink *s = &soak->sinks[sink];
    return s->key == key && got < s->taken && s->far_lives == soak->far_lives;
}

static void look_at_doubts(uint64_t now) {
    for (unsigned i = 0; i < doubt_count; i++) {
        struct doubt *d = &doubts[i];
        if (now - d->since_ns < DOUBT_NS) {
            continue;
        }
        if (is_short(d->key, d->sink, d->got)) {
            soak_fail("a sink got %u of %u bytes%s", d->got,
                (unsigned)soak->sinks[d->sink].taken,
                d->reset ? ", then a reset" : "");
        }
        *d = doubts[--doubt_count];
        i--;
    }
}

// Its near core closed, or was killed: what a send had taken must have come,
// unless farsockd was killed, or the link was given up, meanwhile.
static void check_sink(const struct conn *c, bool reset) {
    if (!is_sink(c->port) || c->got < sizeof c->head) {
        return;
    }
    if (!is_short(c->key, c->sink, (uint32_t)c->got)) {
        soak->delivered += soak->sinks[c->sink].key == c->key;
    } else if (doubt_count < DOUBTS) {
        doubts[doubt_count++] = (struct doubt){
            far_posix_now(), c->key, c->sink, (uint32_t)c->got, reset};
    }
}

static void end(struct conn *c, bool reset) {
    check_sink(c, reset);
    struct linger rst = {.l_onoff = 1, .l_linger = 0};
    if (c->port == SOAK_RESET) {
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    }
    for (struct conn **p = &slow; *p; p = &(*p)->next_slow) {
        if (*p == c) {
            *p = c->next_slow;
            break;
        }
    }
    // A near core that was just forked may still have it.
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    free(c);
    received.open--;
}

static void watch(const struct conn *c, uint32_t events) {
    struct epoll_event ev = {
        .events = events, .data.ptr = (void *)(uintptr_t)c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

// The first eight bytes: key, then place.
static void take_head(struct conn *c, const uint8_t *buf, size_t n) {
    for (size_t i = 0; i < n && c->got + i < sizeof c->head; i++) {
        c->head[c->got + i] = buf[i];
    }
    memcpy(&c->key, c->head, 4);
    memcpy(&c->sink, c->head + 4, 4);
    c->sink %= SINKS;
}

static void check(struct conn *c, const uint8_t *buf, size_t n) {
    take_head(c, buf, n);
    for (size_t i = 0; i < n; i++) {
        uint64_t at = c->got + i;
        if (at >= sizeof c->head && buf[i] != soak_byte(c->key, at)) {
            soak_fail("a sink got a wrong byte at %u", (unsigned)at);
            return;
        }
    }
    soak->bytes += n;
}

// False: c is gone.
static bool send_back(struct conn *c) {
    while (c->from < c->to) {
        ssize_t n =
            send(c->fd, c->buf + c->from, c->to - c->from, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(c, EPOLLOUT);
            return true;
        }
        if (n < 0) {
            end(c, true);
            return false;
        }
        c->from += (uint32_t)n;
    }
    watch(c, is_slow(c->port) ? EPOLLRDHUP : EPOLLIN);
    return true;
}

static void take_bytes(struct conn *c, size_t most) {
    ssize_t n = recv(c->fd, c->buf, most, 0);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        end(c, n < 0);
        return;
    }
    if (is_sink(c->port)) {
        check(c, c->buf, (size_t)n);
    }
    c->got += (uint64_t)n;
    if (c->port == SOAK_RESET && c->got > c->limit) {
        end(c, false);
    } else if (!is_sink(c->port)) {
        c->from = 0;
        c->to = (uint32_t)n;
        send_back(c);
    }
}

static void take_new(enum soak_port p) {
    int fd = accept4(listening[p], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conn *c = fd < 0 ? NULL : calloc(1, sizeof *c);
    if (!c) {
        return;
    }
    c->fd = fd;
    c->port = p;
    c->limit = (uint64_t)random() % 100000u;
    received.open++;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (is_slow(p)) {
        ev.events = EPOLLRDHUP;
        c->next_slow = slow;
        slow = c;
    }
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static void answer_dgrams(void) {
    uint8_t buf[65536];
    struct sockaddr_storage from;
    for (int i = 0; i < 64; i++) {
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(listening[SOAK_DGRAM], buf, sizeof buf, 0,
            (struct sockaddr *)&from, &len);
        if (n < 0) {
            return;
        }
        sendto(listening[SOAK_DGRAM], buf, (size_t)n, 0,
            (struct sockaddr *)&from, len);
    }
}

static void serve_event(const struct epoll_event *ev) {
    if (ev->data.u64 == SOAK_DGRAM) {
        answer_dgrams();
    } else if (ev->data.u64 < SOAK_PORTS) {
        take_new((enum soak_port)ev->data.u64);
    } else {
        struct conn *c = ev->data.ptr;
        if (c->from < c->to) {
            send_back(c);
        } else {
            take_bytes(c, PIECE);
        }
    }
}

static void bite(void) {
    struct conn *next;
    for (struct conn *c = slow; c; c = next) {
        next = c->next_slow;
        if (c->from == c->to) {
            take_bytes(c, 2048);
        }
    }
}

static void *serve(void *arg) {
    uint64_t bitten = 0;
    (void)arg;
    for (;;) {
        struct epoll_event ev[EVENTS];
        int n = epoll_wait(epoll_fd, ev, EVENTS, SLOW_MS);
        // One that ends others' connections does not: each event is its own's.
        for (int i = 0; i < n; i++) {
            serve_event(&ev[i]);
        }
        uint64_t now = far_posix_now();
        if (now - bitten > SLOW_MS * 1000000ull) {
            bitten = now;
            bite();
            look_at_doubts(now);
        }
    }
    return NULL;
}

void soak_peers_start(void) {
    pthread_t t;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int p = 0; p < SOAK_PORTS; p++) {
        open_port((enum soak_port)p);
    }
    pthread_create(&t, NULL, serve, NULL);
}
