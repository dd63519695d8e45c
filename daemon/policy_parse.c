// Rules as they are written.
// SPDX-License-Identifier: MIT
#include "daemon/policy.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct names {
    const char *name;
    uint32_t bit;
};

#define WHOLE                                                                  \
    (POLICY_CONNECT | POLICY_BIND | POLICY_LISTEN | POLICY_ACCEPT | POLICY_JOIN)

static const struct names actions[] = {
    {"connect", POLICY_CONNECT},
    {"bind", POLICY_BIND},
    {"listen", POLICY_LISTEN},
    {"accept", POLICY_ACCEPT},
    {"join", POLICY_JOIN},
    {"lookup", POLICY_LOOKUP},
    {"reverse", POLICY_REVERSE},
    {"interfaces", POLICY_INTERFACES},
    {"option", POLICY_OPTION},
    {"any", WHOLE},
    {NULL, 0},
};
static const struct names protos[] = {
    {"tcp", POLICY_TCP},
    {"udp", POLICY_UDP},
    {"icmp", POLICY_ICMP},
    {"raw", POLICY_RAW},
    {"any", POLICY_TCP | POLICY_UDP | POLICY_ICMP | POLICY_RAW},
    {NULL, 0},
};
static const struct names options[] = {
    {"device", POLICY_DEVICE},
    {"mark", POLICY_MARK},
    {"route", POLICY_ROUTE},
    {"header", POLICY_HEADER},
    {"freebind", POLICY_FREEBIND},
    {"any", POLICY_DEVICE | POLICY_MARK | POLICY_ROUTE | POLICY_HEADER |
                POLICY_FREEBIND},
    {NULL, 0},
};

struct words {
    char text[POLICY_TEXT];
    char *next;
    char *reason;
    size_t reason_len;
};

__attribute__((format(printf, 2, 3))) static int fail(struct words *w,
    const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->reason, w->reason_len, fmt, args);
    va_end(args);
    return -1;
}

static char *next_word(struct words *w) {
    char *word = w->next + strspn(w->next, " \t");
    if (*word == '\0') {
        return NULL;
    }
    w->next = word + strcspn(word, " \t");
    if (*w->next != '\0') {
        *w->next++ = '\0';
    }
    return word;
}

static const char *name_of(const struct names *table, uint32_t bit) {
    while (table->name != NULL && table->bit != bit) {
        table++;
    }
    return table->name != NULL ? table->name : "?";
}

const char *policy_action_name(uint32_t action) {
    return name_of(actions, action);
}

const char *policy_proto_name(uint32_t proto) {
    return name_of(protos, proto);
}

// A list with commas; 0 if one of its words is none of the table.
static uint32_t bits_of(const struct names *table, const char *word) {
    uint32_t bits = 0;
    for (;;) {
        size_t len = strcspn(word, ",");
        const struct names *n = table;
        while (n->name != NULL &&
               (strlen(n->name) != len || strncmp(n->name, word, len) != 0)) {
            n++;
        }
        if (n->name == NULL) {
            return 0;
        }
        bits |= n->bit;
        if (word[len] == '\0') {
            return bits;
        }
        word += len + 1;
    }
}

// --- Addresses ---

static bool parse_number(const char *text, uint32_t max, uint32_t *out) {
    char *end;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    unsigned long n = strtoul(text, &end, 10);
    *out = (uint32_t)n;
    return *end == '\0' && n <= max;
}

// Named sets.
static bool parse_set(const char *text, struct policy_rule *r) {
    static const struct {
        const char *name;
        uint8_t count;
        struct policy_net nets[2];
    } sets[] = {
        {"any", 1, {{.family = POLICY_ANY_IP}}},
        {"ipv4", 1, {{.family = AF_INET}}},
        {"ipv6", 1, {{.family = AF_INET6}}},
        {"loopback", 2, {{AF_INET, 8, {127}}, {AF_INET6, 128, {[15] = 1}}}},
        {"multicast", 2, {{AF_INET, 4, {224}}, {AF_INET6, 8, {0xff}}}},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (strcmp(text, sets[i].name) == 0) {
            r->net_count = sets[i].count;
            memcpy(r->nets, sets[i].nets, sizeof r->nets);
            return true;
        }
    }
    return false;
}

// What is in no address would never fit: 10.0.0.1/8 is a mistake.
static bool has_host_bits(const struct policy_net *n) {
    for (uint32_t bit = n->len; bit < 128; bit++) {
        if (n->ip[bit / 8] & (0x80u >> bit % 8)) {
            return true;
        }
    }
    return false;
}

static int parse_net(struct words *w, char *text, struct policy_rule *r) {
    struct policy_net *n = &r->nets[0];
    char *slash = strchr(text, '/');
    uint32_t len = 0;
    if (parse_set(text, r)) {
        return 0;
    }
    if (slash != NULL) {
        *slash = '\0';
    }
    n->family = inet_pton(AF_INET, text, n->ip) == 1    ? AF_INET
                : inet_pton(AF_INET6, text, n->ip) == 1 ? AF_INET6
                                                        : 0;
    if (n->family == 0) {
        return fail(w,
            "\"%s\" is no address, nor any, ipv4, ipv6, loopback or "
            "multicast",
            text);
    }
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
    if (n->family == AF_INET6 && memcmp(n->ip, v4, sizeof v4) == 0) {
        return fail(w, "%s: write IPv4 addresses in IPv6 as IPv4", text);
    }
    uint32_t max = n->family == AF_INET ? 32 : 128;
    n->len = (uint8_t)max;
    if (slash != NULL) {
        if (!parse_number(slash + 1, max, &len)) {
            return fail(w, "\"/%s\" is no length of 0 to %u", slash + 1, max);
        }
        n->len = (uint8_t)len;
    }
    r->net_count = 1;
    if (has_host_bits(n)) {
        return fail(w, "%s has bits below /%u", text, n->len);
    }
    return 0;
}

static int parse_ports(struct words *w, char *text, struct policy_rule *r) {
    char *rest = text;
    for (char *part; (part = strsep(&rest, ",")) != NULL;) {
        char *dash = strchr(part, '-');
        uint32_t first = 0;
        uint32_t last = 0;
        if (dash != NULL) {
            *dash = '\0';
        }
        if (!parse_number(part, 65535, &first) ||
            !parse_number(dash != NULL ? dash + 1 : part, 65535, &last) ||
            first > last) {
            return fail(w, "\"%s%s%s\" is no port or range of ports", part,
                dash != NULL ? "-" : "", dash != NULL ? dash + 1 : "");
        }
        if (r->port_count == POLICY_PORTS) {
            return fail(w, "more than %d ranges of ports", POLICY_PORTS);
        }
        r->ports[r->port_count].first = (uint16_t)first;
        r->ports[r->port_count++].last = (uint16_t)last;
    }
    return 0;
}

// NET, NET:PORTS (IPv4 and named sets), [NET]:PORTS.
static int parse_addr(struct words *w, char *text, struct policy_rule *r) {
    char *ports = NULL;
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return fail(w, "\"%s\" is not of the form [ADDRESS]:PORTS", text);
        }
        ports = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        text++;
    } else if (strchr(text, ':') == strrchr(text, ':')) {
        ports = strchr(text, ':');
        if (ports != NULL) {
            *ports++ = '\0';
        }
    }
    if (parse_net(w, text, r) < 0) {
        return -1;
    }
    return ports != NULL ? parse_ports(w, ports, r) : 0;
}

// --- Rules ---

static int parse_pattern(struct words *w, const char *word,
    struct policy_rule *r) {
    if (word == NULL) {
        return fail(w, "lookup: a pattern of names is missing (* for all)");
    }
    for (size_t i = 0; word[i] != '\0'; i++) {
        r->pattern[i] = (char)tolower((unsigned char)word[i]);
    }
    return 0;
}

static int parse_option_list(struct words *w, const char *word,
    struct policy_rule *r) {
    r->options = word != NULL ? (uint8_t)bits_of(options, word) : 0;
    return r->options != 0 ? 0
                           : fail(w, "option: one of device, mark, route, "
                                     "header, freebind, any is missing");
}

// [PROTOCOLS] [ADDRESS]
static int parse_where(struct words *w, char *word, struct policy_rule *r) {
    r->protos = (uint8_t)bits_of(protos, "any");
    bool alone = (r->actions & (POLICY_JOIN | POLICY_REVERSE)) == r->actions;
    uint32_t bits = word != NULL && !alone ? bits_of(protos, word) : 0;
    if (bits != 0) {
        r->protos = (uint8_t)bits;
        word = next_word(w);
    }
    if (word == NULL) {
        return 0;
    }
    return parse_addr(w, word, r);
}

static int parse_what(struct words *w, const char *word,
    struct policy_rule *r) {
    r->actions = word != NULL ? (uint16_t)bits_of(actions, word) : 0;
    if (r->actions == 0) {
        return fail(w,
            "\"%s\" is none of connect, bind, listen, accept, join, "
            "any, lookup, reverse, interfaces, option",
            word != NULL ? word : "");
    }
    switch (r->actions) {
        case POLICY_LOOKUP:
            return parse_pattern(w, next_word(w), r);
        case POLICY_INTERFACES:
            return 0;
        case POLICY_OPTION:
            return parse_option_list(w, next_word(w), r);
        case POLICY_REVERSE:
            return parse_where(w, next_word(w), r);
        default:
            if (r->actions & ~(uint32_t)WHOLE) {
                return fail(w,
                    "%s: lookup, reverse, interfaces and option "
                    "have rules of their own",
                    word);
            }
            return parse_where(w, next_word(w), r);
    }
}

static int begin(struct words *w, const char *text, char *reason,
    size_t reason_len) {
    *w = (struct words){.reason = reason, .reason_len = reason_len};
    w->next = w->text;
    if (strlen(text) >= sizeof w->text) {
        return fail(w, "longer than %d bytes", POLICY_TEXT - 1);
    }
    memcpy(w->text, text, strlen(text) + 1);
    return 0;
}

static int end(struct words *w) {
    const char *more = next_word(w);
    return more == NULL ? 0 : fail(w, "\"%s\" is too much", more);
}

int policy_parse_rule(struct policy_rule *out, const char *text, char *reason,
    size_t reason_len) {
    struct words w;
    *out = (struct policy_rule){.allow = false};
    if (begin(&w, text, reason, reason_len) < 0) {
        return -1;
    }
    memcpy(out->text, text, strlen(text) + 1);
    for (char *tab = out->text; (tab = strchr(tab, '\t')) != NULL;) {
        *tab = ' '; // farsock dump has tabs between its fields
    }
    const char *verb = next_word(&w);
    out->allow = verb != NULL && strcmp(verb, "allow") == 0;
    if (verb == NULL || (!out->allow && strcmp(verb, "deny") != 0)) {
        return fail(&w, "a rule begins with allow or deny");
    }
    if (parse_what(&w, next_word(&w), out) < 0) {
        return -1;
    }
    return end(&w);
}

static bool is_one_bit(uint32_t bits) {
    return bits != 0 && (bits & (bits - 1)) == 0;
}

// A query is a rule for one thing, without its verb.
int policy_parse_query(struct policy_query *q, const char *text, char *reason,
    size_t reason_len) {
    struct policy_rule r = {.allow = true};
    struct words w;
    if (begin(&w, text, reason, reason_len) < 0 ||
        parse_what(&w, next_word(&w), &r) < 0 || end(&w) < 0) {
        return -1;
    }
    const struct policy_net *n = &r.nets[0];
    *q = (struct policy_query){
        .action = r.actions,
        .proto = r.protos,
        .option = r.options,
        .addr = {.family = n->family, .port = r.ports[0].first},
    };
    memcpy(q->addr.ip, n->ip, sizeof q->addr.ip);
    bool has_addr = q->action & (WHOLE | POLICY_REVERSE);
    bool has_proto = q->action & (WHOLE & ~(uint32_t)POLICY_JOIN);
    if (!is_one_bit(q->action) || (has_proto && !is_one_bit(q->proto)) ||
        (q->action == POLICY_OPTION && !is_one_bit(q->option)) ||
        (has_addr && (r.net_count != 1 || n->family == POLICY_ANY_IP ||
                         n->len != (n->family == AF_INET ? 32 : 128))) ||
        r.port_count > 1 || r.ports[0].first != r.ports[0].last) {
        return fail(&w,
            "\"%s\" is not one call, as \"connect tcp "
            "192.0.2.1:80\" is",
            text);
    }
    if (q->action == POLICY_LOOKUP) {
        q->name = strstr(text, "lookup") + strlen("lookup");
        q->name += strspn(q->name, " \t");
    }
    return 0;
}

// --- Sections ---

int policy_section(struct policy_set *set, const char *section, char *reason,
    size_t reason_len) {
    struct words w = {.reason = reason, .reason_len = reason_len};
    const char *name = section + strlen("policy");
    name += strspn(name, " ");
    struct policy **last = &set->first;
    for (; *last != NULL; last = &(*last)->next) {
        if (strcmp((*last)->name, name) == 0) {
            return fail(&w, "[%s] is there twice", section);
        }
    }
    if (name[strcspn(name, "\t")] != '\0') {
        return fail(&w, "a tab in the name of a section");
    }
    if (strlen(name) >= POLICY_NAME) {
        return fail(&w, "the name is longer than %d bytes", POLICY_NAME - 1);
    }
    *last = calloc(1, sizeof **last);
    if (*last == NULL) {
        return fail(&w, "out of memory");
    }
    memcpy((*last)->name, name, strlen(name) + 1);
    return 0;
}

static int add_ids(struct words *w, const char *what, struct id_list *list,
    bool (*find)(const char *text, uint32_t *id)) {
    char why[POLICY_SAY];
    return ids_add(list, w->text, find, why, sizeof why) == 0
               ? 0
               : fail(w, "%s: %s", what, why);
}

static int add_rule(struct words *w, struct policy *p, const char *text,
    uint32_t line) {
    char why[POLICY_SAY];
    void *rules = realloc(p->rules, (p->rule_count + 1) * sizeof *p->rules);
    if (rules == NULL) {
        return fail(w, "out of memory");
    }
    p->rules = rules;
    struct policy_rule *r = &p->rules[p->rule_count];
    if (policy_parse_rule(r, text, why, sizeof why) < 0) {
        return fail(w, "rule: %s", why);
    }
    r->line = line;
    p->rule_count++;
    return 0;
}

static int set_default(struct words *w, struct policy *p) {
    p->allow = strcmp(w->text, "allow") == 0;
    return p->allow || strcmp(w->text, "deny") == 0
               ? 0
               : fail(w, "default: \"%s\" is neither allow nor deny", w->text);
}

enum { GIVEN_DEFAULT = 1, GIVEN_LINKS = 2, GIVEN_USERS = 4, GIVEN_GROUPS = 8 };

static uint32_t key_bit(const char *name) {
    static const struct names keys[] = {
        {"default", GIVEN_DEFAULT},
        {"links", GIVEN_LINKS},
        {"users", GIVEN_USERS},
        {"groups", GIVEN_GROUPS},
        {NULL, 0},
    };
    return bits_of(keys, name);
}

int policy_set_key(struct policy_set *set, const char *name, const char *value,
    uint32_t line, char *reason, size_t reason_len) {
    struct words w;
    struct policy *p = set->first;
    while (p != NULL && p->next != NULL) {
        p = p->next;
    }
    if (begin(&w, value, reason, reason_len) < 0) {
        return -1;
    }
    if (p == NULL) {
        return fail(&w, "%s stands before any section", name);
    }
    if (strcmp(name, "rule") == 0) {
        return add_rule(&w, p, value, line);
    }
    uint32_t bit = key_bit(name);
    if (bit == 0) {
        return fail(&w, "unknown key %s in [policy]", name);
    }
    if (p->given & bit) {
        return fail(&w, "%s: given twice", name);
    }
    p->given |= bit;
    if (bit != GIVEN_DEFAULT && p->name[0] == '\0') {
        return fail(&w,
            "%s: [policy] is for all others; name a section, as "
            "[policy one]",
            name);
    }
    switch (bit) {
        case GIVEN_DEFAULT:
            return set_default(&w, p);
        case GIVEN_LINKS:
            memcpy(p->links, value, strlen(value) + 1);
            return 0;
        case GIVEN_USERS:
            return add_ids(&w, name, &p->users, id_of_user);
        default:
            return add_ids(&w, name, &p->groups, id_of_group);
    }
}

void policy_free(struct policy_set *set) {
    struct policy *next;
    for (struct policy *p = set->first; p != NULL; p = next) {
        next = p->next;
        free(p->rules);
        free(p);
    }
    *set = (struct policy_set){.first = NULL};
}
