// Rules and queries in words.
// SPDX-License-Identifier: MIT
#include "daemon/policy.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

struct out {
    char *text;
    size_t len, room;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o,
    const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(o->text + o->len, o->room - o->len, fmt, args);
    va_end(args);
    if (n > 0) {
        size_t left = o->room - o->len - 1;
        o->len += (size_t)n < left ? (size_t)n : left;
    }
}

static struct out begin(char *text, size_t room) {
    text[0] = '\0';
    return (struct out){text, 0, room};
}

static void put_addr(struct out *o, uint16_t family, const uint8_t *ip) {
    char text[INET6_ADDRSTRLEN] = "?";
    inet_ntop(family, ip, text, sizeof text);
    put(o, "%s", text);
}

static void put_net(struct out *o, const struct policy_net *n) {
    uint32_t whole = n->family == AF_INET ? 32 : 128;
    if (n->family == POLICY_ANY_IP) {
        put(o, "any address");
    } else if (n->len == 0) {
        put(o, "any IPv%c address", n->family == AF_INET ? '4' : '6');
    } else {
        put_addr(o, n->family, n->ip);
        if (n->len < whole) {
            put(o, "/%u", n->len);
        }
    }
}

static void put_where(struct out *o, const struct policy_rule *r) {
    if (r->net_count == 0) {
        put(o, " any address");
    }
    for (size_t i = 0; i < r->net_count; i++) {
        put(o, i > 0 ? " or " : " ");
        put_net(o, &r->nets[i]);
    }
    for (size_t i = 0; i < r->port_count; i++) {
        uint32_t first = r->ports[i].first;
        uint32_t last = r->ports[i].last;
        put(o, i > 0 ? ", " : ", port ");
        put(o, first == last ? "%u" : "%u to %u", first, last);
    }
}

static void put_actions(struct out *o, uint32_t actions) {
    static const struct {
        uint32_t bit;
        const char *words;
    } table[] = {
        {POLICY_CONNECT, "connecting and sending to"},
        {POLICY_BIND, "binding to"},
        {POLICY_LISTEN, "listening at"},
        {POLICY_ACCEPT, "taking connections and datagrams from"},
        {POLICY_JOIN, "joining the group"},
        {POLICY_REVERSE, "asking for the name of"},
    };
    const char *between = "";
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (actions & table[i].bit) {
            put(o, "%s%s", between, table[i].words);
            between = ", ";
        }
    }
}

static void put_options(struct out *o, uint32_t options) {
    static const struct {
        uint32_t bit;
        const char *words;
    } table[] = {
        {POLICY_DEVICE, "choosing an interface"},
        {POLICY_MARK, "marking packets"},
        {POLICY_ROUTE, "source routes and extension headers"},
        {POLICY_HEADER, "writing IP headers"},
        {POLICY_FREEBIND, "binding to addresses of other machines"},
    };
    const char *between = "";
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (options & table[i].bit) {
            put(o, "%s%s", between, table[i].words);
            between = ", ";
        }
    }
}

static void put_protos(struct out *o, uint32_t protos) {
    const char *between = " by ";
    for (uint32_t bit = POLICY_TCP; bit <= POLICY_RAW; bit <<= 1) {
        if ((protos & bit) && protos != 15) {
            put(o, "%s%s", between, policy_proto_name(bit));
            between = " or ";
        }
    }
}

void policy_words(const struct policy_rule *r, char *out, size_t room) {
    struct out o = begin(out, room);
    put(&o, r->allow ? "allows " : "refuses ");
    switch (r->actions) {
        case POLICY_LOOKUP:
            put(&o, "looking up the name %s", r->pattern);
            return;
        case POLICY_INTERFACES:
            put(&o, "seeing the interfaces and their addresses");
            return;
        case POLICY_OPTION:
            put_options(&o, r->options);
            return;
        default:
            put_actions(&o, r->actions);
            put_where(&o, r);
            put_protos(&o, r->protos);
    }
}

// --- Queries ---

static const char *option_name(uint32_t option) {
    return option == POLICY_DEVICE   ? "device"
           : option == POLICY_MARK   ? "mark"
           : option == POLICY_ROUTE  ? "route"
           : option == POLICY_HEADER ? "header"
                                     : "freebind";
}

static void put_endpoint(struct out *o, const struct policy_query *q) {
    bool ports = q->proto == POLICY_TCP || q->proto == POLICY_UDP;
    ports &= q->action != POLICY_JOIN && q->action != POLICY_REVERSE;
    bool brackets = ports && q->addr.family == AF_INET6;
    put(o, brackets ? " [" : " ");
    put_addr(o, q->addr.family, q->addr.ip);
    if (ports) {
        put(o, brackets ? "]:%u" : ":%u", q->addr.port);
    }
}

void policy_query_text(const struct policy_query *q, char *out, size_t room) {
    struct out o = begin(out, room);
    put(&o, "%s", policy_action_name(q->action));
    switch (q->action) {
        case POLICY_LOOKUP:
            put(&o, " %s", q->name);
            return;
        case POLICY_INTERFACES:
            return;
        case POLICY_OPTION:
            put(&o, " %s", option_name(q->option));
            return;
        case POLICY_REVERSE:
        case POLICY_JOIN:
            put_endpoint(&o, q);
            return;
        case POLICY_CONNECT:
        case POLICY_BIND:
        case POLICY_LISTEN:
        case POLICY_ACCEPT:
        default:
            put(&o, " %s", policy_proto_name(q->proto));
            put_endpoint(&o, q);
    }
}

static void explain_in(struct policy *p, const struct policy_query *q,
    FILE *out) {
    char words[POLICY_SAY];
    struct policy_verdict v = policy_decide(p, q);
    fprintf(out, "[policy%s%s]: %s: ", p->name[0] != '\0' ? " " : "", p->name,
        v.allow ? "allowed" : "refused");
    if (v.rule == NULL) {
        fprintf(out, "no rule decides, and the default is to %s\n",
            p->allow ? "allow" : "deny");
        return;
    }
    policy_words(v.rule, words, sizeof words);
    fprintf(out, "line %u, \"%s\", %s\n", v.rule->line, v.rule->text, words);
}

void policy_explain(struct policy_set *set, const struct policy_query *q,
    FILE *out) {
    char text[POLICY_SAY];
    policy_query_text(q, text, sizeof text);
    fprintf(out, "%s\n", text);
    if (set->first == NULL) {
        fprintf(out, "allowed: there is no [policy]\n");
    }
    for (struct policy *p = set->first; p != NULL; p = p->next) {
        explain_in(p, q, out);
    }
}

// --- The whole ---

bool policy_row(const struct policy_set *set, uint32_t index,
    const struct policy **p, const struct policy_rule **r) {
    for (*p = set->first; *p != NULL; *p = (*p)->next) {
        if (index <= (*p)->rule_count) {
            *r = index < (*p)->rule_count ? &(*p)->rules[index] : NULL;
            return true;
        }
        index -= (uint32_t)(*p)->rule_count + 1;
    }
    *p = &set->nobody;
    *r = NULL;
    return index == 0 && set->nobody.count.hits > 0;
}

static bool has_allowed(const struct policy *p, uint32_t action) {
    bool any = p->allow;
    for (size_t i = 0; i < p->rule_count; i++) {
        any |= p->rules[i].allow && (p->rules[i].actions & action);
    }
    return any;
}

// A value of as many bytes as its line may have leaves none for the spaces.
static void print_key(FILE *out, const char *name, const char *value) {
    bool is_long = strlen(name) + strlen(value) > POLICY_TEXT / 2;
    fprintf(out, is_long ? "%s=%s\n" : "%s = %s\n", name, value);
}

static void print_section(const struct policy *p, FILE *out) {
    fprintf(out, "\n[policy%s%s]\n", p->name[0] != '\0' ? " " : "", p->name);
    if (p->links[0] != '\0') {
        print_key(out, "links", p->links);
    }
    ids_print("users", &p->users, out);
    ids_print("groups", &p->groups, out);
    fprintf(out, "default = %s\n", p->allow ? "allow" : "deny");
    for (size_t i = 0; i < p->rule_count; i++) {
        char words[POLICY_SAY];
        policy_words(&p->rules[i], words, sizeof words);
        fprintf(out, "# %s\n", words);
        print_key(out, "rule", p->rules[i].text);
    }
    if (has_allowed(p, POLICY_LISTEN) && !has_allowed(p, POLICY_ACCEPT)) {
        fprintf(out, "# it may listen, but nobody may connect in: there is no "
                     "rule that allows accept\n");
    }
}

void policy_print(const struct policy_set *set, FILE *out) {
    bool has_others = set->first == NULL;
    for (const struct policy *p = set->first; p != NULL; p = p->next) {
        print_section(p, out);
        has_others |= p->name[0] == '\0';
    }
    if (!has_others) {
        fprintf(out, "# links that no section is for may do nothing: there is "
                     "no [policy]\n");
    }
}
