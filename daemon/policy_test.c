// Rules and what they say of calls.
// SPDX-License-Identifier: MIT
#include "daemon/policy.h"

#include <limits.h>
#include <string.h>

#include "unit.h"

// Rules, the last one NULL, and the answer to one query: the number of the rule
// that decides (1, 2...), negative if it refuses; 0 for the default, to deny.
static int ask(const char *query, const char *const *rules) {
    static struct policy_rule parsed[16];
    struct policy p = {.rules = parsed};
    char reason[POLICY_SAY] = "";
    struct policy_query q;
    for (; rules[p.rule_count] != NULL; p.rule_count++) {
        if (policy_parse_rule(&parsed[p.rule_count], rules[p.rule_count],
                reason, sizeof reason) < 0) {
            return INT_MAX;
        }
    }
    if (policy_parse_query(&q, query, reason, sizeof reason) < 0) {
        return INT_MAX;
    }
    struct policy_verdict v = policy_decide(&p, &q);
    int number = v.rule != NULL ? (int)(v.rule - parsed) + 1 : 0;
    return v.allow ? number : -number;
}

#define ASK(query, ...) ask(query, (const char *const[]){__VA_ARGS__, NULL})

TEST(the_first_rule_that_fits_decides) {
    CHECK_EQ(ASK("connect tcp 10.1.2.3:80", "deny connect tcp 10.1.0.0/16",
                 "allow connect tcp 10.0.0.0/8"),
        -1);
    CHECK_EQ(ASK("connect tcp 10.2.2.3:80", "deny connect tcp 10.1.0.0/16",
                 "allow connect tcp 10.0.0.0/8"),
        2);
    CHECK_EQ(ASK("connect tcp 11.0.0.0:80", "allow connect tcp 10.0.0.0/8"), 0);
}

TEST(prefixes_end_at_any_bit) {
    const char *net = "allow connect tcp 10.0.0.128/25";
    CHECK_EQ(ASK("connect tcp 10.0.0.128:1", net), 1);
    CHECK_EQ(ASK("connect tcp 10.0.0.255:1", net), 1);
    CHECK_EQ(ASK("connect tcp 10.0.0.127:1", net), 0);
    CHECK_EQ(ASK("connect tcp 10.0.1.128:1", net), 0);
    const char *six = "allow connect tcp 2001:db8:8000::/33";
    CHECK_EQ(ASK("connect tcp [2001:db8:ffff::1]:1", six), 1);
    CHECK_EQ(ASK("connect tcp [2001:db8:7fff::1]:1", six), 0);
    CHECK_EQ(ASK("connect tcp 0.0.0.0:1", six), 0);
    CHECK_EQ(ASK("connect tcp 1.2.3.4:1", "allow connect tcp 0.0.0.0/0"), 1);
}

TEST(ports_are_of_tcp_and_udp) {
    const char *rule = "allow connect any any:53,1000-2000";
    CHECK_EQ(ASK("connect udp 1.2.3.4:53", rule), 1);
    CHECK_EQ(ASK("connect tcp 1.2.3.4:1000", rule), 1);
    CHECK_EQ(ASK("connect tcp 1.2.3.4:2000", rule), 1);
    CHECK_EQ(ASK("connect tcp 1.2.3.4:2001", rule), 0);
    CHECK_EQ(ASK("connect icmp 1.2.3.4", rule), 0);
    CHECK_EQ(ASK("connect icmp 1.2.3.4", "allow connect any any"), 1);
}

TEST(a_wildcard_is_every_address) {
    const char *some = "allow listen tcp 10.0.0.0/8";
    CHECK_EQ(ASK("listen tcp 0.0.0.0:80", some), 0);
    CHECK_EQ(ASK("listen tcp 0.0.0.0:80", "allow listen tcp 0.0.0.0"), 1);
    CHECK_EQ(ASK("listen tcp 0.0.0.0:80", "allow listen tcp ipv4"), 1);
    CHECK_EQ(ASK("listen tcp [::]:80", "allow listen tcp ipv4"), 0);
    CHECK_EQ(ASK("listen tcp [::]:80", "allow listen tcp any"), 1);
    CHECK_EQ(ASK("listen tcp 0.0.0.0:80", "deny listen tcp 10.0.0.5",
                 "allow listen tcp any"),
        -1);
    CHECK_EQ(ASK("listen tcp [::]:80", "deny listen tcp 10.0.0.5",
                 "allow listen tcp any"),
        2);
    // As a destination it is one address, and never asked for.
    CHECK_EQ(ASK("connect tcp 0.0.0.0:80", "deny connect tcp 10.0.0.5",
                 "allow connect tcp any"),
        2);
}

TEST(who_may_listen_may_bind) {
    CHECK_EQ(ASK("bind tcp 1.2.3.4:80", "allow listen tcp 1.2.3.4"), 1);
    CHECK_EQ(ASK("bind udp 1.2.3.4:80", "allow listen udp 1.2.3.4"), 1);
    CHECK_EQ(ASK("bind udp 1.2.3.4:80", "deny listen udp 1.2.3.4"), -1);
    // Natively one may bind and connect, without listening.
    CHECK_EQ(ASK("bind tcp 1.2.3.4:80", "deny listen tcp 1.2.3.4",
                 "allow bind tcp any"),
        2);
    CHECK_EQ(ASK("listen tcp 1.2.3.4:80", "allow bind tcp any"), 0);
}

TEST(refusals_reach_into_translated_addresses) {
    const char *deny = "deny connect tcp 10.0.0.0/8";
    const char *all = "allow connect tcp any";
    CHECK_EQ(ASK("connect tcp [::10.1.2.3]:1", "deny connect tcp ipv6", all),
        -1);
    CHECK_EQ(ASK("connect tcp [::10.1.2.3]:1", deny, all), -1);
    CHECK_EQ(ASK("connect tcp [64:ff9b::10.1.2.3]:1", deny, all), -1);
    CHECK_EQ(ASK("connect tcp [2002:a01:203:5::1]:1", deny, all), -1);
    CHECK_EQ(ASK("connect tcp [64:ff9b::11.1.2.3]:1", deny, all), 2);
    CHECK_EQ(ASK("connect tcp [2001:a01:203:5::1]:1", deny, all), 2);
    CHECK_EQ(ASK("connect tcp [::ffff:0:10.1.2.3]:1", deny, all), -1);
    // Teredo hides it: 10.1.2.3 with all its bits turned.
    CHECK_EQ(ASK("connect tcp [2001:0:1:2::f5fe:fdfc]:1", deny, all), -1);
    CHECK_EQ(ASK("connect tcp [2001:0:1:2::a01:203]:1", deny, all), 2);
    CHECK_EQ(ASK("connect tcp [fe80::5efe:10.1.2.3]:1", deny, all), -1);
    CHECK_EQ(ASK("connect tcp [2001:db8::200:5efe:a01:203]:1", deny, all), -1);
    CHECK_EQ(ASK("connect tcp [2001:db8::200:5eff:a01:203]:1", deny, all), 2);
    // Two ways to read it: each is refused.
    CHECK_EQ(ASK("connect tcp [2002:b01:203::5efe:10.1.2.3]:1", deny, all), -1);
    CHECK_EQ(ASK("connect tcp [::1]:1", "deny connect tcp ipv4", all), 2);
    // What is allowed for IPv4 is not, there.
    CHECK_EQ(ASK("connect tcp [64:ff9b::10.1.2.3]:1",
                 "allow connect tcp 10.0.0.0/8"),
        0);
    CHECK_EQ(ASK("connect tcp [64:ff9b::10.1.2.3]:1",
                 "allow connect tcp 64:ff9b::/96", deny),
        1);
}

TEST(names_fit_patterns) {
    CHECK_EQ(ASK("lookup www.Example.org", "allow lookup *.EXAMPLE.org"), 1);
    CHECK_EQ(ASK("lookup www.example.org.", "allow lookup *.example.org"), 1);
    CHECK_EQ(ASK("lookup example.org", "allow lookup *.example.org"), 0);
    CHECK_EQ(ASK("lookup a.example.org.evil", "allow lookup *.example.org"), 0);
    CHECK_EQ(ASK("lookup .", "allow lookup *"), 1);
}

TEST(a_name_that_may_be_any) {
    // As a resolver reads it: www.example.org.
    CHECK_EQ(ASK("lookup ww\\119.example.org", "deny lookup www.example.org",
                 "allow lookup *"),
        -1);
    CHECK_EQ(ASK("lookup ww\\119.example.org", "allow lookup *.example.org"),
        0);
    CHECK_EQ(ASK("lookup ww\\119.example.org", "allow lookup *"), 1);
    CHECK_EQ(ASK("lookup \xef\xbd\x97.example.org", "deny lookup w.example.org",
                 "allow lookup *"),
        -1);
}

TEST(some_call_could_be_allowed) {
    static struct policy_rule r[2];
    struct policy p = {.rules = r, .rule_count = 2};
    char reason[POLICY_SAY];
    policy_parse_rule(&r[0], "deny any icmp", reason, sizeof reason);
    policy_parse_rule(&r[1], "allow connect any 10.0.0.0/8", reason,
        sizeof reason);
    CHECK(!policy_has(&p, POLICY_ICMP));
    CHECK(policy_has(&p, POLICY_RAW));
    p.rule_count = 1;
    CHECK(!policy_has(&p, POLICY_RAW));
    p.allow = true;
    CHECK(policy_has(&p, POLICY_RAW) && !policy_has(&p, POLICY_ICMP));
    policy_parse_rule(&r[0], "deny any icmp 10.0.0.0/8", reason, sizeof reason);
    CHECK(policy_has(&p, POLICY_ICMP));
}

TEST(refusals_are_told_once_a_second) {
    struct policy p = {.allow = false};
    struct policy_verdict v = {false, NULL};
    uint64_t more = 7;
    CHECK(policy_count(&p, &v, 10, &more) && more == 0);
    CHECK(!policy_count(&p, &v, 10, &more));
    CHECK(!policy_count(&p, &v, 10, &more));
    CHECK(policy_count(&p, &v, 11, &more) && more == 2);
    CHECK(p.count.hits == 4);
}

static const struct test_case cases[] = {
    CASE(the_first_rule_that_fits_decides),
    CASE(prefixes_end_at_any_bit),
    CASE(ports_are_of_tcp_and_udp),
    CASE(a_wildcard_is_every_address),
    CASE(who_may_listen_may_bind),
    CASE(refusals_reach_into_translated_addresses),
    CASE(names_fit_patterns),
    CASE(a_name_that_may_be_any),
    CASE(some_call_could_be_allowed),
    CASE(refusals_are_told_once_a_second),
};

int main(void) {
    return RUN_TESTS(cases);
}
