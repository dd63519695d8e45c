// Where a turn of a stream ends: with a segment, as the kernel counts them.
// SPDX-License-Identifier: MIT
#include <linux/tcp.h>
#include <netinet/in.h>

#include "daemon/core.h"
#include "daemon/rig_test.h"

#define RING   (1u << 20)
#define MSS    8000 // of which a share is no multiple
#define RUNT   100u // bytes behind whole segments
#define SHARES 3u

static struct rig rig;
static uint8_t sent[RING], got[RING];

// A stream with small segments. -1: there is none; else the peer.
static int stream(void) {
    uint16_t port;
    int mss = MSS;
    int listener = peer_open(SOCK_STREAM, &port);
    struct far_req_addr to = rig_addr(port);
    rig_prepare(&rig, (struct rig_options){.ring = RING});
    rig_place(&rig, 0);
    struct far_req_socket req = {
        .rings = rig.socks[0].rings,
        .family = FAR_AF_INET,
        .type = FAR_SOCK_STREAM,
    };
    int fd = -1;
    if (rig_ask_by_hand(&rig, FAR_OP_SOCKET, 0, &req, sizeof req) == FAR_OK &&
        setsockopt(rig.link->slots[0].sock->fd, IPPROTO_TCP, TCP_MAXSEG, &mss,
            sizeof mss) == 0) {
        rig_ask_by_hand(&rig, FAR_OP_CONNECT, 0, &to, sizeof to);
        fd = accept(listener, NULL, NULL);
    }
    close(listener);
    return fd;
}

// Near writes n bytes, and far has not looked yet.
static void put(uint32_t n) {
    static uint32_t next;
    struct near_sock *s = &rig.socks[0];
    for (uint32_t i = 0; i < n; i++) {
        sent[i] = (uint8_t)(next++ * 2654435761u >> 24);
    }
    far_ring_put(s->tx, rig.layout.tx_ring, s->tx_head, sent, n);
    s->tx_head += n;
    FAR_WMB();
    far_store(&s->line->tx_head, s->tx_head);
}

static bool arrive(int peer, uint32_t at, uint32_t n) {
    return recv(peer, got, n, MSG_WAITALL) == (ssize_t)n &&
           memcmp(got, sent + at, n) == 0;
}

// Segments with data that the kernel has sent; *size: of a full one.
static uint32_t segments(const struct sock *s, uint32_t *size) {
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    *size = info.tcpi_snd_mss;
    return info.tcpi_data_segs_out;
}

TEST(a_share_ends_where_a_segment_does) {
    int peer = stream();
    CHECK(peer >= 0);
    struct sock *s = rig.link->slots[0].sock;
    uint32_t mss;
    uint32_t before = segments(s, &mss);
    CHECK(mss > 0 && mss <= MSS && TURN_BYTES % mss != 0);
    uint32_t whole = TURN_BYTES / mss * mss;
    put(SHARES * TURN_BYTES);
    for (uint32_t i = 1; i <= SHARES; i++) {
        uint32_t tail = s->tx_tail;
        sock_turn(s);
        CHECK_EQ(s->tx_tail - tail, whole);
        CHECK(arrive(peer, (i - 1u) * whole, whole));
        CHECK_EQ(segments(s, &mss) - before, i * whole / mss);
    }
    // What is left is less than a share, and goes.
    uint32_t rest = SHARES * (TURN_BYTES - whole);
    sock_turn(s);
    CHECK_EQ(tx_used(s), 0);
    CHECK(arrive(peer, SHARES * whole, rest));
    close(peer);
    engine_free(rig.engine);
}

TEST(what_is_within_a_share_goes_at_once) {
    int peer = stream();
    CHECK(peer >= 0);
    struct sock *s = rig.link->slots[0].sock;
    uint32_t mss;
    segments(s, &mss);
    uint32_t n = 2u * mss + RUNT;
    put(n);
    sock_turn(s);
    CHECK_EQ(tx_used(s), 0);
    CHECK(arrive(peer, 0, n));
    // To the last byte of a share.
    put(TURN_BYTES);
    sock_turn(s);
    CHECK_EQ(tx_used(s), 0);
    CHECK(arrive(peer, 0, TURN_BYTES));
    close(peer);
    engine_free(rig.engine);
}

TEST(a_share_below_a_segment_stays_what_it_is) {
    int peer = stream();
    CHECK(peer >= 0);
    struct sock *s = rig.link->slots[0].sock;
    put(TURN_BYTES);
    CHECK(sock_look(s));
    uint32_t mss;
    segments(s, &mss);
    CHECK_EQ(stream_share(s, mss - 1u), mss - 1u);
    CHECK_EQ(stream_share(s, mss), mss);
    CHECK_EQ(stream_share(s, 2u * mss - 1u), mss);
    close(peer);
    engine_free(rig.engine);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_share_ends_where_a_segment_does),
        CASE(what_is_within_a_share_goes_at_once),
        CASE(a_share_below_a_segment_stays_what_it_is),
    };
    return RUN_TESTS(cases);
}
