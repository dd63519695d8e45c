// The first packet of a connection.
// SPDX-License-Identifier: MIT
#include "daemon/hello.h"

#include <string.h>

#include "unit.h"

static struct far_hello good(void) {
    return (struct far_hello){
        .magic = FAR_HELLO_MAGIC,
        .version = FAR_WIRE_VERSION,
        .kind = FAR_HELLO_LINK,
    };
}

static int check(const struct far_hello *h, size_t len, struct far_welcome *w) {
    struct far_hello out;
    return hello_check(h, len, &out, w);
}

TEST(a_good_hello_is_welcome) {
    struct far_welcome w;
    struct far_hello h = good();
    h.features = UINT32_MAX;
    CHECK_EQ(check(&h, sizeof(h), &w), FAR_OK);
    CHECK_EQ(w.status, FAR_OK);
    CHECK_EQ(w.magic, FAR_HELLO_MAGIC);
    CHECK_EQ(w.version, FAR_WIRE_VERSION);
    CHECK_EQ(w.features, FAR_FEATURE_RESCUE | FAR_FEATURE_BEAT);
    CHECK_EQ(w.text[0], 0);
}

TEST(no_length_but_one_is_welcome) {
    struct far_welcome w;
    char packet[2 * sizeof(struct far_hello)] = {0};
    struct far_hello h = good();
    memcpy(packet, &h, sizeof(h));
    for (size_t len = 0; len <= sizeof(packet); len++) {
        struct far_hello out;
        int want = len == sizeof(h) ? FAR_OK : FAR_EBADMSG;
        CHECK_EQ(hello_check(packet, len, &out, &w), want);
    }
}

TEST(another_version_is_named_whatever_its_length) {
    struct far_welcome w;
    struct far_hello h = good();
    h.version = 77;
    for (size_t len = 6; len <= sizeof(h); len++) {
        CHECK_EQ(check(&h, len, &w), FAR_ELINKPROTO);
        CHECK_EQ(w.status, FAR_ELINKPROTO);
        CHECK(strstr(w.text, "version 77") != NULL);
    }
    CHECK_EQ(check(&h, 5, &w), FAR_EBADMSG);
}

TEST(another_magic_gets_no_answer) {
    struct far_welcome w;
    struct far_hello h = good();
    h.magic++;
    CHECK_EQ(check(&h, sizeof(h), &w), FAR_EBADMSG);
}

TEST(an_unknown_kind_is_refused) {
    struct far_welcome w;
    struct far_hello h = good();
    h.kind = FAR_HELLO_DUMP + 1;
    CHECK_EQ(check(&h, sizeof(h), &w), FAR_EOPNOTSUPP);
    CHECK_EQ(w.status, FAR_EOPNOTSUPP);
}

TEST(a_long_refusal_is_cut_and_ends) {
    struct far_welcome w = {0};
    hello_refuse(&w, FAR_EIO, "%0200d", 0);
    CHECK_EQ(strlen(w.text), sizeof(w.text) - 1);
}

TEST(no_wish_leads_beyond_the_limits) {
    static const uint32_t wishes[] = {
        0, 1, 7, 8, 9, 1000, 1u << 24, UINT32_MAX};
    struct config c;
    config_init(&c);
    c.sockets = 3;
    c.max_sockets = 8;
    c.max_ring = 8192;
    c.tx_ring = c.rx_ring = 2048;
    for (size_t i = 0; i < sizeof(wishes) / sizeof wishes[0]; i++) {
        struct far_layout l;
        struct far_hello h = good();
        h.sockets = h.tags = h.tx_ring = h.rx_ring = h.index_base = wishes[i];
        CHECK_EQ(hello_layout(&h, &c, &l), FAR_OK);
        CHECK_EQ(far_layout_check(&l, far_layout_bytes(&l)), FAR_OK);
        CHECK(l.sockets <= 8 && l.tags <= FAR_TAGS_MAX);
        CHECK(l.tx_ring <= 8192 && l.rx_ring <= 8192);
        CHECK(wishes[i] != 0 || (l.sockets == 3 && l.tx_ring == 2048));
    }
}

TEST(the_largest_configuration_has_a_layout_or_none) {
    struct config c;
    config_init(&c);
    c.max_sockets = FAR_SOCKETS_MAX;
    c.max_ring = FAR_RING_MAX;
    struct far_hello h = good();
    h.sockets = h.tags = h.tx_ring = h.rx_ring = UINT32_MAX;
    struct far_layout l;
    int err = hello_layout(&h, &c, &l);
    CHECK(err == FAR_OK || err == FAR_EINVAL);
}

TEST(a_name_is_one_word_for_people) {
    char out[64];
    struct far_hello h = good();
    hello_name(&h, out, sizeof(out));
    CHECK(strcmp(out, "-") == 0);
    memset(h.name, 'n', sizeof(h.name)); // no terminator
    hello_name(&h, out, sizeof(out));
    CHECK_EQ(strlen(out), sizeof(h.name));
    memcpy(h.name, "a\tb\n\x1b\xff ", 8);
    hello_name(&h, out, sizeof(out));
    CHECK(strcmp(out, "a?b??? ") == 0);
    hello_name(&h, out, 4);
    CHECK(strcmp(out, "a?b") == 0);
    memcpy(h.name, "ivshmem:core", 13);
    hello_name(&h, out, sizeof(out));
    CHECK(strcmp(out, "ivshmem?core") == 0);
}

static const struct test_case cases[] = {
    CASE(a_good_hello_is_welcome),
    CASE(no_length_but_one_is_welcome),
    CASE(another_version_is_named_whatever_its_length),
    CASE(another_magic_gets_no_answer),
    CASE(an_unknown_kind_is_refused),
    CASE(a_long_refusal_is_cut_and_ends),
    CASE(no_wish_leads_beyond_the_limits),
    CASE(the_largest_configuration_has_a_layout_or_none),
    CASE(a_name_is_one_word_for_people),
};

int main(void) {
    return RUN_TESTS(cases);
}
