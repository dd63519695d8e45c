// Calls with pointers, descriptors and lengths that are wrong: what they say is
// the same natively and over a link.
// SPDX-License-Identifier: MIT
//
//   usage: faults [bsd]
//
// bsd: only what farsock/bsd.h has; it is compiled with that, too.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE     4096
#define COUNT(a) (sizeof(a) / sizeof *(a))

// Where there is nothing.
static struct place {
    const char *name;
    char *at;
} places[] = {
    {"null", NULL},
    {"one", (char *)1},
    {"hole", NULL},
    {"past the file", NULL},
    {"half", NULL}, // its first 8 bytes are there
    {"no address", (char *)((uintptr_t)1 << 62)},
    {"kernel", (char *)-PAGE},
    {"last", (char *)-1},
};
static char *read_only;
static int on_stream, stream, on_dgram, dgram, listener, file, pipe_end, closed;
static struct sockaddr_in here;
static const char *where;
static bool more;                   // not bsd
static volatile int minus_one = -1; // compilers warn of constants

static void say(const char *what, long r) {
    if (r < 0) {
        printf("%s %s: %s\n", where, what, strerrorname_np(errno));
    } else {
        printf("%s %s: %ld\n", where, what, r);
    }
    fflush(stdout);
    if (places[4].at) {
        memset(places[4].at, 0, 8); // part of a result may be there
    }
}

static void make_places(void) {
    char *hole =
        mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *half = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(half + PAGE, PAGE, PROT_NONE);
    file = memfd_create("file", 0);
    ftruncate(file, PAGE);
    char *past =
        mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    places[2].at = hole;
    places[3].at = past + PAGE;
    places[4].at = half + PAGE - 8;
    read_only = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int bound(int type) {
    socklen_t len = sizeof here;
    int s = socket(AF_INET, type, 0);
    here = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    (void)bind(s, (struct sockaddr *)&here, sizeof here);
    getsockname(s, (struct sockaddr *)&here, &len);
    return s;
}

static void make_sockets(void) {
    int p[2];
    pipe(p);
    pipe_end = p[0];
    closed = fcntl(0, F_DUPFD, 500);
    close(closed);
    on_dgram = bound(SOCK_DGRAM);
    dgram = socket(AF_INET, SOCK_DGRAM, 0);
    (void)connect(dgram, (struct sockaddr *)&here, sizeof here);
    listener = bound(SOCK_STREAM);
    listen(listener, 5);
    stream = socket(AF_INET, SOCK_STREAM, 0);
    (void)connect(stream, (struct sockaddr *)&here, sizeof here);
    on_stream = accept(listener, NULL, NULL);
}

static void wait_for(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, 10000) != 1) {
        printf("%s: nothing comes\n", where);
    }
}

// --- Bytes ---

static void writing(int s, char *at) {
    struct iovec two[] = {{(void *)"ab", 2}, {at, 16}};
    struct iovec one = {at, 16};
    struct msghdr m = {.msg_iov = two, .msg_iovlen = 2};
    struct msghdr no_iov = {
        .msg_iov = (struct iovec *)(void *)at, .msg_iovlen = 1};
    struct msghdr no_ctl = {.msg_iov = two,
        .msg_iovlen = 1,
        .msg_control = at,
        .msg_controllen = 32};
    say("send", send(s, at, 16, 0));
    say("send 0", send(s, at, 0, MSG_NOSIGNAL));
    say("write", write(s, at, 16));
    say("sendto", sendto(s, at, 16, 0, NULL, 0));
    say("writev", writev(s, &one, 1));
    say("writev of", writev(s, (struct iovec *)(void *)at, 1));
    if (s == dgram) { // of a stream the first piece may go
        say("sendmsg", sendmsg(s, &m, 0));
    }
    say("sendmsg of", sendmsg(s, (struct msghdr *)(void *)at, 0));
    say("sendmsg iov", sendmsg(s, &no_iov, 0));
    say("sendmsg control", sendmsg(s, &no_ctl, 0));
}

static void reading(int s, char *at) {
    struct iovec one = {at, 16};
    struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1};
    struct msghdr no_iov = {
        .msg_iov = (struct iovec *)(void *)at, .msg_iovlen = 1};
    say("recv", recv(s, at, 16, MSG_DONTWAIT));
    say("recv 0", recv(s, at, 0, MSG_DONTWAIT));
    say("peek", recv(s, at, 16, MSG_PEEK | MSG_DONTWAIT));
    say("read", read(s, at, 16));
    say("recvfrom", recvfrom(s, at, 16, MSG_DONTWAIT, NULL, NULL));
    say("readv", readv(s, &one, 1));
    say("readv of", readv(s, (struct iovec *)(void *)at, 1));
    say("recvmsg", recvmsg(s, &m, MSG_DONTWAIT));
    say("recvmsg of", recvmsg(s, (struct msghdr *)(void *)at, MSG_DONTWAIT));
    say("recvmsg iov", recvmsg(s, &no_iov, MSG_DONTWAIT));
}

// A stream loses nothing by it.
static void stream_bytes(char *at) {
    char buf[64] = "";
    writing(stream, at);
    say("none to recv", recv(on_stream, at, 16, MSG_DONTWAIT));
    say("sent", send(stream, "0123456789abcdef", 16, 0));
    wait_for(on_stream);
    reading(on_stream, at);
    say("all", recv(on_stream, buf, sizeof buf, MSG_DONTWAIT));
    printf("%s: %s\n", where, buf);
}

// What is left of the datagrams that were sent, up to one that ends them.
static void drain(void) {
    char buf[64] = "";
    send(dgram, "end", 3, 0);
    do {
        say("left", recv(on_dgram, buf, sizeof buf, 0));
    } while (strncmp(buf, "end", 3) != 0);
}

// A datagram that does not arrive in memory is lost.
static void dgram_bytes(char *at) {
    struct iovec one = {at, 16};
    struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1};
    writing(dgram, at);
    for (int i = 0; i < 3; i++) {
        char text[16] = "datagram ";
        text[9] = (char)('0' + i);
        send(dgram, text, sizeof text, 0);
        wait_for(on_dgram);
    }
    say("peek", recv(on_dgram, at, 16, MSG_PEEK));
    say("recv", recv(on_dgram, at, 16, 0));
    say("recvmsg", recvmsg(on_dgram, &m, 0));
    drain();
}

static void beyond_the_first_page(void) {
    char *two = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char buf[2 * PAGE];
    where = "two pages";
    mprotect(two + PAGE, 63 * PAGE, PROT_NONE);
    say("send", send(stream, two, 2 * PAGE, 0));
    say("datagram", send(dgram, two, 2 * PAGE, 0));
    say("sent", send(stream, buf, PAGE, 0));
    while (recv(on_stream, buf, sizeof buf, MSG_PEEK) < PAGE) {
    }
    say("enough", recv(on_stream, two, 2 * PAGE, 0));
    say("read only", send(stream, read_only, 8, 0));
    wait_for(on_stream);
    say("into read only", recv(on_stream, read_only, 8, MSG_DONTWAIT));
    say("again", recv(on_stream, buf, sizeof buf, MSG_DONTWAIT));
}

// --- Addresses ---

static void addresses(char *at) {
    struct sockaddr_in a;
    struct sockaddr *sa = (struct sockaddr *)(void *)&a;
    struct sockaddr *bad = (struct sockaddr *)(void *)at;
    socklen_t *bad_len = (socklen_t *)(void *)at;
    socklen_t len = sizeof a;
    struct iovec one = {&a, sizeof a};
    struct msghdr m = {
        .msg_name = at, .msg_namelen = 16, .msg_iov = &one, .msg_iovlen = 1};
    say("bind", bind(listener, bad, 16));
    say("bind 0", bind(listener, bad, 0));
    say("bind 1", bind(listener, bad, 1));
    say("connect", connect(dgram, bad, 16));
    say("connect 129", connect(dgram, bad, 129));
    say("sendto", sendto(dgram, "x", 1, 0, bad, 16));
    say("sendto stream", sendto(stream, "", 0, 0, bad, 16));
    say("sendmsg", sendmsg(dgram, &m, 0));
    say("getsockname", getsockname(stream, bad, &len));
    say("getsockname", getsockname(stream, sa, bad_len));
    say("getpeername", getpeername(stream, bad, &len));
    say("getpeername", getpeername(stream, sa, bad_len));
    say("getpeername", getpeername(listener, bad, bad_len));
    len = sizeof a;
    for (int i = 0; i < 3; i++) {
        send(dgram, "addressed", 9, 0);
        wait_for(on_dgram);
    }
    say("recvfrom", recvfrom(on_dgram, &a, sizeof a, 0, bad, &len));
    say("recvfrom", recvfrom(on_dgram, &a, sizeof a, 0, sa, bad_len));
    say("recvmsg", recvmsg(on_dgram, &m, 0));
    drain();
}

static void accepting(char *at) {
    struct sockaddr_in a;
    struct sockaddr *sa = (struct sockaddr *)(void *)&a;
    socklen_t len = sizeof a;
    for (int i = 0; i < 3; i++) {
        char c;
        int s = socket(AF_INET, SOCK_STREAM, 0);
        (void)connect(s, (struct sockaddr *)&here, sizeof here);
        wait_for(listener);
        int got = i == 0 ? accept(listener, (struct sockaddr *)(void *)at, &len)
                  : i == 1
                      ? accept(listener, sa, (socklen_t *)(void *)at)
                      : accept4(listener, NULL, (socklen_t *)(void *)at, 0);
        say("accept", got < 0 ? -1 : 0);
        if (got >= 0) {
            close(got);
        }
        say("its end", recv(s, &c, 1, 0));
        close(s);
    }
}

static void message_room(char *at) {
    char buf[16];
    int on = 1;
    struct iovec one = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &one,
        .msg_iovlen = 1,
        .msg_control = at,
        .msg_controllen = 64};
    setsockopt(on_dgram, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    send(dgram, "control", 7, 0);
    wait_for(on_dgram);
    say("recvmsg control", recvmsg(on_dgram, &m, 0));
    if (at != places[4].at) {
        printf("%s: %zu, flags %d\n", where, m.msg_controllen, m.msg_flags);
    }
    on = 0;
    setsockopt(on_dgram, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
}

// --- Options, ioctl ---

static void options(char *at) {
    static const struct {
        int level, opt;
    } all[] = {
        {SOL_SOCKET, SO_REUSEADDR},
        {SOL_SOCKET, SO_LINGER},
        {SOL_SOCKET, SO_RCVTIMEO},
        {SOL_SOCKET, SO_RCVLOWAT},
        {IPPROTO_TCP, 1},
        {IPPROTO_IP, IP_TTL},
    };
    static const socklen_t lens[] = {0, 4, 8, 16, 64};
    for (size_t i = 0; i < COUNT(all); i++) {
        char what[64];
        int v[4];
        socklen_t len = sizeof v;
        for (size_t k = 0; at != places[4].at && k < COUNT(lens); k++) {
            snprintf(what, sizeof what, "set %d %d %u", all[i].level,
                all[i].opt, lens[k]);
            say(what,
                setsockopt(stream, all[i].level, all[i].opt, at, lens[k]));
        }
        snprintf(what, sizeof what, "get %d %d", all[i].level, all[i].opt);
        if (at != places[4].at) {
            say(what, getsockopt(stream, all[i].level, all[i].opt, at, &len));
        }
        say(what, getsockopt(stream, all[i].level, all[i].opt, v,
                      (socklen_t *)(void *)at));
    }
}

static void requests(char *at) {
    if (at == places[4].at) {
        at += 8;
    }
    say("FIONREAD", ioctl(stream, FIONREAD, at));
    say("FIONBIO", ioctl(stream, FIONBIO, at));
    say("SIOCGIFADDR", ioctl(stream, SIOCGIFADDR, at));
    say("SIOCGIFCONF", ioctl(stream, SIOCGIFCONF, at));
    say("no such", ioctl(stream, 0x12345678, at));
}

// --- Waiting ---

static void waits(char *at) {
    struct timeval now = {0};
    struct timespec none = {0};
    int high = listener > stream ? listener + 1 : stream + 1;
    fd_set set;
    FD_ZERO(&set);
    FD_SET(stream, &set);
    say("poll", poll((struct pollfd *)(void *)at, 2, 0));
    // Natively the kernel knows how many descriptors there are, and looks at no
    // more of a set than it has for them.
    if (at && at != places[4].at) {
        say("select", select(high, (fd_set *)(void *)at, NULL, NULL, &now));
        say("select", select(high, &set, (fd_set *)(void *)at, NULL, &now));
        if (more) {
            say("pselect",
                pselect(high, &set, NULL, (fd_set *)(void *)at, &none, NULL));
        }
    }
    if (!more) {
        return;
    }
    say("ppoll", ppoll((struct pollfd *)(void *)at, 2, &none, NULL));
    struct epoll_event ev = {.events = EPOLLOUT};
    int e = epoll_create1(0);
    say("epoll_ctl",
        epoll_ctl(e, EPOLL_CTL_ADD, stream, (struct epoll_event *)(void *)at));
    say("epoll_ctl", epoll_ctl(e, EPOLL_CTL_ADD, stream, &ev));
    say("epoll_wait", epoll_wait(e, (struct epoll_event *)(void *)at, 1, 0));
    say("epoll_wait", epoll_wait(e, &ev, 1, 0));
    ev.events = EPOLLOUT | EPOLLET | EPOLLONESHOT;
    say("epoll_ctl", epoll_ctl(e, EPOLL_CTL_MOD, stream, &ev));
    say("epoll_wait", epoll_wait(e, (struct epoll_event *)(void *)at, 1, 0));
    say("epoll_wait", epoll_wait(e, &ev, 1, 0));
    say("epoll_wait", epoll_wait(e, &ev, 1, 0));
    close(e);
}

// --- Descriptors and lengths ---

static void descriptors(int fd) {
    char buf[8] = "";
    struct sockaddr_in a = here;
    struct sockaddr *sa = (struct sockaddr *)(void *)&a;
    socklen_t len = sizeof a;
    struct iovec one = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1};
    int v = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    say("bind", bind(fd, sa, len));
    say("listen", listen(fd, 1));
    say("accept", accept(fd, sa, &len));
    say("connect", connect(fd, sa, len));
    say("shutdown", shutdown(fd, SHUT_WR));
    say("getsockname", getsockname(fd, sa, &len));
    say("getpeername", getpeername(fd, sa, &len));
    say("send", send(fd, buf, 1, 0));
    say("sendto", sendto(fd, buf, 1, 0, sa, len));
    say("sendmsg", sendmsg(fd, &m, 0));
    say("recv", recv(fd, buf, 1, MSG_DONTWAIT));
    say("recvfrom", recvfrom(fd, buf, 1, MSG_DONTWAIT, sa, &len));
    say("recvmsg", recvmsg(fd, &m, MSG_DONTWAIT));
    len = sizeof v;
    say("getsockopt", getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len));
    say("setsockopt", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, len));
    say("poll", poll(&p, 1, 0));
    printf("%s: %x\n", where, p.revents);
}

static void lengths(void) {
    static char buf[16];
    struct iovec many[1025];
    struct iovec wrong = {buf, (size_t)minus_one};
    struct iovec whole[] = {{buf, (size_t)SSIZE_MAX / 4}, {buf, SSIZE_MAX}};
    struct msghdr m = {.msg_iov = many, .msg_iovlen = 1025};
    struct msghdr n = {.msg_iov = &wrong, .msg_iovlen = 1};
    struct sockaddr *sa = (struct sockaddr *)(void *)&here;
    struct sockaddr_in a;
    socklen_t len = (socklen_t)-1;
    for (size_t i = 0; i < COUNT(many); i++) {
        many[i] = (struct iovec){buf, 0};
    }
    where = "lengths";
    say("bind -1", bind(listener, sa, (socklen_t)-1));
    say("bind 15", bind(listener, sa, 15));
    say("connect 1", connect(dgram, sa, 1));
    say("connect 15", connect(dgram, sa, 15));
    say("sendto 15", sendto(dgram, buf, 1, 0, sa, 15));
    say("sendto 129", sendto(dgram, buf, 1, 0, sa, 129));
    say("sendto stream 129", sendto(stream, buf, 0, 0, sa, 129));
    say("getsockname -1",
        getsockname(stream, (struct sockaddr *)(void *)&a, &len));
    len = 0;
    say("getsockname 0",
        getsockname(stream, (struct sockaddr *)(void *)&a, &len));
    printf("%s: %u\n", where, len);
    say("read -1", read(on_stream, buf, (size_t)minus_one));
    say("write -1", write(stream, buf, (size_t)minus_one));
    say("recv -1", recv(on_stream, buf, (size_t)minus_one, MSG_DONTWAIT));
    say("read 0", read(on_stream, buf, 0));
    say("write 0", write(stream, buf, 0));
    say("writev 0", writev(stream, many, 0));
    say("writev 1024", writev(stream, many, 1024));
    say("writev 1025", writev(stream, many, 1025));
    say("writev -1", writev(stream, many, minus_one));
    say("readv 1025", readv(on_stream, many, 1025));
    say("readv 1024 of 0", readv(on_stream, many, 1024));
    say("readv -1", readv(on_stream, many, minus_one));
    say("writev of -1", writev(stream, &wrong, 1));
    say("readv of -1", readv(on_stream, &wrong, 1));
    say("writev of all", writev(stream, whole, 2));
    say("sendmsg 1025", sendmsg(stream, &m, 0));
    say("recvmsg 1025", recvmsg(on_stream, &m, MSG_DONTWAIT));
    say("sendmsg of -1", sendmsg(stream, &n, 0));
    say("recvmsg of -1", recvmsg(on_stream, &n, MSG_DONTWAIT));
    m.msg_iovlen = 1;
    m.msg_name = sa;
    m.msg_namelen = (socklen_t)-1;
    say("sendmsg name -1", sendmsg(dgram, &m, 0));
    say("recvmsg name -1", recvmsg(on_dgram, &m, MSG_DONTWAIT));
    m.msg_namelen = 0;
    say("sendmsg name 0", sendmsg(dgram, &m, 0));
    say("poll", poll(NULL, (nfds_t)minus_one, 0));
    say("select", select(-1, NULL, NULL, NULL, NULL));
}

// --- The program's own faults ---

static sigjmp_buf back;
static volatile sig_atomic_t right;
static char *volatile touched;

static void on_fault(int sig, siginfo_t *info, void *context) {
    (void)context;
    right = info->si_addr == touched && (sig == SIGSEGV || sig == SIGBUS);
    siglongjmp(back, 1);
}

static void own_handler(const char *name, char *at, int flags) {
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = flags};
    struct sigaction old;
    where = name;
    sigemptyset(&a.sa_mask);
    sigaction(SIGSEGV, &a, &old);
    printf("%s: had %d\n", where, old.sa_handler == SIG_DFL);
    sigaction(SIGBUS, &a, NULL);
    sigaction(SIGSEGV, NULL, &old);
    printf("%s: mine %d, %x\n", where, old.sa_sigaction == on_fault,
        (unsigned)old.sa_flags);
    touched = at;
    say("call", send(stream, at, 8, 0));
    if (sigsetjmp(back, 1) == 0) {
        *touched = 1;
    }
    say("call", send(stream, at, 8, 0));
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set);
    sigaction(SIGSEGV, NULL, &old);
    printf("%s: right %d, blocked %d, left %d\n", where, right,
        sigismember(&set, SIGSEGV), old.sa_handler == SIG_DFL);
    right = 0;
    a = (struct sigaction){.sa_handler = SIG_DFL};
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
}

static void crash(const char *name, void (*how)(void)) {
    int status = 0;
    where = name;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        how();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    printf("%s: %d %d\n", where, WIFSIGNALED(status), WTERMSIG(status));
}

static void touch(void) {
    *(volatile char *)places[2].at = 1;
}
static void touch_past(void) {
    *(volatile char *)places[3].at = 1;
}
static void send_signal(void) {
    raise(SIGSEGV);
}
static void ignored(void) {
    signal(SIGSEGV, SIG_IGN);
    raise(SIGSEGV);
}
static void ignored_fault(void) {
    signal(SIGSEGV, SIG_IGN);
    touch();
}

static void *in_thread(void *arg) {
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        if (send(stream, places[2].at, 8, 0) != -1 || errno != EFAULT) {
            printf("a thread's call was something else\n");
        }
    }
    return NULL;
}

static void threads(void) {
    pthread_t t[4];
    for (size_t i = 0; i < COUNT(t); i++) {
        pthread_create(&t[i], NULL, in_thread, NULL);
    }
    for (size_t i = 0; i < COUNT(t); i++) {
        pthread_join(t[i], NULL);
    }
}

int main(int argc, char **argv) {
    static char stack[65536];
    stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack};
    more = argc < 2 || strcmp(argv[1], "bsd") != 0;
    signal(SIGPIPE, SIG_IGN);
    make_places();
    make_sockets();
    for (size_t i = 0; i < COUNT(places); i++) {
        where = places[i].name;
        stream_bytes(places[i].at);
        dgram_bytes(places[i].at);
        addresses(places[i].at);
        accepting(places[i].at);
        message_room(places[i].at);
        options(places[i].at);
        requests(places[i].at);
        waits(places[i].at);
    }
    beyond_the_first_page();
    const struct {
        const char *name;
        int fd;
    } fds[] = {{"-1", -1}, {"closed", closed}, {"high", 1 << 30},
        {"file", file}, {"pipe", pipe_end}};
    for (size_t i = 0; i < COUNT(fds); i++) {
        where = fds[i].name;
        descriptors(fds[i].fd);
    }
    lengths();
    threads();
    own_handler("handler", places[2].at, SA_SIGINFO);
    own_handler("bus", places[3].at, SA_SIGINFO);
    own_handler("once", places[2].at, (int)(SA_SIGINFO | SA_RESETHAND));
    sigaltstack(&alt, NULL);
    own_handler("other stack", places[2].at, SA_SIGINFO | SA_ONSTACK);
    crash("crash", touch);
    crash("crash past", touch_past);
    crash("sent", send_signal);
    crash("ignored", ignored);
    crash("ignored fault", ignored_fault);
    where = "end";
    say("good", send(stream, "good", 4, 0));
    return 0;
}
