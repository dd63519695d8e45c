// Much to send over loopback: what the kernel has of it, and what a turn takes.
// SPDX-License-Identifier: MIT
#include <linux/tcp.h>
#include <netinet/in.h>

#include "daemon/core.h"
#include "daemon/rig_test.h"

#define RING      (256u * 1024u)
#define TURNS     1000
#define OTHER_MSS 8000 // of another path than loopback
#define NEARS     4096 // bytes that near has the kernel keep unsent
#define MANY      (TURNS_ALONE + 16u) // turns after which one may take all

static struct rig rig;
static uint8_t block[RING], got[RING];

struct stream {
    struct sock *s; // far's
    int peer;       // -1: there is none
};

// mss: 0 for loopback's.
static struct stream connected(int mss) {
    uint16_t port;
    struct stream st = {.peer = -1};
    int listener = peer_open(SOCK_STREAM, &port);
    struct far_req_addr to = rig_addr(port);
    rig_prepare(&rig, (struct rig_options){.ring = RING});
    rig_place(&rig, 0);
    struct far_req_socket req = {
        .rings = rig.socks[0].rings,
        .family = FAR_AF_INET,
        .type = FAR_SOCK_STREAM,
    };
    if (rig_ask_by_hand(&rig, FAR_OP_SOCKET, 0, &req, sizeof req) == FAR_OK) {
        st.s = rig.link->slots[0].sock;
        if (mss == 0 || setsockopt(st.s->fd, IPPROTO_TCP, TCP_MAXSEG, &mss,
                            sizeof mss) == 0) {
            rig_ask_by_hand(&rig, FAR_OP_CONNECT, 0, &to, sizeof to);
            st.peer = accept(listener, NULL, NULL);
        }
    }
    close(listener);
    return st;
}

static bool is_whole = true; // all that came was as near wrote it

static void disconnect(struct stream st) {
    close(st.peer);
    engine_free(rig.engine);
}

// Near fills its ring but for n bytes. How many it writes.
static uint32_t fill(const struct stream *st, uint32_t but) {
    struct near_sock *n = &rig.socks[0];
    uint32_t len = RING - but - (n->tx_head - st->s->tx_tail);
    for (uint32_t i = 0; i < len; i++) {
        block[i] = (uint8_t)((n->tx_head + i) * 2654435761u >> 24);
    }
    far_ring_put(n->tx, rig.layout.tx_ring, n->tx_head, block, len);
    n->tx_head += len;
    FAR_WMB();
    far_store(&n->line->tx_head, n->tx_head);
    return len;
}

// The peer reads what follows tail, n bytes, and they are near's.
static bool arrives(int peer, uint32_t tail, uint32_t n) {
    if (recv(peer, got, n, MSG_WAITALL) != (ssize_t)n) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (got[i] != (uint8_t)((tail + i) * 2654435761u >> 24)) {
            return false;
        }
    }
    return true;
}

// One turn with a ring that is full but for so many bytes: what it takes.
static uint32_t turn(const struct stream *st, uint32_t but) {
    uint32_t tail = st->s->tx_tail;
    fill(st, but);
    if (st->s->tx_blocked) {
        engine_turn(rig.engine, false);
    }
    sock_turn(st->s);
    uint32_t n = st->s->tx_tail - tail;
    is_whole = is_whole && arrives(st->peer, tail, n);
    return n;
}

// The kernel's, of what it may have unsent before it takes more. 0: anything.
static int low_of(const struct sock *s) {
    int bytes = -1;
    socklen_t len = sizeof bytes;
    getsockopt(s->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, &len);
    return bytes;
}

static int nears_low(struct sock *s) {
    int32_t bytes = -1;
    opt_get(s, FAR_IPPROTO_TCP, FAR_TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
    return bytes;
}

TEST(the_kernel_is_to_hold_no_more_than_it_sends) {
    struct stream st = connected(0);
    CHECK(st.peer >= 0);
    CHECK_EQ(low_of(st.s), 0);
    turn(&st, 0);
    CHECK(low_of(st.s) > 0 && low_of(st.s) <= 65536);
    CHECK(is_whole);
    disconnect(st);
}

TEST(near_finds_the_option_as_it_was) {
    struct stream st = connected(0);
    CHECK(st.peer >= 0);
    turn(&st, 0);
    CHECK(low_of(st.s) > 0);
    CHECK_EQ(nears_low(st.s), 0);
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        turn(&st, 0);
    }
    CHECK_EQ(low_of(st.s), 0);
    disconnect(st);
}

TEST(what_near_has_set_stays) {
    for (int late = 0; late < 2; late++) {
        struct stream st = connected(0);
        int32_t bytes = NEARS;
        CHECK(st.peer >= 0);
        if (late) {
            turn(&st, 0);
        }
        CHECK_EQ(opt_set(st.s, FAR_IPPROTO_TCP, FAR_TCP_NOTSENT_LOWAT, &bytes,
                     sizeof bytes),
            FAR_OK);
        for (uint32_t i = 0; i < 2 * MANY; i++) {
            turn(&st, 0);
        }
        CHECK_EQ(low_of(st.s), NEARS);
        CHECK_EQ(nears_low(st.s), NEARS);
        disconnect(st);
    }
}

// As of a listener that near has set it of.
TEST(what_a_socket_has_inherited_stays) {
    struct stream st = connected(0);
    int bytes = NEARS;
    CHECK(st.peer >= 0);
    setsockopt(st.s->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
    turn(&st, 0);
    CHECK_EQ(low_of(st.s), NEARS);
    disconnect(st);
}

TEST(other_paths_are_left_alone) {
    struct stream st = connected(OTHER_MSS);
    CHECK(st.peer >= 0);
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        CHECK(turn(&st, 0) <= TURN_TX_ALONE);
    }
    CHECK_EQ(low_of(st.s), 0);
    disconnect(st);
}

TEST(a_turn_takes_all_where_near_waits_meanwhile) {
    struct stream st = connected(0);
    CHECK(st.peer >= 0);
    for (uint32_t i = 0; i < TURNS_ALONE; i++) {
        CHECK(turn(&st, 0) <= TURN_TX_ALONE);
    }
    uint32_t parts = 0;
    while (parts < MANY && turn(&st, 0) <= TURN_TX_ALONE) {
        parts++;
    }
    CHECK(parts > 0 && parts < MANY);
    CHECK_EQ(turn(&st, 0), RING / st.s->segment * st.s->segment);
    // Near writes beside it: a part again, and not only once.
    CHECK(turn(&st, RING / 4u) <= TURN_TX_ALONE);
    CHECK(turn(&st, 0) <= TURN_TX_ALONE);
    CHECK(is_whole);
    disconnect(st);
}

// What the next turn would take; then all is taken. 0: there was a mistake.
static uint32_t share_of_ring(const struct stream *st, uint32_t but) {
    fill(st, but);
    uint32_t n = sock_look(st->s) ? bulk_share(st->s, TURN_TX_ALONE) : 0;
    st->s->tx_tail = st->s->tx_head;
    return n;
}

static bool comes_to_all(const struct stream *st) {
    uint32_t turns = 0;
    while (turns < MANY && share_of_ring(st, 0) == TURN_TX_ALONE) {
        turns++;
    }
    return turns < MANY;
}

TEST(one_turn_that_finds_less_does_not_count_for_all) {
    struct stream st = connected(0);
    CHECK(st.peer >= 0);
    turn(&st, 0);
    CHECK(comes_to_all(&st));
    for (uint32_t i = 0; i < MANY; i++) {
        CHECK_EQ(share_of_ring(&st, RING / 4u), TURN_TX_ALONE);
        for (uint32_t parts = 0; parts < 2; parts++) {
            CHECK_EQ(share_of_ring(&st, 0), TURN_TX_ALONE);
        }
        CHECK(share_of_ring(&st, 0) > TURN_TX_ALONE);
    }
    disconnect(st);
}

TEST(near_beside_it_in_half_of_the_turns_keeps_them_parts) {
    struct stream st = connected(0);
    CHECK(st.peer >= 0);
    turn(&st, 0);
    CHECK(comes_to_all(&st));
    uint32_t all = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        all += share_of_ring(&st, RING / 4u) > TURN_TX_ALONE;
        all += share_of_ring(&st, 0) > TURN_TX_ALONE;
    }
    CHECK_EQ(all, 0);
    CHECK(comes_to_all(&st));
    disconnect(st);
}

TEST(what_the_kernel_leaves_makes_the_next_turns_parts) {
    struct stream st = connected(0);
    CHECK(st.peer >= 0);
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        turn(&st, 0);
    }
    fill(&st, 0);
    CHECK(sock_look(st.s));
    uint32_t all = RING / st.s->segment * st.s->segment;
    for (uint32_t i = 0; i < MANY && st.s->bulk_part > 0; i++) {
        bulk_share(st.s, TURN_TX_ALONE);
    }
    CHECK_EQ(bulk_share(st.s, TURN_TX_ALONE), all);
    bulk_note(st.s, all, all);
    CHECK_EQ(bulk_share(st.s, TURN_TX_ALONE), all);
    bulk_note(st.s, all, all - 1u);
    CHECK_EQ(bulk_share(st.s, TURN_TX_ALONE), TURN_TX_ALONE);
    uint32_t parts = 0;
    while (parts < MANY && bulk_share(st.s, TURN_TX_ALONE) != all) {
        parts++;
    }
    CHECK(parts > 0 && parts < MANY);
    disconnect(st);
}

// What a kernel's socket takes while its peer does not read.
static uint64_t native_room(void) {
    uint16_t port;
    uint64_t room = 0;
    ssize_t n;
    int listener = peer_open(SOCK_STREAM, &port);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (connect(s, (struct sockaddr *)&to, sizeof to) == 0) {
        int peer = accept(listener, NULL, NULL);
        while ((n = send(s, block, sizeof block, MSG_DONTWAIT)) > 0) {
            room += (uint64_t)n;
        }
        close(peer);
    }
    close(s);
    close(listener);
    return room;
}

// Programs write to themselves, and count on it.
TEST(a_peer_that_does_not_read_gets_what_the_kernel_has_room_for) {
    uint64_t room = native_room();
    struct stream st = connected(0);
    CHECK(st.peer >= 0);
    uint32_t begin = st.s->tx_tail;
    for (uint32_t i = 0; i < TURNS && !st.s->tx_blocked; i++) {
        fill(&st, 0);
        sock_turn(st.s);
    }
    CHECK(st.s->tx_blocked && low_of(st.s) > 0);
    CHECK(room > 4u * RING && st.s->tx_tail - begin < room / 2u);
    for (uint32_t i = 0; i < TURNS; i++) {
        if (low_of(st.s) == 0 && st.s->tx_blocked) {
            break;
        }
        fill(&st, 0);
        engine_turn(rig.engine, true);
    }
    uint32_t taken = st.s->tx_tail - begin;
    CHECK(taken >= room / 2u);
    CHECK(arrives(st.peer, begin, RING));
    // Once it reads the kernel is soon to hold no more again.
    for (uint32_t left = taken - RING; left > 0;) {
        uint32_t n = left < RING ? left : RING;
        CHECK(arrives(st.peer, st.s->tx_tail - left, n));
        left -= n;
    }
    for (uint32_t i = 0; i < 2u * TURNS && low_of(st.s) == 0; i++) {
        turn(&st, 0);
    }
    CHECK(is_whole && low_of(st.s) > 0);
    disconnect(st);
}

// A close leaves to the kernel what it has room for, as natively.
TEST(a_close_lets_the_kernel_have_it) {
    struct stream st = connected(0);
    CHECK(st.peer >= 0);
    turn(&st, 0);
    CHECK(low_of(st.s) > 0);
    int fd = dup(st.s->fd);
    struct sock same = *st.s;
    same.fd = fd;
    far_store(&rig.socks[0].line->flags, FAR_NEAR_CLOSE);
    fill(&st, 0);
    for (uint32_t i = 0; i < TURNS && rig.link->slots[0].sock; i++) {
        engine_turn(rig.engine, false);
    }
    CHECK_EQ(low_of(&same), 0);
    close(fd);
    disconnect(st);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(the_kernel_is_to_hold_no_more_than_it_sends),
        CASE(near_finds_the_option_as_it_was),
        CASE(what_near_has_set_stays),
        CASE(what_a_socket_has_inherited_stays),
        CASE(other_paths_are_left_alone),
        CASE(a_turn_takes_all_where_near_waits_meanwhile),
        CASE(one_turn_that_finds_less_does_not_count_for_all),
        CASE(near_beside_it_in_half_of_the_turns_keeps_them_parts),
        CASE(what_the_kernel_leaves_makes_the_next_turns_parts),
        CASE(a_peer_that_does_not_read_gets_what_the_kernel_has_room_for),
        CASE(a_close_lets_the_kernel_have_it),
    };
    return RUN_TESTS(cases);
}
