// What a program with farsock/bsd.h can tell apart; natively built it says what
// Linux does. Each line is one thing.
// SPDX-License-Identifier: MIT
//
//   usage: apart ADDRESS PORT
//
// The peer sends a byte once it has read "handled", and one to each connection.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef FARSOCK_BSD_H
    #include "farsock/posix.h"
#endif

static struct sockaddr_in to;

static void say(const char *what, long r) {
    printf("%s %s\n", what, r < 0 ? strerrorname_np(errno) : "goes");
    fflush(stdout);
}

static int connected(void) {
    char byte;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)&to, sizeof to) < 0 ||
        recv(s, &byte, 1, 0) != 1) {
        perror("apart");
        exit(1);
    }
    return s;
}

static void other_calls(int s) {
    char byte;
    struct epoll_event e = {.events = EPOLLIN};
    int d = dup(s);
    say("dup", d);
    say("of which recv", recv(d, &byte, 1, MSG_DONTWAIT | MSG_PEEK));
    say("epoll_ctl",
        epoll_ctl(epoll_create1(EPOLL_CLOEXEC), EPOLL_CTL_ADD, s, &e));
}

static void fcntl_calls(int s) {
    printf("F_GETFL %#x\n",
        (unsigned)fcntl(s, F_GETFL) & ~(unsigned)O_LARGEFILE);
    say("F_SETFL", fcntl(s, F_SETFL, O_NONBLOCK));
    printf("F_GETFL %#x\n",
        (unsigned)fcntl(s, F_GETFL) & ~(unsigned)O_LARGEFILE);
    say("F_SETFL", fcntl(s, F_SETFL, 0));
    printf("F_GETFD %d\n", fcntl(s, F_GETFD));
    say("F_SETFD", fcntl(s, F_SETFD, FD_CLOEXEC));
    printf("F_GETFD %d\n", fcntl(s, F_GETFD));
    say("F_GETOWN", fcntl(s, F_GETOWN));
    say("F_DUPFD", fcntl(s, F_DUPFD, 0));
}

static void on_alarm(int number) {
    static const char text[] = "handled\n";
    static volatile sig_atomic_t once;
    (void)number;
    if (!once) {
        once = 1;
        (void)!write(STDOUT_FILENO, text, sizeof text - 1);
    }
}

// The first alarm may come before the call: they go on.
static void interrupted(int s) {
    char byte;
    struct sigaction act = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 20000}, {0, 20000}};
    struct itimerval never = {0};
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    long r = recv(s, &byte, 1, 0);
    int saved = errno;
    setitimer(ITIMER_REAL, &never, NULL);
    errno = saved;
    say("recv with a signal", r);
}

#ifdef FARSOCK_BSD_H

static int sleep_at_descriptor(void *arg, uint64_t deadline_ns) {
    struct pollfd f = {far_posix_fd(arg), POLLIN, 0};
    (void)deadline_ns;
    poll(&f, 1, -1);
    return far_posix_ack(arg);
}

// A child's own link, by the functions of the library; poll(2) beside it.
static int child(void) {
    struct far_posix *p = NULL;
    struct far_posix_options o = {.wait_s = -1};
    struct far_addr a = {.family = FAR_AF_INET, .port = ntohs(to.sin_port)};
    char byte = 0;
    memcpy(a.ip, &to.sin_addr, sizeof to.sin_addr);
    if (far_posix_open(&p, &o) != FAR_OK) {
        return 1;
    }
    struct far_link *l = far_posix_link(p);
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    if (far_connect(l, s, &a, FAR_FOREVER) != FAR_OK) {
        return 2;
    }
    struct far_pollfd f = {s, FAR_POLLIN, 0};
    struct pollfd mistaken = {s, POLLIN, 0};
    uint32_t events = far_link_events(l);
    while (far_poll(l, &f, 1, FAR_NOWAIT) == 0) {
        far_link_wait(l, events, FAR_FOREVER, sleep_at_descriptor, p);
        events = far_link_events(l);
    }
    if (far_recvfrom(l, s, &byte, 1, 0, NULL, NULL, FAR_NOWAIT) != 1) {
        return 3;
    }
    // A handle is no descriptor.
    bool is_none = poll(&mistaken, 1, 0) == 1 && mistaken.revents == POLLNVAL;
    far_posix_close(p);
    return is_none ? 0 : 4;
}

#else

static int child(void) {
    close(connected());
    return 0;
}

#endif

static void forked(int s) {
    int status = -1;
    char byte;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(child());
    }
    waitpid(pid, &status, 0);
    printf("child %d\n", status);
    say("then send", send(s, "x", 1, 0));
    say("then recv", recv(s, &byte, 1, 0));
}

int main(int argc, char **argv) {
    if (argc < 3) {
        return 1;
    }
    to = (struct sockaddr_in){.sin_family = AF_INET,
        .sin_port = htons((uint16_t)strtol(argv[2], NULL, 10))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    int s = connected();
    other_calls(s);
    fcntl_calls(s);
    interrupted(s);
    forked(s);
    return 0;
}
