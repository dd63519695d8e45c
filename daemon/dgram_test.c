// Datagrams: records that wrap, stream through, wait for their FLUSH.
// SPDX-License-Identifier: MIT
#include "daemon/rig_test.h"

static struct rig rig;
static uint8_t big[FAR_DGRAM_MAX + 1];
static uint8_t got[FAR_DGRAM_MAX + 1];

// Writes raw bytes, as room comes. Padding included in n.
static bool put(uint32_t slot, const void *bytes, uint32_t n) {
    const uint8_t *p = bytes;
    while (n > 0) {
        uint32_t part = n < 512 ? n : 512;
        if (!rig_write(&rig, slot, p, part)) {
            return false;
        }
        p += part;
        n -= part;
    }
    return true;
}

// A record published whole (it must fit), without a KICK.
static void put_record(uint32_t slot, uint16_t flags, uint16_t port,
    const void *data, uint32_t len) {
    struct near_sock *s = &rig.socks[slot];
    uint8_t rec[1024] = {0};
    struct far_dgram h = {.len = len, .flags = flags | FAR_DGRAM_ADDR};
    struct far_req_addr to = rig_addr(port);
    memcpy(rec, &h, sizeof h);
    memcpy(rec + 8, &to.addr, sizeof to.addr);
    memcpy(rec + 40, data, len);
    uint32_t n = 40u + FAR_ALIGN8(len);
    rig_room(&rig, slot, n);
    far_ring_put(s->tx, rig.layout.tx_ring, s->tx_head, rec, n);
    s->tx_head += n;
    FAR_WMB();
    far_store(&s->line->tx_head, s->tx_head);
}

static int32_t flush(uint32_t slot, uint32_t flags) {
    struct far_req_flush req = {.pos = rig.socks[slot].tx_head, .flags = flags};
    return rig_ask(&rig, FAR_OP_FLUSH, slot, &req, sizeof req);
}

TEST(datagrams_go_and_come_with_addresses) {
    rig_up(&rig, (struct rig_options){.ring = 1024, .base = 0xffffff00u});
    uint16_t port;
    int peer = peer_open(SOCK_DGRAM, &port);
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    for (uint32_t i = 0; i < 200; i++) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        uint8_t in[512];
        put_record(0, 0, port, big, i);
        rig_kick(&rig, 0);
        CHECK_EQ(recvfrom(peer, in, sizeof in, 0, (struct sockaddr *)&from,
                     &len),
            i);
        CHECK_EQ(sendto(peer, in, i, 0, (struct sockaddr *)&from, len), i);
        uint8_t rec[512];
        CHECK(rig_read(&rig, 0, rec, 40u + FAR_ALIGN8(i)));
        struct far_dgram h;
        struct far_addr addr;
        memcpy(&h, rec, sizeof h);
        memcpy(&addr, rec + 8, sizeof addr);
        CHECK_EQ(h.len, i);
        CHECK_EQ(h.flags, FAR_DGRAM_ADDR);
        CHECK_EQ(addr.port, port);
    }
    close(peer);
    rig_down(&rig);
}

TEST(datagrams_larger_than_the_rings_stream_through) {
    rig_up(&rig, (struct rig_options){.ring = 1024});
    uint16_t port;
    int peer = peer_open(SOCK_DGRAM, &port);
    for (size_t i = 0; i < sizeof big; i++) {
        big[i] = pattern(i);
    }
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    static const uint32_t sizes[] = {1000, 5000, 65507, 3, 40001};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t n = sizes[i];
        struct far_dgram h = {.len = n, .flags = FAR_DGRAM_ADDR};
        struct far_req_addr to = rig_addr(port);
        uint8_t head[40];
        memcpy(head, &h, sizeof h);
        memcpy(head + 8, &to.addr, sizeof to.addr);
        if (40u + FAR_ALIGN8(n) <= 1024) {
            put_record(0, 0, port, big, n);
            rig_kick(&rig, 0);
        } else {
            CHECK(put(0, head, sizeof head));
            CHECK(put(0, big, FAR_ALIGN8(n)));
        }
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        CHECK_EQ(recvfrom(peer, got, sizeof got, 0, (struct sockaddr *)&from,
                     &len),
            n);
        CHECK(memcmp(got, big, n) == 0);
        CHECK_EQ(sendto(peer, big, n, 0, (struct sockaddr *)&from, len), n);
        CHECK(rig_read(&rig, 0, head, sizeof head));
        memcpy(&h, head, sizeof h);
        CHECK_EQ(h.len, n);
        memset(got, 0, sizeof got);
        for (uint32_t at = 0; at < FAR_ALIGN8(n); at += 8) {
            CHECK(rig_read(&rig, 0, got + at, 8));
        }
        CHECK(memcmp(got, big, n) == 0);
    }
    close(peer);
    rig_down(&rig);
}

// Near knows parts by the record's size alone, so what fits must come whole.
TEST(what_fits_the_ring_comes_whole_with_control_data_too) {
    enum { RING = 4096, HEAD = 40 };
    rig_up(&rig, (struct rig_options){.ring = RING});
    uint16_t port;
    int peer = peer_open(SOCK_DGRAM, &port);
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    struct {
        struct far_req_setsockopt req;
        int32_t value;
    } ttl = {{0, 12}, 1}; // IP_RECVTTL
    CHECK_EQ(rig_ask(&rig, FAR_OP_SETSOCKOPT, 0, &ttl, sizeof ttl), FAR_OK);
    put_record(0, 0, port, big, 0);
    rig_kick(&rig, 0);
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    CHECK_EQ(recvfrom(peer, got, 1, 0, (struct sockaddr *)&from, &len), 0);
    struct near_sock *s = &rig.socks[0];
    for (uint32_t n = RING - 512; n <= RING; n += 8) {
        struct far_dgram h;
        CHECK_EQ(sendto(peer, big, 8, 0, (struct sockaddr *)&from, len), 8);
        CHECK_EQ(sendto(peer, big, n, 0, (struct sockaddr *)&from, len), n);
        // The small one leaves no room for the whole of the large one.
        CHECK(rig_read(&rig, 0, &h, sizeof h));
        uint32_t rest = HEAD - (uint32_t)sizeof h + h.ctl_len + 8;
        for (int i = 0; i < 3; i++) { // turns of farsockd
            CHECK_EQ(rig_ask(&rig, FAR_OP_GETSOCKNAME, 0, NULL, 0), FAR_OK);
        }
        uint32_t before = far_load(&s->far->rx_head) - s->rx_tail - rest;
        for (uint32_t at = 0; at < rest; at += 8) {
            CHECK(rig_read(&rig, 0, got, 8));
        }
        CHECK(rig_read(&rig, 0, &h, sizeof h));
        uint32_t whole = HEAD + h.ctl_len + FAR_ALIGN8(n);
        CHECK_EQ(h.len, n);
        CHECK(h.ctl_len > 0);
        CHECK(whole > RING || before == 0 || before == whole);
        for (uint32_t at = sizeof h; at < whole; at += 8) {
            CHECK(rig_read(&rig, 0, got, 8));
        }
    }
    close(peer);
    rig_down(&rig);
}

TEST(a_record_whose_result_is_wanted_waits_for_its_flush) {
    rig_up(&rig, (struct rig_options){0});
    uint16_t port;
    int peer = peer_open(SOCK_DGRAM, &port);
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    put_record(0, FAR_DGRAM_SYNC, port, "sync", 4);
    rig_kick(&rig, 0);
    char in[16];
    // Long enough for a far that does not wait.
    struct timeval soon = {.tv_usec = 100000};
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    CHECK_EQ(recv(peer, in, sizeof in, 0), -1);
    CHECK_EQ(flush(0, 0), 4);
    CHECK_EQ(recv(peer, in, sizeof in, 0), 4);
    close(peer);
    rig_down(&rig);
}

TEST(a_flush_tells_the_error_and_the_line_does_not) {
    rig_up(&rig, (struct rig_options){0});
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    put_record(0, FAR_DGRAM_SYNC, 0, "x", 1);
    CHECK_EQ(flush(0, 0), FAR_EINVAL); // port 0
    CHECK_EQ(far_load(&rig.socks[0].far->err), 0);
    CHECK_EQ(far_load(&rig.socks[0].far->tx_tail), rig.socks[0].tx_head);
    rig_down(&rig);
}

TEST(a_probe_is_judged_and_not_sent) {
    rig_up(&rig, (struct rig_options){0});
    uint16_t port;
    int peer = peer_open(SOCK_DGRAM, &port);
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    put_record(0, FAR_DGRAM_SYNC | FAR_DGRAM_PROBE, 0, "no", 2);
    CHECK_EQ(flush(0, 0), FAR_EINVAL); // port 0
    put_record(0, FAR_DGRAM_SYNC | FAR_DGRAM_PROBE, port, "no", 2);
    CHECK(flush(0, 0) >= 0);
    put_record(0, FAR_DGRAM_SYNC, port, "yes", 3);
    CHECK_EQ(flush(0, 0), 3);
    char in[16];
    CHECK_EQ(recv(peer, in, sizeof in, 0), 3);
    close(peer);
    rig_down(&rig);
}

TEST(a_failure_nobody_waits_for_shows_in_the_line) {
    rig_up(&rig, (struct rig_options){0});
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    put_record(0, 0, 0, "x", 1);
    rig_kick(&rig, 0);
    for (int i = 0; i < PATIENCE_MS && !far_load(&rig.socks[0].far->err); i++) {
        rig_pause();
    }
    CHECK_EQ(far_load(&rig.socks[0].far->err) & 0xffffu, -FAR_EINVAL);
    CHECK(far_load(&rig.socks[0].far->verdict) != 0);
    rig_down(&rig);
}

TEST(void_records_are_skipped) {
    rig_up(&rig, (struct rig_options){0});
    uint16_t port;
    int peer = peer_open(SOCK_DGRAM, &port);
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    put_record(0, FAR_DGRAM_VOID, port, "no", 2);
    put_record(0, 0, port, "yes", 3);
    rig_kick(&rig, 0);
    char in[16];
    CHECK_EQ(recv(peer, in, sizeof in, 0), 3);
    close(peer);
    rig_down(&rig);
}

TEST(a_cancelled_flush_takes_its_datagram_back) {
    rig_up(&rig, (struct rig_options){0});
    uint16_t port;
    int peer = peer_open(SOCK_DGRAM, &port);
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    // The FLUSH is there before its record: it waits.
    struct far_req_flush req = {.pos = rig.socks[0].tx_head + 48u};
    rig_put(&rig, FAR_OP_FLUSH, 3, 0, &req, sizeof req);
    rig_put(&rig, FAR_OP_CANCEL, 3, 0, NULL, 0);
    CHECK_EQ(rig_wait(&rig, 3), FAR_ECANCELED);
    put_record(0, FAR_DGRAM_SYNC, port, "gone", 4);
    put_record(0, 0, port, "stays", 5);
    rig_kick(&rig, 0);
    char in[16];
    CHECK_EQ(recv(peer, in, sizeof in, 0), 5);
    close(peer);
    rig_down(&rig);
}

TEST(a_refused_port_is_reported_before_the_next_call) {
    rig_up(&rig, (struct rig_options){0});
    uint16_t port;
    close(peer_open(SOCK_DGRAM, &port));
    struct far_req_addr to = rig_addr(port);
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to), FAR_OK);
    put_record(0, FAR_DGRAM_SYNC, port, "x", 1);
    CHECK_EQ(flush(0, 0), 1);
    CHECK_EQ(far_load(&rig.socks[0].far->err) & 0xffffu, -FAR_ECONNREFUSED);
    rig_down(&rig);
}

TEST(garbage_records_poison_the_socket) {
    static const struct far_dgram bad[] = {
        {.len = FAR_DGRAM_MAX + 1}, {.len = 8, .ctl_len = 4},
        {.len = 600}, // fits the ring, yet only its header is published
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rig_up(&rig, (struct rig_options){.ring = 1024});
        CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
        CHECK(put(0, &bad[i], sizeof bad[i]));
        CHECK(rig_state(&rig, 0, FAR_ST_HUP, FAR_ST_HUP));
        rig_close(&rig, 0, 0);
        CHECK(rig_state(&rig, 0, FAR_ST_CLOSED, FAR_ST_CLOSED));
        rig_down(&rig);
    }
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(datagrams_go_and_come_with_addresses),
        CASE(datagrams_larger_than_the_rings_stream_through),
        CASE(what_fits_the_ring_comes_whole_with_control_data_too),
        CASE(a_record_whose_result_is_wanted_waits_for_its_flush),
        CASE(a_flush_tells_the_error_and_the_line_does_not),
        CASE(a_probe_is_judged_and_not_sent),
        CASE(a_failure_nobody_waits_for_shows_in_the_line),
        CASE(void_records_are_skipped),
        CASE(a_cancelled_flush_takes_its_datagram_back),
        CASE(a_refused_port_is_reported_before_the_next_call),
        CASE(garbage_records_poison_the_socket),
    };
    return RUN_TESTS(cases);
}
