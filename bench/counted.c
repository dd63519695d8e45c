// Fixed amounts of work, whose instructions tests/system/test_counted.py
// counts. SPDX-License-Identifier: MIT
//
//   usage: counted PID           farsockd's
//
// Prints a line for each row, "NAME SIZE CALLS", in the order in which the
// functions row_*() are entered: only what they call is counted. While one runs
// farsockd is stopped, so that what a call finds is always the same.

#ifdef BENCH_FARSOCK
    #include <errno.h>
    #include <poll.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/socket.h>

    #include "tests/system/net_link.h"
static const struct net *const net = &net_over_link;
#else
    #include "tests/system/net_native.h"
static const struct net *const net = &net_native;
#endif

#include <signal.h>
#include <time.h>

#include "bench/common.h"

#define SMALL  1000u // calls, of which the rings hold all
#define DGRAMS 200u  // fit a kernel's receive buffer
#define MANY   1000u // sockets for poll

static pid_t farsockd;
static uint8_t block[65536];

static void must_be(const char *what, long got, long want) {
    if (got != want) {
        fprintf(stderr, "bench: %s: %ld, not %ld\n", what, got, want);
        exit(1);
    }
}

// --- farsockd ---

static char state_of(pid_t pid) {
    char path[64];
    char text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f) {
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = '\0';
        fclose(f);
    }
    const char *end = strrchr(text, ')');
    return end && end[1] ? end[2] : '?';
}

static void pause_ms(void) {
    const struct timespec t = {.tv_nsec = 1000000};
    nanosleep(&t, NULL);
}

static void stop_far(void) {
    must_be("stop", kill(farsockd, SIGSTOP), 0);
    while (state_of(farsockd) != 'T') {
        pause_ms();
    }
}

static void let_far_go(void) {
    must_be("go on", kill(farsockd, SIGCONT), 0);
}

// --- The calls ---

#ifdef BENCH_FARSOCK

typedef struct far_pollfd pollfds;

static long send_one(int s, size_t n) {
    return far_sendto(the_link(), s, block, n, 0, NULL, FAR_FOREVER);
}

static long recv_one(int s, size_t n) {
    return far_recvfrom(the_link(), s, block, n, 0, NULL, NULL, FAR_FOREVER);
}

static long recv_none(int s) {
    return far_recvfrom(the_link(), s, block, 64, 0, NULL, NULL, FAR_NOWAIT);
}

static long sendto_one(int s, const struct far_addr *to) {
    return far_sendto(the_link(), s, block, 64, 0, to, FAR_FOREVER);
}

static long recvfrom_one(int s) {
    struct far_addr from;
    return far_recvfrom(the_link(), s, block, 64, 0, &from, NULL, FAR_FOREVER);
}

static long poll_all(pollfds *fds, size_t n) {
    return far_poll(the_link(), fds, n, FAR_NOWAIT);
}

static pollfds watched(int s) {
    return (pollfds){.sock = s, .events = POLLIN};
}

static void open_link(void) {
    struct far_posix_options o = {.wait_s = -1, .sockets = MANY + 100u};
    must("link", far_posix_open(&far_posix, &o));
}

static void close_link(void) {
    far_posix_close(far_posix);
}

#else

typedef struct pollfd pollfds;

static long send_one(int s, size_t n) {
    return native_result(send(s, block, n, 0));
}

static long recv_one(int s, size_t n) {
    return native_result(recv(s, block, n, 0));
}

static long recv_none(int s) {
    return native_result(recv(s, block, 64, MSG_DONTWAIT));
}

static long sendto_one(int s, const struct far_addr *to) {
    struct sockaddr_in sin = {
        .sin_family = AF_INET,
        .sin_port = htons(to->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    return native_result(sendto(s, block, 64, 0, (struct sockaddr *)&sin,
        sizeof sin));
}

static long recvfrom_one(int s) {
    struct sockaddr_in sin;
    socklen_t len = sizeof sin;
    return native_result(recvfrom(s, block, 64, 0, (struct sockaddr *)&sin,
        &len));
}

static long poll_all(pollfds *fds, size_t n) {
    return native_result(poll(fds, n, 0));
}

static pollfds watched(int s) {
    return (pollfds){.fd = s, .events = POLLIN};
}

static void open_link(void) {
}

static void close_link(void) {
}

#endif

// --- The rows: entered after a call that is not counted ---

// Under these very names.
#ifdef __clang__
    #define ROW static __attribute__((noinline)) void
#else
    #define ROW static __attribute__((noinline, noclone)) void
#endif

ROW row_send(int s, size_t n, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        must_be("send", send_one(s, n), (long)n);
    }
}

ROW row_recv(int s, size_t n, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        must_be("recv", recv_one(s, n), (long)n);
    }
}

ROW row_recv_none(int s, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        must_be("recv", recv_none(s), -EAGAIN);
    }
}

ROW row_sendto(int s, const struct far_addr *to, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        must_be("sendto", sendto_one(s, to), 64);
    }
}

ROW row_recvfrom(int s, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        must_be("recvfrom", recvfrom_one(s), 64);
    }
}

ROW row_poll(pollfds *fds, size_t n, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        must_be("poll", poll_all(fds, n), 1);
    }
}

static void say(const char *name, size_t n, unsigned count) {
    printf("%s %zu %u\n", name, n, count);
}

static struct far_addr loopback(void) {
    return (struct far_addr){.family = AF_INET, .ip = {127, 0, 0, 1}};
}

// --- Streams ---

struct pair {
    int a, b;
};

static struct pair connect_pair(void) {
    struct far_addr addr = loopback();
    struct pair p;
    int l = must("socket", net->socket(AF_INET, SOCK_STREAM, 0));
    must("bind", net->bind(l, &addr));
    must("listen", net->listen(l, 1));
    must("name", net->getsockname(l, &addr));
    p.a = must("socket", net->socket(AF_INET, SOCK_STREAM, 0));
    must("connect", net->connect(p.a, &addr, true));
    p.b = must("accept", net->accept(l, NULL, true));
    must("close", net->close(l));
    return p;
}

static void close_pair(const struct pair *p) {
    must("close", net->close(p->a));
    must("close", net->close(p->b));
}

// Until n bytes have come to the near side.
static void wait_bytes(int s, size_t n) {
    int low = (int)n;
    struct far_pollfd f = {.sock = s, .events = POLLIN};
    must("option", net->setopt(s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
    must_be("poll", net->poll(&f, 1, -1), 1);
    low = 1;
    must("option", net->setopt(s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
}

static void count_send(size_t n, unsigned count) {
    struct pair p = connect_pair();
    stop_far();
    must_be("send", send_one(p.a, 1), 1);
    row_send(p.a, n, count);
    let_far_go();
    say("send", n, count);
    close_pair(&p);
}

static void count_recv(size_t n, unsigned count) {
    struct pair p = connect_pair();
    must_be("send", send_one(p.a, 1), 1);
    for (unsigned i = 0; i < count; i++) {
        must_be("send", send_one(p.a, n), (long)n);
    }
    wait_bytes(p.b, 1 + n * count);
    stop_far();
    must_be("recv", recv_one(p.b, 1), 1);
    row_recv(p.b, n, count);
    must_be("recv", recv_none(p.b), -EAGAIN);
    if (n == 1) {
        say("recv", n, count);
        row_recv_none(p.b, count);
        say("recv-none", 0, count);
    } else {
        say("recv", n, count);
    }
    let_far_go();
    close_pair(&p);
}

// --- Datagrams ---

static int bound(struct far_addr *addr) {
    *addr = loopback();
    int s = must("socket", net->socket(AF_INET, SOCK_DGRAM, 0));
    must("bind", net->bind(s, addr));
    must("name", net->getsockname(s, addr));
    return s;
}

static void count_dgram(unsigned count) {
    struct far_addr addr;
    struct far_addr last;
    int a = must("socket", net->socket(AF_INET, SOCK_DGRAM, 0));
    int b = bound(&addr);
    int c = bound(&last);
    // Far is asked about the first: it is good.
    must_be("sendto", sendto_one(a, &addr), 64);
    stop_far();
    must_be("sendto", sendto_one(a, &addr), 64);
    row_sendto(a, &addr, count);
    let_far_go();
    say("sendto", 64, count);
    // Once this one is there the kernel has all, and once farsockd sleeps the
    // ring has them.
    must_be("sendto", net->send(a, block, 1, 0, &last, true), 1);
    wait_bytes(c, 1);
    while (state_of(farsockd) != 'S') {
        pause_ms();
    }
    stop_far();
    must_be("recvfrom", recvfrom_one(b), 64);
    row_recvfrom(b, count);
    let_far_go();
    say("recvfrom", 64, count);
    must("close", net->close(a));
    must("close", net->close(b));
    must("close", net->close(c));
}

// --- poll ---

// One that is ready, behind others that are not.
static void count_poll(size_t n, unsigned count) {
    struct pair p = connect_pair();
    int *socks = calloc(n, sizeof *socks);
    pollfds *fds = calloc(n, sizeof *fds);
    for (size_t i = 0; i < n; i++) {
        socks[i] = i + 1 < n
                       ? must("socket", net->socket(AF_INET, SOCK_DGRAM, 0))
                       : p.b;
        fds[i] = watched(socks[i]);
    }
    must_be("send", send_one(p.a, 1), 1);
    wait_bytes(p.b, 1);
    stop_far();
    must_be("poll", poll_all(fds, n), 1);
    row_poll(fds, n, count);
    let_far_go();
    say("poll", n, count);
    for (size_t i = 0; i + 1 < n; i++) {
        must("close", net->close(socks[i]));
    }
    free(fds);
    free(socks);
    close_pair(&p);
}

int main(int argc, char **argv) {
    static const struct {
        size_t n;
        unsigned count;
    } sizes[] = {{1, SMALL}, {64, SMALL}, {1024, 100}, {65536, 1}};
    farsockd = (pid_t)number(argc, argv, 1);
    open_link();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        count_send(sizes[i].n, sizes[i].count);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        count_recv(sizes[i].n, sizes[i].count);
    }
    count_dgram(DGRAMS);
    count_poll(1, SMALL);
    count_poll(MANY, 10);
    close_link();
    return 0;
}
