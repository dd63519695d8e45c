// A far side that lies: what it says is bounded, and ends no call late. And
// what near does with the rings of an honest one.
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "farsock/farsock.h"
#include "ring/ring.h"
#include "unit.h"

#define SOCKETS 4u
#define RING    2048u
#define MS      1000000ull

// --- A far side that answers as each test wants it ---

static struct {
    struct far_layout lay;
    uint8_t *region;
    struct far_msg_reader cmd;
    struct far_msg_writer evt;
    struct far_far_line *lines;
    uint64_t now;
    // What a request gets, but SOCKET, which is made.
    struct far_reply reply;
    uint8_t data[64];
    uint32_t len;
    uint32_t state; // of a new socket
    bool storms;    // rings without end
    bool floods;    // and writes without end
    bool waits_for_ever;
    uint32_t kicked_at; // what near had published with its last KICK
} far;

static void *at(uint32_t line) {
    return far.region + (size_t)line * FAR_LINE;
}

static void make_line(uint32_t slot, uint32_t gen) {
    uint32_t base = far.lay.index_base;
    far.lines[slot] = (struct far_far_line){
        .gen = gen,
        .tx_tail = base,
        .rx_head = base,
        .tx_wake = base,
        .rx_wake = base - 1u,
        .state = far.state,
    };
}

static bool answer(void) {
    bool some = false;
    struct far_msg m;
    uint64_t buf[FAR_RECORD_MAX / 8u];
    while (far_msg_get(&far.cmd, &m, buf) > 0) {
        struct far_reply made = {0};
        some = true;
        if (m.op == FAR_OP_SOCKET) {
            struct far_req_socket req;
            memcpy(&req, buf, sizeof req);
            make_line(m.sock, req.rings.gen);
        }
        if (m.op == FAR_OP_KICK) {
            const struct far_near_line *lines = at(far.lay.near_socks);
            far.kicked_at = far_load(&lines[m.sock].tx_head);
        }
        bool plain = m.op == FAR_OP_SOCKET;
        if (m.tag) {
            far_msg_put(&far.evt,
                (struct far_msg){.op = FAR_OP_REPLY, .tag = m.tag},
                plain ? &made : &far.reply, sizeof made, far.data,
                plain ? 0 : far.len);
            far_msg_publish(&far.evt);
        }
    }
    return some;
}

static void kicked(uint32_t slot) {
    struct far_msg m = {.op = FAR_OP_KICKED, .sock = (uint16_t)slot};
    far_msg_put(&far.evt, m, NULL, 0, NULL, 0);
    far_msg_publish(&far.evt);
}

// --- The port: time passes by looking at it ---

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    // While it floods near hardly sleeps, and must look at the time by itself.
    if (far.floods) {
        kicked(0);
    }
    return far.now += 1000u;
}

static void notify(void *ctx) {
    (void)ctx;
    answer();
}

static int wait(void *ctx, uint64_t deadline_ns) {
    (void)ctx;
    if (answer()) {
        return FAR_OK;
    }
    if (far.storms) {
        far.now += MS / 10u;
        return FAR_OK;
    }
    if (deadline_ns == FAR_FOREVER) {
        far.waits_for_ever = true;
        return FAR_ELINKDOWN;
    }
    far.now = deadline_ns > far.now ? deadline_ns : far.now;
    return FAR_ETIMEDOUT;
}

static void wake(void *ctx) {
    (void)ctx;
}

static struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = wait,
    .wake = wake,
};

static struct far_link *begin_with(uint32_t ring, uint32_t index_base) {
    int err = 0;
    memset(&far, 0, sizeof far);
    far_layout_make(&far.lay, SOCKETS, 4, ring, RING, index_base);
    size_t bytes = (size_t)far_layout_bytes(&far.lay);
    far.region = aligned_alloc(4096, bytes);
    memset(far.region, 0, bytes);
    far.now = 1000u * MS;
    port.busy_poll_us = 0;
    far.state = FAR_ST_CONNECTED;
    struct far_far_ctl *ctl = at(far.lay.far_at);
    struct far_near_ctl *near = at(0);
    ctl->hdr.magic = FAR_WIRE_MAGIC;
    ctl->hdr.version = FAR_WIRE_VERSION;
    ctl->layout = far.lay;
    ctl->evt.head = ctl->cmd.tail = ctl->cmd.wake = index_base;
    far.lines = at(far.lay.far_socks);
    far_msg_reader_init(&far.cmd, &near->cmd, &ctl->cmd, at(far.lay.cmd_at),
        far.lay.cmd_bytes, index_base);
    far_msg_writer_init(&far.evt, &ctl->evt, &near->evt, at(far.lay.evt_at),
        far.lay.evt_bytes, index_base);
    return far_link_init(malloc(far_link_size(&far.lay)), far.region, bytes,
        &far.lay, &port, NULL, &err);
}

static struct far_link *begin(void) {
    return begin_with(RING, 0);
}

static void end(struct far_link *l) {
    free(l);
    free(far.region);
}

static void say(int32_t result, const void *data, uint32_t len) {
    far.reply = (struct far_reply){.result = result, .total = len};
    far.len = len;
    if (len) {
        memcpy(far.data, data, len);
    }
}

// --- Answers ---

TEST(a_call_that_returns_no_number_returns_none) {
    struct far_link *l = begin();
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    struct far_addr a = {.family = FAR_AF_INET};
    say(17, NULL, 0);
    CHECK_EQ(far_bind(l, s, &a), FAR_OK);
    CHECK_EQ(far_listen(l, s, 1), FAR_OK);
    CHECK_EQ(far_connect(l, s, &a, FAR_NOWAIT), FAR_OK);
    CHECK_EQ(far_shutdown(l, s, FAR_SHUT_RD), FAR_OK);
    CHECK_EQ(far_getsockname(l, s, &a), FAR_OK);
    end(l);
}

TEST(addresses_that_far_has_not_given_are_not_counted) {
    struct far_link *l = begin();
    struct far_gai_entry out[3];
    struct far_gai_result res;
    struct far_req_getaddrinfo hints = {0};
    struct far_rep_gai rep = {.count = 3};
    int sys = 0;
    uint8_t data[sizeof rep + sizeof out[0]] = {0};
    memcpy(data, &rep, sizeof rep);
    say(0, data, sizeof data); // one of three
    CHECK_EQ(far_getaddrinfo(l, "a", NULL, &hints, out, 3, &res, &sys,
                 FAR_FOREVER),
        0);
    CHECK_EQ(res.count, 1);
    CHECK_EQ(far_getaddrinfo(l, "a", NULL, &hints, out, 1, &res, &sys,
                 FAR_FOREVER),
        0);
    CHECK_EQ(res.count, 3); // there was no room for more
    end(l);
}

TEST(interfaces_that_far_has_not_given_are_not_counted) {
    struct far_link *l = begin();
    struct far_ifaddr out[2];
    say(2, NULL, 0);
    CHECK_EQ(far_getifaddrs(l, out, 2), 0);
    end(l);
}

TEST(what_is_queued_does_not_overflow) {
    struct far_link *l = begin();
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    struct far_rep_ioctl rep = {.rx_head = 9, .arg = {.value = INT32_MAX}};
    struct far_ifreq arg = {0};
    // More than a test's answer has room for: the start will do.
    far.len = 0;
    uint8_t whole[sizeof rep];
    memcpy(whole, &rep, sizeof rep);
    say(0, whole, sizeof far.data);
    CHECK_EQ(far_ioctl(l, s, FAR_FIONREAD, &arg), FAR_OK);
    CHECK_EQ(arg.value, INT32_MAX);
    end(l);
}

TEST(a_datagrams_length_is_bounded_also_unread) {
    struct far_link *l = begin();
    far.state = 0;
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_DGRAM, 0);
    struct far_dgram h = {.len = 0x80000000u};
    struct far_ifreq arg = {0};
    memcpy(at(far.lay.rx_at), &h, sizeof h);
    far_store(&far.lines[0].rx_head, 64);
    CHECK_EQ(far_ioctl(l, s, FAR_FIONREAD, &arg), FAR_OK);
    CHECK_EQ(arg.value, FAR_DGRAM_MAX);
    char buf[8];
    CHECK(far_recvfrom(l, s, buf, sizeof buf, 0, NULL, NULL, FAR_NOWAIT) < 0);
    CHECK(!far_link_is_up(l));
    end(l);
}

// --- Time ---

static bool in_time(uint64_t until) {
    return far.now >= until && far.now < until + 1000u * MS;
}

TEST(a_doorbell_without_end_does_not_keep_a_call) {
    struct far_link *l = begin();
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    char buf[8];
    far.storms = true;
    uint64_t until = far.now + 50u * MS;
    CHECK_EQ(far_recv(l, s, buf, sizeof buf, 0, until), FAR_ETIMEDOUT);
    CHECK(in_time(until));
    end(l);
}

TEST(messages_without_end_do_not_keep_a_call) {
    struct far_link *l = begin();
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    char buf[8];
    far.storms = far.floods = true;
    uint64_t until = far.now + 50u * MS;
    CHECK_EQ(far_recv(l, s, buf, sizeof buf, 0, until), FAR_ETIMEDOUT);
    CHECK(in_time(until));
    end(l);
}

TEST(not_yet_without_end_does_not_keep_connect_or_accept) {
    struct far_link *l = begin();
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    struct far_addr a = {.family = FAR_AF_INET};
    say(FAR_EINPROGRESS, NULL, 0);
    uint64_t until = far.now + MS;
    CHECK_EQ(far_connect(l, s, &a, until), FAR_ETIMEDOUT);
    CHECK(in_time(until));
    say(FAR_EAGAIN, NULL, 0);
    until = far.now + MS;
    CHECK_EQ(far_accept(l, s, NULL, until), FAR_ETIMEDOUT);
    CHECK(in_time(until));
    end(l);
}

TEST(a_poll_of_nothing_ends_also_when_far_is_gone) {
    struct far_link *l = begin();
    struct far_pollfd none = {.sock = -1, .events = FAR_POLLIN};
    far_link_down(l);
    CHECK_EQ(far_poll(l, &none, 1, far.now + MS), 0);
    CHECK_EQ(far_poll(l, &none, 1, FAR_FOREVER), 0);
    end(l);
}

TEST(a_datagram_that_never_comes_whole_ends_the_link) {
    struct far_link *l = begin();
    far.state = 0;
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_DGRAM, 0);
    struct far_dgram h = {.len = 4096}; // more than the ring
    char buf[8];
    memcpy(at(far.lay.rx_at), &h, sizeof h);
    far_store(&far.lines[0].rx_head, 64);
    far_recvfrom(l, s, buf, sizeof buf, 0, NULL, NULL, far.now + MS);
    CHECK(!far_link_is_up(l));
    CHECK(!far.waits_for_ever);
    end(l);
}

TEST(a_datagram_whose_control_data_nobody_wants) {
    struct far_link *l = begin();
    far.state = 0;
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_DGRAM, 0);
    struct far_dgram h = {.ctl_len = 16};
    struct far_ctl item = {.len = 8, .level = 1};
    struct far_msghdr m = {0};
    memcpy(at(far.lay.rx_at), &h, sizeof h);
    memcpy((uint8_t *)at(far.lay.rx_at) + sizeof h, &item, sizeof item);
    far_store(&far.lines[0].rx_head, 24);
    CHECK_EQ(far_recvmsg(l, s, &m, 0, FAR_NOWAIT), 0);
    CHECK_EQ(m.flags, FAR_MSG_CTRUNC);
    end(l);
}

// --- What an honest one sees ---

// Of two parts, who waits at the peer would get the first alone.
TEST(a_send_around_the_rings_end_is_told_at_once) {
    static char bytes[2000];
    struct far_link *l = begin();
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    CHECK_EQ(far_send(l, s, bytes, 2000, 0, FAR_NOWAIT), 2000);
    answer();
    // It has taken them, and sleeps.
    far_store(&far.lines[0].tx_tail, 2000);
    far_store(&far.lines[0].tx_wake, 2000);
    CHECK(far_msg_may_sleep(&far.cmd));
    CHECK_EQ(far_send(l, s, bytes, 100, 0, FAR_NOWAIT), 100);
    CHECK_EQ(far.kicked_at, 2100);
    end(l);
}

#define LONG_RING 65536u
#define BLOCK     (LONG_RING / 16u)

static uint32_t sent(void) {
    const struct far_near_line *lines = at(far.lay.near_socks);
    return far_load(&lines[0].tx_head);
}

static bool is_fetched(uint32_t pos) {
    const uint8_t *ring = at(far.lay.tx_at);
    uint32_t n = 0;
    for (uint32_t i = 0; i < BLOCK; i += FAR_LINE) {
        n += ring[(pos + i) & (LONG_RING - 1u)] == 0;
    }
    return n == BLOCK / FAR_LINE;
}

// Sends of n bytes, of which far has all but the last lag: of the block that
// they come to and the two behind it, bit by bit, which were fetched.
static uint32_t fetched(uint32_t n, uint32_t lag, uint32_t busy_poll_us) {
    static uint8_t bytes[LONG_RING / 2u];
    const uint32_t base = BLOCK;
    const uint32_t end_at = base + LONG_RING / 2u;
    struct far_link *l = begin_with(LONG_RING, base);
    port.busy_poll_us = busy_poll_us;
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    memset(bytes, 1, sizeof bytes);
    memset(at(far.lay.tx_at), 1, LONG_RING);
    while (sent() != end_at && far_send(l, s, bytes, n, 0, FAR_NOWAIT) > 0) {
        uint32_t all = sent() - base;
        far_store(&far.lines[0].tx_tail, base + (all > lag ? all - lag : 0));
    }
    uint32_t which = 0;
    for (uint32_t i = 0; i < 3 && sent() == end_at; i++) {
        which |= (uint32_t)is_fetched(end_at + i * BLOCK) << i;
    }
    end(l);
    return which;
}

TEST(lines_come_together_where_far_follows_closely) {
    // The first of the three would be, too: before head came there.
    CHECK_EQ(fetched(64, 0, 0), 3);
    CHECK_EQ(fetched(64, BLOCK - 64u, 0), 3);
    CHECK_EQ(fetched(64, BLOCK, 0), 0);
    CHECK_EQ(fetched(64, LONG_RING / 2u, 0), 0);
}

TEST(lines_come_together_where_near_has_a_core) {
    CHECK_EQ(fetched(64, 0, 1), 3);
    CHECK_EQ(fetched(64, LONG_RING / 4u, 1), 3);
    // Of one send of two parts: only what is behind each of them.
    CHECK_EQ(fetched(LONG_RING / 2u, 0, 1), 2);
    CHECK_EQ(fetched(LONG_RING / 2u, 0, 0), 0);
}

static uint8_t byte_at(uint32_t pos) {
    return (uint8_t)(pos * 2654435761u >> 24 | 1u); // never zero
}

// Far takes all up to there; how much of it is not what was sent.
static uint32_t take(uint32_t to) {
    const uint8_t *ring = at(far.lay.tx_at);
    uint32_t wrong = 0;
    for (uint32_t pos = far.lines[0].tx_tail; pos != to; pos++) {
        wrong += ring[pos & (far.lay.tx_ring - 1u)] != byte_at(pos);
    }
    far_store(&far.lines[0].tx_tail, to);
    return wrong;
}

// Sends of up to most bytes, which far takes when there are lag bytes: how many
// it finds spoilt.
static uint32_t spoilt(uint32_t size, uint32_t lag, uint32_t most,
    uint32_t busy_poll_us) {
    static uint8_t bytes[3000];
    const uint32_t base = 0u - 3u * size;
    struct far_link *l = begin_with(size, base);
    port.busy_poll_us = busy_poll_us;
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    uint32_t wrong = 0;
    for (uint32_t n = 1; sent() - base < 6u * size; n = n * 7u % most + 1u) {
        uint32_t head = sent();
        for (uint32_t i = 0; i < n; i++) {
            bytes[i] = byte_at(head + i);
        }
        int sends = far_send(l, s, bytes, n, 0, FAR_NOWAIT);
        head = sent();
        if (sends == FAR_EAGAIN) {
            wrong += take(head - lag / 2u);
        } else if (sends < 0) {
            wrong++;
            break;
        } else if (head - far.lines[0].tx_tail > lag) {
            wrong += take(head - lag);
        }
    }
    end(l);
    return wrong;
}

static uint32_t spoilt_at(uint32_t size, uint32_t lag) {
    return spoilt(size, lag, 100, 0) + spoilt(size, lag, 2900, 0) +
           spoilt(size, lag, 100, 1) + spoilt(size, lag, 2900, 1);
}

TEST(what_far_has_not_taken_is_not_touched) {
    static const uint32_t sizes[] = {1024, 4096, 8192, 65536};
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t part = 0; part <= 16; part++) {
            CHECK_EQ(spoilt_at(sizes[i], sizes[i] / 16u * part), 0);
        }
        CHECK_EQ(spoilt_at(sizes[i], 200), 0);
    }
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_call_that_returns_no_number_returns_none),
        CASE(addresses_that_far_has_not_given_are_not_counted),
        CASE(interfaces_that_far_has_not_given_are_not_counted),
        CASE(what_is_queued_does_not_overflow),
        CASE(a_datagrams_length_is_bounded_also_unread),
        CASE(a_doorbell_without_end_does_not_keep_a_call),
        CASE(messages_without_end_do_not_keep_a_call),
        CASE(not_yet_without_end_does_not_keep_connect_or_accept),
        CASE(a_poll_of_nothing_ends_also_when_far_is_gone),
        CASE(a_datagram_that_never_comes_whole_ends_the_link),
        CASE(a_datagram_whose_control_data_nobody_wants),
        CASE(a_send_around_the_rings_end_is_told_at_once),
        CASE(lines_come_together_where_far_follows_closely),
        CASE(lines_come_together_where_near_has_a_core),
        CASE(what_far_has_not_taken_is_not_touched),
    };
    return RUN_TESTS(cases);
}
