// Datagram sockets that several links have: who asks gets the next datagram.
// SPDX-License-Identifier: MIT
#include "daemon/rig_test.h"

#define RING  1024u
#define LARGE 3000u

static struct rig rig;
static uint16_t port;
static struct far_addr at;
static int peer;
static uint8_t bytes[LARGE];

static void send_fds(const int *fds, size_t count) {
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(2 * sizeof(int))];
    } ctl = {0};
    char data[1] = {0};
    struct iovec iov = {data, 1};
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = ctl.buf,
        .msg_controllen = CMSG_SPACE(count * sizeof(int)),
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    sendmsg(rig.near_end, &m, MSG_NOSIGNAL);
}

static void say(const void *data, size_t len) {
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(at.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    sendto(peer, data, len, 0, (struct sockaddr *)&to, sizeof to);
}

// A datagram socket in slot 0, and its peer.
static bool begin(void) {
    rig_up(&rig, (struct rig_options){.ring = RING});
    peer = peer_open(SOCK_DGRAM, &port);
    struct far_req_addr any = rig_addr(0);
    bool ok = rig_socket(&rig, 0, FAR_SOCK_DGRAM) == FAR_OK &&
              rig_ask(&rig, FAR_OP_BIND, 0, &any, sizeof any) == FAR_OK &&
              rig_ask(&rig, FAR_OP_GETSOCKNAME, 0, NULL, 0) == FAR_OK;
    memcpy(&at, rig.data, sizeof at);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = pattern(i);
    }
    return ok;
}

static void end(void) {
    close(peer);
    rig_down(&rig);
}

// Until far has read that many bytes ahead.
static bool ahead(uint32_t n) {
    struct near_sock *s = &rig.socks[0];
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (far_load(&s->far->rx_head) - s->rx_tail >= n) {
            return true;
        }
        rig_pause();
    }
    return false;
}

// Shares slot 0, which passes over what its ring holds, and adopts it in 1.
static bool share(void) {
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    send_fds(pair, 2);
    bool ok = rig_ask(&rig, FAR_OP_SHARE, 0, NULL, 0) == FAR_OK;
    struct near_sock *s = &rig.socks[0];
    s->rx_tail = far_load(&s->far->rx_head);
    far_store(&s->line->rx_tail, s->rx_tail);
    send_fds(pair, 1);
    rig_place(&rig, 1);
    struct far_req_socket req = {
        .rings = rig.socks[1].rings,
        .family = FAR_AF_INET,
        .type = FAR_SOCK_DGRAM,
    };
    ok = ok && rig_ask(&rig, FAR_OP_ADOPT, 1, &req, sizeof req) == FAR_OK;
    close(pair[0]);
    close(pair[1]);
    return ok;
}

static int32_t ask(uint32_t slot, uint32_t flags) {
    struct far_req_recv req = {.room = FAR_DGRAM_MAX, .flags = flags};
    return rig_ask(&rig, FAR_OP_RECV, slot, &req, sizeof req);
}

// What RECV brought: the payload's first byte, or -1. *h is its header.
static int taken(uint32_t slot, struct far_dgram *h) {
    struct near_sock *s = &rig.socks[slot];
    uint8_t rest[64];
    uint8_t first = 0;
    if (far_load(&s->far->rx_head) == s->rx_tail) {
        return -1;
    }
    rig_read(&rig, slot, h, sizeof *h);
    rig_read(&rig, slot, rest, (uint32_t)sizeof(struct far_addr) + h->ctl_len);
    for (uint32_t i = 0; i < FAR_ALIGN8(h->len); i += 8) {
        rig_read(&rig, slot, rest, 8);
        first = i == 0 ? rest[0] : first;
        for (uint32_t k = 0; h->len == LARGE && k < 8; k++) {
            if (rest[k] != bytes[i + k]) {
                return -1;
            }
        }
    }
    return first;
}

static uint32_t data(uint32_t slot) {
    return far_load(&rig.socks[slot].far->state) & FAR_ST_DATA;
}

TEST(what_was_read_ahead_is_for_whoever_asks_first) {
    struct far_dgram h;
    CHECK(begin());
    say("a", 1);
    say("b", 1);
    CHECK(ahead(96));
    CHECK(share());
    say("c", 1);
    CHECK(data(0) && data(1));
    CHECK_EQ(ask(1, 0), FAR_OK);
    CHECK_EQ(taken(1, &h), 'a');
    CHECK_EQ(ask(0, 0), FAR_OK);
    CHECK_EQ(taken(0, &h), 'b');
    CHECK_EQ(ask(1, 0), FAR_OK);
    CHECK_EQ(taken(1, &h), 'c');
    // Nothing is left, and both know.
    CHECK(!data(0) && !data(1));
    CHECK_EQ(ask(0, 0), FAR_EAGAIN);
    CHECK_EQ(ask(1, 0), FAR_EAGAIN);
    end();
}

TEST(nothing_is_read_ahead_any_more) {
    struct far_dgram h;
    CHECK(begin());
    CHECK(share());
    say("a", 1);
    CHECK(rig_state(&rig, 0, FAR_ST_DATA, FAR_ST_DATA));
    CHECK(rig_state(&rig, 1, FAR_ST_DATA, FAR_ST_DATA));
    CHECK_EQ(taken(0, &h), -1);
    CHECK_EQ(taken(1, &h), -1);
    CHECK_EQ(ask(0, 0), FAR_OK);
    CHECK_EQ(taken(0, &h), 'a');
    CHECK(!data(1));
    end();
}

TEST(a_look_leaves_the_datagram_to_all) {
    struct far_dgram h;
    CHECK(begin());
    say("kept", 4);
    CHECK(ahead(48));
    CHECK(share());
    say("new", 3);
    static const int lengths[] = {4, 3};
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_EQ(ask(0, FAR_RECV_PEEK), lengths[i]);
        CHECK_EQ(taken(0, &h), "kn"[i]);
        CHECK_EQ(h.flags, FAR_DGRAM_ADDR | FAR_DGRAM_COPY);
        CHECK(data(0) && data(1));
        CHECK_EQ(ask(1, 0), FAR_OK);
        CHECK_EQ(taken(1, &h), "kn"[i]);
        CHECK_EQ(h.flags, FAR_DGRAM_ADDR);
    }
    CHECK_EQ(ask(0, FAR_RECV_PEEK), FAR_EAGAIN);
    end();
}

TEST(a_datagram_larger_than_the_rings_is_shared_too) {
    struct far_dgram h;
    CHECK(begin());
    say(bytes, LARGE);
    CHECK(ahead(RING - 8));
    CHECK(share());
    CHECK_EQ(ask(0, FAR_RECV_PEEK), LARGE);
    CHECK_EQ(taken(0, &h), bytes[0]);
    CHECK(h.len < RING && (h.flags & FAR_DGRAM_TRUNC));
    CHECK_EQ(ask(1, 0), FAR_OK);
    CHECK_EQ(taken(1, &h), bytes[0]);
    CHECK_EQ(h.len, LARGE);
    say(bytes, LARGE);
    CHECK(rig_state(&rig, 1, FAR_ST_DATA, FAR_ST_DATA));
    CHECK_EQ(ask(0, 0), FAR_OK);
    CHECK_EQ(taken(0, &h), bytes[0]);
    CHECK_EQ(h.len, LARGE);
    CHECK(!data(0) && !data(1));
    end();
}

TEST(a_socket_of_one_process_has_no_such_request) {
    CHECK(begin());
    CHECK_EQ(ask(0, 0), FAR_EOPNOTSUPP);
    end();
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(what_was_read_ahead_is_for_whoever_asks_first),
        CASE(nothing_is_read_ahead_any_more),
        CASE(a_look_leaves_the_datagram_to_all),
        CASE(a_datagram_larger_than_the_rings_is_shared_too),
        CASE(a_socket_of_one_process_has_no_such_request),
    };
    return RUN_TESTS(cases);
}
