// Runs programs of socket calls over the kernel's sockets or over a link, and
// prints what each call gave: the two must be the same.
// SPDX-License-Identifier: MIT
//
//   usage: executor native
//          executor far[:INDEX_BASE[:RING_BYTES[:SOCKETS]]] FARSOCKD_PID
//
// A program is lines, a step each, between "ports FIRST" and "end"; README.md
// has the steps. Names that begin with p are the peer's: the kernel's sockets
// in both modes.

#include "system/netapi.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <time.h>

#define NAMES     64
#define STEPS     512
#define WORDS     16
#define LINE      2400
#define ROOM      (1u << 20) // bytes of the buffers; more is never touched
#define CANARY    16u
#define CANARY_IS 0xa5
#define PORTS     12u  // of a program's own
#define QUIET_MS  2000 // for farsockd to come to rest
#define WATCH_S   10   // for a program
#define SHORT_MS  20   // of SO_RCVTIMEO: a whole number of any kernel's ticks
#define LONG_MS   400  // while somebody else is about to act

struct sock {
    char name[8];
    const struct net *net;
    int handle;
    bool open;
    bool stream;
    uint32_t sent;
};

struct step {
    char line[LINE]; // cut into words
    char *words[WORDS];
    int count;
    char out[LINE];
    size_t out_len;
};

static const struct net *net;
static bool is_far;
static int far_stat_fd = -1; // of farsockd's main thread

static struct sock socks[NAMES];
static int sock_count;
static uint32_t port_base;
static uint16_t strange_ports[256]; // in the order in which they were seen
static uint32_t strange_count;
static char lines[STEPS][LINE];

// What the program printed: whole, so that a signal handler can write it.
static char out[1u << 20];
static size_t out_len;

// --- Output ---

static void flush_out(void) {
    size_t done = 0;
    while (done < out_len) {
        ssize_t n = write(STDOUT_FILENO, out + done, out_len - done);
        if (n < 0) {
            break;
        }
        done += (size_t)n;
    }
    out_len = 0;
}

__attribute__((format(printf, 2, 3))) static void say(struct step *s,
    const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(s->out + s->out_len, sizeof s->out - s->out_len, format,
        args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof s->out - s->out_len) {
        s->out_len += (size_t)n;
    }
}

static void say_result(struct step *s, int r) {
    const char *name = r < 0 ? strerrorname_np(-r) : NULL;
    if (r >= 0) {
        say(s, "%d", r);
    } else if (name) {
        say(s, "%s", name);
    } else {
        say(s, "error %d", -r);
    }
}

// A port by a name that is the same in every run.
static void say_port(struct step *s, uint32_t port) {
    if (port >= port_base && port < port_base + PORTS) {
        say(s, "P%u", port - port_base);
        return;
    }
    uint32_t i = 0;
    while (i < strange_count && strange_ports[i] != port) {
        i++;
    }
    if (port == 0 || i == sizeof strange_ports / sizeof strange_ports[0]) {
        say(s, "%u", port);
        return;
    }
    if (i == strange_count) {
        strange_ports[strange_count++] = (uint16_t)port;
    }
    say(s, "e%u", i);
}

static void say_addr(struct step *s, const struct far_addr *a) {
    char ip[INET6_ADDRSTRLEN] = "none";
    if (a->family) {
        inet_ntop(a->family, a->ip, ip, sizeof ip);
    }
    say(s, " %s/", ip);
    say_port(s, a->port);
    if (a->scope || a->flowinfo) {
        say(s, "/%u/%u", (unsigned)a->scope, (unsigned)a->flowinfo);
    }
}

// --- Words ---

static const char *word(const struct step *s, int i) {
    return i < s->count ? s->words[i] : "-";
}

static long number(const struct step *s, int i) {
    return strtol(word(s, i), NULL, 0);
}

static bool waits(const struct step *s) {
    return !strcmp(s->words[s->count - 1], "wait");
}

static struct sock *find(const char *name) {
    for (int i = 0; i < sock_count; i++) {
        if (!strcmp(socks[i].name, name)) {
            return &socks[i];
        }
    }
    struct sock *k = &socks[sock_count < NAMES - 1 ? sock_count++ : NAMES - 1];
    *k = (struct sock){.net = name[0] == 'p' ? &net_native : net, .handle = -1};
    snprintf(k->name, sizeof k->name, "%s", name);
    return k;
}

static struct sock *sock(const struct step *s) {
    return find(word(s, 1));
}

// "-" none, "@FAMILY", "=NAME" the address of that socket, or IP/PORT[/SCOPE]
// where P3 is the third of the program's own ports. False: none.
static bool addr_at(const struct step *s, int i, struct far_addr *a) {
    char text[80];
    char *rest = NULL;
    const char *w = word(s, i);
    *a = (struct far_addr){0};
    if (w[0] == '-') {
        return false;
    }
    if (w[0] == '@') {
        a->family = (uint16_t)strtol(w + 1, NULL, 0);
        return true;
    }
    if (w[0] == '=') {
        const struct sock *k = find(w + 1);
        k->net->getsockname(k->handle, a);
        return true;
    }
    snprintf(text, sizeof text, "%s", w);
    const char *ip = strtok_r(text, "/", &rest);
    const char *port = strtok_r(NULL, "/", &rest);
    const char *scope = strtok_r(NULL, "/", &rest);
    bool own = port && port[0] == 'P';
    long n = port ? strtol(port + own, NULL, 0) : 0;
    *a = net_addr(ip ? ip : "", (int)(own ? n + (long)port_base : n));
    a->scope = scope ? (uint32_t)strtoul(scope, NULL, 0) : 0;
    return true;
}

// Pairs of digits, or *N for N zero bytes. Bytes.
static size_t bytes_of(const char *text, uint8_t *to, size_t room) {
    if (text[0] == '*') {
        size_t n = strtoul(text + 1, NULL, 0);
        n = n < room ? n : room;
        memset(to, 0, n);
        return n;
    }
    size_t n = 0;
    for (; text[0] && text[0] != '-' && text[1] && n < room; text += 2) {
        char pair[3] = {text[0], text[1], 0};
        to[n++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static uint64_t hash_of(uint64_t h, const uint8_t *p, size_t len) {
    for (size_t i = 0; i < len; i++) {
        h = (h ^ p[i]) * 1099511628211u;
    }
    return h;
}

#define HASH_START 14695981039346656037u

// --- Rest ---

static uint64_t now_ms(void) {
    return far_posix_now() / 1000000u;
}

// True if farsockd sleeps. It sleeps only with nothing left to do: its epoll is
// edge-triggered, and whoever gives it work makes it runnable before going on.
static bool far_sleeps(void) {
    char text[512];
    ssize_t n = pread(far_stat_fd, text, sizeof text - 1, 0);
    if (n <= 0) {
        return true; // it is gone; the calls will say so
    }
    text[n] = 0;
    const char *end = strrchr(text, ')');
    return end && end[2] == 'S';
}

// Waits until what was done has had its effect at the other side.
static void settle(void) {
    uint64_t end = now_ms() + QUIET_MS;
    if (!is_far) {
        return;
    }
    // Twice: packets of the kernel's own may be on their way to it.
    for (int quiet = 0; quiet < 2 && now_ms() < end;) {
        if (far_sleeps()) {
            quiet++;
        } else {
            quiet = 0;
            sched_yield();
        }
    }
}

static void set_timeouts(const struct sock *k, int ms) {
    int64_t tv[2] = {0, ms * 1000};
    k->net->setopt(k->handle, SOL_SOCKET, SO_RCVTIMEO, tv, sizeof tv);
    k->net->setopt(k->handle, SOL_SOCKET, SO_SNDTIMEO, tv, sizeof tv);
}

// A new socket: nothing waits for long, and small sends do not wait for others.
static void prepare(struct sock *k, int handle, bool stream) {
    int on = 1;
    k->handle = handle;
    k->open = true;
    k->stream = stream;
    set_timeouts(k, SHORT_MS);
    if (stream) {
        k->net->setopt(handle, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

// A closed handle is used again: over the link it stays one that is not open.
// Natively the number may have become another socket's.
static void forget(struct sock *k) {
    bool was_open = k->open;
    k->open = false;
    if (was_open && k->net == &net_native) {
        k->handle = 1000000;
    }
}

// --- Steps ---

static void step_socket(struct step *s) {
    struct sock *k = sock(s);
    int type = (int)number(s, 3);
    int r = k->net->socket((int)number(s, 2), type, (int)number(s, 4));
    if (r >= 0) {
        if (k->open) {
            k->net->close(k->handle);
        }
        prepare(k, r, type == SOCK_STREAM);
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

static const uint8_t *content(struct sock *k, size_t len) {
    static uint8_t buf[ROOM];
    uint32_t salt = (uint32_t)k->name[0] * 31u + (uint32_t)k->name[1];
    size_t n = len < ROOM ? len : ROOM;
    for (size_t i = 0; i < n; i++) {
        uint32_t at = k->sent + (uint32_t)i;
        buf[i] = (uint8_t)(at * 167u + (at >> 8) + salt);
    }
    return buf;
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

static uint8_t *room_for(size_t len) {
    static uint8_t *buf;
    if (!buf) {
        buf = mmap(NULL, ROOM + CANARY, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    memset(buf, CANARY_IS, (len < ROOM ? len : ROOM) + CANARY);
    return buf;
}

static bool canary_lives(const uint8_t *buf, size_t len) {
    for (size_t i = 0; len < ROOM && i < CANARY; i++) {
        if (buf[len + i] != CANARY_IS) {
            return false;
        }
    }
    return true;
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
    if (k->net != &net_native) {
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
    native_block(k->handle, true);
    long n = recvmsg(k->handle, &m, r->flags | (r->wait ? 0 : MSG_DONTWAIT));
    if (n >= 0) {
        native_to_far(&r->from, &ss);
        r->out_flags = (uint32_t)m.msg_flags & MSG_TRUNC;
    }
    return native_result(n);
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
    if (is_far && argc > 2) {
        far_stat_fd = watch_far(argv[2]);
    }
    if (!net || (is_far && far_stat_fd < 0)) {
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
