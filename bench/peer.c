// The other end of the connections, always with the kernel's sockets.
// SPDX-License-Identifier: MIT
//
//   usage: peer serve PORT    does as struct command says
//          peer echo PORT     sends back what comes, on many connections
//          peer greet PORT    a byte for each connection, and its end
//
// Ends with its stdin.

#include "bench/common.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static long ok(const char *what, long r) {
    if (r < 0) {
        die(what, strerror(errno));
    }
    return r;
}

static void start(void *(*run)(void *), void *arg) {
    pthread_t thread;
    must("thread", -pthread_create(&thread, NULL, run, arg));
    pthread_detach(thread);
}

static int listen_at(int port) {
    int on = 1;
    struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };
    int s = (int)ok("socket", socket(AF_INET, SOCK_STREAM, 0));
    ok("option", setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    ok("bind", bind(s, (struct sockaddr *)&at, sizeof at));
    ok("listen", listen(s, 4096));
    ready();
    return s;
}

static int accept_one(int listener) {
    int on = 1;
    int s = (int)ok("accept", accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return s;
}

// --- serve ---

static bool send_bytes(int s, uint64_t bytes) {
    static uint8_t chunk[CHUNK];
    while (bytes) {
        size_t len = bytes < CHUNK ? (size_t)bytes : CHUNK;
        ssize_t n = send(s, chunk, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        bytes -= (uint64_t)n;
    }
    return true;
}

static bool take_bytes(int s, uint8_t *chunk, uint64_t bytes) {
    while (bytes) {
        ssize_t n = recv(s, chunk, bytes < CHUNK ? (size_t)bytes : CHUNK, 0);
        if (n <= 0) {
            return false;
        }
        bytes -= (uint64_t)n;
    }
    return true;
}

struct sending {
    int s;
    uint64_t bytes;
};

static void *sender(void *arg) {
    const struct sending *what = arg;
    send_bytes(what->s, what->bytes);
    return NULL;
}

static bool both(int s, uint8_t *chunk, uint64_t bytes) {
    struct sending what = {s, bytes};
    pthread_t thread;
    must("thread", -pthread_create(&thread, NULL, sender, &what));
    bool good = take_bytes(s, chunk, bytes);
    pthread_join(thread, NULL);
    return good;
}

static bool trips(int s, uint8_t *chunk, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        if (!take_bytes(s, chunk, 1) || !send_bytes(s, 1)) {
            return false;
        }
    }
    return true;
}

static bool obey(int s, uint8_t *chunk, const struct command *c) {
    switch (c->what) {
        case 'r':
            return send_bytes(s, c->count);
        case 'w':
            return take_bytes(s, chunk, c->count) && send_bytes(s, 1);
        case 'b':
            return both(s, chunk, c->count) && send_bytes(s, 1);
        case 'p':
            return trips(s, chunk, c->count);
        default:
            return false;
    }
}

static void *serve_one(void *arg) {
    int s = (int)(intptr_t)arg;
    uint8_t *chunk = malloc(CHUNK);
    struct command c;
    bool good = chunk;
    while (good && recv(s, &c, sizeof c, MSG_WAITALL) == sizeof c) {
        good = obey(s, chunk, &c);
    }
    free(chunk);
    close(s);
    return NULL;
}

static void *serve(void *arg) {
    int listener = (int)(intptr_t)arg;
    for (;;) {
        start(serve_one, (void *)(intptr_t)accept_one(listener));
    }
    return NULL;
}

// --- echo ---

static void echo_one(int epoll, int s) {
    uint8_t chunk[4096];
    ssize_t n = recv(s, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n > 0) {
        send(s, chunk, (size_t)n, MSG_NOSIGNAL);
    } else if (n == 0 || errno != EAGAIN) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, s, NULL);
        close(s);
    }
}

static void watch(int epoll, int s) {
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = s};
    ok("epoll", epoll_ctl(epoll, EPOLL_CTL_ADD, s, &ev));
}

static void *echo(void *arg) {
    int listener = (int)(intptr_t)arg;
    int epoll = (int)ok("epoll", epoll_create1(0));
    struct epoll_event ev[64];
    watch(epoll, listener);
    for (;;) {
        int n = epoll_wait(epoll, ev, 64, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == listener) {
                watch(epoll, accept_one(listener));
            } else {
                echo_one(epoll, ev[i].data.fd);
            }
        }
    }
    return NULL;
}

// --- greet ---

static void *greet(void *arg) {
    int listener = (int)(intptr_t)arg;
    for (;;) {
        int s = accept_one(listener);
        send(s, "x", 1, MSG_NOSIGNAL);
        close(s);
    }
    return NULL;
}

int main(int argc, char **argv) {
    const char *work = argc > 1 ? argv[1] : "";
    void *(*run)(void *) = work[0] == 's'   ? serve
                           : work[0] == 'e' ? echo
                                            : greet;
    int listener = listen_at((int)number(argc, argv, 2));
    start(run, (void *)(intptr_t)listener);
    while (getchar() != EOF) {
    }
    return 0;
}
