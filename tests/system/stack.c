// What a thread calls whose stack is as small as threads' may be.
// SPDX-License-Identifier: MIT
//
//   stack PORT    of an echo server at 127.0.0.1
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *port;
static char buf[4096];

static int echo(const struct addrinfo *a) {
    int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    size_t got = 0;
    if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0 ||
        send(fd, buf, sizeof buf, MSG_NOSIGNAL) != sizeof buf) {
        return -1;
    }
    while (got < sizeof buf && poll(&p, 1, 10000) == 1) {
        ssize_t n = recv(fd, buf, sizeof buf - got, 0);
        if (n <= 0) {
            return -1;
        }
        got += (size_t)n;
    }
    return close(fd) < 0 ? -1 : (int)got;
}

static void *work(void *arg) {
    int *result = arg;
    static char room[2048];
    struct addrinfo *a = NULL;
    struct hostent host;
    struct hostent *h = NULL;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    int err = 0;
    *result = getaddrinfo("127.0.0.1", port, &hints, &a);
    if (*result == 0) {
        *result = echo(a);
        freeaddrinfo(a);
    }
    if (gethostbyname_r("127.0.0.1", &host, room, sizeof room, &h, &err) ||
        !h) {
        *result = -2;
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t t;
    pthread_attr_t attr;
    int result = -3;
    port = argc > 1 ? argv[1] : "0";
    pthread_attr_init(&attr);
    int err = pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN);
    err = err ? err : pthread_create(&t, &attr, work, &result);
    if (err) {
        printf("%s\n", strerror(err));
        return 1;
    }
    pthread_join(t, NULL);
    printf("%d\n", result);
    return 0;
}
