// Urgent data, as far's line tells of it and as the peer gets it.
// SPDX-License-Identifier: MIT
#include "daemon/rig_test.h"

static struct rig rig;

// Waits until far has published so many marks.
static bool marks(uint32_t slot, uint32_t count) {
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (far_load(&rig.socks[slot].far->urg) >> 16 == count) {
            FAR_RMB(FAR_AT_URG_THEN);
            return true;
        }
        rig_pause();
    }
    return false;
}

static uint32_t mark(uint32_t slot, uint32_t n) {
    return far_load(&rig.socks[slot].far->urg_pos[n % FAR_MARKS]);
}

TEST(an_urgent_byte_stays_in_the_stream_and_its_place_is_told) {
    rig_up(&rig, (struct rig_options){.ring = 1024, .base = 0xfffffff8u});
    int peer = rig_connect(&rig, 0);
    uint32_t base = rig.layout.index_base;
    char in[16] = "";
    CHECK_EQ(send(peer, "abc!", 4, MSG_OOB), 4);
    CHECK(marks(0, 1));
    CHECK_EQ(mark(0, 1), base + 3u);
    CHECK_EQ(far_load(&rig.socks[0].far->urg) & 0xffffu, '!');
    CHECK_EQ(send(peer, "de", 2, 0), 2);
    CHECK_EQ(send(peer, "f?", 2, MSG_OOB), 2);
    CHECK(marks(0, 2));
    CHECK_EQ(mark(0, 1), base + 3u);
    CHECK_EQ(mark(0, 2), base + 7u);
    CHECK(rig_read(&rig, 0, in, 8));
    CHECK(memcmp(in, "abc!def?", 8) == 0);
    close(peer);
    rig_down(&rig);
}

// More than a ring of 1 KiB holds, and an urgent byte.
#define BEYOND 3000u

static bool send_beyond_ring(int peer) {
    uint8_t out[BEYOND];
    memset(out, 'x', sizeof out);
    return send(peer, out, sizeof out, 0) == (ssize_t)sizeof out &&
           send(peer, "!", 1, MSG_OOB) == 1;
}

TEST(what_is_behind_a_full_ring_is_told) {
    rig_up(&rig, (struct rig_options){.ring = 1024});
    int peer = rig_connect(&rig, 0);
    uint8_t in[BEYOND];
    CHECK(send_beyond_ring(peer));
    CHECK(marks(0, 1));
    CHECK_EQ(mark(0, 1), rig.layout.index_base + BEYOND);
    for (size_t at = 0; at < BEYOND; at += 500) {
        CHECK(rig_read(&rig, 0, in, 500));
    }
    CHECK(rig_read(&rig, 0, in, 1));
    CHECK_EQ(in[0], '!');
    CHECK(marks(0, 1));
    close(peer);
    rig_down(&rig);
}

// The end is known long before the urgent byte is reached.
TEST(what_is_before_the_end_is_not_passed_over) {
    rig_up(&rig, (struct rig_options){.ring = 1024});
    int peer = rig_connect(&rig, 0);
    uint8_t in[BEYOND];
    CHECK(send_beyond_ring(peer));
    CHECK_EQ(send(peer, "yz", 2, 0), 2);
    CHECK_EQ(shutdown(peer, SHUT_WR), 0);
    CHECK(rig_state(&rig, 0, FAR_ST_RDHUP, FAR_ST_RDHUP));
    for (size_t at = 0; at < BEYOND; at += 500) {
        CHECK(rig_read(&rig, 0, in, 500));
    }
    CHECK(rig_read(&rig, 0, in, 3));
    CHECK(memcmp(in, "!yz", 3) == 0);
    CHECK(marks(0, 1));
    CHECK_EQ(mark(0, 1), rig.layout.index_base + BEYOND);
    CHECK(rig_state(&rig, 0, FAR_ST_FIN, FAR_ST_FIN));
    close(peer);
    rig_down(&rig);
}

TEST(the_answer_is_what_the_kernel_says) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    CHECK_EQ(rig_ask(&rig, FAR_OP_URGENT, 0, NULL, 0), FAR_EINVAL);
    // Only the kernel can have seen it; the answer comes with the mark.
    CHECK_EQ(send(peer, "!", 1, MSG_OOB), 1);
    int32_t r = rig_ask(&rig, FAR_OP_URGENT, 0, NULL, 0);
    CHECK(r == 1 || r == FAR_EINVAL);
    CHECK_EQ(far_load(&rig.socks[0].far->urg), 1u << 16 | '!');
    CHECK_EQ(rig_socket(&rig, 1, FAR_SOCK_DGRAM), FAR_OK);
    CHECK_EQ(rig_ask(&rig, FAR_OP_URGENT, 1, NULL, 0), FAR_EOPNOTSUPP);
    close(peer);
    rig_down(&rig);
}

// As near does: the mark's end and count, then the head.
static void write_urgent(uint32_t end, uint32_t count) {
    far_store(&rig.socks[0].line->urg_end, end);
    far_store(&rig.socks[0].line->urg_count, count);
}

TEST(the_marked_byte_goes_as_urgent) {
    rig_up(&rig, (struct rig_options){.ring = 1024, .base = 0xfffffff8u});
    int peer = rig_connect(&rig, 0);
    uint32_t base = rig.layout.index_base;
    char in[16] = "";
    write_urgent(base + 3u, 1);
    CHECK(rig_write(&rig, 0, "ab!cd", 5));
    CHECK_EQ(recv(peer, in, sizeof in, 0), 2);
    CHECK_EQ(recv(peer, in, sizeof in, MSG_OOB), 1);
    CHECK_EQ(in[0], '!');
    CHECK_EQ(recv(peer, in, 2, MSG_WAITALL), 2);
    // A mark that is behind, or is none, marks nothing.
    write_urgent(base + 3u, 2);
    CHECK(rig_write(&rig, 0, "efgh", 4));
    CHECK_EQ(recv(peer, in, 4, MSG_WAITALL), 4);
    write_urgent(base + 0x80000000u, 3);
    CHECK(rig_write(&rig, 0, "efgh", 4));
    CHECK_EQ(recv(peer, in, 4, MSG_WAITALL), 4);
    CHECK(recv(peer, in, sizeof in, MSG_OOB) < 0);
    close(peer);
    rig_down(&rig);
}

TEST(a_mark_before_its_byte_waits_for_it) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    uint32_t base = rig.layout.index_base;
    char in[16] = "";
    write_urgent(base + 6u, 1);
    CHECK(rig_write(&rig, 0, "abc", 3));
    CHECK_EQ(recv(peer, in, 3, MSG_WAITALL), 3);
    CHECK(rig_write(&rig, 0, "de!", 3));
    CHECK_EQ(recv(peer, in, sizeof in, 0), 2);
    CHECK_EQ(recv(peer, in, sizeof in, MSG_OOB), 1);
    CHECK_EQ(in[0], '!');
    close(peer);
    rig_down(&rig);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(an_urgent_byte_stays_in_the_stream_and_its_place_is_told),
        CASE(what_is_behind_a_full_ring_is_told),
        CASE(what_is_before_the_end_is_not_passed_over),
        CASE(the_answer_is_what_the_kernel_says),
        CASE(the_marked_byte_goes_as_urgent),
        CASE(a_mark_before_its_byte_waits_for_it),
    };
    return RUN_TESTS(cases);
}
