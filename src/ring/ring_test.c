// Tests of the rings: wrap, wake-up arithmetic, peers that lie.
// SPDX-License-Identifier: MIT
#include "ring/ring.h"

#include <string.h>

#include "unit.h"

#define SIZE 2048u

static struct far_msg_head head;
static struct far_msg_tail tail;
static uint8_t data[SIZE];
static struct far_msg_writer w;
static struct far_msg_reader r;

static void start(uint32_t base) {
    head = (struct far_msg_head){.head = base};
    tail = (struct far_msg_tail){.tail = base, .wake = base - 1u};
    memset(data, 0xee, sizeof data);
    far_msg_writer_init(&w, &head, &tail, data, SIZE, base);
    far_msg_reader_init(&r, &head, &tail, data, SIZE, base);
}

static int put_kick(uint16_t sock) {
    struct far_msg m = {.op = FAR_OP_KICK, .sock = sock};
    return far_msg_put(&w, m, NULL, 0, NULL, 0);
}

TEST(an_index_passes_its_wake_once) {
    CHECK(far_crossed(10, 10, 11));
    CHECK(far_crossed(10, 4, 11));
    CHECK(!far_crossed(10, 11, 20));
    CHECK(!far_crossed(10, 4, 10));
    CHECK(!far_crossed(10, 10, 10));
}

TEST(an_index_passes_its_wake_across_2_to_32) {
    CHECK(far_crossed(UINT32_MAX, UINT32_MAX - 3u, 2));
    CHECK(far_crossed(1, UINT32_MAX, 2));
    CHECK(!far_crossed(2, UINT32_MAX, 2));
    CHECK(!far_crossed(UINT32_MAX - 4u, UINT32_MAX - 3u, 2));
}

TEST(a_head_that_jumps_is_refused) {
    CHECK(far_check_head(100, 90, 80, 64) == FAR_OK);
    CHECK(far_check_head(145, 90, 80, 64) == FAR_EBADMSG);
    CHECK(far_check_head(89, 90, 80, 64) == FAR_EBADMSG);
    CHECK(far_check_head(79, 80, 80, 64) == FAR_EBADMSG);
    CHECK(far_check_head(3, UINT32_MAX, UINT32_MAX - 7u, 64) == FAR_OK);
}

TEST(a_tail_that_jumps_is_refused) {
    CHECK(far_check_tail(95, 90, 100) == FAR_OK);
    CHECK(far_check_tail(100, 90, 100) == FAR_OK);
    CHECK(far_check_tail(101, 90, 100) == FAR_EBADMSG);
    CHECK(far_check_tail(89, 90, 100) == FAR_EBADMSG);
    CHECK(far_check_tail(2, UINT32_MAX, 5) == FAR_OK);
}

TEST(bytes_wrap_at_the_end_of_memory) {
    uint8_t ring[8] = {0};
    uint8_t out[6] = {0};
    far_ring_put(ring, 8, 6, "abcdef", 6);
    CHECK(memcmp(ring, "cdef", 4) == 0);
    CHECK(memcmp(ring + 6, "ab", 2) == 0);
    far_ring_get(ring, 8, 6, out, 6);
    CHECK(memcmp(out, "abcdef", 6) == 0);
}

static bool round_trip(uint32_t len) {
    uint8_t in[FAR_RECORD_MAX];
    uint8_t out[FAR_RECORD_MAX];
    struct far_msg m = {.op = FAR_OP_SETSOCKOPT, .tag = 7, .sock = 3};
    for (uint32_t i = 0; i < len; i++) {
        in[i] = (uint8_t)(i * 7u + len);
    }
    if (far_msg_put(&w, m, in, 8, in + 8, len - 8) != FAR_OK) {
        return false;
    }
    far_msg_publish(&w);
    return far_msg_get(&r, &m, out) == 1 && m.len == len && m.tag == 7 &&
           m.sock == 3 && memcmp(in, out, len) == 0;
}

TEST(messages_of_every_length_survive_every_position) {
    start(UINT32_MAX - 8u * 100u + 1u);
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t len = 8u + i * 37u % (FAR_RECORD_MAX - 16u);
        CHECK(round_trip(len));
    }
}

TEST(a_full_ring_refuses_and_recovers) {
    struct far_msg m;
    uint8_t buf[FAR_RECORD_MAX];
    start(0);
    for (uint16_t i = 0; i < SIZE / 8u; i++) {
        CHECK(put_kick(i) == FAR_OK);
    }
    CHECK(put_kick(999) == FAR_EAGAIN);
    far_msg_publish(&w);
    CHECK(far_msg_get(&r, &m, buf) == 1 && m.sock == 0);
    CHECK(put_kick(999) == FAR_OK);
    CHECK(put_kick(999) == FAR_EAGAIN);
}

TEST(what_is_not_published_is_not_seen) {
    struct far_msg m;
    uint8_t buf[FAR_RECORD_MAX];
    start(0);
    CHECK(put_kick(1) == FAR_OK);
    CHECK(far_msg_get(&r, &m, buf) == 0);
    far_msg_publish(&w);
    CHECK(far_msg_get(&r, &m, buf) == 1);
}

TEST(only_a_sleeper_is_rung) {
    struct far_msg m;
    uint8_t buf[FAR_RECORD_MAX];
    start(0);
    CHECK(far_msg_may_sleep(&r));
    CHECK(put_kick(1) == FAR_OK);
    CHECK(far_msg_publish(&w));
    CHECK(put_kick(2) == FAR_OK);
    CHECK(!far_msg_publish(&w));
    CHECK(!far_msg_may_sleep(&r));
    CHECK(far_msg_get(&r, &m, buf) == 1);
    CHECK(far_msg_get(&r, &m, buf) == 1);
    CHECK(far_msg_may_sleep(&r));
}

TEST(who_was_woken_by_something_else_is_not_rung) {
    struct far_msg m;
    uint8_t buf[FAR_RECORD_MAX];
    start(0);
    for (int i = 0; i < 3; i++) {
        CHECK(far_msg_may_sleep(&r));
        far_msg_awake(&r);
        CHECK(put_kick(1) == FAR_OK);
        CHECK(!far_msg_publish(&w));
        CHECK(!far_msg_may_sleep(&r));
        CHECK(far_msg_get(&r, &m, buf) == 1);
        CHECK(far_msg_may_sleep(&r));
        CHECK(put_kick(2) == FAR_OK);
        CHECK(far_msg_publish(&w));
        CHECK(far_msg_get(&r, &m, buf) == 1);
    }
}

TEST(several_messages_before_one_check_ring_once) {
    start(0);
    CHECK(far_msg_may_sleep(&r));
    CHECK(put_kick(1) == FAR_OK);
    CHECK(put_kick(2) == FAR_OK);
    CHECK(far_msg_publish(&w));
}

TEST(a_kick_is_pending_until_it_is_consumed) {
    struct far_msg m;
    uint8_t buf[FAR_RECORD_MAX];
    start(64);
    CHECK(!far_msg_pending(&w, 64));
    CHECK(put_kick(1) == FAR_OK);
    uint32_t pos = w.head;
    far_msg_publish(&w);
    CHECK(far_msg_pending(&w, pos));
    CHECK(far_msg_get(&r, &m, buf) == 1);
    CHECK(!far_msg_pending(&w, pos));
}

static int get_with_header(struct far_msg m) {
    struct far_msg got;
    uint8_t buf[FAR_RECORD_MAX];
    start(0);
    memcpy(data, &m, sizeof m);
    head.head = 64;
    return far_msg_get(&r, &got, buf);
}

TEST(malformed_records_are_errors) {
    struct far_msg kick = {.op = FAR_OP_KICK};
    CHECK(get_with_header(kick) == 1);
    kick.op = 63;
    CHECK(get_with_header(kick) == FAR_EBADMSG);
    kick = (struct far_msg){.op = FAR_OP_KICK, .len = 8};
    CHECK(get_with_header(kick) == FAR_EBADMSG);
    kick = (struct far_msg){.op = FAR_OP_KICK, .flags = 1};
    CHECK(get_with_header(kick) == FAR_EBADMSG);
    kick = (struct far_msg){.op = FAR_OP_SETSOCKOPT, .len = 60};
    CHECK(get_with_header(kick) == FAR_EBADMSG); // longer than what is there
    kick = (struct far_msg){.op = FAR_OP_BIND, .len = 8};
    CHECK(get_with_header(kick) == FAR_EBADMSG);
    kick = (struct far_msg){.op = FAR_OP_PAD, .len = 0xffff};
    CHECK(get_with_header(kick) == FAR_EBADMSG);
}

TEST(a_lying_writer_is_an_error) {
    struct far_msg m;
    uint8_t buf[FAR_RECORD_MAX];
    start(0);
    head.head = SIZE + 8u;
    CHECK(far_msg_get(&r, &m, buf) == FAR_EBADMSG);
    start(0);
    head.head = 4;
    CHECK(far_msg_get(&r, &m, buf) == FAR_EBADMSG);
    start(64);
    head.head = 56;
    CHECK(far_msg_get(&r, &m, buf) == FAR_EBADMSG);
}

TEST(a_lying_reader_is_an_error) {
    start(0);
    for (uint16_t i = 0; i < SIZE / 8u; i++) {
        CHECK(put_kick(i) == FAR_OK);
    }
    tail.tail = SIZE + 8u;
    CHECK(put_kick(0) == FAR_EBADMSG);
}

int main(void) {
    static const struct test_case cases[] = {
        {"an_index_passes_its_wake_once", an_index_passes_its_wake_once},
        {"an_index_passes_its_wake_across_2_to_32",
            an_index_passes_its_wake_across_2_to_32},
        {"a_head_that_jumps_is_refused", a_head_that_jumps_is_refused},
        {"a_tail_that_jumps_is_refused", a_tail_that_jumps_is_refused},
        {"bytes_wrap_at_the_end_of_memory", bytes_wrap_at_the_end_of_memory},
        {"messages_of_every_length_survive_every_position",
            messages_of_every_length_survive_every_position},
        {"a_full_ring_refuses_and_recovers", a_full_ring_refuses_and_recovers},
        {"what_is_not_published_is_not_seen",
            what_is_not_published_is_not_seen},
        {"only_a_sleeper_is_rung", only_a_sleeper_is_rung},
        {"who_was_woken_by_something_else_is_not_rung",
            who_was_woken_by_something_else_is_not_rung},
        {"several_messages_before_one_check_ring_once",
            several_messages_before_one_check_ring_once},
        {"a_kick_is_pending_until_it_is_consumed",
            a_kick_is_pending_until_it_is_consumed},
        {"malformed_records_are_errors", malformed_records_are_errors},
        {"a_lying_writer_is_an_error", a_lying_writer_is_an_error},
        {"a_lying_reader_is_an_error", a_lying_reader_is_an_error},
    };
    return run_tests(cases, (int)(sizeof cases / sizeof cases[0]));
}
