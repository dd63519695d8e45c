// What the rules say of a call.
// SPDX-License-Identifier: MIT
#include "daemon/policy.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include <netinet/in.h>

// --- Addresses ---

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

bool policy_addr_of(struct policy_addr *out, const struct sockaddr_storage *sa,
    socklen_t len) {
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    memset(out, 0, sizeof *out);
    memcpy(&in, sa, sizeof in);
    memcpy(&in6, sa, sizeof in6);
    if (sa->ss_family == AF_INET && len >= sizeof in) {
        out->family = AF_INET;
        out->port = ntohs(in.sin_port);
        memcpy(out->ip, &in.sin_addr, 4);
        return true;
    }
    if (sa->ss_family != AF_INET6 || len < sizeof in6) {
        return false;
    }
    out->port = ntohs(in6.sin6_port);
    bool is_v4 = memcmp(&in6.sin6_addr, mapped, sizeof mapped) == 0;
    out->family = is_v4 ? AF_INET : AF_INET6;
    memcpy(out->ip, in6.sin6_addr.s6_addr + (is_v4 ? 12 : 0), is_v4 ? 4 : 16);
    return true;
}

bool policy_is_unspecified(const struct policy_addr *a) {
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, sizeof zero) == 0;
}

// Where in IPv6 addresses gateways and tunnels carry an IPv4 one.
static const struct embedding {
    uint8_t from, len, bytes[12]; // what shows it, and where
    uint8_t at, flip;             // the IPv4 address, and how it is hidden
} embeddings[] = {
    {0, 12, {0}, 12, 0},                      // IPv4-compatible
    {0, 12, {[8] = 0xff, [9] = 0xff}, 12, 0}, // IPv4-translated
    {0, 12, {0x00, 0x64, 0xff, 0x9b}, 12, 0}, // NAT64
    {0, 2, {0x20, 0x02}, 2, 0},               // 6to4
    {0, 4, {0x20, 0x01}, 12, 0xff},           // Teredo
    {8, 4, {0x00, 0x00, 0x5e, 0xfe}, 12, 0},  // ISATAP
    {8, 4, {0x02, 0x00, 0x5e, 0xfe}, 12, 0},
};

static bool embedded(const struct embedding *e, const struct policy_addr *a,
    struct policy_addr *out) {
    memset(out, 0, sizeof *out);
    out->family = AF_INET;
    out->port = a->port;
    for (size_t i = 0; i < 4; i++) {
        out->ip[i] = a->ip[e->at + i] ^ e->flip;
    }
    // ::1 is no 0.0.0.1.
    return memcmp(a->ip + e->from, e->bytes, e->len) == 0 && out->ip[0] != 0;
}

static bool in_net(const struct policy_net *n, const struct policy_addr *a) {
    if (n->family == POLICY_ANY_IP) {
        return true;
    }
    uint32_t bytes = n->len / 8u;
    uint32_t bits = n->len % 8u;
    if (n->family != a->family || memcmp(n->ip, a->ip, bytes) != 0) {
        return false;
    }
    return bits == 0 || ((n->ip[bytes] ^ a->ip[bytes]) >> (8u - bits)) == 0;
}

// At every local address: a rule that allows must be for all of them (or name
// the wildcard), one that denies is for it if it is for any of them.
static bool is_wildcard_in(const struct policy_net *n, bool allow,
    const struct policy_addr *a) {
    if (n->family == POLICY_ANY_IP) {
        return true;
    }
    return n->family == a->family &&
           (!allow || n->len == 0 || (in_net(n, a) && n->len >= 32));
}

static bool nets_fit(const struct policy_rule *r, const struct policy_query *q,
    const struct policy_addr *a) {
    bool is_local = q->action == POLICY_BIND || q->action == POLICY_LISTEN;
    bool wildcard = is_local && policy_is_unspecified(a);
    for (size_t i = 0; i < r->net_count; i++) {
        if (wildcard ? is_wildcard_in(&r->nets[i], r->allow, a)
                     : in_net(&r->nets[i], a)) {
            return true;
        }
    }
    return r->net_count == 0;
}

static bool addr_fits(const struct policy_rule *r,
    const struct policy_query *q) {
    const struct policy_addr *a = &q->addr;
    if (nets_fit(r, q, a)) {
        return true;
    }
    bool reaches = !r->allow && a->family == AF_INET6;
    for (size_t i = 0; reaches && i < sizeof embeddings / sizeof *embeddings;
         i++) {
        struct policy_addr inner;
        if (embedded(&embeddings[i], a, &inner) && nets_fit(r, q, &inner)) {
            return true;
        }
    }
    return false;
}

// --- Rules ---

static bool has_port(const struct policy_rule *r, uint16_t port) {
    for (size_t i = 0; i < r->port_count; i++) {
        if (r->ports[i].first <= port && port <= r->ports[i].last) {
            return true;
        }
    }
    return false;
}

static bool port_fits(const struct policy_rule *r,
    const struct policy_query *q) {
    if (r->port_count == 0) {
        return r->allow || !q->chosen;
    }
    bool has_ports = q->proto == POLICY_TCP || q->proto == POLICY_UDP;
    return has_ports && (has_port(r, q->addr.port) ||
                            (q->chosen && r->allow && has_port(r, 0)));
}

// Who may listen may bind for it. Datagrams have no listen().
static uint32_t actions_of(const struct policy_rule *r, uint32_t proto) {
    bool binds = r->allow || proto != POLICY_TCP;
    bool listens = r->actions & POLICY_LISTEN;
    return r->actions | (listens && binds ? (uint32_t)POLICY_BIND : 0);
}

// Resolvers take \119 for w, and letters of other scripts for other letters.
static bool is_plain(const char *name) {
    const unsigned char *c = (const unsigned char *)name;
    while (*c > ' ' && *c < 0x7f && *c != '\\') {
        c++;
    }
    return *c == '\0';
}

static bool name_fits(const char *pattern, const char *name) {
    char small[256] = "";
    size_t len = strnlen(name, sizeof small - 1);
    for (size_t i = 0; i < len; i++) {
        small[i] = (char)tolower((unsigned char)name[i]);
    }
    if (len > 0 && small[len - 1] == '.') {
        small[len - 1] = '\0'; // "www.example.org." is the same
    }
    return fnmatch(pattern, small, 0) == 0;
}

// What may be any name is no name that is allowed, and is each that is not.
static bool lookup_fits(const struct policy_rule *r, const char *name) {
    if (is_plain(name)) {
        return name_fits(r->pattern, name);
    }
    return !r->allow || strcmp(r->pattern, "*") == 0;
}

static bool rule_fits(const struct policy_rule *r,
    const struct policy_query *q) {
    if (!(actions_of(r, q->proto) & q->action)) {
        return false;
    }
    switch (q->action) {
        case POLICY_LOOKUP:
            return lookup_fits(r, q->name);
        case POLICY_INTERFACES:
            return true;
        case POLICY_OPTION:
            return r->options & q->option;
        case POLICY_REVERSE:
        case POLICY_JOIN:
            return addr_fits(r, q);
        case POLICY_CONNECT:
        case POLICY_BIND:
        case POLICY_LISTEN:
        case POLICY_ACCEPT:
        default:
            return (r->protos & q->proto) && port_fits(r, q) && addr_fits(r, q);
    }
}

struct policy_verdict policy_decide(struct policy *p,
    const struct policy_query *q) {
    for (size_t i = 0; i < p->rule_count; i++) {
        struct policy_rule *r = &p->rules[i];
        if (rule_fits(r, q)) {
            return (struct policy_verdict){r->allow, r};
        }
    }
    return (struct policy_verdict){p->allow || q->chosen, NULL};
}

bool policy_names_ports(const struct policy *p, enum policy_action action,
    enum policy_proto proto) {
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct policy_rule *r = &p->rules[i];
        if (!r->allow && r->port_count > 0 && (r->protos & proto) &&
            (actions_of(r, proto) & action)) {
            return true;
        }
    }
    return false;
}

// A rule that leaves nothing of a protocol.
static bool denies_all(const struct policy_rule *r) {
    uint32_t all = POLICY_CONNECT | POLICY_BIND | POLICY_LISTEN | POLICY_ACCEPT;
    bool everywhere = r->net_count == 0 || r->nets[0].family == POLICY_ANY_IP;
    return !r->allow && (r->actions & all) == all && everywhere &&
           r->port_count == 0;
}

bool policy_has(const struct policy *p, enum policy_proto proto) {
    uint32_t all = POLICY_CONNECT | POLICY_BIND | POLICY_LISTEN | POLICY_ACCEPT;
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct policy_rule *r = &p->rules[i];
        if ((r->protos & proto) && (r->actions & all)) {
            if (r->allow || denies_all(r)) {
                return r->allow;
            }
        }
    }
    return p->allow;
}

// --- Links ---

static bool may_be(const struct id_list *list, uint32_t id) {
    return list->count == 0 || ids_has(list, id);
}

static bool is_for(const struct policy *p, const char *link, uid_t uid,
    gid_t gid) {
    return p->name[0] != '\0' && may_be(&p->users, uid) &&
           may_be(&p->groups, gid) &&
           (p->links[0] == '\0' || fnmatch(p->links, link, 0) == 0);
}

struct policy *policy_find(struct policy_set *set, const char *link, uid_t uid,
    gid_t gid) {
    struct policy *others = &set->nobody;
    if (set->first == NULL) {
        return NULL;
    }
    for (struct policy *p = set->first; p != NULL; p = p->next) {
        if (is_for(p, link, uid, gid)) {
            return p;
        }
        others = p->name[0] == '\0' ? p : others;
    }
    return others;
}

bool policy_count(struct policy *p, const struct policy_verdict *v,
    uint64_t second, uint64_t *more) {
    struct policy_count *c = v->rule != NULL ? &v->rule->count : &p->count;
    c->hits++;
    if (v->allow) {
        return false;
    }
    if (c->second == second) {
        c->unsaid++;
        return false;
    }
    *more = c->unsaid;
    c->unsaid = 0;
    c->second = second;
    return true;
}
