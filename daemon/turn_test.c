// How much one turn of the loop does at most, by counts of what it did.
// SPDX-License-Identifier: MIT
#include <sys/ioctl.h>
#include <sys/timerfd.h>

#include "daemon/conn.h"
#include "daemon/core.h"
#include "daemon/rig_test.h"
#include "farsock/posix.h"

#define RING     (1u << 20)
#define MANY     600u // datagrams
#define ATTACH   12u
#define TURNS    10000
#define PER_TURN 3u // a message, the sockets, those that have more

static struct rig rig;

static void turn(void) {
    engine_turn(rig.engine, false);
}

// The answer if it came.
static bool answered(uint32_t tag) {
    struct far_msg m;
    while (rig_get(&rig, &m, 0)) {
        if (m.op == FAR_OP_REPLY && m.tag == tag) {
            return true;
        }
    }
    return false;
}

static int32_t ask(uint8_t op, uint32_t slot, const void *req, size_t len) {
    rig_put(&rig, op, 1, slot, req, len);
    for (int i = 0; i < TURNS; i++) {
        turn();
        if (answered(1)) {
            return rig.result;
        }
    }
    return NO_REPLY;
}

static int32_t open_slot(uint32_t slot, uint32_t type) {
    rig_place(&rig, slot);
    struct far_req_socket req = {
        .rings = rig.socks[slot].rings,
        .family = FAR_AF_INET,
        .type = type,
    };
    return ask(FAR_OP_SOCKET, slot, &req, sizeof req);
}

static uint64_t sent(void) {
    struct engine_totals t;
    engine_get_totals(rig.engine, &t);
    return t.tx_bytes;
}

static void put_bytes(const void *bytes, uint32_t n) {
    struct near_sock *s = &rig.socks[0];
    far_ring_put(s->tx, rig.layout.tx_ring, s->tx_head, bytes, n);
    s->tx_head += n;
}

static void publish(void) {
    FAR_WMB();
    far_store(&rig.socks[0].line->tx_head, rig.socks[0].tx_head);
}

static void put_datagram(uint16_t port, uint16_t flags) {
    uint8_t rec[48] = {0};
    struct far_dgram h = {.len = 1, .flags = flags | FAR_DGRAM_ADDR};
    struct far_req_addr to = rig_addr(port);
    memcpy(rec, &h, sizeof h);
    memcpy(rec + 8, &to.addr, sizeof to.addr);
    put_bytes(rec, sizeof rec);
}

TEST(a_flush_behind_many_datagrams_takes_many_turns) {
    rig_prepare(&rig, (struct rig_options){.ring = RING});
    uint16_t port;
    int peer = peer_open(SOCK_DGRAM, &port);
    CHECK_EQ(open_slot(0, FAR_SOCK_DGRAM), FAR_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        put_datagram(port, 0);
    }
    put_datagram(port, FAR_DGRAM_SYNC);
    publish();
    struct far_req_flush req = {.pos = rig.socks[0].tx_head};
    rig_put(&rig, FAR_OP_FLUSH, 1, 0, &req, sizeof req);
    // What comes behind it waits, and sees all of it done.
    rig_put(&rig, FAR_OP_GETSOCKNAME, 2, 0, NULL, 0);
    uint64_t before = 0;
    for (int i = 0; i < TURNS && !answered(1); i++) {
        turn();
        CHECK(sent() - before <= (uint64_t)PER_TURN * TURN_DATAGRAMS);
        before = sent();
    }
    CHECK_EQ(rig.result, 1);
    CHECK_EQ(sent(), MANY + 1);
    CHECK_EQ(rig_wait(&rig, 2), FAR_OK);
    close(peer);
    engine_free(rig.engine);
}

// A flood that never ends does not keep the message from its turn.
TEST(a_message_waits_only_for_what_was_there) {
    rig_prepare(&rig, (struct rig_options){.ring = RING});
    uint16_t port;
    int peer = peer_open(SOCK_DGRAM, &port);
    CHECK_EQ(open_slot(0, FAR_SOCK_DGRAM), FAR_OK);
    struct near_sock *s = &rig.socks[0];
    rig_put(&rig, FAR_OP_GETSOCKNAME, 1, 0, NULL, 0);
    bool over = false;
    for (int i = 0; i < TURNS && !over; i++) {
        while (s->tx_head - far_load(&s->far->tx_tail) < 48u * MANY) {
            put_datagram(port, 0);
        }
        publish();
        turn();
        over = answered(1);
    }
    CHECK(over);
    CHECK_EQ(rig.result, FAR_OK);
    close(peer);
    engine_free(rig.engine);
}

static int stream(void) {
    uint16_t port;
    int listener = peer_open(SOCK_STREAM, &port);
    struct far_req_addr to = rig_addr(port);
    int32_t err = open_slot(0, FAR_SOCK_STREAM);
    if (err == FAR_OK) {
        ask(FAR_OP_CONNECT, 0, &to, sizeof to);
    }
    int fd = accept(listener, NULL, NULL);
    close(listener);
    for (int i = 0; i < 3; i++) {
        turn();
    }
    return fd;
}

static void fill_stream(void) {
    static uint8_t bytes[RING];
    put_bytes(bytes, RING);
    publish();
}

TEST(a_request_behind_a_full_ring_takes_many_turns) {
    rig_prepare(&rig, (struct rig_options){.ring = RING});
    int fd = stream();
    CHECK(fd >= 0);
    fill_stream();
    rig_put(&rig, FAR_OP_GETSOCKNAME, 1, 0, NULL, 0);
    uint64_t before = 0;
    for (int i = 0; i < TURNS && !answered(1); i++) {
        turn();
        CHECK(sent() - before <= (uint64_t)PER_TURN * TURN_BYTES);
        before = sent();
    }
    CHECK_EQ(rig.result, FAR_OK);
    CHECK(sent() > (uint64_t)PER_TURN * TURN_BYTES);
    close(fd);
    engine_free(rig.engine);
}

// close() with linger 0: what was written before it is on its way, and what
// comes behind it finds the address free.
TEST(a_close_with_a_reset_takes_many_turns) {
    rig_prepare(&rig, (struct rig_options){.ring = RING});
    int fd = stream();
    CHECK(fd >= 0);
    struct {
        struct far_req_setsockopt req;
        int32_t on, seconds;
    } linger = {{FAR_SOL_SOCKET, FAR_SO_LINGER}, 1, 0};
    CHECK_EQ(ask(FAR_OP_SETSOCKOPT, 0, &linger, sizeof linger), FAR_OK);
    fill_stream();
    rig_close(&rig, 0, 0);
    rig_put(&rig, FAR_OP_GETSOCKNAME, 1, 0, NULL, 0);
    uint64_t before = 0;
    for (int i = 0; i < TURNS && !answered(1); i++) {
        turn();
        CHECK(sent() - before <= (uint64_t)PER_TURN * TURN_BYTES);
        before = sent();
    }
    CHECK_EQ(rig.result, FAR_EBADF);
    CHECK(sent() > (uint64_t)PER_TURN * TURN_BYTES);
    close(fd);
    engine_free(rig.engine);
}

// --- What near need not ask, or hear, for itself ---

static int32_t connect_waiting(uint16_t port) {
    struct far_req_addr to = rig_addr(port);
    to.flags = FAR_CONNECT_WAITS;
    return ask(FAR_OP_CONNECT, 0, &to, sizeof to);
}

TEST(a_connection_that_stands_at_once_is_the_answer) {
    rig_prepare(&rig, (struct rig_options){.ring = RING});
    uint16_t port;
    int listener = peer_open(SOCK_STREAM, &port);
    CHECK_EQ(open_slot(0, FAR_SOCK_STREAM), FAR_OK);
    CHECK_EQ(connect_waiting(port), FAR_OK);
    uint32_t state = far_load(&rig.socks[0].far->state);
    CHECK_EQ(state & (FAR_ST_CONNECTED | FAR_ST_CONNECTING), FAR_ST_CONNECTED);
    CHECK_EQ(connect_waiting(port), FAR_EISCONN);
    close(listener);
    engine_free(rig.engine);
}

// Near's doorbell is not rung for slots alone while an answer comes anyway.
TEST(that_slots_are_free_goes_with_the_next_answer) {
    const uint32_t all = 64; // messages of a turn
    struct far_req_ifname req = {.index = 1};
    rig_prepare(&rig, (struct rig_options){.ring = 4096});
    for (uint32_t i = 0; i < all; i++) {
        CHECK_EQ(open_slot(i, FAR_SOCK_STREAM), FAR_OK);
    }
    CHECK(!answered(1)); // near sleeps
    for (uint32_t i = 0; i < all; i++) {
        rig_close(&rig, i, 0);
    }
    rig_put(&rig, FAR_OP_IFNAME, 1, 0, &req, sizeof req);
    uint32_t rung = rig.link->count.doorbells;
    for (int i = 0; i < TURNS && rig.link->count.doorbells == rung; i++) {
        turn();
    }
    CHECK(answered(1));
    CHECK_EQ(rig.link->sockets, 0);
    // Alone it is told at once, or when the turn's time was over, in the next.
    CHECK_EQ(open_slot(0, FAR_SOCK_STREAM), FAR_OK);
    CHECK(!answered(1)); // near sleeps
    rung = rig.link->count.doorbells;
    rig_close(&rig, 0, 0);
    for (int i = 0; i < 2; i++) {
        turn();
    }
    CHECK_EQ(rig.link->count.doorbells, rung + 1);
    engine_free(rig.engine);
}

// True if near had to ring for it.
static bool kick_rings(void) {
    struct far_msg m = {.op = FAR_OP_KICK};
    return far_msg_put(&rig.cmd, m, NULL, 0, NULL, 0) == FAR_OK &&
           far_msg_publish(&rig.cmd);
}

// The network woke far, near answers: far looks before it sleeps.
TEST(a_link_that_is_awake_is_not_rung) {
    rig_prepare(&rig, (struct rig_options){.ring = 4096});
    CHECK_EQ(open_slot(0, FAR_SOCK_STREAM), FAR_OK);
    for (int i = 0; i < 3; i++) {
        turn();
        link_wake(rig.link);
        CHECK(!kick_rings());
        turn();
        CHECK(far_msg_is_read(&rig.cmd));
        CHECK(kick_rings());
        rig_bell(&rig);
        turn();
        CHECK(far_msg_is_read(&rig.cmd));
    }
    // A dead one's memory may be another life's.
    uint32_t wake = far_load(&rig.cmd.in->wake);
    engine_link_drop(rig.link);
    CHECK_EQ(far_load(&rig.cmd.in->wake), wake);
    engine_free(rig.engine);
}

// --- What near is told of a flood ---

// Has the peer send that much, and waits until the kernel has all of it.
static bool send_bytes(int fd, struct sock *s, int bytes) {
    static uint8_t data[2u * TURN_RX_BYTES];
    int n = 0;
    bool all = send(fd, data, (size_t)bytes, 0) == (ssize_t)bytes;
    for (int i = 0; all && i < PATIENCE_MS && n < bytes; i++) {
        ioctl(s->fd, FIONREAD, &n);
        if (n < bytes) {
            rig_pause();
        }
    }
    s->events |= EPOLLIN;
    return n == bytes;
}

// One turn's share.
static bool send_share(int fd, struct sock *s) {
    return send_bytes(fd, s, (int)TURN_RX_BYTES);
}

// A stream of which near waits for the first byte.
static struct sock *flooded(int *fd) {
    int room = 2 * (int)TURN_RX_BYTES;
    rig_prepare(&rig, (struct rig_options){.ring = RING});
    *fd = stream();
    struct sock *s = rig.link->slots[0].sock;
    setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    return s;
}

static void take_all(const struct sock *s) {
    struct far_near_line *line = rig.socks[0].line;
    far_store(&line->rx_tail, s->rx_head);
    far_store(&line->rx_wake, s->rx_head);
    FAR_SYNC();
}

TEST(a_flood_is_told_of_at_three_quarters_of_a_ring) {
    int fd;
    struct sock *s = flooded(&fd);
    uint32_t told = rig.link->count.kicks;
    for (uint32_t have = TURN_RX_BYTES; have <= RING; have += TURN_RX_BYTES) {
        CHECK(send_share(fd, s));
        sock_turn(s);
        CHECK_EQ(far_load(&rig.socks[0].far->rx_head) - s->rx_tail, have);
        CHECK_EQ(rig.link->count.kicks - told, have >= RING / 4 * 3);
    }
    close(fd);
    engine_free(rig.engine);
}

TEST(a_flood_that_ends_with_a_turn_is_told_of_in_the_next) {
    int fd;
    struct sock *s = flooded(&fd);
    for (int i = 0; i < 3; i++) {
        take_all(s);
        sock_turn(s);
        uint32_t told = rig.link->count.kicks;
        CHECK(send_share(fd, s));
        sock_turn(s);
        CHECK_EQ(rig.link->count.kicks, told);
        sock_turn(s);
        CHECK_EQ(rig.link->count.kicks, told + 1);
        struct far_msg m;
        engine_turn(rig.engine, false);
        CHECK(rig_get(&rig, &m, 0)); // else the next would not be sent
    }
    close(fd);
    engine_free(rig.engine);
}

// One and a half shares at once each way, until another socket or a request
// comes.
TEST(who_is_alone_moves_more_in_a_turn) {
    const uint32_t rx = TURN_RX_BYTES + TURN_RX_BYTES / 2u;
    const uint32_t tx = TURN_BYTES + TURN_BYTES / 2u;
    static uint8_t bytes[RING];
    struct far_req_ifname req = {.index = 1};
    int fd;
    struct sock *s = flooded(&fd);
    CHECK_EQ(open_slot(1, FAR_SOCK_STREAM), FAR_OK);
    turn(); // it has an event, too
    for (int round = 0; round < 4; round++) {
        for (uint32_t i = 0; i <= TURNS_ALONE; i++) {
            take_all(s);
            sock_turn(s);
        }
        while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
        }
        if (round == 1) {
            sock_turn(rig.link->slots[1].sock);
        } else if (round == 2) {
            CHECK_EQ(ask(FAR_OP_IFNAME, 0, &req, sizeof req), FAR_OK);
        }
        bool alone = round % 3 == 0;
        uint32_t before = s->tx_tail;
        CHECK(send_bytes(fd, s, (int)rx));
        take_all(s);
        put_bytes(bytes, tx);
        publish();
        uint32_t moved = sock_turn(s);
        uint32_t share = s->tx_tail - before;
        CHECK(alone ? share == tx : share <= TURN_BYTES);
        CHECK_EQ(moved, share + (alone ? rx : TURN_RX_BYTES));
    }
    close(fd);
    engine_free(rig.engine);
}

// --- Links that come and go ---

static struct service service;
static struct config config;

static void attach(int *near_end) {
    int pair[2];
    struct far_hello hello = {
        .magic = FAR_HELLO_MAGIC,
        .version = FAR_WIRE_VERSION,
        .kind = FAR_HELLO_LINK,
    };
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
    *near_end = pair[0];
    ssize_t n = send(pair[0], &hello, sizeof hello, 0);
    (void)n;
    conn_new(&service, pair[1]);
}

TEST(a_storm_of_links_comes_and_goes_one_in_a_turn) {
    struct engine_config ec = {.resolver_threads = 1};
    int ends[ATTACH];
    far_log_limit(FAR_LOG_ERROR);
    config_init(&config);
    service.engine = engine_new(&ec);
    service.config = &config;
    service.timer_fd =
        timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    TAILQ_INIT(&service.conns);
    for (uint32_t i = 0; i < ATTACH; i++) {
        attach(&ends[i]);
    }
    for (uint32_t i = 1; i <= ATTACH; i++) {
        engine_turn(service.engine, false);
        CHECK_EQ(service.links, i);
        CHECK_EQ(service.late, ATTACH - i);
    }
    CHECK_EQ(service.silent, 0);
    for (uint32_t i = 0; i < ATTACH; i++) {
        close(ends[i]);
    }
    uint32_t left = ATTACH;
    for (int i = 0; i < TURNS && left > 0; i++) {
        engine_turn(service.engine, false);
        CHECK(service.links == left || service.links == left - 1);
        left = service.links;
    }
    CHECK_EQ(left, 0);
    engine_free(service.engine);
    close(service.timer_fd);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_flush_behind_many_datagrams_takes_many_turns),
        CASE(a_message_waits_only_for_what_was_there),
        CASE(a_request_behind_a_full_ring_takes_many_turns),
        CASE(a_close_with_a_reset_takes_many_turns),
        CASE(a_connection_that_stands_at_once_is_the_answer),
        CASE(that_slots_are_free_goes_with_the_next_answer),
        CASE(a_link_that_is_awake_is_not_rung),
        CASE(a_flood_is_told_of_at_three_quarters_of_a_ring),
        CASE(a_flood_that_ends_with_a_turn_is_told_of_in_the_next),
        CASE(who_is_alone_moves_more_in_a_turn),
        CASE(a_storm_of_links_comes_and_goes_one_in_a_turn),
    };
    return RUN_TESTS(cases);
}
