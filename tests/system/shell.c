// Makes one socket call for each line it reads, and prints its result: system
// tests are written once and run over the kernel's sockets and over a link.
// SPDX-License-Identifier: MIT
//
//   usage: shell native|far[:INDEX_BASE[:RING_BYTES[:SOCKETS]]]
//
// "ID& CALL" makes the call in a thread of its own; its line then begins with
// "ID: ". Bytes sent by sendn are a pattern by position, which recvn checks.

#include "netapi.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#define SOCKETS 8192
#define WORDS   24
#define LINE    4096
#define BULK    (1u << 20)
#define PATTERN 251u // a prime, so that no shift by a power of two fits

static const struct net *net;

static struct named {
    char name[16];
    int sock;
    uint32_t tx_pos;
    uint32_t rx_pos;
} table[SOCKETS];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;

struct call {
    char line[LINE]; // cut into words
    char id[16];
    char *words[WORDS];
    int count;
    char answer[LINE];
};

static struct named *find(const char *name) {
    struct named *found = NULL;
    pthread_mutex_lock(&table_lock);
    for (int i = 0; i < SOCKETS && !found; i++) {
        if (!table[i].name[0]) {
            snprintf(table[i].name, sizeof table[i].name, "%s", name);
            table[i].sock = -1;
        }
        if (!strcmp(table[i].name, name)) {
            found = &table[i];
        }
    }
    pthread_mutex_unlock(&table_lock);
    return found ? found : &table[0];
}

static const char *word(const struct call *c, int i) {
    return i < c->count ? c->words[i] : "";
}

static int number(const struct call *c, int i) {
    return (int)strtol(word(c, i), NULL, 0);
}

static struct named *sock(const struct call *c) {
    return find(word(c, 1));
}

static bool has(const struct call *c, const char *option) {
    for (int i = 2; i < c->count; i++) {
        if (!strcmp(c->words[i], option)) {
            return true;
        }
    }
    return false;
}

static int flags(const struct call *c) {
    return (has(c, "peek") ? MSG_PEEK : 0) |
           (has(c, "waitall") ? MSG_WAITALL : 0) |
           (has(c, "trunc") ? MSG_TRUNC : 0) | (has(c, "oob") ? MSG_OOB : 0) |
           (has(c, "more") ? MSG_MORE : 0) |
           (has(c, "dontroute") ? MSG_DONTROUTE : 0) |
           (has(c, "confirm") ? MSG_CONFIRM : 0) |
           (has(c, "errqueue") ? MSG_ERRQUEUE : 0);
}

static const char *error_name(int err) {
    const char *name = strerrorname_np(-err);
    return name ? name : far_strerror(err);
}

// The result, and what else there is to say if it is no error.
static void answer(struct call *c, int result, const char *more) {
    if (result < 0) {
        snprintf(c->answer, sizeof c->answer, "%s", error_name(result));
    } else {
        snprintf(c->answer, sizeof c->answer, "%d%s%s", result,
            *more ? " " : "", more);
    }
}

static void addr_text(char *out, size_t size, const struct far_addr *a) {
    char ip[INET6_ADDRSTRLEN] = "-";
    if (a->family) {
        inet_ntop(a->family, a->ip, ip, sizeof ip);
    }
    snprintf(out, size, "%s %d", ip, a->port);
}

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

// ADDR PORT, "@FAMILY" for an address of that family and no content, or
// "@FAMILY:ADDR PORT" for one that says another family than it has.
static struct far_addr addr_at(const struct call *c, int i) {
    const char *other = strchr(word(c, i), ':');
    if (word(c, i)[0] == '@' && other) {
        struct far_addr a = net_addr(other + 1, number(c, i + 1));
        a.family = (uint16_t)strtol(word(c, i) + 1, NULL, 0);
        return a;
    }
    if (word(c, i)[0] == '@') {
        return (struct far_addr){
            .family = (uint16_t)strtol(word(c, i) + 1, NULL, 0)};
    }
    return net_addr(word(c, i), number(c, i + 1));
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

// The word after option, 0 if it is not there.
static int after(const struct call *c, const char *option) {
    for (int i = 2; i < c->count; i++) {
        if (!strcmp(c->words[i], option)) {
            return i + 1;
        }
    }
    return 0;
}

#define PIECES 16

// "a,b,c" as pieces of text, or sizes of them.
static int split(char *text, char **parts) {
    int n = 0;
    for (char *p = text; p && n < PIECES; n++) {
        parts[n] = p;
        p = strchr(p, ',');
        if (p) {
            *p++ = '\0';
        }
    }
    return n;
}

// "ctl LEVEL TYPE BYTES NUMBER..." to the end of the line, of which BYTES
// count.
static size_t control(const struct call *c, void *buf, size_t size) {
    size_t used = 0;
    int i = after(c, "ctl");
    memset(buf, 0, size);
    while (i && i + 2 < c->count) {
        struct cmsghdr *h = (void *)((char *)buf + used);
        size_t len = (size_t)number(c, i + 2);
        h->cmsg_level = number(c, i);
        h->cmsg_type = number(c, i + 1);
        h->cmsg_len = CMSG_LEN(len);
        int32_t v[8] = {0};
        int n = 0;
        for (i += 3; n < 8 && i < c->count && strcmp(c->words[i], "ctl"); i++) {
            v[n++] = (int32_t)strtol(c->words[i], NULL, 0);
        }
        memcpy(CMSG_DATA(h), v, len < sizeof v ? len : sizeof v);
        used += CMSG_SPACE(len);
        i = i < c->count ? i + 1 : 0;
    }
    return used;
}

// NAME TEXT,TEXT... [to ADDR PORT] [FLAG]... [lie LEN] [ctl ...]
// lie: what the first item of control data says that its length is.
static void call_sendmsg(struct call *c) {
    struct iovec iov[PIECES];
    char *parts[PIECES];
    uint64_t ctl[64];
    struct sockaddr_storage ss;
    int count = split(c->words[2], parts);
    for (int i = 0; i < count; i++) {
        size_t len = strcmp(parts[i], "-") ? strlen(parts[i]) : 0;
        iov[i] = (struct iovec){parts[i], len};
    }
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    int to = after(c, "to");
    if (to) {
        struct far_addr a = addr_at(c, to);
        m.msg_namelen = native_from_far(&ss, &a);
        m.msg_name = &ss;
    }
    m.msg_controllen = control(c, ctl, sizeof ctl);
    m.msg_control = m.msg_controllen ? ctl : NULL;
    int lie = after(c, "lie");
    if (lie) {
        ((struct cmsghdr *)(void *)ctl)->cmsg_len = (size_t)number(c, lie);
    }
    answer(c, net->sendmsg(sock(c)->sock, &m, flags(c), !has(c, "nowait")), "");
}

// A time is right if it is about now; of three, the first.
static size_t time_text(char *out, size_t size, const struct cmsghdr *h) {
    long t[2];
    memcpy(t, CMSG_DATA(h), sizeof t);
    bool fraction = h->cmsg_type == SO_TIMESTAMP ? t[1] < 1000000 : t[1] > 0;
    bool good = labs(t[0] - (long)time(NULL)) < 60 && fraction;
    return (size_t)snprintf(out, size, good ? "now" : "wrong");
}

static size_t ctl_text(char *out, size_t size, struct msghdr *m) {
    size_t used = 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        size_t len = h->cmsg_len - CMSG_LEN(0);
        used += (size_t)snprintf(out + used, size - used,
            " %d/%d:", h->cmsg_level, h->cmsg_type);
        if (h->cmsg_level == SOL_SOCKET) {
            used += len == 16 || len == 48
                        ? time_text(out + used, size - used, h)
                        : (size_t)snprintf(out + used, size - used, "%zu bytes",
                              len);
            continue;
        }
        for (size_t i = 0; i < len; i++) {
            used += (size_t)snprintf(out + used, size - used, "%02x",
                CMSG_DATA(h)[i]);
        }
    }
    return used;
}

static void received_text(char *out, size_t size, const struct iovec *iov,
    int count, int n, struct msghdr *m) {
    struct far_addr a = {0};
    char addr[80];
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        int len = n < (int)iov[i].iov_len ? n : (int)iov[i].iov_len;
        used += (size_t)snprintf(out + used, size - used, "%.*s,", len,
            (char *)iov[i].iov_base);
        n -= len;
    }
    if (m->msg_namelen) {
        native_to_far(&a, m->msg_name);
    }
    addr_text(addr, sizeof addr, &a);
    used += (size_t)snprintf(out + used, size - used, " %s 0x%x ctl %zu", addr,
        (unsigned)m->msg_flags, (size_t)m->msg_controllen);
    ctl_text(out + used, size - used, m);
}

// NAME SIZE,SIZE... [FLAG]... [room BYTES]
static void call_recvmsg(struct call *c) {
    static char bytes[PIECES][4096];
    struct iovec iov[PIECES];
    char *parts[PIECES];
    uint64_t ctl[64] = {0};
    struct sockaddr_storage ss = {0};
    int count = split(c->words[2], parts);
    for (int i = 0; i < count; i++) {
        iov[i] = (struct iovec){bytes[i], strtoul(parts[i], NULL, 0)};
    }
    struct msghdr m = {
        .msg_name = &ss,
        .msg_namelen = sizeof ss,
        .msg_iov = iov,
        .msg_iovlen = (size_t)count,
        .msg_control = ctl,
        .msg_controllen =
            has(c, "room") ? (size_t)number(c, after(c, "room")) : sizeof ctl,
    };
    int n = net->recvmsg(sock(c)->sock, &m, flags(c), !has(c, "nowait"));
    char text[2000] = "";
    if (n >= 0) {
        received_text(text, sizeof text, iov, count, n, &m);
    }
    answer(c, n, text);
}

// NAME REQUEST: one that gives a number.
static void call_ioctl(struct call *c) {
    char text[20];
    int value = -1;
    int r = net->ioctl(sock(c)->sock, strtoul(word(c, 2), NULL, 0), &value);
    snprintf(text, sizeof text, "%d", value);
    answer(c, r, text);
}

// NAME REQUEST INTERFACE|INDEX: one of struct ifreq.
static void call_ifreq(struct call *c) {
    unsigned long request = strtoul(word(c, 2), NULL, 0);
    struct ifreq r = {0};
    char text[200];
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", word(c, 3));
    if (request == SIOCGIFNAME) {
        r.ifr_ifindex = number(c, 3);
    }
    int err = net->ioctl(sock(c)->sock, request, &r);
    size_t used = (size_t)snprintf(text, sizeof text, "%s ", r.ifr_name);
    for (size_t i = 0; i < sizeof r.ifr_addr; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%02x",
            ((uint8_t *)&r.ifr_addr)[i]);
    }
    answer(c, err, text);
}

// NAME BYTES: SIOCGIFCONF with that much room, 0: none.
static void call_ifconf(struct call *c) {
    struct ifreq r[16];
    struct ifconf conf = {.ifc_len = number(c, 2)};
    char text[200] = "";
    conf.ifc_req = conf.ifc_len ? r : NULL;
    int err = net->ioctl(sock(c)->sock, SIOCGIFCONF, &conf);
    size_t used = (size_t)snprintf(text, sizeof text, "%d bytes", conf.ifc_len);
    for (int i = 0; conf.ifc_req && i < conf.ifc_len / (int)sizeof *r; i++) {
        struct sockaddr_in in;
        memcpy(&in, &r[i].ifr_addr, sizeof in);
        used += (size_t)snprintf(text + used, sizeof text - used, " %s %08x",
            r[i].ifr_name, (unsigned)ntohl(in.sin_addr.s_addr));
    }
    answer(c, err, text);
}

static size_t sockaddr_text(char *out, size_t size, const char *what,
    const struct sockaddr *sa) {
    struct sockaddr_storage ss = {0};
    struct far_addr a;
    char text[80];
    if (!sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)) {
        return (size_t)snprintf(out, size, " %s %d", what,
            sa ? (int)sa->sa_family : -1);
    }
    memcpy(&ss, sa,
        sa->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                 : sizeof(struct sockaddr_in6));
    native_to_far(&a, &ss);
    addr_text(text, sizeof text, &a);
    return (size_t)snprintf(out, size, " %s %s", what, text);
}

static void call_ifaddrs(struct call *c) {
    struct ifaddrs *list = NULL;
    char text[2000] = "";
    size_t used = 0;
    int r = net->getifaddrs(&list);
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s 0x%x",
            i->ifa_name, i->ifa_flags);
        used +=
            sockaddr_text(text + used, sizeof text - used, "addr", i->ifa_addr);
        used += sockaddr_text(text + used, sizeof text - used, "mask",
            i->ifa_netmask);
        used += (size_t)snprintf(text + used, sizeof text - used, "; ");
    }
    net->freeifaddrs(list);
    answer(c, r, text);
}

// NAME
static void call_ifindex(struct call *c) {
    answer(c, net->if_nametoindex(word(c, 1)), "");
}

// INDEX
static void call_ifname(struct call *c) {
    char name[IF_NAMESIZE] = "";
    int r = net->if_indextoname((unsigned)number(c, 1), name);
    answer(c, r, name);
}

static void pattern(uint8_t *buf, uint32_t pos, uint32_t len) {
    for (uint32_t i = 0; i < len; i++) {
        buf[i] = (uint8_t)((pos + i) % PATTERN);
    }
}

// Sends COUNT bytes of the pattern (nowait: until the buffers are full) in
// calls of at most STEP bytes.
static void call_sendn(struct call *c) {
    struct named *n = sock(c);
    uint32_t count = (uint32_t)number(c, 2);
    uint32_t step = number(c, 3) > 0 ? (uint32_t)number(c, 3) : BULK;
    uint8_t *buf = malloc(step);
    uint32_t done = 0;
    int r = 0;
    while (done < count && r >= 0) {
        uint32_t len = count - done < step ? count - done : step;
        pattern(buf, n->tx_pos, len);
        r = net->send(n->sock, buf, len, 0, NULL, !has(c, "nowait"));
        if (r > 0) {
            done += (uint32_t)r;
            n->tx_pos += (uint32_t)r;
        }
    }
    free(buf);
    answer(c, (int)done, r < 0 ? error_name(r) : "");
}

// Takes COUNT bytes, or what there is before the end or an error, in calls of
// at most STEP bytes.
static void call_recvn(struct call *c) {
    struct named *n = sock(c);
    uint32_t count = (uint32_t)number(c, 2);
    uint32_t step = number(c, 3) > 0 ? (uint32_t)number(c, 3) : BULK;
    uint8_t *buf = malloc(2 * (size_t)step);
    uint32_t done = 0;
    const char *good = "good";
    int r = 1;
    while (done < count && r > 0) {
        uint32_t len = count - done < step ? count - done : step;
        r = net->recv(n->sock, buf, len, 0, NULL, !has(c, "nowait"));
        if (r > 0) {
            pattern(buf + step, n->rx_pos, (uint32_t)r);
            good = memcmp(buf, buf + step, (size_t)r) ? "bad" : good;
            done += (uint32_t)r;
            n->rx_pos += (uint32_t)r;
        }
    }
    free(buf);
    char text[80];
    snprintf(text, sizeof text, "%s%s%s", good, r <= 0 ? " " : "",
        r < 0 ? error_name(r) : (r == 0 ? "end" : ""));
    answer(c, (int)done, text);
}

// As sendn, building in place.
static void call_buildn(struct call *c) {
    struct named *n = sock(c);
    uint32_t count = (uint32_t)number(c, 2);
    size_t step = number(c, 3) > 0 ? (size_t)number(c, 3) : BULK;
    uint32_t done = 0;
    int r = 1;
    while (done < count && r > 0) {
        void *p = NULL;
        size_t want = count - done < step ? count - done : step;
        r = net->reserve(n->sock, &p, want, !has(c, "nowait"));
        if (r > 0) {
            uint32_t got = (uint32_t)r;
            pattern(p, n->tx_pos, got);
            r = net->commit(n->sock, got);
            done += r < 0 ? 0 : got;
            n->tx_pos += got;
            r = r < 0 ? r : 1;
        }
    }
    answer(c, (int)done, r < 0 ? error_name(r) : "");
}

// As recvn, reading in place.
static void call_readn(struct call *c) {
    struct named *n = sock(c);
    uint32_t count = (uint32_t)number(c, 2);
    size_t step = number(c, 3) > 0 ? (size_t)number(c, 3) : BULK;
    uint8_t *should = malloc(step);
    uint32_t done = 0;
    const char *good = "good";
    int r = 1;
    while (done < count && r > 0) {
        const void *p = NULL;
        size_t want = count - done < step ? count - done : step;
        r = net->peek(n->sock, &p, want, !has(c, "nowait"));
        if (r > 0) {
            pattern(should, n->rx_pos, (uint32_t)r);
            good = memcmp(p, should, (size_t)r) ? "bad" : good;
            done += (uint32_t)r;
            n->rx_pos += (uint32_t)r;
            good = net->consume(n->sock, (size_t)r) ? "bad" : good;
        }
    }
    free(should);
    char text[80];
    snprintf(text, sizeof text, "%s%s%s", good, r <= 0 ? " " : "",
        r < 0 ? error_name(r) : (r == 0 ? "end" : ""));
    answer(c, (int)done, text);
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
