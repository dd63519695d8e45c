// Who goes first beside a flood, and how much of it goes in one turn.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"
#include "daemon/rig_test.h"

#define RING   (1u << 20)
#define FLOODS 8u

static struct rig floods[FLOODS], other;
static int peers[FLOODS + 1u];

static void turn(void) {
    engine_turn(floods[0].engine, false);
}

// The peer of a stream in that slot.
static int stream(struct rig *r, uint32_t slot) {
    uint16_t port;
    int listener = peer_open(SOCK_STREAM, &port);
    struct far_req_addr to = rig_addr(port);
    rig_place(r, slot);
    struct far_req_socket req = {
        .rings = r->socks[slot].rings,
        .family = FAR_AF_INET,
        .type = FAR_SOCK_STREAM,
    };
    rig_ask_by_hand(r, FAR_OP_SOCKET, slot, &req, sizeof req);
    rig_ask_by_hand(r, FAR_OP_CONNECT, slot, &to, sizeof to);
    int fd = accept(listener, NULL, NULL);
    close(listener);
    return fd;
}

// Near writes n bytes, and says so.
static void put(struct rig *r, uint32_t slot, uint32_t n) {
    static uint8_t bytes[RING];
    struct near_sock *s = &r->socks[slot];
    far_ring_put(s->tx, r->layout.tx_ring, s->tx_head, bytes, n);
    s->tx_head += n;
    FAR_WMB();
    far_store(&s->line->tx_head, s->tx_head);
    rig_kick(r, slot);
}

static uint32_t sent(const struct rig *r, uint32_t slot) {
    return far_load(&r->socks[slot].far->tx_tail) - r->layout.index_base;
}

// A link floods, and quiet's socket has sent nothing yet.
static void begin(struct rig *quiet, uint32_t slot) {
    rig_prepare(&floods[0], (struct rig_options){.ring = RING});
    if (quiet != &floods[0]) {
        rig_prepare(quiet, (struct rig_options){.engine = floods[0].engine});
    }
    peers[0] = stream(&floods[0], 0);
    peers[1] = stream(quiet, slot);
    put(&floods[0], 0, RING);
    turn();
}

static void end(void) {
    engine_free(floods[0].engine);
    close(peers[0]);
    close(peers[1]);
}

// What the flood sends in one turn; its peer has read all before.
static uint32_t share(void) {
    static uint8_t bytes[RING];
    while (recv(peers[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    uint32_t before = sent(&floods[0], 0);
    turn();
    return sent(&floods[0], 0) - before;
}

// Its share when nobody is quiet: whole segments.
static uint32_t full(void) {
    return stream_share(floods[0].link->slots[0].sock, TURN_BYTES);
}

// What is quiet goes first, and from then on a flood's turns are short. 0, or
// which of it is not so.
static int goes_first(struct rig *quiet, uint32_t slot) {
    if (share() != full()) {
        return 1;
    }
    put(quiet, slot, 1);
    if (share() != TURN_BYTES / RIVAL_PART) {
        return 2;
    }
    if (sent(quiet, slot) != 1) {
        return 3;
    }
    // Nobody else for a while: all of it again.
    floods[0].engine->rival_ns = 1;
    return share() == full() ? 0 : 4;
}

TEST(a_quiet_link_goes_before_a_flood_and_shortens_its_turns) {
    begin(&other, 0);
    CHECK_EQ(goes_first(&other, 0), 0);
    end();
    rig_free(&other);
    rig_free(&floods[0]);
}

TEST(so_does_a_quiet_socket_of_the_same_link) {
    begin(&floods[0], 1);
    CHECK_EQ(goes_first(&floods[0], 1), 0);
    end();
    rig_free(&floods[0]);
}

// Near fills the ring with datagrams, and waits for a third of it.
static void fill(struct rig *r, uint16_t port, uint32_t len) {
    static uint8_t bytes[4096];
    struct near_sock *s = &r->socks[0];
    struct far_req_addr to = rig_addr(port);
    struct far_dgram head = {.len = len, .flags = FAR_DGRAM_ADDR};
    uint32_t ring = r->layout.tx_ring;
    uint32_t size = (uint32_t)(sizeof head + sizeof to.addr) + FAR_ALIGN8(len);
    for (uint32_t i = 0; i < ring / size; i++) {
        far_ring_put(s->tx, ring, s->tx_head, &head, sizeof head);
        far_ring_put(s->tx, ring, s->tx_head + (uint32_t)sizeof head, &to.addr,
            sizeof to.addr);
        far_ring_put(s->tx, ring, s->tx_head + size - FAR_ALIGN8(len), bytes,
            FAR_ALIGN8(len));
        s->tx_head += size;
    }
    far_store(&s->line->tx_wake, s->tx_head - ring + ring / 3u - 1u);
    FAR_WMB();
    far_store(&s->line->tx_head, s->tx_head);
    rig_kick(r, 0);
}

// How often near hears until so much room is free, and in the next turn, which
// serves somebody quiet.
struct heard {
    uint32_t alone, beside;
};

static uint32_t kicks(struct rig *r) {
    struct far_msg m;
    r->kicked = 0;
    while (rig_get(r, &m, 0)) {
    }
    return r->kicked;
}

static struct heard hear(uint32_t len, bool waits, uint32_t room) {
    struct rig *flood = &floods[0];
    struct heard heard;
    uint16_t port;
    rig_prepare(flood, (struct rig_options){.ring = RING});
    rig_prepare(&other, (struct rig_options){.engine = flood->engine});
    peers[0] = peer_open(SOCK_DGRAM, &port);
    peers[1] = stream(&other, 0);
    rig_place(flood, 0);
    struct far_req_socket req = {
        .rings = flood->socks[0].rings,
        .family = FAR_AF_INET,
        .type = FAR_SOCK_DGRAM,
    };
    rig_ask_by_hand(flood, FAR_OP_SOCKET, 0, &req, sizeof req);
    fill(flood, port, len);
    if (!waits) {
        far_store(&flood->socks[0].line->tx_wake, flood->layout.index_base);
    }
    kicks(flood);
    while (sent(flood, 0) < room) {
        turn();
    }
    heard.alone = kicks(flood);
    put(&other, 0, 1);
    turn();
    heard.beside = kicks(flood);
    end();
    rig_free(&other);
    rig_free(flood);
    return heard;
}

TEST(beside_somebody_quiet_tiny_datagrams_go_on_in_small_steps) {
    struct heard tiny = hear(1, true, 2 * RIVAL_ROOM);
    CHECK_EQ(tiny.alone, 0);
    CHECK_EQ(tiny.beside, 1);
    CHECK_EQ(hear(1, true, RIVAL_ROOM / 4).beside, 0);
}

TEST(those_that_are_not_tiny_do_not) {
    struct heard long_ones = hear(2000, true, 2 * RIVAL_ROOM);
    CHECK_EQ(long_ones.alone, 0);
    CHECK_EQ(long_ones.beside, 0);
}

TEST(nor_does_who_waits_for_no_room_hear_of_it) {
    CHECK_EQ(hear(1, false, 2 * RIVAL_ROOM).beside, 0);
}

// Their turns are over before all had one: the others have theirs next.
TEST(links_that_flood_take_turns) {
    for (uint32_t i = 0; i < FLOODS; i++) {
        struct rig_options o = {.ring = RING};
        o.engine = i > 0 ? floods[0].engine : NULL;
        rig_prepare(&floods[i], o);
        peers[i] = stream(&floods[i], 0);
    }
    for (uint32_t i = 0; i < FLOODS; i++) {
        put(&floods[i], 0, RING);
    }
    uint32_t most = 0;
    for (uint32_t i = 0; i < FLOODS; i++) {
        turn();
    }
    for (uint32_t i = 0; i < FLOODS; i++) {
        most = sent(&floods[i], 0) > most ? sent(&floods[i], 0) : most;
    }
    CHECK(most > 0);
    for (uint32_t i = 0; i < FLOODS; i++) {
        CHECK(most - sent(&floods[i], 0) <= 2 * TURN_BYTES);
    }
    engine_free(floods[0].engine);
    for (uint32_t i = 0; i < FLOODS; i++) {
        close(peers[i]);
        rig_free(&floods[i]);
    }
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_quiet_link_goes_before_a_flood_and_shortens_its_turns),
        CASE(so_does_a_quiet_socket_of_the_same_link),
        CASE(beside_somebody_quiet_tiny_datagrams_go_on_in_small_steps),
        CASE(those_that_are_not_tiny_do_not),
        CASE(nor_does_who_waits_for_no_room_hear_of_it),
        CASE(links_that_flood_take_turns),
    };
    return RUN_TESTS(cases);
}
