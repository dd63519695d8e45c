// Where the engine asks the policy: sockets, addresses, names.
// SPDX-License-Identifier: MIT
#include "daemon/gate.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <string.h>

#include <netinet/in.h>

#include "daemon/host_options.h"
#include "daemon/log.h"

// --- The verdict, counted and told ---

static void tell(const struct link *l, const struct policy_verdict *v,
    const struct policy_query *q, uint64_t more) {
    char text[POLICY_SAY];
    char rule[POLICY_SAY] = "the default";
    char rest[48] = "";
    policy_query_text(q, text, sizeof text);
    if (v->rule) {
        snprintf(rule, sizeof rule, "line %u, \"%s\"", v->rule->line,
            v->rule->text);
    }
    if (more) {
        snprintf(rest, sizeof rest, " (and %" PRIu64 " more before)", more);
    }
    far_log(FAR_LOG_WARN,
        "link %u (%s, user %u): refused %s: [policy%s%s] %s%s", l->id,
        l->spec.name, l->spec.uid, text, *l->policy->name ? " " : "",
        l->policy->name, rule, rest);
}

static bool settle(struct link *l, const struct policy_verdict *v,
    const struct policy_query *q) {
    uint64_t more = 0;
    if (policy_count(l->policy, v, now_ns() / 1000000000u, &more)) {
        tell(l, v, q, more);
    }
    return v->allow;
}

bool gate_ask(struct link *l, const struct policy_query *q) {
    struct policy_verdict v = policy_decide(l->policy, q);
    return settle(l, &v, q);
}

// --- Which sockets ---

uint32_t gate_proto(int type, int proto) {
    bool icmp = proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
    bool tcp = proto == 0 || proto == IPPROTO_TCP || proto == IPPROTO_MPTCP;
    bool udp = proto == 0 || proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE;
    return type == SOCK_STREAM && tcp                         ? POLICY_TCP
           : type == SOCK_DGRAM && udp                        ? POLICY_UDP
           : (type == SOCK_DGRAM || type == SOCK_RAW) && icmp ? POLICY_ICMP
                                                              : POLICY_RAW;
}

static bool allows_option(struct link *l, enum policy_option option) {
    struct policy_query q = {.action = POLICY_OPTION, .option = option};
    return gate_ask(l, &q);
}

int gate_socket(struct link *l, int type, int proto) {
    if (!l->policy) {
        return 0;
    }
    uint32_t p = gate_proto(type, proto);
    // Datagrams and streams do nothing before they name an address; a raw
    // socket hears everything from the start.
    bool hears = p == POLICY_ICMP || p == POLICY_RAW;
    if (hears && !policy_has(l->policy, p)) {
        struct policy_query q = {
            .action = POLICY_BIND, .proto = p, .addr.family = AF_INET};
        struct policy_verdict v = {false, NULL};
        settle(l, &v, &q);
        return EPERM;
    }
    bool writes_header = type == SOCK_RAW && proto == IPPROTO_RAW;
    return writes_header && !allows_option(l, POLICY_HEADER) ? EPERM : 0;
}

// --- Addresses ---

static void set_port(struct sockaddr_storage *sa, uint16_t port) {
    struct sockaddr_in in; // the port is at the same place in both
    memcpy(&in, sa, sizeof in);
    in.sin_port = htons(port);
    memcpy(sa, &in, sizeof in);
}

static bool local_addr(int fd, struct sockaddr_storage *sa,
    struct policy_addr *out) {
    socklen_t len = sizeof *sa;
    return getsockname(fd, (struct sockaddr *)sa, &len) == 0 &&
           policy_addr_of(out, sa, len);
}

// As a destination the unspecified address is the socket's own, or else
// loopback. Which the kernel takes depends on more than the address, so it gets
// the one that was judged.
static void name_self(const struct sock *s, struct sockaddr_storage *to,
    struct policy_addr *a) {
    struct sockaddr_storage own = {0};
    struct policy_addr mine = {0};
    uint16_t port = a->port;
    if (local_addr(s->fd, &own, &mine) && !policy_is_unspecified(&mine) &&
        own.ss_family == to->ss_family && mine.family == a->family) {
        *to = own;
        set_port(to, port);
        *a = mine;
        a->port = port;
        return;
    }
    struct sockaddr_in6 in6;
    struct sockaddr_in in;
    memcpy(&in6, to, sizeof in6);
    memcpy(&in, to, sizeof in);
    const uint32_t loopback = htonl(INADDR_LOOPBACK);
    if (a->family == AF_INET6) {
        in6.sin6_addr = in6addr_loopback;
    } else if (to->ss_family == AF_INET6) {
        memcpy(in6.sin6_addr.s6_addr + 12, &loopback, sizeof loopback);
    }
    in.sin_addr.s_addr = loopback;
    if (to->ss_family == AF_INET6) {
        memcpy(to, &in6, sizeof in6);
    } else {
        memcpy(to, &in, sizeof in);
    }
    policy_addr_of(a, to, sizeof *to);
}

// False: nothing that rules know, the kernel refuses it or makes nothing of it.
static bool destination(struct sock *s, struct sockaddr_storage *to,
    socklen_t len, struct policy_addr *a) {
    if (!policy_addr_of(a, to, len)) {
        return false;
    }
    if (policy_is_unspecified(a)) {
        name_self(s, to, a);
    }
    return true;
}

static bool allows_addr(struct sock *s, enum policy_action action,
    const struct policy_addr *a) {
    struct policy_query q = {
        .action = action, .proto = s->policy_proto, .addr = *a};
    return gate_ask(s->link, &q);
}

// Addresses that say nothing without their interface, and bind the socket to
// it.
static bool is_link_local(const struct sockaddr_storage *sa) {
    struct sockaddr_in6 in6;
    memcpy(&in6, sa, sizeof in6);
    return sa->ss_family == AF_INET6 &&
           (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) ||
               IN6_IS_ADDR_MC_LINKLOCAL(&in6.sin6_addr) ||
               IN6_IS_ADDR_MC_NODELOCAL(&in6.sin6_addr));
}

static int number_of(int fd, int option) {
    int v = 0;
    socklen_t len = sizeof v;
    return getsockopt(fd, SOL_SOCKET, option, &v, &len) == 0 ? v : -1;
}

bool gate_has_interface(int fd) {
    return number_of(fd, SO_BINDTOIFINDEX) > 0;
}

// Of an interface that came with a link-local address no other may be reached
// by it.
static bool leaves_interface(struct sock *s,
    const struct sockaddr_storage *to) {
    if (is_link_local(to)) {
        s->scoped = true;
        return true;
    }
    return !s->scoped || !gate_has_interface(s->fd) ||
           allows_option(s->link, POLICY_DEVICE);
}

int gate_connect(struct sock *s, struct sockaddr_storage *to, socklen_t len) {
    struct policy_addr a;
    if (!s->link->policy || !destination(s, to, len, &a)) {
        s->local_seen = 0; // AF_UNSPEC ends a connection, and gives up its port
        return 0;
    }
    if (!allows_addr(s, POLICY_CONNECT, &a)) {
        return EACCES;
    }
    return leaves_interface(s, to) ? gate_local(s) : EPERM;
}

static bool is_dual(int fd) {
    int only = 0;
    socklen_t len = sizeof only;
    return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == 0 && !only;
}

// At [::] a socket is also at 0.0.0.0, unless it is told otherwise.
static bool allows_local(struct sock *s, enum policy_action action,
    const struct policy_addr *a) {
    if (!allows_addr(s, action, a)) {
        return false;
    }
    if (a->family == AF_INET6 && policy_is_unspecified(a) && is_dual(s->fd)) {
        struct policy_addr v4 = {.family = AF_INET, .port = a->port};
        return allows_addr(s, action, &v4);
    }
    return true;
}

int gate_bind(struct sock *s, const struct sockaddr_storage *at,
    socklen_t len) {
    struct sockaddr_storage sa = *at;
    struct policy_addr a;
    if (!s->link->policy) {
        return 0;
    }
    // Which it means here; a raw socket's bind() does not look at the family.
    bool is_raw = number_of(s->fd, SO_TYPE) == SOCK_RAW &&
                  number_of(s->fd, SO_DOMAIN) == AF_INET;
    if (sa.ss_family == AF_UNSPEC || is_raw) {
        sa.ss_family = AF_INET;
    }
    if (!policy_addr_of(&a, &sa, len)) {
        return 0;
    }
    s->scoped |= is_link_local(&sa);
    return allows_local(s, POLICY_BIND, &a) ? 0 : EACCES;
}

bool gate_chosen(struct sock *s, enum policy_action action,
    const struct sockaddr_storage *at, bool tell) {
    struct policy_query q = {
        .action = action, .proto = s->policy_proto, .chosen = true};
    bool known = policy_addr_of(&q.addr, at, sizeof *at);
    bool dual = known && q.addr.family == AF_INET6 &&
                policy_is_unspecified(&q.addr) && is_dual(s->fd);
    struct policy_verdict v = policy_decide(s->link->policy, &q);
    if (v.allow && dual) {
        q.addr.family = AF_INET;
        v = policy_decide(s->link->policy, &q);
    }
    if (known && !v.allow && tell) {
        settle(s->link, &v, &q);
    }
    return !known || v.allow;
}

// At a port that the kernel chose, or will.
static int listen_at_any(struct sock *s, const struct sockaddr_storage *sa,
    struct policy_addr *a) {
    struct policy *p = s->link->policy;
    struct policy_query q = {
        .action = POLICY_LISTEN, .proto = s->policy_proto, .addr = *a};
    struct sockaddr_storage any = *sa;
    set_port(&any, 0);
    bool bound = a->port && gate_is_bound(s, &any);
    if (bound && policy_decide(p, &q).allow) {
        return 0;
    }
    a->port = 0;
    if (!allows_local(s, POLICY_LISTEN, a)) {
        return EACCES;
    }
    if (bound) {
        return gate_chosen(s, POLICY_LISTEN, sa, true) ? 0 : EACCES;
    }
    return policy_names_ports(p, POLICY_LISTEN, s->policy_proto)
               ? gate_take_port(s, POLICY_LISTEN, &any, sizeof any)
               : 0;
}

int gate_listen(struct sock *s) {
    struct sockaddr_storage sa;
    struct policy_addr a;
    if (!s->link->policy || !local_addr(s->fd, &sa, &a)) {
        return 0;
    }
    if (!s->port_named) {
        return listen_at_any(s, &sa, &a);
    }
    return allows_local(s, POLICY_LISTEN, &a) ? 0 : EACCES;
}

int gate_local(struct sock *s) {
    struct link *l = s->link;
    struct sockaddr_storage sa;
    struct policy_addr a;
    if (s->policy_proto != POLICY_UDP || !l->policy) {
        return 0;
    }
    if (s->local_seen == l->policy_epoch) {
        return s->policy_void ? EACCES : 0;
    }
    if (!local_addr(s->fd, &sa, &a)) {
        return 0;
    }
    s->policy_void = false;
    if (a.port) {
        s->policy_void = s->port_named
                             ? !allows_local(s, POLICY_BIND, &a)
                             : !gate_chosen(s, POLICY_BIND, &sa, true);
    } else if (policy_names_ports(l->policy, POLICY_BIND, POLICY_UDP)) {
        int err = gate_take_port(s, POLICY_BIND, &sa, sizeof sa);
        if (err) {
            return err == EADDRINUSE ? EAGAIN : err; // as it is natively
        }
    }
    s->local_seen = l->policy_epoch;
    return s->policy_void ? EACCES : 0;
}

// --- Sockets of other links ---

uint32_t gate_proto_of(int fd) {
    return gate_proto(number_of(fd, SO_TYPE), number_of(fd, SO_PROTOCOL));
}

// What it does by itself, as if this link had made it so.
int gate_adopt(struct link *l, int fd) {
    struct sock s = {.link = l, .fd = fd, .port_named = true};
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    if (!l->policy) {
        return 0;
    }
    s.policy_proto = (uint8_t)gate_proto_of(fd);
    int err =
        gate_socket(l, number_of(fd, SO_TYPE), number_of(fd, SO_PROTOCOL));
    if (!err && number_of(fd, SO_ACCEPTCONN) > 0) {
        return gate_listen(&s);
    }
    if (!err && getpeername(fd, (struct sockaddr *)&sa, &len) == 0) {
        return gate_connect(&s, &sa, len);
    }
    return err;
}

// --- What comes in ---

// The rules may be newer than the socket.
static bool listener_is_allowed(struct sock *s) {
    if (s->policy_seen != s->link->policy_epoch) {
        s->policy_void = gate_listen(s) != 0;
        s->policy_seen = s->link->policy_epoch;
    }
    return !s->policy_void;
}

bool gate_accept(struct sock *listener, const struct sockaddr_storage *peer,
    socklen_t len) {
    struct policy_addr a;
    if (!listener->link->policy) {
        return true;
    }
    return listener_is_allowed(listener) &&
           (!policy_addr_of(&a, peer, len) ||
               allows_addr(listener, POLICY_ACCEPT, &a));
}

// Answers come from where we may send to.
bool gate_receive(struct sock *s, const struct sockaddr_storage *from,
    socklen_t len) {
    struct link *l = s->link;
    struct policy_query q = {
        .action = POLICY_CONNECT, .proto = s->policy_proto};
    if (!l->policy || !policy_addr_of(&q.addr, from, len)) {
        return true;
    }
    if (gate_local(s)) {
        return false;
    }
    if (policy_decide(l->policy, &q).allow) {
        return true;
    }
    q.action = POLICY_ACCEPT;
    return gate_ask(l, &q);
}

// --- Names ---

static bool is_numeric(const char *host) {
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST};
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, NULL, &hints, &list) != 0) {
        return false;
    }
    freeaddrinfo(list);
    return true;
}

bool gate_lookup(struct link *l, const char *host) {
    struct policy_query q = {.action = POLICY_LOOKUP, .name = host};
    return !l->policy || !host || is_numeric(host) || gate_ask(l, &q);
}

bool gate_reverse(struct link *l, const struct sockaddr_storage *of,
    socklen_t len) {
    struct policy_query q = {.action = POLICY_REVERSE};
    return !l->policy || !policy_addr_of(&q.addr, of, len) || gate_ask(l, &q);
}

int gate_interfaces(struct link *l) {
    struct policy_query q = {.action = POLICY_INTERFACES};
    return !l->policy || gate_ask(l, &q) ? 0 : EACCES;
}
