// When a stream trickles, by counts of turns and doorbells.
// SPDX-License-Identifier: MIT
#include "daemon/child_test.h"
#include "daemon/core.h"
#include "daemon/rig_test.h"
#include "daemon/slice.h"

#define RING   65536u
#define LITTLE (RING / TRICKLE_PART - 1u)
#define MANY   (RING / TRICKLE_PART)

static struct rig rig;
static int peers[2];

static void turn(void) {
    engine_turn(rig.engine, false);
}

static int32_t ask(uint8_t op, uint32_t slot, const void *req, size_t len) {
    struct far_msg m;
    rig_put(&rig, op, 1, slot, req, len);
    for (int i = 0; i < PATIENCE_MS; i++) {
        turn();
        while (rig_get(&rig, &m, 0)) {
            if (m.op == FAR_OP_REPLY && m.tag == 1) {
                return rig.result;
            }
        }
    }
    return NO_REPLY;
}

static int stream(uint32_t slot) {
    uint16_t port;
    int listener = peer_open(SOCK_STREAM, &port);
    struct far_req_addr to = rig_addr(port);
    rig_place(&rig, slot);
    struct far_req_socket req = {
        .rings = rig.socks[slot].rings,
        .family = FAR_AF_INET,
        .type = FAR_SOCK_STREAM,
    };
    ask(FAR_OP_SOCKET, slot, &req, sizeof req);
    ask(FAR_OP_CONNECT, slot, &to, sizeof to);
    int fd = accept(listener, NULL, NULL);
    close(listener);
    return fd;
}

static void begin(void) {
    rig_prepare(&rig, (struct rig_options){.ring = RING});
    peers[0] = stream(0);
    peers[1] = stream(1);
    for (int i = 0; i < 4; i++) {
        turn();
    }
}

static void end(void) {
    engine_free(rig.engine);
    close(peers[0]);
    close(peers[1]);
    rig_free(&rig);
}

static bool all_sent(uint32_t slot) {
    const struct near_sock *s = &rig.socks[slot];
    return far_load(&s->far->tx_tail) == s->tx_head;
}

// Near writes n bytes and rings; the peer takes them.
static void write_some(uint32_t slot, uint32_t n) {
    static uint8_t bytes[RING];
    struct near_sock *s = &rig.socks[slot];
    far_ring_put(s->tx, RING, s->tx_head, bytes, n);
    s->tx_head += n;
    FAR_WMB();
    far_store(&s->line->tx_head, s->tx_head);
    rig_kick(&rig, slot);
    for (int i = 0; i < PATIENCE_MS && !all_sent(slot); i++) {
        turn();
        while (recv(peers[slot], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
        }
    }
}

static void ring_for(uint32_t n, uint32_t times) {
    for (uint32_t i = 0; i < times; i++) {
        write_some(0, n);
    }
}

static bool trickles(void) {
    return rig.engine->trickle.on;
}

// The stream was alone for long; what it wrote was much.
static void be_alone(void) {
    ring_for(MANY, 1);
    rig.engine->runs = TURNS_LONG;
}

TEST(who_is_alone_for_long_and_rings_for_little_trickles) {
    begin();
    ring_for(1, TURNS_LONG - 1u);
    CHECK(!trickles());
    ring_for(1, 2);
    CHECK(trickles());
    end();
}

TEST(it_takes_some_doorbells_in_a_row) {
    begin();
    be_alone();
    for (int i = 0; i < 3; i++) {
        // A doorbell is judged by what was written since the one before it.
        ring_for(LITTLE, TRICKLE_RINGS - 1u);
        ring_for(MANY, 1);
        CHECK(!trickles());
    }
    ring_for(LITTLE, TRICKLE_RINGS + 1u);
    CHECK(trickles());
    end();
}

TEST(much_is_no_trickle) {
    begin();
    be_alone();
    ring_for(MANY, 2u * TRICKLE_RINGS);
    CHECK(!trickles());
    end();
}

static void trickle(void) {
    be_alone();
    ring_for(1, TRICKLE_RINGS + 1u);
}

TEST(one_that_then_rings_for_much_goes_on) {
    begin();
    trickle();
    ring_for(MANY, 4u * TRICKLE_VAIN);
    CHECK(trickles());
    end();
}

TEST(one_that_rings_for_little_all_the_same_does_not) {
    begin();
    trickle();
    ring_for(1, TRICKLE_VAIN - 1u);
    CHECK(trickles());
    ring_for(1, 1);
    CHECK(!trickles());
    ring_for(1, TURNS_LONG / 2u); // and not soon again
    CHECK(!trickles());
    end();
}

TEST(a_byte_from_the_peer_ends_it) {
    begin();
    trickle();
    CHECK(trickles());
    CHECK_EQ(send(peers[0], "x", 1, 0), 1);
    for (int i = 0; i < PATIENCE_MS && trickles(); i++) {
        turn();
        rig_pause();
    }
    CHECK(!trickles());
    end();
}

TEST(another_sockets_turn_ends_it_for_long) {
    begin();
    trickle();
    CHECK(trickles());
    write_some(1, 1);
    CHECK(!trickles());
    ring_for(1, TURNS_LONG / 2u);
    CHECK(!trickles());
    end();
}

TEST(a_request_ends_it) {
    begin();
    trickle();
    CHECK(trickles());
    rig_put(&rig, FAR_OP_GETSOCKNAME, 1, 1, NULL, 0);
    turn();
    CHECK(!trickles());
    end();
}

// --- What comes of it ---

// In a child, whose slices these are: 0 if they are right.
static int slices(bool gives_way) {
    begin();
    rig.engine->config.gives_way = gives_way;
    uint64_t others = sched_view().runtime;
    slice_give_way(true);
    uint64_t patient = sched_view().runtime;
    trickle();
    bool right =
        trickles() && sched_view().runtime == (gives_way ? others : patient);
    trickle_end(rig.engine);
    return right && sched_view().runtime == patient ? 0 : 1;
}

static int of_who_gives_way(void) {
    return slices(true);
}

TEST(who_trickles_is_served_as_others_would) {
    CHECK_EQ(in_child(of_who_gives_way), 0);
}

static int of_who_does_not(void) {
    return slices(false);
}

TEST(only_by_who_gives_way) {
    CHECK_EQ(in_child(of_who_does_not), 0);
}

TEST(only_a_turn_that_moves_much_is_bulk) {
    static const uint8_t bytes[QUIET_BYTES + 1u];
    begin();
    CHECK_EQ(send(peers[0], bytes, sizeof bytes, 0), sizeof bytes);
    turn();
    CHECK(rig.engine->bulk);
    CHECK_EQ(send(peers[0], bytes, QUIET_BYTES, 0), QUIET_BYTES);
    turn();
    CHECK(!rig.engine->bulk);
    rig_close(&rig, 0, 0);
    turn();
    CHECK(!rig.engine->bulk);
    end();
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(who_is_alone_for_long_and_rings_for_little_trickles),
        CASE(it_takes_some_doorbells_in_a_row),
        CASE(much_is_no_trickle),
        CASE(one_that_then_rings_for_much_goes_on),
        CASE(one_that_rings_for_little_all_the_same_does_not),
        CASE(a_byte_from_the_peer_ends_it),
        CASE(another_sockets_turn_ends_it_for_long),
        CASE(a_request_ends_it),
        CASE(who_trickles_is_served_as_others_would),
        CASE(only_by_who_gives_way),
        CASE(only_a_turn_that_moves_much_is_bulk),
    };
    return RUN_TESTS(cases);
}
