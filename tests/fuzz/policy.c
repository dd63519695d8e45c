// A rule and a call as somebody writes them: "allow connect tcp any:80" on the
// first line, "connect tcp 192.0.2.1:80" on the second, as for --explain.
// SPDX-License-Identifier: MIT
#include "daemon/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/input.h"

static void check(bool good, const char *what, const char *more) {
    if (!good) {
        fprintf(stderr, "policy: %s: %s\n", what, more);
        abort();
    }
}

static char *line(struct input *in) {
    const uint8_t *end = in->left ? memchr(in->at, '\n', in->left) : NULL;
    size_t len = end ? (size_t)(end - in->at) : in->left;
    char *text = calloc(1, len + 1); // just as long, for ASan
    take(in, text, len);
    take8(in);
    return text;
}

static bool parse_rule(struct policy_rule *r, const char *text) {
    char reason[POLICY_SAY];
    char words[POLICY_SAY];
    char more[POLICY_SAY];
    struct policy_rule again;
    if (policy_parse_rule(r, text, reason, sizeof reason) < 0) {
        check(memchr(reason, 0, sizeof reason), "a reason", "without an end");
        return false;
    }
    policy_words(r, words, sizeof words);
    check(policy_parse_rule(&again, r->text, reason, sizeof reason) == 0,
        r->text, reason);
    policy_words(&again, more, sizeof more);
    check(strcmp(words, more) == 0, words, more);
    check(strcmp(r->text, again.text) == 0, r->text, again.text);
    return true;
}

static bool parse_query(struct policy_query *q, const char *text) {
    char reason[POLICY_SAY];
    char said[POLICY_SAY];
    struct policy_query again;
    if (policy_parse_query(q, text, reason, sizeof reason) < 0) {
        check(memchr(reason, 0, sizeof reason), "a reason", "without an end");
        return false;
    }
    policy_query_text(q, said, sizeof said);
    check(policy_parse_query(&again, said, reason, sizeof reason) == 0, said,
        reason);
    // A port that is written for what has none is not said.
    check(again.action == q->action && again.option == q->option &&
              again.addr.family == q->addr.family &&
              memcmp(again.addr.ip, q->addr.ip, sizeof q->addr.ip) == 0,
        "another call", said);
    check(!q->name || strcmp(q->name, again.name) == 0, "a name", said);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static FILE *out;
    struct input in = {data, size};
    char *first = line(&in);
    char *second = line(&in);
    struct policy_rule r;
    struct policy_query q;
    struct policy p = {.name = "fuzz"};
    struct policy_set set = {.first = &p};
    out = out ? out : fopen("/dev/null", "we");
    if (parse_rule(&r, first)) {
        p.rules = &r;
        p.rule_count = 1;
        policy_print(&set, out);
    }
    if (parse_query(&q, second)) {
        struct policy_verdict v = policy_decide(&p, &q);
        check(v.allow == (v.rule && r.allow), "a verdict", second);
        uint32_t actions = r.actions; // to listen, one must bind
        actions |= r.actions & POLICY_LISTEN ? (uint32_t)POLICY_BIND : 0;
        check(!v.rule || (actions & q.action), "a rule for another", second);
        policy_explain(&set, &q, out);
    }
    free(first);
    free(second);
    return 0;
}
