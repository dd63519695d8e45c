// Round trips of a ping beside a flood, over the kernel's sockets or a link.
// SPDX-License-Identifier: MIT
//
//   usage: fair native|far ping PORT COUNT [FLOOD PORT]
//          fair native|far FLOOD PORT
//          fair native peers PORT
//
// FLOOD is bulk, tiny, connect, lookup or quiet; with a ping it is in a thread
// of the same program, so of the same link. peers serves: an echo at PORT,
// where bytes go to at PORT + 1, and datagrams, unread, to the same.

#include "netapi.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

static const struct net *net;
static struct far_addr flood_to;

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static int connected(const struct far_addr *to) {
    int s = net->socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    net->setopt(s, IPPROTO_TCP, 1, &on, sizeof on); // TCP_NODELAY
    int err = s < 0 ? s : net->connect(s, to, true);
    if (err < 0) {
        printf("connect: %d\n", err);
        exit(1);
    }
    return s;
}

// --- Floods ---

static void bulk(void) {
    static uint8_t data[65536];
    int s = connected(&flood_to);
    while (net->send(s, data, sizeof data, 0, NULL, true) > 0) {
    }
}

static void tiny(void) {
    int s = net->socket(AF_INET, SOCK_DGRAM, 0);
    for (;;) {
        net->send(s, "x", 1, 0, &flood_to, true);
    }
}

static void storm_of_connects(void) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (;;) {
        int s = net->socket(AF_INET, SOCK_STREAM, 0);
        net->setopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        net->connect(s, &flood_to, true);
        net->close(s);
    }
}

static void storm_of_lookups(void) {
    struct far_gai_entry e[4];
    for (;;) {
        net->lookup("localhost", "80", AF_INET, SOCK_STREAM, e, 4);
    }
}

static void quiet(void) {
    for (;;) {
        pause();
    }
}

static void *flood(void *name) {
    static const struct {
        const char *name;
        void (*run)(void);
    } floods[] = {
        {"bulk", bulk},
        {"tiny", tiny},
        {"connect", storm_of_connects},
        {"lookup", storm_of_lookups},
        {"quiet", quiet},
    };
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        if (!strcmp(name, floods[i].name)) {
            floods[i].run();
        }
    }
    return NULL;
}

// --- The ping ---

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void ping(const struct far_addr *to, uint32_t count) {
    uint32_t *us = calloc(count, sizeof *us);
    int s = connected(to);
    for (uint32_t i = 0; i < count; i++) {
        char byte = (char)i;
        uint64_t start = now_us();
        if (net->send(s, &byte, 1, 0, NULL, true) != 1 ||
            net->recv(s, &byte, 1, 0, NULL, true) != 1 || byte != (char)i) {
            puts("wrong");
            exit(1);
        }
        us[i] = (uint32_t)(now_us() - start);
    }
    qsort(us, count, sizeof *us, by_size);
    printf("%u %u %u\n", us[count / 2], us[count - count / 100 - 1],
        us[count - count / 1000 - 1]);
    free(us);
}

// --- The peers ---

static int bound(int type, int port) {
    struct sockaddr_in sin = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, type, 0);
    int on = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s, (struct sockaddr *)&sin, sizeof sin) < 0) {
        exit(1);
    }
    return s;
}

static void *echo(void *arg) {
    int s = (int)(intptr_t)arg;
    char buf[4096];
    int on = 1;
    setsockopt(s, IPPROTO_TCP, 1, &on, sizeof on);
    ssize_t n;
    while ((n = recv(s, buf, sizeof buf, 0)) > 0) {
        if (send(s, buf, (size_t)n, MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    close(s);
    return NULL;
}

static void *swallow(void *arg) {
    static __thread char buf[65536];
    int s = (int)(intptr_t)arg;
    while (recv(s, buf, sizeof buf, 0) > 0) {
    }
    close(s);
    return NULL;
}

static void begin(void *(*run)(void *), int s) {
    pthread_t t;
    if (pthread_create(&t, NULL, run, (void *)(intptr_t)s) == 0) {
        pthread_detach(t);
    }
}

static void peers(int port) {
    struct pollfd p[] = {
        {.fd = bound(SOCK_STREAM, port), .events = POLLIN},
        {.fd = bound(SOCK_STREAM, port + 1), .events = POLLIN},
    };
    // Whose datagrams come in is elsewhere: here it would take a processor
    // that others wait for. Nobody reads them.
    bound(SOCK_DGRAM, port + 1);
    listen(p[0].fd, 100);
    listen(p[1].fd, 4096);
    puts("ready");
    fflush(stdout);
    while (poll(p, 2, -1) > 0) {
        for (int i = 0; i < 2; i++) {
            if (p[i].revents) {
                begin(i == 0 ? echo : swallow, accept(p[i].fd, NULL, NULL));
            }
        }
    }
}

int main(int argc, char **argv) {
    int err = 0;
    pthread_t t;
    signal(SIGPIPE, SIG_IGN);
    net = argc > 3 ? net_open(argv[1], &err) : NULL;
    if (!net) {
        printf("no network: %d\n", err);
        return 1;
    }
    int port = (int)strtol(argv[3], NULL, 10);
    if (!strcmp(argv[2], "peers")) {
        peers(port);
    } else if (strcmp(argv[2], "ping") != 0) {
        flood_to = net_addr("127.0.0.1", port);
        puts("ready");
        fflush(stdout);
        flood(argv[2]);
    } else if (argc > 4) {
        struct far_addr to = net_addr("127.0.0.1", port);
        if (argc > 6) {
            flood_to = net_addr("127.0.0.1", (int)strtol(argv[6], NULL, 10));
            pthread_create(&t, NULL, flood, argv[5]);
        }
        ping(&to, (uint32_t)strtoul(argv[4], NULL, 10));
    }
    fflush(stdout);
    if (argc < 6) {
        net_close(); // no thread floods
    }
    _exit(0);
}
