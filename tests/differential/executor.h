// What the steps of the executor share: sockets, words, output, rest.
// SPDX-License-Identifier: MIT
#ifndef EXECUTOR_H
#define EXECUTOR_H

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
#define LONG_MS   1000 // while somebody else is about to act

struct sock {
    char name[8];
    const struct net *net;
    int handle;
    bool open;
    bool stream;
    bool raw4; // what comes begins with an IPv4 header
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
static bool is_far; // the program's are handles of a link
// The peers' sockets are the kernel's whatever is preloaded (kernel.c).
extern const struct net *const net_kernel;
static int far_stat_fd = -1; // of farsockd's main thread

static struct sock socks[NAMES];
static _Atomic int sock_count;
static pthread_mutex_t naming =
    PTHREAD_MUTEX_INITIALIZER; // two threads may find()
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

// own3 is the program's own, as ports are: of what has no ports.
static bool is_own(const uint8_t *ip) {
    return ip[1] == port_base >> 8 && ip[2] == (port_base & 0xff);
}

// One that nobody has but raw sockets of this program: what one of another
// program sends would reach those that are not bound yet.
static uint32_t own_protocol(void) {
    return 143 + port_base / PORTS % 110;
}

static void say_addr(struct step *s, const struct far_addr *a) {
    char ip[INET6_ADDRSTRLEN] = "none";
    if (a->family == AF_INET && a->ip[0] == 127 && is_own(a->ip)) {
        snprintf(ip, sizeof ip, "own%u", a->ip[3]);
    } else if (a->family) {
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

static struct sock *find_or_add(const char *name) {
    for (int i = 0; i < sock_count; i++) {
        if (!strcmp(socks[i].name, name)) {
            return &socks[i];
        }
    }
    int at = sock_count < NAMES - 1 ? sock_count : NAMES - 1;
    struct sock *k = &socks[at];
    *k = (struct sock){.net = name[0] == 'p' ? net_kernel : net, .handle = -1};
    snprintf(k->name, sizeof k->name, "%s", name);
    sock_count = at < NAMES - 1 ? at + 1 : sock_count;
    return k;
}

static struct sock *find(const char *name) {
    pthread_mutex_lock(&naming);
    struct sock *k = find_or_add(name);
    pthread_mutex_unlock(&naming);
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
    char own_ip[sizeof text + 16];
    if (ip && !strncmp(ip, "own", 3)) {
        snprintf(own_ip, sizeof own_ip, "127.%u.%u.%s", port_base >> 8,
            port_base & 0xff, ip + 3);
        ip = own_ip;
    }
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
    if (far_stat_fd < 0) {
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
    int64_t tv[2] = {ms / 1000, ms % 1000 * 1000};
    int64_t tv_send[2] = {LONG_MS / 1000, LONG_MS % 1000 * 1000};
    k->net->setopt(k->handle, SOL_SOCKET, SO_RCVTIMEO, tv, sizeof tv);
    // No program fills buffers, but a link's ring may need farsockd's turn.
    k->net->setopt(k->handle, SOL_SOCKET, SO_SNDTIMEO, tv_send, sizeof tv_send);
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
    if (was_open && k->net != &net_over_link) {
        k->handle = 1000000;
    }
}

// --- Buffers ---

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

static uint8_t *room_for(size_t len) {
    static uint8_t *buf;
    if (!buf) {
        buf = mmap(NULL, ROOM + CANARY, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    memset(buf, CANARY_IS, (len < ROOM ? len : ROOM) + CANARY);
    return buf;
}

// Of a raw socket: without the header's identification, protocol and checksum,
// which are not the same in each run, and without addresses.
static void mask(const struct sock *k, uint8_t *buf, size_t len) {
    static const uint8_t varying[] = {4, 5, 9, 10, 11, 13, 14, 17, 18};
    for (size_t i = 0; k->raw4 && i < sizeof varying; i++) {
        if (varying[i] < len) {
            buf[varying[i]] = 0;
        }
    }
}

static bool canary_lives(const uint8_t *buf, size_t len) {
    for (size_t i = 0; len < ROOM && i < CANARY; i++) {
        if (buf[len + i] != CANARY_IS) {
            return false;
        }
    }
    return true;
}

#endif
