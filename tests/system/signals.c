// Signals and sleeping calls: what a call says and how often the handler ran is
// the same natively and over a link.
// SPDX-License-Identifier: MIT
//
//   usage: signals [names HOST]
//
// names: only getaddrinfo() of HOST; "asleep" is printed once a handler ran and
// the call sleeps again.

#include "system/signals_calls.h"

// --- One row: a call, and what lets it go on ---

enum kind {
    MOVES_NONE, // nothing has moved when the signal comes
    MOVES_PART, // a part has
    FILLED,     // it sleeps because the peer does not read
    READINESS,  // never begins anew
};

static const struct row {
    const char *name;
    void (*make)(struct scene *s);
    long (*call)(struct scene *s);
    void (*finish)(struct scene *s);
    enum kind kind;
    long whole; // of those that move a part: the result that is all
} rows[] = {
    {"accept", listening, do_accept, give_connection, MOVES_NONE, 0},
    {"accept4", listening, do_accept4, give_connection, MOVES_NONE, 0},
    {"connect", crowded, do_connect, make_place, MOVES_NONE, 0},
    {"recv", stream_pair, do_recv, give_bytes, MOVES_NONE, 0},
    {"read", stream_pair, do_read, give_bytes, MOVES_NONE, 0},
    {"readv", stream_pair, do_readv, give_bytes, MOVES_NONE, 0},
    {"recvfrom", stream_pair, do_recvfrom, give_bytes, MOVES_NONE, 0},
    {"recvmsg", stream_pair, do_recvmsg, give_bytes, MOVES_NONE, 0},
    {"recvmmsg", stream_pair, do_recvmmsg, give_bytes, MOVES_NONE, 0},
    {"peek", stream_pair, do_peek, give_bytes, MOVES_NONE, 0},
    {"udp recv", dgram_pair, do_recv, give_bytes, MOVES_NONE, 0},
    {"udp read", dgram_pair, do_read, give_bytes, MOVES_NONE, 0},
    {"udp recvfrom", dgram_pair, do_recvfrom, give_bytes, MOVES_NONE, 0},
    {"udp recvmsg", dgram_pair, do_recvmsg, give_bytes, MOVES_NONE, 0},
    {"udp recvmmsg", dgram_pair, do_recvmmsg, give_bytes, MOVES_NONE, 0},
    {"udp recvmmsg, one came", begun_dgrams, do_recvmmsg_two, give_bytes,
        MOVES_PART, 2},
    {"recv of all, part came", begun_stream, do_waitall, give_bytes, MOVES_PART,
        20},
    {"recvmsg of all, part came", begun_stream, do_waitall_msg, give_bytes,
        MOVES_PART, 20},
    {"poll", stream_pair, do_poll, give_bytes, READINESS, 0},
    {"poll with a time", stream_pair, do_poll_until, give_bytes, READINESS, 0},
    {"ppoll", stream_pair, do_ppoll, give_bytes, READINESS, 0},
    {"select", stream_pair, do_select, give_bytes, READINESS, 0},
    {"pselect", stream_pair, do_pselect, give_bytes, READINESS, 0},
    {"epoll_wait", stream_pair, do_epoll_wait, give_bytes, READINESS, 0},
    {"epoll_pwait", stream_pair, do_epoll_pwait, give_bytes, READINESS, 0},
    {"udp poll", dgram_pair, do_poll, give_bytes, READINESS, 0},
    {"splice in", piped_pair, do_splice_in, give_bytes, MOVES_NONE, 0},
    {"send, full", full_pair, do_send, NULL, FILLED, 0},
    {"sendto, full", full_pair, do_sendto, NULL, FILLED, 0},
    {"sendmsg, full", full_pair, do_sendmsg, NULL, FILLED, 0},
    {"sendmmsg, full", full_pair, do_sendmmsg, NULL, FILLED, 0},
    {"write, full", full_pair, do_write, NULL, FILLED, 0},
    {"writev, full", full_pair, do_writev, NULL, FILLED, 0},
    {"sendfile, full", full_pair, do_sendfile, NULL, FILLED, 0},
    {"splice out, full", full_pair_piped, do_splice_out, NULL, FILLED, 0},
    {"send, part went", stream_pair, do_send, NULL, MOVES_PART, BIG},
    {"sendto, part went", stream_pair, do_sendto, NULL, MOVES_PART, BIG},
    {"sendmsg, part went", stream_pair, do_sendmsg, NULL, MOVES_PART, BIG},
    {"sendmmsg, part went", stream_pair, do_sendmmsg, NULL, MOVES_PART, BIG},
    {"write, part went", stream_pair, do_write, NULL, MOVES_PART, BIG},
    {"writev, part went", stream_pair, do_writev, NULL, MOVES_PART, BIG},
    {"sendfile, part went", stream_pair, do_sendfile, NULL, MOVES_PART, BIG},
};

static const struct way {
    const char *name;
    bool ignored, restart, timeo, alarm, busy, asks;
} ways[] = {
    {"a handler", .restart = false},
    {"SA_RESTART", .restart = true},
    {"SA_RESTART and a timeout", .restart = true, .timeo = true},
    {"SIG_IGN", .ignored = true},
    {"an alarm", .alarm = true},
    {"an alarm, SA_RESTART", .alarm = true, .restart = true},
    {"a handler that calls", .busy = true},
    {"a handler that asks", .busy = true, .asks = true},
    {"a handler that asks, SA_RESTART", .busy = true, .asks = true,
        .restart = true},
};

struct play {
    const struct row *row;
    const struct way *way;
    struct scene s;
    struct caller c;
    long result;
    int err;
};

static void *call(void *arg) {
    struct play *p = arg;
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    p->c.tid = (int)syscall(SYS_gettid);
    p->c.calling = true;
    errno = 0;
    p->result = p->row->call(&p->s);
    p->err = errno;
    p->c.returned = true;
    return NULL;
}

static void raise_it(const struct play *p) {
    struct itimerval soon = {.it_value = {.tv_usec = 1}};
    if (p->way->alarm) {
        setitimer(ITIMER_REAL, &soon, NULL);
    } else {
        pthread_kill(p->c.thread, SIGUSR1);
    }
    while (!p->way->ignored && handled == 0 && !p->c.returned) {
        nap();
    }
}

static void go_on(struct play *p) {
    wait_asleep(&p->c);
    if (p->c.returned) {
        return;
    }
    if (p->row->finish) {
        p->row->finish(&p->s);
    } else {
        drain(&p->s, &p->c);
    }
}

static int some_socket;

static void set_way(const struct play *p) {
    struct sigaction a = {.sa_handler = on_signal};
    struct timeval t = {.tv_sec = FOREVER};
    a.sa_flags = p->way->restart ? SA_RESTART : 0;
    if (p->way->ignored) {
        a.sa_handler = SIG_IGN;
    }
    sigaction(SIGUSR1, &a, NULL);
    sigaction(SIGALRM, &a, NULL);
    busy = p->way->busy ? some_socket : -1;
    asking = p->way->asks;
    const int both[] = {p->s.a, p->s.b};
    for (size_t i = 0; p->way->timeo && i < COUNT(both); i++) {
        setsockopt(both[i], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        setsockopt(both[i], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    }
}

static void run(struct play *p) {
    p->s = (struct scene){-1, -1, {-1, -1}, -1, {0}};
    p->row->make(&p->s);
    set_way(p);
    p->c.returned = p->c.calling = false;
    handled = 0;
    pthread_create(&p->c.thread, NULL, call, p);
    wait_asleep(&p->c);
    raise_it(p);
    go_on(p);
    pthread_join(p->c.thread, NULL);
    close_scene(&p->s);
    if (p->way->alarm && handled == 0) {
        sigset_t late;
        int sig;
        sigemptyset(&late);
        sigaddset(&late, SIGALRM);
        sigwait(&late, &sig); // it came too late
    }
}

// Natively the signal ends it.
static bool is_ended(const struct play *p) {
    const struct way *w = p->way;
    return !w->ignored &&
           (!w->restart || w->timeo || p->row->kind == MOVES_PART ||
               p->row->kind == READINESS);
}

// A signal may come before the call sleeps for good: it may ask far something
// first, and what was full takes more once far has sent. That is tried again;
// what goes on after each of several signals does so.
#define TRIES 20

static bool is_early(const struct play *p, int tries) {
    bool whole = p->row->whole ? p->result == p->row->whole : p->result >= 0;
    if (is_ended(p)) {
        return whole && tries < TRIES;
    }
    return p->row->kind == FILLED && p->result >= 0 &&
           ((size_t)p->result < much || (!p->way->ignored && handled == 0));
}

// How many bytes part of a large send is differs; that it is a part does not.
static void print_result(const struct play *p) {
    printf("%s, %s: ", p->row->name, p->way->name);
    if (p->result < 0) {
        printf("%s", strerrorname_np(p->err));
    } else if (p->result > 100) {
        printf("%s", p->result == (long)much ? "all" : "part");
    } else {
        printf("%ld", p->result);
    }
    printf(", handled %d%s\n", (int)handled, asked ? ", wrongly" : "");
}

static void play_row(const struct row *row, const struct way *way) {
    struct play p = {.row = row, .way = way};
    much = row->call == do_splice_out ? LITTLE : BIG;
    int tries = 0;
    do {
        run(&p);
    } while (is_early(&p, ++tries));
    print_result(&p);
    fflush(stdout);
}

// --- Masks that the call swaps ---

static const struct masked {
    const char *name;
    long (*call)(struct scene *s, const sigset_t *mask, bool now);
} masked[] = {
    {"ppoll", ppoll_with},
    {"pselect", pselect_with},
    {"epoll_pwait", epoll_with},
};

static const struct masking {
    const char *name;
    bool blocked;  // by the thread
    bool by_mask;  // by the call
    bool pending;  // from before the call
    bool is_ready; // the socket
    bool now;      // does not wait
} maskings[] = {
    {"pending, let in", true, false, true, false, false},
    {"pending, let in, ready", true, false, true, true, false},
    {"pending, let in, no wait", true, false, true, false, true},
    {"pending, let in, ready, no wait", true, false, true, true, true},
    {"pending, not let in, ready", true, true, true, true, false},
    {"let in", true, false, false, false, false},
    {"kept out", false, true, false, false, false},
    {"kept out all along", true, true, false, false, false},
};

struct masked_play {
    const struct masked *m;
    const struct masking *how;
    struct scene s;
    struct caller c;
    long result;
    int err;
    int handled_inside; // when it returned
    bool still_pending, still_blocked;
};

static void *call_masked(void *arg) {
    struct masked_play *p = arg;
    sigset_t usr1;
    sigset_t none;
    sigset_t now;
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, p->how->blocked ? &usr1 : &none, NULL);
    if (p->how->pending) {
        pthread_kill(pthread_self(), SIGUSR1);
    }
    p->c.tid = (int)syscall(SYS_gettid);
    p->c.calling = true;
    p->result = p->m->call(&p->s, p->how->by_mask ? &usr1 : &none, p->how->now);
    p->err = errno;
    p->handled_inside = handled;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    p->still_blocked = sigismember(&now, SIGUSR1);
    sigpending(&now);
    p->still_pending = sigismember(&now, SIGUSR1);
    p->c.returned = true;
    return NULL;
}

static void play_masked(const struct masked *m, const struct masking *how) {
    struct masked_play p = {.m = m, .how = how};
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    p.s = (struct scene){-1, -1, {-1, -1}, -1, {0}};
    stream_pair(&p.s);
    make_epoll(&p.s);
    sigaction(SIGUSR1, &a, NULL);
    if (how->is_ready) {
        give_bytes(&p.s);
        do_poll(&p.s);
    }
    handled = 0;
    pthread_create(&p.c.thread, NULL, call_masked, &p);
    wait_asleep(&p.c);
    if (!how->pending) {
        pthread_kill(p.c.thread, SIGUSR1);
        // One that is let in ends it; one that is not leaves it asleep.
        while (!how->by_mask && !p.c.returned) {
            nap();
        }
        wait_asleep(&p.c);
    }
    if (!p.c.returned) {
        give_bytes(&p.s);
    }
    pthread_join(p.c.thread, NULL);
    printf("%s, %s: %s, handled %d, pending %d, blocked %d\n", m->name,
        how->name,
        p.result < 0 ? strerrorname_np(p.err) : (p.result ? "ready" : "none"),
        p.handled_inside, p.still_pending, p.still_blocked);
    fflush(stdout);
    close_scene(&p.s);
}

// --- Two threads at one link: the signal is for one of them ---

static void play_two(bool first) {
    static const struct row row = {
        "recv", stream_pair, do_recv, give_bytes, MOVES_NONE, 0};
    static const struct way way = {.name = ""};
    struct play two[2];
    for (int i = 0; i < 2; i++) {
        two[i] = (struct play){.row = &row, .way = &way};
        two[i].s = (struct scene){-1, -1, {-1, -1}, -1, {0}};
        stream_pair(&two[i].s);
    }
    set_way(&two[0]);
    handled = 0;
    for (int i = 0; i < 2; i++) {
        pthread_create(&two[i].c.thread, NULL, call, &two[i]);
        wait_asleep(&two[i].c);
    }
    struct play *hit = &two[first ? 0 : 1];
    struct play *other = &two[first ? 1 : 0];
    pthread_kill(hit->c.thread, SIGUSR1);
    pthread_join(hit->c.thread, NULL);
    wait_asleep(&other->c);
    printf("%s of two threads: %ld %s, handled %d by it %d, the other %s",
        first ? "first" : "second", hit->result, strerrorname_np(hit->err),
        (int)handled, handled_by == hit->c.tid,
        other->c.returned ? "returned" : "sleeps");
    give_bytes(&other->s);
    pthread_join(other->c.thread, NULL);
    printf(" and gets %ld\n", other->result);
    fflush(stdout);
    close_scene(&two[0].s);
    close_scene(&two[1].s);
}

// --- Streams that are broken ---

static long do_send_quietly(struct scene *s) {
    return send(s->a, big, much, MSG_NOSIGNAL);
}

static long do_sendmsg_quietly(struct scene *s) {
    struct iovec v = {big, much};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return sendmsg(s->a, &m, MSG_NOSIGNAL);
}

static long do_sendmmsg_quietly(struct scene *s) {
    struct iovec v = {big, much};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
    return sendmmsg(s->a, &m, 1, MSG_NOSIGNAL);
}

static const struct {
    const char *name;
    long (*call)(struct scene *s);
} senders[] = {
    {"send", do_send},
    {"send, MSG_NOSIGNAL", do_send_quietly},
    {"sendto, MSG_NOSIGNAL", do_sendto},
    {"write", do_write},
    {"writev", do_writev},
    {"sendmsg", do_sendmsg},
    {"sendmsg, MSG_NOSIGNAL", do_sendmsg_quietly},
    {"sendmmsg", do_sendmmsg},
    {"sendmmsg, MSG_NOSIGNAL", do_sendmmsg_quietly},
    {"sendfile", do_sendfile},
    {"splice", do_splice_out},
};

static void reset_by_peer(struct scene *s) {
    struct linger hard = {.l_onoff = 1};
    struct pollfd p = {.fd = s->a, .events = 0};
    setsockopt(s->b, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(s->b);
    s->b = -1;
    poll(&p, 1, -1);
}

static void play_broken(size_t i, bool reset) {
    struct scene s = {-1, -1, {-1, -1}, -1, {0}};
    piped_pair(&s);
    write(s.pipe[1], big, LITTLE);
    much = LITTLE;
    if (reset) {
        reset_by_peer(&s);
    } else {
        shutdown(s.a, SHUT_WR);
    }
    for (int again = 0; again < 2; again++) {
        handled = 0;
        fcntl(s.pipe[1], F_SETFL, O_NONBLOCK);
        if (again && senders[i].call == do_splice_out) {
            write(s.pipe[1], big, LITTLE);
        }
        long n = senders[i].call(&s);
        printf("%s, %s: %s, handled %d\n", senders[i].name,
            reset ? "reset" : "shut down", n < 0 ? strerrorname_np(errno) : "?",
            (int)handled);
    }
    fflush(stdout);
    close_scene(&s);
}

static void play_all_broken(void) {
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGPIPE, &a, NULL);
    for (size_t i = 0; i < COUNT(senders); i++) {
        play_broken(i, false);
        play_broken(i, true);
    }
}

// --- Names ---

static const char *host;

static long do_getaddrinfo(struct scene *s) {
    struct addrinfo *list = NULL;
    (void)s;
    return -getaddrinfo(host, NULL, NULL, &list);
}

static void names(bool restart) {
    static const struct row row = {
        "getaddrinfo", NULL, do_getaddrinfo, no_finish, MOVES_NONE, 0};
    struct way way = {.restart = restart};
    struct play p = {.row = &row, .way = &way};
    p.s = (struct scene){-1, -1, {-1, -1}, -1, {0}};
    set_way(&p);
    pthread_create(&p.c.thread, NULL, call, &p);
    wait_asleep(&p.c);
    if (getchar() == EOF) { // else the question is there
        exit(1);
    }
    raise_it(&p);
    wait_asleep(&p.c);
    printf("%s\n", p.c.returned ? "returned" : "asleep");
    fflush(stdout);
    pthread_join(p.c.thread, NULL);
    printf("%ld, handled %d\n", p.result, (int)handled);
    fflush(stdout);
}

int main(int argc, char **argv) {
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGPIPE);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    file = memfd_create("file", 0);
    must(file >= 0 && ftruncate(file, BIG) == 0, "memfd_create");
    if (argc == 3 && strcmp(argv[1], "names") == 0) {
        host = argv[2];
        names(false);
        return 0;
    }
    struct scene s = {-1, -1, {-1, -1}, -1, {0}};
    dgram_pair(&s);
    some_socket = s.b;
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t j = 0; j < COUNT(ways); j++) {
            play_row(&rows[i], &ways[j]);
        }
    }
    for (size_t i = 0; i < COUNT(masked); i++) {
        for (size_t j = 0; j < COUNT(maskings); j++) {
            play_masked(&masked[i], &maskings[j]);
        }
    }
    busy = -1;
    play_two(true);
    play_two(false);
    play_all_broken();
    return 0;
}
