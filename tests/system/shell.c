// Makes one socket call for each line it reads, and prints its result: system
// tests are written once and run over the kernel's sockets and over a link.
// SPDX-License-Identifier: MIT
//
//   usage: shell native|far[:INDEX_BASE[:RING_BYTES[:SOCKETS]]]
//
// "ID& CALL" makes the call in a thread of its own; its line then begins with
// "ID: ". Bytes sent by sendn are a pattern by position, which recvn checks.

#include "shell.h"
#include "shell_bulk.h"
#include "shell_if.h"
#include "shell_msg.h"

#include <signal.h>

// --- Calls ---

static void call_socket(struct call *c) {
    struct named *n = sock(c);
    int s = net->socket(number(c, 2), number(c, 3), number(c, 4));
    n->sock = s;
    n->tx_pos = n->rx_pos = 0;
    answer(c, s < 0 ? s : 0, "");
}

static void call_close(struct call *c) {
    answer(c, net->close(sock(c)->sock), "");
}

static void call_bind(struct call *c) {
    struct far_addr a = addr_at(c, 2);
    answer(c, net->bind(sock(c)->sock, &a), "");
}

static void call_listen(struct call *c) {
    answer(c, net->listen(sock(c)->sock, number(c, 2)), "");
}

static void call_connect(struct call *c) {
    struct far_addr a = addr_at(c, 2);
    answer(c, net->connect(sock(c)->sock, &a, !has(c, "nowait")), "");
}

static void call_accept(struct call *c) {
    struct far_addr peer = {0};
    int s = net->accept(sock(c)->sock, &peer, !has(c, "nowait"));
    char text[80] = "";
    if (s >= 0) {
        struct named *n = find(word(c, 2));
        n->sock = s;
        n->tx_pos = n->rx_pos = 0;
        inet_ntop(peer.family, peer.ip, text, sizeof text);
    }
    answer(c, s < 0 ? s : 0, text);
}

static void call_send(struct call *c) {
    const char *text = word(c, 2);
    size_t len = strcmp(text, "-") ? strlen(text) : 0;
    answer(c,
        net->send(sock(c)->sock, text, len, flags(c), NULL, !has(c, "nowait")),
        "");
}

static void call_sendto(struct call *c) {
    struct far_addr to = addr_at(c, 3);
    static const uint8_t zeros[100000];
    const char *text = word(c, 2);
    size_t len = strlen(text);
    const void *buf = text;
    if (text[0] == '#') { // "#N": N zeros
        len = strtoul(text + 1, NULL, 0);
        buf = zeros;
    }
    answer(c,
        net->send(sock(c)->sock, buf, len, flags(c), &to, !has(c, "nowait")),
        "");
}

static void call_recv(struct call *c) {
    size_t len = (size_t)number(c, 2);
    struct far_addr from = {0};
    char *buf = calloc(1, len + 1);
    bool wait = !has(c, "nowait");
    bool with_from = has(c, "from");
    int n = net->recv(sock(c)->sock, buf, len, flags(c),
        with_from ? &from : NULL, wait);
    char text[200] = "";
    int shown = snprintf(text, sizeof text, "%.60s", buf);
    if (n >= 0 && with_from) {
        text[shown++] = ' ';
        addr_text(text + shown, sizeof text - (size_t)shown, &from);
    }
    answer(c, n, text);
    free(buf);
}

static void call_shutdown(struct call *c) {
    answer(c, net->shutdown(sock(c)->sock, number(c, 2)), "");
}

static void call_getsockname(struct call *c) {
    struct far_addr a = {0};
    char text[80];
    int r = net->getsockname(sock(c)->sock, &a);
    addr_text(text, sizeof text, &a);
    answer(c, r, text);
}

static void call_getpeername(struct call *c) {
    struct far_addr a = {0};
    char text[80];
    int r = net->getpeername(sock(c)->sock, &a);
    addr_text(text, sizeof text, &a);
    answer(c, r, text);
}

// LEVEL OPTION NUMBER...: as many 32-bit numbers as are given.
static void call_setopt(struct call *c) {
    int32_t val[8];
    for (int i = 0; i < 8; i++) {
        val[i] = number(c, 4 + i);
    }
    size_t len = sizeof val[0] * (size_t)(c->count > 4 ? c->count - 4 : 0);
    answer(c, net->setopt(sock(c)->sock, number(c, 2), number(c, 3), val, len),
        "");
}

// NAME LEVEL OPTION INTERFACE GROUP [SOURCE]: a struct group_req, or one with a
// source.
static void call_mcast(struct call *c) {
    struct group_source_req r = {.gsr_interface = (uint32_t)number(c, 4)};
    struct far_addr group = net_addr(word(c, 5), 0);
    struct far_addr source = net_addr(word(c, 6), 0);
    native_from_far(&r.gsr_group, &group);
    native_from_far(&r.gsr_source, &source);
    answer(c,
        net->setopt(sock(c)->sock, number(c, 2), number(c, 3), &r,
            word(c, 6)[0] ? sizeof r : sizeof(struct group_req)),
        "");
}

static void call_getopt(struct call *c) {
    int32_t val[64] = {0};
    size_t len = sizeof val;
    char text[80];
    int r = net->getopt(sock(c)->sock, number(c, 2), number(c, 3), val, &len);
    snprintf(text, sizeof text, "%zu %d", len, val[0]);
    answer(c, r, text);
}

// NAME EVENTS TIMEOUT_MS
static void call_poll(struct call *c) {
    struct far_pollfd p = {sock(c)->sock, (uint32_t)number(c, 2), 0};
    char text[80];
    int r = net->poll(&p, 1, number(c, 3));
    snprintf(text, sizeof text, "0x%x", (unsigned)p.revents);
    answer(c, r, text);
}

// FIRST COUNT EVENTS TIMEOUT_MS: of the sockets FIRST0, FIRST1...
static void call_pollmany(struct call *c) {
    int count = number(c, 2);
    struct far_pollfd *p = calloc((size_t)count, sizeof *p);
    char text[800] = "";
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%.8s%d", word(c, 1), i);
        p[i] = (struct far_pollfd){find(name)->sock, (uint32_t)number(c, 3), 0};
    }
    int r = net->poll(p, (size_t)count, number(c, 4));
    size_t used = 0;
    for (int i = 0; i < count && used < sizeof text - 16; i++) {
        if (p[i].revents) {
            used += (size_t)snprintf(text + used, sizeof text - used,
                "%s%d:0x%x", used ? " " : "", i, (unsigned)p[i].revents);
        }
    }
    answer(c, r, text);
    free(p);
}

// HOST SERVICE FAMILY TYPE; "-" is NULL
static void call_lookup(struct call *c) {
    const char *host = strcmp(word(c, 1), "-") ? word(c, 1) : NULL;
    const char *service = strcmp(word(c, 2), "-") ? word(c, 2) : NULL;
    struct far_gai_entry e[16];
    int n = net->lookup(host, service, number(c, 3), number(c, 4), e, 16);
    if (n < 0) {
        snprintf(c->answer, sizeof c->answer, "EAI %d", n);
        return;
    }
    char text[1000] = "";
    size_t used = 0;
    for (int i = 0; i < n; i++) {
        char addr[80];
        addr_text(addr, sizeof addr, &e[i].addr);
        used += (size_t)snprintf(text + used, sizeof text - used,
            "%s%s type %d proto %d", i ? ", " : "", addr, (int)e[i].type,
            (int)e[i].proto);
    }
    answer(c, n, text);
}

// Leaves without closing anything.
static void call_exit(struct call *c) {
    _exit(number(c, 1));
}

// A new link in place of the old one, for when farsockd came back.
static void call_link(struct call *c) {
    int err = 0;
    net_close();
    net_open(word(c, 1), &err);
    answer(c, err, "");
}

static void call_ping(struct call *c) {
    answer(c, 0, "");
}

static const struct {
    const char *name;
    void (*call)(struct call *c);
} calls[] = {
    {"socket", call_socket},
    {"close", call_close},
    {"bind", call_bind},
    {"listen", call_listen},
    {"connect", call_connect},
    {"accept", call_accept},
    {"send", call_send},
    {"sendto", call_sendto},
    {"sendmsg", call_sendmsg},
    {"recvmsg", call_recvmsg},
    {"sendmmsg", call_many},
    {"recvmmsg", call_many},
    {"ioctl", call_ioctl},
    {"ifreq", call_ifreq},
    {"ifconf", call_ifconf},
    {"ifaddrs", call_ifaddrs},
    {"ifindex", call_ifindex},
    {"ifname", call_ifname},
    {"buildn", call_buildn},
    {"readn", call_readn},
    {"sendn", call_sendn},
    {"recv", call_recv},
    {"recvn", call_recvn},
    {"shutdown", call_shutdown},
    {"getsockname", call_getsockname},
    {"getpeername", call_getpeername},
    {"setopt", call_setopt},
    {"getopt", call_getopt},
    {"mcast", call_mcast},
    {"poll", call_poll},
    {"pollmany", call_pollmany},
    {"lookup", call_lookup},
    {"link", call_link},
    {"exit", call_exit},
    {"ping", call_ping},
};

// --- Lines ---

static void make(struct call *c) {
    snprintf(c->answer, sizeof c->answer, "no such call");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (!strcmp(word(c, 0), calls[i].name)) {
            calls[i].call(c);
        }
    }
    pthread_mutex_lock(&out_lock);
    printf("%s%s%s\n", c->id, *c->id ? ": " : "", c->answer);
    fflush(stdout);
    pthread_mutex_unlock(&out_lock);
    free(c);
}

static void *make_in_thread(void *c) {
    make(c);
    return NULL;
}

static struct call *parse(const char *line) {
    struct call *c = calloc(1, sizeof *c);
    char *rest = NULL;
    snprintf(c->line, sizeof c->line, "%s", line);
    char *w = strtok_r(c->line, " \n", &rest);
    if (w && w[strlen(w) - 1] == '&') {
        snprintf(c->id, sizeof c->id, "%.*s", (int)strlen(w) - 1, w);
        w = strtok_r(NULL, " \n", &rest);
    }
    for (; w && c->count < WORDS; w = strtok_r(NULL, " \n", &rest)) {
        c->words[c->count++] = w;
    }
    return c;
}

int main(int argc, char **argv) {
    int err = 0;
    signal(SIGPIPE, SIG_IGN);
    net = net_open(argc > 1 ? argv[1] : "", &err);
    printf("%s\n", net ? "ready" : error_name(err));
    fflush(stdout);
    if (!net) {
        return 1;
    }
    char line[LINE];
    while (fgets(line, sizeof line, stdin)) {
        struct call *c = parse(line);
        // What a call has done that was answered before is this one's past.
        pthread_mutex_lock(&out_lock);
        pthread_mutex_unlock(&out_lock);
        pthread_t t;
        if (!c->id[0]) {
            make(c);
        } else if (!pthread_create(&t, NULL, make_in_thread, c)) {
            pthread_detach(t);
        }
    }
    // Threads may still be in calls: leave without closing the link.
    fflush(stdout);
    _exit(0);
}
