// A configuration file. What is understood of it is printed as a file that says
// the same.
// SPDX-License-Identifier: MIT
#include "daemon/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/input.h"

static void check(bool good, const char *what, const char *more) {
    if (!good) {
        fprintf(stderr, "config: %s: %s\n", what, more);
        abort();
    }
}

static int read_bytes(struct config *c, const void *data, size_t size,
    char *reason, size_t reason_len) {
    static int fd = -1;
    char path[32];
    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size) {
        abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    config_init(c);
    int err = config_read(c, path, reason, reason_len);
    check(err == 0 || memchr(reason, 0, reason_len), "no end", "a reason");
    return err;
}

static char *print(const struct config *c, size_t *size) {
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    config_print(c, out);
    fclose(out);
    return text;
}

// --- The same decisions ---

static void check_decision(struct policy *a, struct policy *b,
    const struct policy_query *q) {
    struct policy_verdict va = policy_decide(a, q);
    struct policy_verdict vb = policy_decide(b, q);
    size_t none = SIZE_MAX;
    size_t ra = va.rule ? (size_t)(va.rule - a->rules) : none;
    size_t rb = vb.rule ? (size_t)(vb.rule - b->rules) : none;
    char text[POLICY_SAY];
    policy_query_text(q, text, sizeof text);
    check(va.allow == vb.allow && ra == rb, "decided otherwise", text);
}

// A query's text is a query again.
static void check_query(const struct policy_query *q) {
    struct policy_query again;
    char text[POLICY_SAY];
    char more[POLICY_SAY];
    char reason[POLICY_SAY];
    policy_query_text(q, text, sizeof text);
    check(policy_parse_query(&again, text, reason, sizeof reason) == 0, text,
        reason);
    policy_query_text(&again, more, sizeof more);
    check(strcmp(text, more) == 0, text, more);
}

// At the edges of each net and range, by each protocol.
static void check_rule(struct policy *a, struct policy *b, size_t i) {
    static const enum policy_action actions[] = {POLICY_CONNECT, POLICY_BIND,
        POLICY_LISTEN, POLICY_ACCEPT, POLICY_JOIN, POLICY_REVERSE};
    static const enum policy_proto protos[] = {
        POLICY_TCP, POLICY_UDP, POLICY_ICMP, POLICY_RAW};
    const struct policy_rule *r = &a->rules[i];
    const struct policy_net *n = &r->nets[0];
    for (uint32_t k = 0; k < 6 * 4; k++) {
        struct policy_query q = {
            .action = actions[k / 4],
            .proto = protos[k % 4],
            .addr = {.family = n->family == AF_INET6 ? AF_INET6 : AF_INET},
        };
        memcpy(q.addr.ip, n->ip, sizeof q.addr.ip);
        for (int edge = -1; edge <= 1; edge++) {
            q.addr.port = (uint16_t)(r->ports[0].last + edge);
            check_decision(a, b, &q);
            check_query(&q);
        }
        if (n->len > 0) { // just outside
            q.addr.ip[(n->len - 1u) / 8u] ^=
                (uint8_t)(0x80u >> (n->len - 1u) % 8u);
            check_decision(a, b, &q);
        }
    }
    struct policy_query name = {.action = POLICY_LOOKUP, .name = r->pattern};
    check_decision(a, b, &name);
    for (uint32_t bit = 1; bit <= POLICY_FREEBIND; bit <<= 1) {
        check_decision(a, b,
            &(struct policy_query){.action = POLICY_OPTION, .option = bit});
    }
}

static void check_policy(struct policy *a, struct policy *b) {
    check(strcmp(a->name, b->name) == 0, a->name, b->name);
    check(strcmp(a->links, b->links) == 0, a->links, b->links);
    check(memcmp(&a->users, &b->users, sizeof a->users) == 0, "users", a->name);
    check(memcmp(&a->groups, &b->groups, sizeof a->groups) == 0, "groups",
        a->name);
    check(a->allow == b->allow, "default", a->name);
    check(a->rule_count == b->rule_count, "rules", a->name);
    for (size_t i = 0; i < a->rule_count; i++) {
        char words[POLICY_SAY];
        policy_words(&a->rules[i], words, sizeof words);
        check(strcmp(a->rules[i].text, b->rules[i].text) == 0, "rule", words);
        check_rule(a, b, i);
    }
}

static void check_again(const struct config *c) {
    char reason[CONFIG_REASON];
    struct config again;
    size_t size = 0;
    char *text = print(c, &size);
    check(read_bytes(&again, text, size, reason, sizeof reason) == 0,
        "it does not read back", reason);
    check(c->links == again.links &&
              memcmp(c->link, again.link, sizeof c->link) == 0,
        "links", text);
    size_t from = offsetof(struct config, log_level);
    check(memcmp((const char *)c + from, (const char *)&again + from,
              offsetof(struct config, policy) - from) == 0,
        "a value", text);
    struct policy *a = c->policy.first;
    struct policy *b = again.policy.first;
    for (; a && b; a = a->next, b = b->next) {
        check_policy(a, b);
    }
    check(!a && !b, "sections", text);
    config_free(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char reason[CONFIG_REASON];
    struct config c;
    if (read_bytes(&c, data, size, reason, sizeof reason) == 0) {
        check_again(&c);
    }
    config_free(&c);
    return 0;
}
