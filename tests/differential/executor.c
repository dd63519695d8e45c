// Runs programs of socket calls over the kernel's sockets or over a link, and
// prints what each call gave: the two must be the same.
// SPDX-License-Identifier: MIT
//
//   usage: executor native [FARSOCKD_PID]
//          executor far[:INDEX_BASE[:RING_BYTES[:SOCKETS]]] FARSOCKD_PID
//
// A program is lines, a step each, between "ports FIRST" and "end"; README.md
// has the steps. Names that begin with p are the peer's: the kernel's sockets
// in all modes. With a pid, native is what the C library gives: it is
// preloaded.

#include "differential/executor.h"
#include "differential/messages.h"

// --- Steps ---

static void step_socket(struct step *s) {
    struct sock *k = sock(s);
    int type = (int)number(s, 3);
    bool own = !strcmp(word(s, 4), "own");
    int proto = own ? (int)own_protocol() : (int)number(s, 4);
    int r = k->net->socket((int)number(s, 2), type, proto);
    if (r >= 0) {
        if (k->open) {
            k->net->close(k->handle);
        }
        prepare(k, r, (type & 0xf) == SOCK_STREAM);
        k->raw4 = (type & 0xf) == SOCK_RAW && number(s, 2) == AF_INET;
        r = 0;
    }
    say_result(s, r);
}

static void step_close(struct step *s) {
    struct sock *k = sock(s);
    say_result(s, k->net->close(k->handle));
    forget(k);
}

static void step_bind(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr a;
    addr_at(s, 2, &a);
    say_result(s, k->net->bind(k->handle, &a));
}

static void step_listen(struct step *s) {
    struct sock *k = sock(s);
    say_result(s, k->net->listen(k->handle, (int)number(s, 2)));
}

static void step_connect(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr a;
    addr_at(s, 2, &a);
    say_result(s, k->net->connect(k->handle, &a, waits(s)));
}

static void step_accept(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr peer = {0};
    int r = k->net->accept(k->handle, &peer, waits(s));
    if (r < 0) {
        say_result(s, r);
        return;
    }
    struct sock *new = find(word(s, 2));
    if (new->open) {
        new->net->close(new->handle);
    }
    prepare(new, r, true);
    say_result(s, 0);
    say_addr(s, &peer);
}

// send NAME LENGTH FLAGS ADDR wait|nowait
static void step_send(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr a;
    size_t len = strtoull(word(s, 2), NULL, 0);
    bool to = addr_at(s, 4, &a);
    int r = k->net->send(k->handle, content(k, len), len, (int)number(s, 3),
        to ? &a : NULL, waits(s));
    k->sent += r > 0 ? (uint32_t)r : 0;
    say_result(s, r);
}

struct received {
    uint8_t *buf;
    size_t len;
    int flags;
    bool wait;
    struct far_addr from;
    uint32_t out_flags;
};

// recvfrom() and what it says of the message beside.
static int receive(const struct sock *k, struct received *r) {
    if (k->net == &net_over_link) {
        return far_recvfrom(the_link(), k->handle, r->buf, r->len,
            (uint32_t)r->flags, &r->from, &r->out_flags, deadline(r->wait));
    }
    struct sockaddr_storage ss = {0};
    struct iovec iov = {r->buf, r->len};
    struct msghdr m = {
        .msg_name = &ss,
        .msg_namelen = sizeof ss,
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };
    int n = k->net->recvmsg(k->handle, &m, r->flags, r->wait);
    if (n >= 0) {
        native_to_far(&r->from, &ss);
        r->out_flags = (uint32_t)m.msg_flags & MSG_TRUNC;
    }
    return n;
}

// recv NAME LENGTH FLAGS wait|nowait
static void step_recv(struct step *s) {
    struct sock *k = sock(s);
    size_t len = strtoull(word(s, 2), NULL, 0);
    uint8_t *buf = room_for(len);
    struct received got = {buf, len, (int)number(s, 3), waits(s), {0}, 0};
    int r = receive(k, &got);
    say_result(s, r);
    if (r >= 0) {
        size_t n = (size_t)r < len ? (size_t)r : len;
        mask(k, buf, n);
        say(s, " %016llx", (unsigned long long)hash_of(HASH_START, buf, n));
        say_addr(s, &got.from);
        say(s, "%s", got.out_flags & MSG_TRUNC ? " cut" : "");
    }
    if (!canary_lives(buf, len)) {
        say(s, " OVERRUN");
    }
}

struct drained {
    uint64_t hash;
    uint32_t bytes;
    uint32_t calls;
    int last;
};

static struct drained drain(struct sock *k, uint32_t most, bool wait) {
    static uint8_t buf[2][70000]; // the helper's and the caller's
    struct drained d = {.hash = HASH_START, .last = 1};
    uint8_t *p = buf[wait];
    bool settled = false;
    while (d.bytes < most && d.calls < 1000) {
        uint32_t want = most - d.bytes < sizeof buf[0]
                            ? most - d.bytes
                            : (uint32_t)sizeof buf[0];
        d.last = k->net->recv(k->handle, p, want, 0, NULL, wait);
        if (d.last == -EAGAIN && !wait && !settled) {
            settle(); // there may be more than the ring holds
            settled = true;
            continue;
        }
        if (d.last < 0 || (d.last == 0 && k->stream)) {
            break;
        }
        settled = false;
        uint8_t mark = (uint8_t)d.last; // where a datagram ends counts
        mask(k, p, (size_t)d.last);
        d.hash = hash_of(d.hash, p, (size_t)d.last);
        d.hash = k->stream ? d.hash : hash_of(d.hash, &mark, 1);
        d.bytes += (uint32_t)d.last;
        d.calls++;
    }
    return d;
}

// drain NAME: everything that is there, and what comes then.
static void step_drain(struct step *s) {
    struct sock *k = sock(s);
    struct drained d = drain(k, UINT32_MAX, false);
    say(s, "%u %016llx ", d.bytes, (unsigned long long)d.hash);
    if (!k->stream) {
        say(s, "in %u ", d.calls);
    }
    say_result(s, d.last);
}

static void step_shutdown(struct step *s) {
    struct sock *k = sock(s);
    say_result(s, k->net->shutdown(k->handle, (int)number(s, 2)));
}

static void step_getsockname(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr a = {0};
    int r = k->net->getsockname(k->handle, &a);
    say_result(s, r);
    if (r >= 0) {
        say_addr(s, &a);
    }
}

static void step_getpeername(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr a = {0};
    int r = k->net->getpeername(k->handle, &a);
    say_result(s, r);
    if (r >= 0) {
        say_addr(s, &a);
    }
}

// setopt NAME LEVEL OPTION BYTES
static void step_setopt(struct step *s) {
    struct sock *k = sock(s);
    uint8_t val[8192];
    size_t len = bytes_of(word(s, 4), val, sizeof val);
    say_result(s, k->net->setopt(k->handle, (int)number(s, 2),
                      (int)number(s, 3), val, len));
}

// getopt NAME LEVEL OPTION ROOM [SHOWN]
static void step_getopt(struct step *s) {
    struct sock *k = sock(s);
    uint8_t val[8192 + CANARY];
    size_t room = (size_t)number(s, 4);
    size_t len = room < sizeof val - CANARY ? room : sizeof val - CANARY;
    size_t shown = s->count > 5 ? (size_t)number(s, 5) : 256;
    memset(val, CANARY_IS, sizeof val);
    int r = k->net->getopt(k->handle, (int)number(s, 2), (int)number(s, 3), val,
        &len);
    say_result(s, r);
    if (r >= 0) {
        say(s, " %zu ", len);
        for (size_t i = 0; i < len && i < shown; i++) {
            say(s, "%02x", val[i]);
        }
    }
    for (size_t i = 0; i < CANARY; i++) {
        if (val[room + i] != CANARY_IS) {
            say(s, " OVERRUN");
            break;
        }
    }
}

// poll TIMEOUT_MS NAME:EVENTS...: all of them the program's, or the peer's.
static void step_poll(struct step *s) {
    struct far_pollfd p[WORDS];
    size_t count = 0;
    const struct net *via = net;
    for (int i = 2; i < s->count; i++) {
        char *colon = strchr(s->words[i], ':');
        uint32_t events = colon ? (uint32_t)strtoul(colon + 1, NULL, 0) : 0;
        if (colon) {
            *colon = 0;
        }
        const struct sock *k = find(s->words[i]);
        via = k->net;
        p[count++] = (struct far_pollfd){k->handle, events, 0};
    }
    say_result(s, via->poll(p, count, (int)number(s, 1)));
    for (size_t i = 0; i < count; i++) {
        say(s, " 0x%x", (unsigned)p[i].revents);
    }
}

struct bulk {
    struct sock *to;
    uint32_t len;
    struct drained got;
};

static void *bulk_taker(void *arg) {
    struct bulk *b = arg;
    b->got = drain(b->to, b->len, true);
    return NULL;
}

// bulk FROM TO LENGTH PART: sends in parts while a thread receives.
static void step_bulk(struct step *s) {
    struct sock *k = sock(s);
    struct bulk b = {.to = find(word(s, 2)), .len = (uint32_t)number(s, 3)};
    uint32_t part = (uint32_t)number(s, 4);
    uint64_t hash = HASH_START;
    uint32_t done = 0;
    int r = 1;
    set_timeouts(k, LONG_MS);
    set_timeouts(b.to, LONG_MS);
    pthread_t t;
    if (pthread_create(&t, NULL, bulk_taker, &b)) {
        abort();
    }
    while (done < b.len && r > 0) {
        uint32_t len = b.len - done < part ? b.len - done : part;
        const uint8_t *p = content(k, len);
        r = k->net->send(k->handle, p, len, 0, NULL, true);
        if (r > 0) {
            hash = hash_of(hash, p, (size_t)r);
            done += (uint32_t)r;
            k->sent += (uint32_t)r;
        }
    }
    pthread_join(t, NULL);
    set_timeouts(k, SHORT_MS);
    set_timeouts(b.to, SHORT_MS);
    say(s, "%u sent ", done);
    say_result(s, r < 0 ? r : 0);
    say(s, ", %u received ", b.got.bytes);
    say_result(s, b.got.last < 0 ? b.got.last : 0);
    say(s, b.got.hash == hash ? " the same" : " DIFFERENT");
}

static void step_settle(struct step *s) {
    settle();
    say(s, "0");
}

static const struct {
    const char *name;
    void (*run)(struct step *s);
} table[] = {
    {"socket", step_socket},
    {"close", step_close},
    {"bind", step_bind},
    {"listen", step_listen},
    {"connect", step_connect},
    {"accept", step_accept},
    {"send", step_send},
    {"recv", step_recv},
    {"drain", step_drain},
    {"shutdown", step_shutdown},
    {"getsockname", step_getsockname},
    {"getpeername", step_getpeername},
    {"setopt", step_setopt},
    {"getopt", step_getopt},
    {"poll", step_poll},
    {"bulk", step_bulk},
    {"settle", step_settle},
    {"sendmsg", step_sendmsg},
    {"recvmsg", step_recvmsg},
    {"ioctl", step_ioctl},
    {"lookup", step_lookup},
    {"flags", step_flags},
    {"setfl", step_setfl},
    {"accept4", step_accept4},
    {"dup", step_dup},
    {"read", step_read},
    {"readv", step_read},
    {"write", step_write},
    {"writev", step_write},
    {"sendmmsg", step_sendmmsg},
    {"recvmmsg", step_recvmmsg},
    {"epoll", step_epoll},
    {"select", step_select},
    {"length", step_length},
    {"nameinfo", step_nameinfo},
    {"fault", step_fault},
};

// --- Programs ---

static void parse(struct step *s, const char *text, size_t len) {
    char *rest = NULL;
    s->count = 0;
    s->out_len = 0;
    s->out[0] = 0;
    snprintf(s->line, sizeof s->line, "%.*s", (int)len, text);
    char *w = strtok_r(s->line, " \n", &rest);
    for (; w && s->count < WORDS; w = strtok_r(NULL, " \n", &rest)) {
        s->words[s->count++] = w;
    }
}

static void run(struct step *s) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!strcmp(word(s, 0), table[i].name)) {
            table[i].run(s);
            return;
        }
    }
    say(s, "no such step");
}

struct later {
    struct step step;
    useconds_t delay_us;
};

static void *run_later(void *arg) {
    struct later *l = arg;
    usleep(l->delay_us);
    run(&l->step);
    return NULL;
}

// STEP | DELAY_MS STEP: the second is another thread's, while the first waits.
static void run_both(struct step *s, const char *bar) {
    static struct later l;
    char *rest = NULL;
    l.delay_us = (useconds_t)strtoul(bar + 1, &rest, 0) * 1000u;
    parse(&l.step, rest, strlen(rest));
    // The tables are looked up by both threads: names exist before they run.
    struct sock *k = sock(s);
    for (int i = 1; i < l.step.count; i++) {
        if (strchr("ps", l.step.words[i][0]) && l.step.words[i][1]) {
            find(l.step.words[i]);
        }
    }
    bool poll = !strcmp(word(s, 0), "poll");
    if (!poll && k->open) {
        set_timeouts(k, LONG_MS);
    }
    pthread_t t;
    if (pthread_create(&t, NULL, run_later, &l)) {
        abort();
    }
    run(s);
    pthread_join(t, NULL);
    if (!poll && k->open) {
        set_timeouts(k, SHORT_MS);
    }
    say(s, " | %s", l.step.out);
}

static void run_line(const char *line) {
    static struct step s;
    if (line[0] == '!') {
        line++; // does not wait for the effects of what was before
    } else {
        settle();
    }
    const char *bar = strchr(line, '|');
    parse(&s, line, bar ? (size_t)(bar - line) : strlen(line));
    if (s.count == 0) {
        return;
    }
    if (bar) {
        run_both(&s, bar);
    } else {
        run(&s);
    }
    out_len +=
        (size_t)snprintf(out + out_len, sizeof out - out_len, "%s\n", s.out);
}

// Closes everything with resets, so that nothing is left over for the next.
static uint32_t clean_up(void) {
    struct linger reset = {.l_onoff = 1};
    for (int i = 0; i < sock_count; i++) {
        struct sock *k = &socks[i];
        if (k->open) {
            k->net->setopt(k->handle, SOL_SOCKET, SO_LINGER, &reset,
                sizeof reset);
            k->net->close(k->handle);
        }
    }
    sock_count = 0;
    strange_count = 0;
    uint64_t end = now_ms() + QUIET_MS;
    uint32_t left = 0;
    while (is_far && (left = far_link_sockets(the_link())) && now_ms() < end) {
        settle();
        struct far_pollfd none = {-1, 0, 0};
        far_poll(the_link(), &none, 1, FAR_NOWAIT);
    }
    return left;
}

static void run_program(int count) {
    alarm(WATCH_S);
    for (int i = 0; i < count; i++) {
        run_line(lines[i]);
    }
    uint32_t left = clean_up();
    alarm(0);
    out_len += (size_t)snprintf(out + out_len, sizeof out - out_len,
        left ? "end %u sockets left\n" : "end\n", (unsigned)left);
    flush_out();
}

static void die(int number) {
    flush_out();
    signal(number, SIG_DFL);
    raise(number);
}

static int watch_far(const char *pid) {
    char path[80];
    snprintf(path, sizeof path, "/proc/%s/task/%s/stat", pid, pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int main(int argc, char **argv) {
    static const int deadly[] = {SIGALRM, SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
    int err = 0;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        signal(deadly[i], die);
    }
    net = net_open(argc > 1 ? argv[1] : "", &err);
    is_far = net == &net_over_link;
    if (argc > 2) {
        far_stat_fd = watch_far(argv[2]);
    }
    if (!net || ((is_far || argc > 2) && far_stat_fd < 0)) {
        fprintf(stderr, "executor: %s\n", far_strerror(err));
        return 1;
    }
    int count = 0;
    while (fgets(lines[count], LINE, stdin)) {
        if (!strncmp(lines[count], "ports ", 6)) {
            port_base = (uint32_t)strtoul(lines[count] + 6, NULL, 0);
        } else if (!strcmp(lines[count], "end\n")) {
            run_program(count);
            count = 0;
        } else if (count < STEPS - 1) {
            count++;
        }
    }
    net_close();
    return 0;
}
