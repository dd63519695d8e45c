// Handlers that leave by siglongjmp(), and those that come while it forks: what
// is printed is the same natively and over a link.
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static void must(int ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "handlers: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

// A datagram socket that is connected to itself.
static int own_socket(void) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    must(fd >= 0, "socket");
    must(bind(fd, (struct sockaddr *)&at, len) == 0, "bind");
    must(getsockname(fd, (struct sockaddr *)&at, &len) == 0, "getsockname");
    must(connect(fd, (struct sockaddr *)&at, len) == 0, "connect");
    return fd;
}

static void alarm_each(long first_us, long us) {
    struct itimerval t = {
        .it_value = {.tv_usec = first_us}, .it_interval = {.tv_usec = us}};
    must(setitimer(ITIMER_REAL, &t, NULL) == 0, "setitimer");
}

static void handle(void (*handler)(int), int flags) {
    struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
    must(sigaction(SIGALRM, &a, NULL) == 0, "sigaction");
}

// --- siglongjmp() ---

static sigjmp_buf before;

static void leave(int sig) {
    siglongjmp(before, sig);
}

static int blocked(void) {
    sigset_t now;
    int n = 0;
    sigprocmask(SIG_BLOCK, NULL, &now);
    for (int i = 1; i < NSIG; i++) {
        n += sigismember(&now, i) == 1;
    }
    return n;
}

static void leave_once(int fd) {
    char buf[8];
    int sig = sigsetjmp(before, 1);
    if (sig == 0) {
        alarm_each(2000, 0);
        recv(fd, buf, sizeof buf, 0);
    }
    printf("left by %d, blocked %d; ", sig, blocked());
    ssize_t sent = send(fd, "after", 5, 0);
    printf("%zd %zd\n", sent, recv(fd, buf, sizeof buf, 0));
}

// --- fork() ---

static volatile sig_atomic_t ran; // in which process, 0: in none

static void count(int sig) {
    (void)sig;
    ran = getpid();
}

static int in_child(int fd) {
    int wrong = blocked();
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    wrong += getsockname(fd, (struct sockaddr *)&at, &len) != 0;
    return wrong + (ran == getpid() ? 100 : 0);
}

static void fork_once(int fd) {
    int status = -1;
    ran = 0;
    alarm_each(1, 50);
    while (!ran) {
    }
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        _exit(in_child(fd));
    }
    alarm_each(0, 0);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    printf("child %d, blocked %d\n", WEXITSTATUS(status), blocked());
}

// --- Registers ---

// Of an interrupted system call, what it is about to give.
static void change_result(int sig, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    (void)sig;
    (void)info;
#ifdef __x86_64__
    if (c->uc_mcontext.gregs[REG_RAX] == -EINTR) {
        c->uc_mcontext.gregs[REG_RAX] = -EDOM;
    }
#else
    (void)c;
#endif
}

static void registers(int fd) {
    char byte;
    struct sigaction a = {
        .sa_sigaction = change_result, .sa_flags = SA_SIGINFO};
    must(sigaction(SIGALRM, &a, NULL) == 0, "sigaction");
    alarm_each(20000, 20000);
    long n = recv(fd, &byte, 1, 0);
    int err = errno;
    alarm_each(0, 0);
    printf("%ld %s\n", n, strerrorname_np(err));
}

int main(int argc, char **argv) {
    int fd = own_socket();
    if (argc > 1 && !strcmp(argv[1], "registers")) {
        registers(fd);
        return 0;
    }
    handle(leave, 0);
    for (int i = 0; i < 8; i++) {
        leave_once(fd);
    }
    handle(count, SA_RESTART);
    for (int i = 0; i < 20; i++) {
        fork_once(own_socket());
    }
    return 0;
}
