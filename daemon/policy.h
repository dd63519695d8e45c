// What links may do with the network: rules, and what they say of a call.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_POLICY_H
#define FARSOCKD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "daemon/ids.h"

// Bits, because a rule may name several.
enum policy_action {
    POLICY_CONNECT = 1,      // connect, and send to
    POLICY_BIND = 2,         // a local address
    POLICY_LISTEN = 4,       // at a local address
    POLICY_ACCEPT = 8,       // who may connect in or send to us
    POLICY_JOIN = 16,        // a multicast group
    POLICY_LOOKUP = 32,      // a name
    POLICY_REVERSE = 64,     // the name of an address
    POLICY_INTERFACES = 128, // see them
    POLICY_OPTION = 256,     // socket options that reach round the rules
};
enum policy_proto {
    POLICY_TCP = 1,
    POLICY_UDP = 2,
    POLICY_ICMP = 4, // as raw or as ping socket
    POLICY_RAW = 8,  // everything else
};
enum policy_option {
    POLICY_DEVICE = 1,   // choose an interface
    POLICY_MARK = 2,     // SO_MARK
    POLICY_ROUTE = 4,    // source routes, IPv6 extension headers
    POLICY_HEADER = 8,   // write the IP header
    POLICY_FREEBIND = 16 // addresses that are not this machine's
};

#define POLICY_TEXT   200 // bytes of a rule as it is written
#define POLICY_NAME   32
#define POLICY_PORTS  16 // ranges in a rule
#define POLICY_SAY    256
#define POLICY_ANY_IP 0 // in place of a family: both

struct policy_net {
    uint16_t family; // AF_INET, AF_INET6, or POLICY_ANY_IP
    uint8_t len;     // bits that count
    uint8_t ip[16];
};

struct policy_count {
    uint64_t hits;
    uint64_t second; // of the last line in the log
    uint64_t unsaid; // refused since that line
};

struct policy_rule {
    bool allow;
    uint16_t actions;
    uint8_t protos;
    uint8_t options;
    uint8_t net_count, port_count;
    struct policy_net nets[2];
    struct {
        uint16_t first, last;
    } ports[POLICY_PORTS];     // none: all
    char pattern[POLICY_TEXT]; // of names, in small letters
    char text[POLICY_TEXT];
    uint32_t line; // of the file
    struct policy_count count;
};

// A section of the file: the links it is for, and their rules. The first rule
// that fits decides.
struct policy {
    struct policy *next;
    char name[POLICY_NAME];       // "" for [policy], which is for all others
    char links[POLICY_TEXT];      // pattern of link names, "" for any
    struct id_list users, groups; // empty: any
    bool allow;                   // what no rule decides
    struct policy_count count;
    struct policy_rule *rules;
    size_t rule_count;
    uint32_t given; // keys that were in the file
};

// All sections, in the file's order.
struct policy_set {
    struct policy *first;
    struct policy nobody; // for links that no section is for
};

// An address as rules see it: IPv4 in IPv6 is IPv4.
struct policy_addr {
    uint16_t family;
    uint16_t port;
    uint8_t ip[16];
};

struct policy_query {
    enum policy_action action;
    enum policy_proto proto; // of CONNECT, BIND, LISTEN, ACCEPT
    struct policy_addr addr;
    bool chosen;               // addr.port, by the kernel
    const char *name;          // LOOKUP
    enum policy_option option; // OPTION
};

struct policy_verdict {
    bool allow;
    struct policy_rule *rule; // NULL: the default
};

// --- Deciding (policy.c) ---

// False: sa is no address of a family that rules know.
bool policy_addr_of(struct policy_addr *out, const struct sockaddr_storage *sa,
    socklen_t len);

// All zero: at every local address.
bool policy_is_unspecified(const struct policy_addr *a);

// A port that the kernel chooses is asked for as port 0, and then for the port
// that it is: that one is refused only by a rule with its number.
struct policy_verdict policy_decide(struct policy *p,
    const struct policy_query *q);

// True if some port that the kernel chooses could be refused.
bool policy_names_ports(const struct policy *p, enum policy_action action,
    enum policy_proto proto);

// True if some call with this protocol could be allowed.
bool policy_has(const struct policy *p, enum policy_proto proto);

// The section for a link; NULL: there are none at all, everything is allowed.
struct policy *policy_find(struct policy_set *set, const char *link, uid_t uid,
    gid_t gid);

// Counts what was decided. True if it is to be logged; *more is then how many
// were not since the last time.
bool policy_count(struct policy *p, const struct policy_verdict *v,
    uint64_t second, uint64_t *more);

// --- Reading (policy_parse.c) ---

// Begins a section, "policy" or "policy NAME". 0, or -1 and why not.
int policy_section(struct policy_set *set, const char *section, char *reason,
    size_t reason_len);
// A key of the section begun last.
int policy_set_key(struct policy_set *set, const char *name, const char *value,
    uint32_t line, char *reason, size_t reason_len);
int policy_parse_rule(struct policy_rule *out, const char *text, char *reason,
    size_t reason_len);
// "connect tcp 10.0.0.1:80" and the like; text must outlive the query.
int policy_parse_query(struct policy_query *q, const char *text, char *reason,
    size_t reason_len);
void policy_free(struct policy_set *set);

// --- Writing (policy_text.c) ---

// A rule in words.
void policy_words(const struct policy_rule *r, char *out, size_t room);
// "connect tcp 10.0.0.1:80".
void policy_query_text(const struct policy_query *q, char *out, size_t room);
// What each section says of the query, and why.
void policy_explain(struct policy_set *set, const struct policy_query *q,
    FILE *out);
// As a file that reads back, with the words as comments.
void policy_print(const struct policy_set *set, FILE *out);
// Row number index of all rules and defaults (then *r is NULL). False: the end.
bool policy_row(const struct policy_set *set, uint32_t index,
    const struct policy **p, const struct policy_rule **r);
const char *policy_action_name(uint32_t action);
const char *policy_proto_name(uint32_t proto);

#endif
