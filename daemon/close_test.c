// What near wrote is delivered, however it leaves.
// SPDX-License-Identifier: MIT
#include "daemon/rig_test.h"

#include "daemon/clock.h"

static struct rig rig;

// Writes until neither kernel nor ring takes more: bytes.
static size_t fill(uint32_t slot) {
    struct near_sock *s = &rig.socks[slot];
    size_t at = 0;
    int idle = 0;
    while (idle < 200) {
        uint8_t part[4096];
        uint32_t room =
            rig.layout.tx_ring - (s->tx_head - far_load(&s->far->tx_tail));
        if (room == 0) {
            idle++;
            rig_pause();
            continue;
        }
        idle = 0;
        FAR_RMB();
        uint32_t n = room < sizeof part ? room : (uint32_t)sizeof part;
        for (uint32_t i = 0; i < n; i++) {
            part[i] = pattern(at + i);
        }
        far_ring_put(s->tx, rig.layout.tx_ring, s->tx_head, part, n);
        s->tx_head += n;
        at += n;
        rig_publish_tx(&rig, slot);
    }
    return at;
}

static bool closed_within(uint32_t slot, int ms) {
    for (int i = 0; i < ms; i++) {
        if (far_load(&rig.socks[slot].far->state) & FAR_ST_CLOSED) {
            return true;
        }
        rig_pause();
    }
    return false;
}

TEST(a_slow_peer_pins_no_slot_and_loses_nothing) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    size_t written = fill(0);
    rig_close(&rig, 0, 0);
    CHECK(rig_state(&rig, 0, FAR_ST_CLOSED, FAR_ST_CLOSED));
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_STREAM), FAR_OK);
    CHECK_EQ(peer_drain(peer), written);
    close(peer);
    rig_down(&rig);
}

TEST(beyond_the_budget_the_slot_is_kept_until_it_went) {
    rig_up(&rig, (struct rig_options){.orphan_link_bytes = 1});
    int peer = rig_connect(&rig, 0);
    size_t written = fill(0);
    rig_close(&rig, 0, 0);
    CHECK(!closed_within(0, 200));
    CHECK_EQ(peer_drain(peer), written);
    CHECK(closed_within(0, PATIENCE_MS));
    close(peer);
    rig_down(&rig);
}

TEST(an_urgent_byte_behind_a_slow_peer_stays_urgent) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    size_t written = fill(0);
    struct near_sock *s = &rig.socks[0];
    far_store(&s->line->urg_end, s->tx_head);
    far_store(&s->line->urg_count, 1);
    rig_publish_tx(&rig, 0);
    rig_close(&rig, 0, 0);
    CHECK(rig_state(&rig, 0, FAR_ST_CLOSED, FAR_ST_CLOSED));
    static uint8_t in[1u << 16];
    size_t got = 0;
    ssize_t n = 1;
    while (n > 0 && got < written - 1) {
        size_t left = written - 1 - got;
        n = recv(peer, in, left < sizeof in ? left : sizeof in, 0);
        got += n > 0 ? (size_t)n : 0;
    }
    CHECK_EQ(got, written - 1);
    struct pollfd urgent = {.fd = peer, .events = POLLPRI};
    CHECK_EQ(poll(&urgent, 1, PATIENCE_MS), 1);
    CHECK_EQ(recv(peer, in, 1, MSG_OOB), 1);
    CHECK_EQ(in[0], pattern(written - 1));
    CHECK_EQ(recv(peer, in, 1, 0), 0);
    close(peer);
    rig_down(&rig);
}

TEST(what_near_wrote_before_it_died_is_delivered) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    struct near_sock *s = &rig.socks[0];
    uint8_t out[10000];
    for (size_t i = 0; i < sizeof out; i++) {
        out[i] = pattern(i);
    }
    // Published, but never told.
    far_ring_put(s->tx, rig.layout.tx_ring, s->tx_head, out, sizeof out);
    s->tx_head += sizeof out;
    FAR_WMB();
    far_store(&s->line->tx_head, s->tx_head);
    rig_hang_up(&rig);
    CHECK_EQ(peer_drain(peer), sizeof out);
    CHECK(rig_is_gone(&rig));
    close(peer);
    rig_down(&rig);
}

TEST(a_dead_link_stays_until_its_data_went) {
    rig_up(&rig, (struct rig_options){.orphan_link_bytes = 1});
    int peer = rig_connect(&rig, 0);
    size_t written = fill(0);
    rig_hang_up(&rig);
    rig_pause();
    CHECK(!rig.gone);
    CHECK_EQ(peer_drain(peer), written);
    CHECK(rig_is_gone(&rig));
    close(peer);
    rig_down(&rig);
}

TEST(closing_with_unread_data_resets) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    CHECK_EQ(send(peer, "unread", 6, 0), 6);
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (far_load(&rig.socks[0].far->rx_head) ==
            rig.layout.index_base + 6u) {
            break;
        }
        rig_pause();
    }
    rig_close(&rig, 0, 0);
    CHECK_EQ(peer_drain(peer), -ECONNRESET);
    close(peer);
    rig_down(&rig);
}

TEST(a_near_reset_resets) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    rig_close(&rig, 0, FAR_NEAR_RESET);
    CHECK_EQ(peer_drain(peer), -ECONNRESET);
    close(peer);
    rig_down(&rig);
}

static int32_t set_linger(uint32_t slot, int32_t seconds) {
    struct {
        struct far_req_setsockopt req;
        int32_t on, seconds;
    } m = {{FAR_SOL_SOCKET, FAR_SO_LINGER}, 1, seconds};
    return rig_ask(&rig, FAR_OP_SETSOCKOPT, slot, &m, sizeof m);
}

TEST(linger_zero_resets) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    CHECK_EQ(set_linger(0, 0), FAR_OK);
    rig_close(&rig, 0, 0);
    CHECK_EQ(peer_drain(peer), -ECONNRESET);
    close(peer);
    rig_down(&rig);
}

TEST(a_lingering_close_ends_when_the_peer_has_all) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    size_t written = fill(0);
    CHECK_EQ(set_linger(0, 60), FAR_OK);
    rig_close(&rig, 0, 0);
    CHECK(!closed_within(0, 200));
    CHECK_EQ(peer_drain(peer), written);
    CHECK(closed_within(0, PATIENCE_MS));
    close(peer);
    rig_down(&rig);
}

TEST(a_lingering_close_ends_when_its_time_is_over) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    size_t written = fill(0);
    CHECK_EQ(set_linger(0, 1), FAR_OK);
    uint64_t start_ns = clock_ns();
    rig_close(&rig, 0, 0);
    CHECK(closed_within(0, PATIENCE_MS));
    CHECK(clock_ns() - start_ns >= 1000000000u);
    // Natively the rest goes on in the background.
    CHECK_EQ(peer_drain(peer), written);
    close(peer);
    rig_down(&rig);
}

TEST(shutdown_goes_after_what_is_in_the_ring) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    size_t written = fill(0);
    struct far_req_shutdown req = {.how = FAR_SHUT_WR};
    CHECK_EQ(rig_ask(&rig, FAR_OP_SHUTDOWN, 0, &req, sizeof req), FAR_OK);
    CHECK_EQ(peer_drain(peer), written);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    char in;
    CHECK(rig_read(&rig, 0, &in, 1));
    close(peer);
    rig_down(&rig);
}

TEST(a_far_that_stops_sends_what_it_has) {
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    struct near_sock *s = &rig.socks[0];
    uint8_t out[10000];
    for (size_t i = 0; i < sizeof out; i++) {
        out[i] = pattern(i);
    }
    far_ring_put(s->tx, rig.layout.tx_ring, s->tx_head, out, sizeof out);
    s->tx_head += sizeof out;
    FAR_WMB();
    far_store(&s->line->tx_head, s->tx_head);
    rig_down(&rig);
    CHECK_EQ(peer_drain(peer), sizeof out);
    close(peer);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_slow_peer_pins_no_slot_and_loses_nothing),
        CASE(beyond_the_budget_the_slot_is_kept_until_it_went),
        CASE(an_urgent_byte_behind_a_slow_peer_stays_urgent),
        CASE(what_near_wrote_before_it_died_is_delivered),
        CASE(a_dead_link_stays_until_its_data_went),
        CASE(closing_with_unread_data_resets),
        CASE(a_near_reset_resets),
        CASE(linger_zero_resets),
        CASE(a_lingering_close_ends_when_the_peer_has_all),
        CASE(a_lingering_close_ends_when_its_time_is_over),
        CASE(a_far_that_stops_sends_what_it_has),
        CASE(shutdown_goes_after_what_is_in_the_ring),
    };
    return RUN_TESTS(cases);
}
