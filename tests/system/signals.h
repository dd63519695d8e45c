// Scenes of tests/system/signals.c: who sleeps, at which sockets.
// SPDX-License-Identifier: MIT
#ifndef SIGNALS_H
#define SIGNALS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define BIG      (1u << 20) // more than rings and kernels hold
#define LITTLE   1000u
#define FOREVER  30 // seconds, where natively a time must be set

static char big[BIG];
static int file; // as large

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void must(bool good, const char *what) {
    if (!good) {
        die(what);
    }
}

// --- The thread that calls, and who looks at it ---

static _Atomic int handled; // how often the handler ran
static _Atomic int handled_by;

struct caller {
    pthread_t thread;
    _Atomic int tid;
    _Atomic bool calling, returned;
};

static int busy = -1; // a socket that the handler calls, -1: none
static bool asking;   // calls that ask the far core, too

static volatile sig_atomic_t asked; // 0: all of these calls succeeded

static void on_signal(int sig) {
    char byte;
    (void)sig;
    if (busy >= 0) {
        recv(busy, &byte, 1, MSG_DONTWAIT);
    }
    if (busy >= 0 && asking) {
        int on = 1;
        int other = socket(AF_INET, SOCK_STREAM, 0);
        asked += setsockopt(busy, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        asked += close(other);
    }
    handled_by = (int)syscall(SYS_gettid);
    handled++;
}

// Between two looks at what the other thread does.
static void nap(void) {
    struct timespec t = {.tv_nsec = 20000};
    nanosleep(&t, NULL);
}

// Asleep in a system call that the kernel can interrupt.
static bool is_asleep(int tid) {
    char path[64];
    char text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    const char *end = strrchr(text, ')');
    return n > 0 && end && end[1] == ' ' && end[2] == 'S';
}

static void wait_asleep(const struct caller *c) {
    while (!c->returned && !(c->calling && is_asleep(c->tid))) {
        nap();
    }
}

// --- Sockets ---

// The two ends of what a call is about.
struct scene {
    int a, b;
    int pipe[2];
    int epfd;
    struct sockaddr_in at;
};

static struct sockaddr_in loopback(void) {
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static int bound(int type, struct sockaddr_in *at) {
    int s = socket(AF_INET, type, 0);
    socklen_t len = sizeof *at;
    *at = loopback();
    must(s >= 0 && bind(s, (struct sockaddr *)at, len) == 0, "bind");
    getsockname(s, (struct sockaddr *)at, &len);
    return s;
}

static void stream_pair(struct scene *s) {
    int small = 8192;
    int l = bound(SOCK_STREAM, &s->at);
    setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    listen(l, 1);
    s->a = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s->a, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    must(connect(s->a, (struct sockaddr *)&s->at, sizeof s->at) == 0,
        "connect");
    s->b = accept(l, NULL, NULL);
    must(s->b >= 0, "accept");
    close(l);
}

// a sends, b receives.
static void dgram_pair(struct scene *s) {
    s->b = bound(SOCK_DGRAM, &s->at);
    s->a = socket(AF_INET, SOCK_DGRAM, 0);
    must(connect(s->a, (struct sockaddr *)&s->at, sizeof s->at) == 0,
        "connect");
}

static void listening(struct scene *s) {
    s->a = bound(SOCK_STREAM, &s->at);
    listen(s->a, 5);
    s->b = socket(AF_INET, SOCK_STREAM, 0);
}

// A listener that takes no more connections: another connect() sleeps.
static void crowded(struct scene *s) {
    s->b = bound(SOCK_STREAM, &s->at);
    listen(s->b, 0);
    s->pipe[0] = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(s->pipe[0], (struct sockaddr *)&s->at, sizeof s->at) == 0,
        "connect");
    s->a = socket(AF_INET, SOCK_STREAM, 0);
}

static void with_pipe(struct scene *s) {
    must(pipe(s->pipe) == 0, "pipe");
}

static void piped_pair(struct scene *s) {
    stream_pair(s);
    with_pipe(s);
}

// Until nothing goes at all, near or far. Nobody tells when far has moved its
// last byte: who fills looks a while, and who finds more room fills again.
static void fill(const struct scene *s) {
    for (int looks = 0; looks < 50; looks++) {
        while (send(s->a, big, 65536, MSG_DONTWAIT) > 0 ||
               send(s->a, big, 1, MSG_DONTWAIT) > 0) {
            looks = 0;
        }
        nap();
    }
}

static void full_pair(struct scene *s) {
    stream_pair(s);
    fill(s);
}

static void full_pair_piped(struct scene *s) {
    full_pair(s);
    with_pipe(s);
    must(write(s->pipe[1], big, LITTLE) == (ssize_t)LITTLE, "write");
}

static void close_scene(struct scene *s) {
    const int all[] = {s->a, s->b, s->pipe[0], s->pipe[1], s->epfd};
    for (size_t i = 0; i < COUNT(all); i++) {
        if (all[i] >= 0) {
            close(all[i]);
        }
    }
}

// --- What lets a call go on ---

static void give_bytes(struct scene *s) {
    must(send(s->a, "0123456789", 10, 0) == 10, "send");
}

static void give_connection(struct scene *s) {
    (void)connect(s->b, (struct sockaddr *)&s->at, sizeof s->at);
}

static void make_place(struct scene *s) {
    close(accept(s->b, NULL, NULL));
}

// All that comes, until the call has returned.
static void drain(struct scene *s, const struct caller *c) {
    static char to[1 << 20];
    while (!c->returned) {
        if (recv(s->b, to, sizeof to, MSG_DONTWAIT) <= 0) {
            nap();
        }
    }
}

static void no_finish(struct scene *s) {
    (void)s;
}

// The first bytes are there.
static void begun_stream(struct scene *s) {
    struct pollfd p = {.events = POLLIN};
    stream_pair(s);
    give_bytes(s);
    p.fd = s->b;
    poll(&p, 1, -1);
}

static void begun_dgrams(struct scene *s) {
    struct pollfd p = {.events = POLLIN};
    dgram_pair(s);
    give_bytes(s);
    p.fd = s->b;
    poll(&p, 1, -1);
}

#endif
