// Where the engine asks the policy: socket options, and what is sent.
// SPDX-License-Identifier: MIT
#include "daemon/gate.h"

#include <errno.h>
#include <string.h>

#include <netinet/in.h>

// Newer kernels' options that this libc's headers may lack.
#ifndef IPV6_UNICAST_IF
    #define IPV6_UNICAST_IF 76
#endif
#ifndef IPV6_2292RTHDR
    #define IPV6_2292RTHDR 5
#endif
#ifndef IPV6_NEXTHOP
    #define IPV6_NEXTHOP 9
#endif

// Also those that a link cannot name today: one that sockopt.def gains must not
// open a way round the rules.
static const struct {
    int level, name;
    enum policy_option option; // 0: look at the group, whose place is at
    enum { NOTHING, GROUP4, GROUP6, GROUP_SA, SOURCE4, INDEX } holds;
    uint32_t at;
} table[] = {
    {SOL_SOCKET, SO_BINDTODEVICE, POLICY_DEVICE, NOTHING, 0},
    {SOL_SOCKET, SO_BINDTOIFINDEX, POLICY_DEVICE, NOTHING, 0},
    {IPPROTO_IP, IP_UNICAST_IF, POLICY_DEVICE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_UNICAST_IF, POLICY_DEVICE, NOTHING, 0},
    {SOL_SOCKET, SO_MARK, POLICY_MARK, NOTHING, 0},
    {IPPROTO_IP, IP_OPTIONS, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IP, IP_RETOPTS, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_2292PKTINFO, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_2292HOPOPTS, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_2292DSTOPTS, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_2292RTHDR, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_2292PKTOPTIONS, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_NEXTHOP, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_HOPOPTS, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_RTHDR, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_DSTOPTS, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_PKTINFO, POLICY_ROUTE, NOTHING, 0},
    {IPPROTO_IP, IP_HDRINCL, POLICY_HEADER, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_HDRINCL, POLICY_HEADER, NOTHING, 0},
    {IPPROTO_IP, IP_FREEBIND, POLICY_FREEBIND, NOTHING, 0},
    {IPPROTO_IP, IP_TRANSPARENT, POLICY_FREEBIND, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_FREEBIND, POLICY_FREEBIND, NOTHING, 0},
    {IPPROTO_IPV6, IPV6_TRANSPARENT, POLICY_FREEBIND, NOTHING, 0},
    {IPPROTO_IP, IP_MULTICAST_IF, 0, SOURCE4, 0},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, 0, INDEX, 0},
    {IPPROTO_IP, IP_ADD_MEMBERSHIP, 0, GROUP4, 0},
    {IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, 0, GROUP4, 0},
    {IPPROTO_IP, IP_MSFILTER, 0, GROUP4, 0},
    {IPPROTO_IPV6, IPV6_JOIN_GROUP, 0, GROUP6, 0},
    {IPPROTO_IPV6, IPV6_JOIN_ANYCAST, 0, GROUP6, 0},
    // As the kernel aligns a sockaddr_storage behind 32 bits.
    {IPPROTO_IP, MCAST_JOIN_GROUP, 0, GROUP_SA, sizeof(long)},
    {IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, 0, GROUP_SA, sizeof(long)},
    {IPPROTO_IP, MCAST_MSFILTER, 0, GROUP_SA, sizeof(long)},
    {IPPROTO_IPV6, MCAST_JOIN_GROUP, 0, GROUP_SA, sizeof(long)},
    {IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, 0, GROUP_SA, sizeof(long)},
    {IPPROTO_IPV6, MCAST_MSFILTER, 0, GROUP_SA, sizeof(long)},
};

static int ask(struct link *l, const struct policy_query *q, int err) {
    return gate_ask(l, q) ? 0 : err;
}

static int ask_option(struct link *l, enum policy_option option) {
    struct policy_query q = {.action = POLICY_OPTION, .option = option};
    return ask(l, &q, EPERM);
}

// An address in a value. False: it is shorter, which the kernel refuses.
static bool take_addr(struct policy_addr *a, uint32_t holds, uint32_t at,
    const void *val, uint32_t len) {
    struct sockaddr_storage sa = {.ss_family = AF_INET};
    socklen_t size = sizeof(struct sockaddr_in);
    const char *from = (const char *)val + at;
    uint32_t left = len > at ? len - at : 0;
    if (holds == GROUP_SA && left >= sizeof(struct sockaddr_in)) {
        size = left < sizeof sa ? left : sizeof sa;
        memcpy(&sa, from, size);
    } else if (holds == GROUP6 && left >= 16) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
        memcpy(&in6.sin6_addr, from, 16);
        memcpy(&sa, &in6, sizeof in6);
        size = sizeof in6;
    } else if (holds != GROUP_SA && left >= 4) {
        struct sockaddr_in in = {.sin_family = AF_INET};
        memcpy(&in.sin_addr, from, 4);
        memcpy(&sa, &in, sizeof in);
    } else {
        return false;
    }
    return policy_addr_of(a, &sa, size);
}

static uint16_t own_port(int fd) {
    struct sockaddr_storage sa;
    struct policy_addr a;
    socklen_t len = sizeof sa;
    bool known = getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
                 policy_addr_of(&a, &sa, len);
    return known ? a.port : 0;
}

// A source address, without bind().
static int ask_source(struct sock *s, struct policy_addr *a) {
    if (policy_is_unspecified(a)) {
        return 0;
    }
    a->port = own_port(s->fd);
    struct policy_query q = {
        .action = POLICY_BIND, .proto = s->policy_proto, .addr = *a};
    return ask(s->link, &q, EACCES);
}

// An interface by its index, 0 for none.
static int ask_index(struct sock *s, const void *val, uint32_t len,
    uint32_t at) {
    int32_t index = 0;
    if (len >= at + sizeof index) {
        memcpy(&index, (const char *)val + at, sizeof index);
    }
    return index ? ask_option(s->link, POLICY_DEVICE) : 0;
}

// struct in_addr, ip_mreq or ip_mreqn; only the last has an index.
static int ask_multicast_if(struct sock *s, const void *val, uint32_t len) {
    struct policy_addr a;
    int err = ask_index(s, val, len, 8);
    if (err || !take_addr(&a, SOURCE4, len < 8 ? 0 : 4, val, len)) {
        return err;
    }
    return ask_source(s, &a);
}

int gate_option(struct sock *s, int level, int name, const void *val,
    uint32_t len) {
    for (size_t i = 0; s->link->policy && i < sizeof table / sizeof *table;
         i++) {
        if (table[i].level != level || table[i].name != name) {
            continue;
        }
        struct policy_query q = {.action = POLICY_JOIN};
        if (table[i].option) {
            return ask_option(s->link, table[i].option);
        }
        if (table[i].holds == INDEX) {
            return ask_index(s, val, len, table[i].at);
        }
        if (table[i].holds == SOURCE4) {
            return ask_multicast_if(s, val, len);
        }
        if (!take_addr(&q.addr, table[i].holds, table[i].at, val, len)) {
            return 0;
        }
        return ask(s->link, &q, EACCES);
    }
    return 0;
}

// --- Control data ---

static int ask_pktinfo4(struct sock *s, const struct cmsghdr *c) {
    struct in_pktinfo info = {0};
    size_t len = c->cmsg_len - CMSG_LEN(0);
    memcpy(&info, CMSG_DATA(c), len < sizeof info ? len : sizeof info);
    struct policy_addr a = {.family = AF_INET};
    memcpy(a.ip, &info.ipi_spec_dst, 4);
    int err = info.ipi_ifindex ? ask_option(s->link, POLICY_DEVICE) : 0;
    return err ? err : ask_source(s, &a);
}

static int ask_pktinfo6(struct sock *s, const struct cmsghdr *c) {
    struct in6_pktinfo info = {0};
    size_t len = c->cmsg_len - CMSG_LEN(0);
    memcpy(&info, CMSG_DATA(c), len < sizeof info ? len : sizeof info);
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_addr = info.ipi6_addr};
    struct sockaddr_storage sa = {0};
    struct policy_addr a;
    memcpy(&sa, &in6, sizeof in6);
    policy_addr_of(&a, &sa, sizeof in6);
    int err = info.ipi6_ifindex ? ask_option(s->link, POLICY_DEVICE) : 0;
    return err ? err : ask_source(s, &a);
}

static int ask_control(struct sock *s, const struct cmsghdr *c) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        return ask_pktinfo4(s, c);
    }
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        return ask_pktinfo6(s, c);
    }
    return gate_option(s, c->cmsg_level, c->cmsg_type, CMSG_DATA(c),
        (uint32_t)(c->cmsg_len - CMSG_LEN(0)));
}

// --- Sending ---

// A connection made under other rules.
static int ask_peer(struct sock *s) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (s->policy_seen == s->link->policy_epoch ||
        getpeername(s->fd, (struct sockaddr *)&sa, &len) < 0) {
        return 0;
    }
    int err = gate_connect(s, &sa, len);
    s->policy_seen = err ? s->policy_seen : s->link->policy_epoch;
    return err;
}

// Of an adopted socket near says what it likes.
static bool is_ipv4(int fd) {
    int family = 0;
    socklen_t len = sizeof family;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0 &&
           family == AF_INET;
}

int gate_send(struct sock *s, struct msghdr *m) {
    struct sockaddr_storage *to = m->msg_name;
    if (!s->link->policy) {
        return 0;
    }
    if (to && to->ss_family == AF_UNSPEC && is_ipv4(s->fd)) {
        to->ss_family = AF_INET; // which it means here
    }
    int err = to ? gate_connect(s, to, m->msg_namelen) : 0;
    if (!err && (!to || to->ss_family == AF_UNSPEC)) {
        err = ask_peer(s);
    }
    err = err ? err : gate_local(s); // without an address it gets a port, too
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c && !err;
         c = CMSG_NXTHDR(m, c)) {
        err = ask_control(s, c);
    }
    return err;
}
