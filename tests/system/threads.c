// Many threads on one link: echoes, churn, polling, datagrams and lookups, with
// interruptions that are nobody's. Every byte is checked.
// SPDX-License-Identifier: MIT
//
//   usage: threads TCP_PORT UDP_PORT ROUNDS
//
// Both ports on 127.0.0.1 echo. Prints "ok COUNT" or ends with 1 at the first
// wrong result.

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "farsock/posix.h"

#define ECHOES  6
#define CHURNS  3
#define DGRAMS  2
#define LOOKUPS 2
#define POLLED  24
#define BUFFER  100000u

static struct far_link *l;
static struct far_posix *posix;
static uint16_t tcp_port;
static uint16_t udp_port;
static uint32_t rounds;
static atomic_uint done;
static atomic_bool over;

static long must(const char *what, long r) {
    if (r < 0) {
        fprintf(stderr, "threads: %s: %s\n", what, far_strerror((int)r));
        exit(1);
    }
    return r;
}

static void fail(const char *what, long a, long b) {
    fprintf(stderr, "threads: %s: %ld %ld\n", what, a, b);
    exit(1);
}

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void fill(uint8_t *p, uint32_t len, uint32_t *seed) {
    for (uint32_t i = 0; i < len; i++) {
        p[i] = (uint8_t)next(seed);
    }
}

static int connected(uint32_t type, uint16_t port) {
    struct far_addr a = {
        .family = FAR_AF_INET, .port = port, .ip = {127, 0, 0, 1}};
    int s = (int)must("socket", far_socket(l, FAR_AF_INET, type, 0));
    must("connect", far_connect(l, s, &a, FAR_FOREVER));
    return s;
}

static void echo_once(int s, uint8_t *out, uint8_t *in, uint32_t len) {
    uint32_t sent = 0;
    uint32_t got = 0;
    while (got < len) {
        if (sent < len) {
            // At most what the echo's buffers take, so that nobody waits for
            // the other for ever.
            sent += (uint32_t)must("send",
                far_sendto(l, s, out + sent, len - sent, 0, NULL, FAR_FOREVER));
        }
        uint32_t flags = len - got < 1000 ? FAR_MSG_WAITALL : 0;
        long n = must("recv", far_recvfrom(l, s, in + got, len - got, flags,
                                  NULL, NULL, FAR_FOREVER));
        if (n == 0) {
            fail("early end", got, len);
        }
        got += (uint32_t)n;
    }
    if (memcmp(out, in, len) != 0) {
        fail("echo differs, length", len, 0);
    }
}

static void *echo(void *arg) {
    uint32_t seed = (uint32_t)(uintptr_t)arg + 1u;
    uint8_t *out = malloc(BUFFER);
    uint8_t *in = malloc(BUFFER);
    int s = connected(FAR_SOCK_STREAM, tcp_port);
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t len = 1u + next(&seed) % (i % 8 ? 300u : BUFFER - 1u);
        fill(out, len, &seed);
        echo_once(s, out, in, len);
        atomic_fetch_add(&done, 1u);
    }
    must("close", far_close(l, s, FAR_FOREVER));
    free(out);
    free(in);
    return NULL;
}

static void *churn(void *arg) {
    uint32_t seed = (uint32_t)(uintptr_t)arg + 100u;
    uint8_t out[64];
    uint8_t in[64];
    for (uint32_t i = 0; i < rounds / 4u; i++) {
        int s = connected(FAR_SOCK_STREAM, tcp_port);
        fill(out, sizeof out, &seed);
        echo_once(s, out, in, sizeof out);
        must("close", far_close(l, s, FAR_FOREVER));
        if (far_sendto(l, s, out, 1, 0, NULL, FAR_NOWAIT) != FAR_EBADF) {
            fail("a closed socket sends", s, 0);
        }
        atomic_fetch_add(&done, 1u);
    }
    return NULL;
}

static void *dgram(void *arg) {
    uint32_t seed = (uint32_t)(uintptr_t)arg + 200u;
    uint8_t out[1400];
    uint8_t in[1400];
    int s = connected(FAR_SOCK_DGRAM, udp_port);
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t len = next(&seed) % (uint32_t)sizeof out;
        fill(out, len, &seed);
        long n = must("send", far_sendto(l, s, out, len, 0, NULL, FAR_FOREVER));
        long got = must("recv", far_recvfrom(l, s, in, sizeof in, 0, NULL, NULL,
                                    far_posix_now() + 20000000000u));
        if (n != len || got != len || memcmp(out, in, len) != 0) {
            fail("datagram differs", n, got);
        }
        atomic_fetch_add(&done, 1u);
    }
    far_close_nowait(l, s);
    return NULL;
}

static void *lookup(void *arg) {
    (void)arg;
    for (uint32_t i = 0; i < rounds / 8u; i++) {
        struct far_req_getaddrinfo hints = {.type = FAR_SOCK_STREAM};
        struct far_gai_entry e[4];
        struct far_gai_result res;
        int sys = 0;
        must("lookup", far_getaddrinfo(l, "127.0.0.1", "80", &hints, e, 4, &res,
                           &sys, FAR_FOREVER));
        if (res.count != 1 || e[0].addr.port != 80) {
            fail("lookup", res.count, e[0].addr.port);
        }
        atomic_fetch_add(&done, 1u);
    }
    return NULL;
}

// Polls idle sockets and two busy ones; the busy answer in turn.
static void *poller(void *arg) {
    uint32_t seed = (uint32_t)(uintptr_t)arg + 300u;
    struct far_pollfd p[POLLED];
    for (uint32_t i = 0; i < POLLED; i++) {
        p[i].sock = connected(FAR_SOCK_STREAM, tcp_port);
        p[i].events = FAR_POLLIN;
    }
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t k = next(&seed) % POLLED;
        uint8_t out = (uint8_t)next(&seed);
        uint8_t in = 0;
        must("send", far_sendto(l, p[k].sock, &out, 1, 0, NULL, FAR_FOREVER));
        int n = (int)must("poll",
            far_poll(l, p, POLLED, far_posix_now() + 20000000000u));
        if (n != 1 || p[k].revents != FAR_POLLIN) {
            fail("poll", n, (long)p[k].revents);
        }
        must("recv",
            far_recvfrom(l, p[k].sock, &in, 1, 0, NULL, NULL, FAR_NOWAIT));
        if (in != out) {
            fail("polled byte differs", in, out);
        }
        atomic_fetch_add(&done, 1u);
    }
    for (uint32_t i = 0; i < POLLED; i++) {
        must("close", far_close(l, p[i].sock, FAR_FOREVER));
    }
    return NULL;
}

// Interruptions that are nobody's must cost nobody anything.
static void *interrupter(void *arg) {
    (void)arg;
    while (!atomic_load(&over)) {
        far_posix_interrupt(posix);
        far_link_wait(l, far_link_events(l), far_posix_now() + 2000000u, NULL,
            NULL);
    }
    return NULL;
}

// One socket, two threads: one sends, one receives.
static int shared;
static void *shared_send(void *arg) {
    (void)arg;
    uint32_t seed = 77;
    uint8_t buf[5000];
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t len = 1u + next(&seed) % (uint32_t)(sizeof buf - 1u);
        uint32_t fill_seed = i;
        fill(buf, len, &fill_seed);
        for (uint32_t at = 0; at < len;) {
            at += (uint32_t)must("send", far_sendto(l, shared, buf + at,
                                             len - at, 0, NULL, FAR_FOREVER));
        }
    }
    must("shutdown", far_shutdown(l, shared, FAR_SHUT_WR));
    return NULL;
}

static void *shared_recv(void *arg) {
    (void)arg;
    uint32_t seed = 77;
    uint8_t want[5000];
    uint8_t got[5000];
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t len = 1u + next(&seed) % (uint32_t)(sizeof want - 1u);
        uint32_t fill_seed = i;
        fill(want, len, &fill_seed);
        long n = must("recv", far_recvfrom(l, shared, got, len, FAR_MSG_WAITALL,
                                  NULL, NULL, FAR_FOREVER));
        if (n != len || memcmp(want, got, len) != 0) {
            fail("shared socket differs", n, len);
        }
        atomic_fetch_add(&done, 1u);
    }
    if (far_recvfrom(l, shared, got, 1, 0, NULL, NULL, FAR_FOREVER) != 0) {
        fail("no end", 0, 0);
    }
    return NULL;
}

static pthread_t threads[64];
static int count;

static void start(void *(*run)(void *), uintptr_t arg) {
    if (pthread_create(&threads[count++], NULL, run, (void *)arg) != 0) {
        fail("pthread_create", 0, 0);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: threads TCP_PORT UDP_PORT ROUNDS\n");
        return 2;
    }
    tcp_port = (uint16_t)strtoul(argv[1], NULL, 10);
    udp_port = (uint16_t)strtoul(argv[2], NULL, 10);
    rounds = (uint32_t)strtoul(argv[3], NULL, 10);
    struct far_posix_options o = {.wait_s = -1};
    must("open", far_posix_open(&posix, &o));
    l = far_posix_link(posix);
    shared = connected(FAR_SOCK_STREAM, tcp_port);
    for (uintptr_t i = 0; i < ECHOES; i++) {
        start(echo, i);
    }
    for (uintptr_t i = 0; i < CHURNS; i++) {
        start(churn, i);
    }
    for (uintptr_t i = 0; i < DGRAMS; i++) {
        start(dgram, i);
    }
    for (uintptr_t i = 0; i < LOOKUPS; i++) {
        start(lookup, i);
    }
    start(poller, 0);
    start(shared_send, 0);
    start(shared_recv, 0);
    pthread_t noise;
    pthread_create(&noise, NULL, interrupter, NULL);
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&over, true);
    pthread_join(noise, NULL);
    must("close", far_close(l, shared, FAR_FOREVER));
    printf("ok %u\n", atomic_load(&done));
    far_posix_close(posix);
    return 0;
}
