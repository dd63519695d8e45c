// One active socket in an epoll instance beside many quiet ones: what a wait
// costs its thread.
// SPDX-License-Identifier: MIT
//
//   usage: crowd QUIET
//
// Prints nanoseconds of processor time for a wait that finds something, and for
// one that sleeps first (with the send and the receive that belong to it).

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAITS  20000
#define SLEEPS 2000

static void must(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static uint64_t busy_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int add_socket(int epfd, struct sockaddr_in *at) {
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t len = sizeof *at;
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = s};
    *at = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    must(s >= 0 && bind(s, (struct sockaddr *)at, len) == 0, "bind");
    must(getsockname(s, (struct sockaddr *)at, &len) == 0, "getsockname");
    must(epoll_ctl(epfd, EPOLL_CTL_ADD, s, &ev) == 0, "epoll_ctl");
    return s;
}

static void wait_for(int epfd, int s) {
    struct epoll_event ev[8];
    must(epoll_wait(epfd, ev, 8, -1) == 1 && ev[0].data.fd == s, "epoll_wait");
}

static void exchange(int epfd, int s) {
    char byte;
    must(send(s, "x", 1, 0) == 1, "send");
    wait_for(epfd, s);
    must(recv(s, &byte, 1, 0) == 1, "recv");
}

int main(int argc, char **argv) {
    struct sockaddr_in at;
    struct rlimit many = {8192, 8192};
    int quiet = argc > 1 ? (int)strtol(argv[1], NULL, 0) : 10;
    setrlimit(RLIMIT_NOFILE, &many);
    int epfd = epoll_create1(0);
    for (int i = 0; i < quiet; i++) {
        add_socket(epfd, &at);
    }
    int s = add_socket(epfd, &at);
    must(connect(s, (struct sockaddr *)&at, sizeof at) == 0, "connect");
    exchange(epfd, s);
    must(send(s, "x", 1, 0) == 1, "send");
    wait_for(epfd, s);
    uint64_t from = busy_ns();
    for (int i = 0; i < WAITS; i++) {
        wait_for(epfd, s);
    }
    uint64_t ready = (busy_ns() - from) / WAITS;
    char byte;
    must(recv(s, &byte, 1, 0) == 1, "recv");
    from = busy_ns();
    for (int i = 0; i < SLEEPS; i++) {
        exchange(epfd, s);
    }
    printf("%llu\n%llu\n", (unsigned long long)ready,
        (unsigned long long)((busy_ns() - from) / SLEEPS));
    return 0;
}
