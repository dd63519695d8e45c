// Tests of the layout, the messages' table and the error texts.
// SPDX-License-Identifier: MIT
#include <string.h>

#include "farsock/errors.h"
#include "farsock/wire.h"
#include "unit.h"

static struct far_layout sample(void) {
    struct far_layout l = {0};
    far_layout_make(&l, 100, 8, 65536, 32768, 0);
    return l;
}

TEST(every_layout_that_is_made_passes_the_check) {
    static const uint32_t counts[] = {1, 2, 63, 64, 65, 1000, 65535};
    static const uint32_t rings[] = {0, 1, 1024, 5000, 262144};
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (unsigned k = 0; k < sizeof rings / sizeof rings[0]; k++) {
            struct far_layout l;
            CHECK(far_layout_make(&l, counts[i], 4, rings[k], rings[k], 8) ==
                  FAR_OK);
            CHECK(far_layout_check(&l, far_layout_bytes(&l)) == FAR_OK);
            CHECK(far_layout_check(&l, far_layout_bytes(&l) - 1) ==
                  FAR_EBADMSG);
        }
    }
}

TEST(a_layout_fits_memory_of_any_size) {
    for (uint64_t bytes = 1u << 18; bytes <= UINT64_C(1) << 31; bytes *= 2) {
        for (uint32_t sockets = 1; sockets < 5000; sockets = sockets * 3 + 1) {
            struct far_layout l;
            if (far_layout_fit(&l, bytes, sockets, 16, 8) != FAR_OK) {
                CHECK(sockets * 2048u + 65536u > bytes / 2);
                continue;
            }
            CHECK(far_layout_check(&l, bytes) == FAR_OK);
            CHECK((uint64_t)l.far_at * FAR_LINE == bytes / 2);
            CHECK(far_layout_bytes(&l) == bytes);
        }
    }
    struct far_layout l;
    CHECK(far_layout_fit(&l, (1u << 20) + 4096, 1, 1, 0) == FAR_EINVAL);
    CHECK(far_layout_fit(&l, 1u << 13, 1, 1, 0) == FAR_EINVAL);
    CHECK(far_layout_fit(&l, 0, 1, 1, 0) == FAR_EINVAL);
}

TEST(wishes_out_of_range_are_refused) {
    struct far_layout l;
    CHECK(far_layout_make(&l, 0, 4, 0, 0, 0) == FAR_EINVAL);
    CHECK(far_layout_make(&l, 65536, 4, 0, 0, 0) == FAR_EINVAL);
    CHECK(far_layout_make(&l, 4, 0, 0, 0, 0) == FAR_EINVAL);
    CHECK(far_layout_make(&l, 4, FAR_TAGS_MAX + 1, 0, 0, 0) == FAR_EINVAL);
    CHECK(far_layout_make(&l, 65535, 4, FAR_RING_MAX, FAR_RING_MAX, 0) ==
          FAR_EINVAL);
}

// The check is the near library's only defence: each word, set to values that a
// hostile far might choose, either stays inside or is refused.
TEST(a_layout_that_lies_never_leaves_the_region) {
    static const uint32_t evil[] = {
        0, 1, 3, 63, 64, 0x7fffffff, 0x80000000, 0xffffffff, 0xffffffc0};
    struct far_layout good = sample();
    uint64_t bytes = far_layout_bytes(&good);
    for (unsigned word = 0; word < sizeof good / 4; word++) {
        for (unsigned i = 0; i < sizeof evil / sizeof evil[0]; i++) {
            struct far_layout l = good;
            memcpy((uint8_t *)&l + word * 4u, &evil[i], 4);
            if (far_layout_check(&l, bytes) != FAR_OK) {
                continue;
            }
            uint64_t end =
                (uint64_t)l.rx_at * FAR_LINE + (uint64_t)l.sockets * l.rx_ring;
            CHECK(end <= bytes);
            end =
                (uint64_t)l.tx_at * FAR_LINE + (uint64_t)l.sockets * l.tx_ring;
            CHECK(end <= (uint64_t)l.far_at * FAR_LINE);
            CHECK((uint64_t)l.cmd_at * FAR_LINE + l.cmd_bytes <=
                  (uint64_t)l.tx_at * FAR_LINE);
            CHECK((uint64_t)l.evt_at * FAR_LINE + l.evt_bytes <=
                  (uint64_t)l.rx_at * FAR_LINE);
        }
    }
}

TEST(rings_must_lie_in_their_pools) {
    struct far_layout l = sample();
    struct far_rings r = {
        .tx_at = l.tx_at,
        .rx_at = l.rx_at,
        .tx_log2 = 16,
        .rx_log2 = 15,
        .gen = 1,
    };
    CHECK(far_rings_check(&l, &r) == FAR_OK);
    struct far_rings bad = r;
    bad.gen = 0;
    CHECK(far_rings_check(&l, &bad) == FAR_EBADMSG);
    bad = r;
    bad.tx_at = l.rx_at;
    CHECK(far_rings_check(&l, &bad) == FAR_EBADMSG);
    bad = r;
    bad.rx_at = l.lines - 1u;
    CHECK(far_rings_check(&l, &bad) == FAR_EBADMSG);
    bad = r;
    bad.tx_log2 = 33;
    CHECK(far_rings_check(&l, &bad) == FAR_EBADMSG);
    bad = r;
    bad.rx_log2 = 9;
    CHECK(far_rings_check(&l, &bad) == FAR_EBADMSG);
    bad = r;
    bad.tx_at = l.far_at - 1u;
    CHECK(far_rings_check(&l, &bad) == FAR_EBADMSG);
}

TEST(names_and_texts_come_from_the_tables) {
    CHECK(strcmp(far_op_name(FAR_OP_CONNECT), "CONNECT") == 0);
    CHECK(strcmp(far_op_name(63), "?") == 0);
    CHECK(strcmp(far_strerror(FAR_ECONNREFUSED), "connection refused") == 0);
    CHECK(strcmp(far_strerror(-9999), "unknown error") == 0);
    CHECK(strcmp(far_strerror(FAR_OK), "ok") == 0);
#define X(name, num, text) CHECK(strcmp(far_strerror(FAR_E##name), text) == 0);
    FAR_ERRORS(X)
#undef X
#define X(name, num, text)                                                     \
    CHECK(strcmp(far_gai_strerror(FAR_EAI_##name), text) == 0);
    FAR_EAI_ERRORS(X)
#undef X
    CHECK(strcmp(far_gai_strerror(FAR_EAI_NONAME),
              "name or service not known") == 0);
}

int main(void) {
    static const struct test_case cases[] = {
        {"every_layout_that_is_made_passes_the_check",
            every_layout_that_is_made_passes_the_check},
        {"a_layout_fits_memory_of_any_size", a_layout_fits_memory_of_any_size},
        {"wishes_out_of_range_are_refused", wishes_out_of_range_are_refused},
        {"a_layout_that_lies_never_leaves_the_region",
            a_layout_that_lies_never_leaves_the_region},
        {"rings_must_lie_in_their_pools", rings_must_lie_in_their_pools},
        {"names_and_texts_come_from_the_tables",
            names_and_texts_come_from_the_tables},
    };
    return run_tests(cases, (int)(sizeof cases / sizeof cases[0]));
}
