// When a stream trickles, by counts of turns and doorbells.
// SPDX-License-Identifier: MIT
#include <linux/sock_diag.h>

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

// --- Datagrams from a peer ---

#define DGRAM 2u // its slot

static struct sockaddr_in there; // far's
static uint16_t answers_to;
static bool sound; // nothing was lost so far

static int host_fd(void) {
    return rig.link->slots[DGRAM].sock->fd;
}

static void begin_datagrams(void) {
    struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof there;
    begin();
    close(peers[0]);
    peers[0] = peer_open(SOCK_DGRAM, &answers_to);
    rig_place(&rig, DGRAM);
    struct far_req_socket req = {
        .rings = rig.socks[DGRAM].rings,
        .family = FAR_AF_INET,
        .type = FAR_SOCK_DGRAM,
    };
    sound = ask(FAR_OP_SOCKET, DGRAM, &req, sizeof req) == FAR_OK &&
            bind(host_fd(), (struct sockaddr *)&at, sizeof at) == 0 &&
            getsockname(host_fd(), (struct sockaddr *)&there, &len) == 0;
}

// Of what waits in far's kernel.
static uint32_t memory(void) {
    uint32_t mem[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof mem;
    getsockopt(host_fd(), SOL_SOCKET, SO_MEMINFO, mem, &len);
    return mem[SK_MEMINFO_RMEM_ALLOC];
}

// The peer sends n, and far finds all of them at once.
static void get(uint32_t n) {
    struct sock *s = rig.link->slots[DGRAM].sock;
    uint64_t want = s->rx_bytes + n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t before = memory();
        sendto(peers[0], "x", 1, 0, (struct sockaddr *)&there, sizeof there);
        for (int ms = 0; ms < PATIENCE_MS && memory() == before; ms++) {
            rig_pause();
        }
    }
    for (int i = 0; i < PATIENCE_MS && s->rx_bytes < want; i++) {
        turn();
    }
    sound &= s->rx_bytes == want;
    far_store(&rig.socks[DGRAM].line->rx_tail, s->rx_head);
}

// Near sends one to the peer.
static void answer(void) {
    struct near_sock *s = &rig.socks[DGRAM];
    struct far_dgram h = {.len = 1, .flags = FAR_DGRAM_ADDR};
    struct far_req_addr to = rig_addr(answers_to);
    uint8_t rec[48] = {0};
    memcpy(rec, &h, sizeof h);
    memcpy(rec + 8, &to.addr, sizeof to.addr);
    far_ring_put(s->tx, RING, s->tx_head, rec, sizeof rec);
    s->tx_head += (uint32_t)sizeof rec;
    FAR_WMB();
    far_store(&s->line->tx_head, s->tx_head);
    rig_kick(&rig, DGRAM);
    for (int i = 0; i < PATIENCE_MS && !all_sent(DGRAM); i++) {
        turn();
    }
    sound &= all_sent(DGRAM);
}

static void get_each(uint32_t n, uint32_t times) {
    for (uint32_t i = 0; i < times; i++) {
        get(n);
    }
}

static void be_alone_with_datagrams(void) {
    get(2);
    rig.engine->runs = TURNS_LONG;
}

TEST(datagrams_that_come_one_by_one_trickle) {
    begin_datagrams();
    be_alone_with_datagrams();
    get_each(1, TRICKLE_RINGS - 1u);
    CHECK(!trickles());
    get(2);
    get_each(1, TRICKLE_RINGS - 1u);
    CHECK(!trickles());
    get(1);
    CHECK(trickles());
    CHECK(sound);
    end();
}

TEST(those_that_come_together_do_not) {
    begin_datagrams();
    be_alone_with_datagrams();
    get_each(2, 2u * TRICKLE_RINGS);
    CHECK(!trickles());
    CHECK(sound);
    end();
}

TEST(nor_do_those_that_are_answered) {
    begin_datagrams();
    be_alone_with_datagrams();
    for (uint32_t i = 0; i < 2u * TRICKLE_RINGS; i++) {
        get(1);
        answer();
    }
    CHECK(!trickles());
    CHECK(sound);
    end();
}

TEST(they_go_on_while_they_come_together) {
    begin_datagrams();
    be_alone_with_datagrams();
    get_each(1, TRICKLE_RINGS);
    for (uint32_t i = 0; i < 2u * TRICKLE_VAIN; i++) {
        get(2);
        answer();
    }
    CHECK(trickles());
    get(2);
    get_each(1, TRICKLE_VAIN - 1u);
    CHECK(trickles());
    get(1);
    CHECK(!trickles());
    CHECK(sound);
    end();
}

TEST(they_end_where_only_near_sends) {
    begin_datagrams();
    be_alone_with_datagrams();
    get_each(1, TRICKLE_RINGS);
    CHECK(trickles());
    for (uint32_t i = 0; i < TRICKLE_VAIN && trickles(); i++) {
        answer();
    }
    CHECK(!trickles());
    CHECK(sound);
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
        CASE(datagrams_that_come_one_by_one_trickle),
        CASE(those_that_come_together_do_not),
        CASE(nor_do_those_that_are_answered),
        CASE(they_go_on_while_they_come_together),
        CASE(they_end_where_only_near_sends),
        CASE(who_trickles_is_served_as_others_would),
        CASE(only_by_who_gives_way),
        CASE(only_a_turn_that_moves_much_is_bulk),
    };
    return RUN_TESTS(cases);
}
