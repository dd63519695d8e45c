// Many datagrams at a time: runs to the peer, batches from it.
// SPDX-License-Identifier: MIT
#include "daemon/batch.h"
#include "daemon/core.h"
#include "daemon/rig_test.h"
#include "daemon/run.h"

#define PEERS 2
#define TURNS 10000

static struct rig rig;
static int peers[PEERS];
static uint16_t ports[PEERS];
static uint8_t bytes[FAR_DGRAM_MAX + 1];
static uint8_t got[FAR_DGRAM_MAX + 1];

static uint32_t next_random(void) {
    static uint32_t x = 1;
    x = x * 1664525u + 1013904223u;
    return x >> 8;
}

static int32_t ask(uint8_t op, uint32_t slot, const void *req, size_t len) {
    rig_put(&rig, op, 1, slot, req, len);
    for (int i = 0; i < TURNS; i++) {
        struct far_msg m;
        engine_turn(rig.engine, false);
        while (rig_get(&rig, &m, 0)) {
            if (m.op == FAR_OP_REPLY) {
                return rig.result;
            }
        }
    }
    return NO_REPLY;
}

// One near socket, and peers. Over loopback what is sent is there at once.
static bool begin(uint32_t ring, uint32_t base) {
    rig_prepare(&rig, (struct rig_options){.ring = ring, .base = base});
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_open(SOCK_DGRAM, &ports[i]);
    }
    rig_place(&rig, 0);
    struct far_req_socket req = {
        .rings = rig.socks[0].rings,
        .family = FAR_AF_INET,
        .type = FAR_SOCK_DGRAM,
    };
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = pattern(i);
    }
    return ask(FAR_OP_SOCKET, 0, &req, sizeof req) == FAR_OK;
}

static void end(void) {
    for (int i = 0; i < PEERS; i++) {
        close(peers[i]);
    }
    engine_free(rig.engine);
    munmap(rig.region, rig.bytes);
    close(rig.to_near);
    close(rig.to_far);
    close(rig.far_end);
    close(rig.near_end);
}

// Only the first peer, in one direction.
static bool set_policy(struct policy *p, const char *action) {
    static struct policy_rule rules[2];
    char text[64];
    char reason[POLICY_SAY];
    *p = (struct policy){.rules = rules, .rule_count = 2};
    snprintf(text, sizeof text, "allow %s udp 127.0.0.1:%u", action, ports[0]);
    rig.link->policy = p;
    return policy_parse_rule(&rules[0], "allow bind udp any", reason,
               sizeof reason) == 0 &&
           policy_parse_rule(&rules[1], text, reason, sizeof reason) == 0;
}

// --- To the peer ---

// Datagrams are told apart by what they begin with, a number.
struct sent {
    uint32_t to;
    uint32_t len;
};

static bool put_record(uint32_t number, const struct sent *d, uint16_t port) {
    struct near_sock *s = &rig.socks[0];
    uint8_t rec[40 + FAR_ALIGN8(2048)] = {0};
    struct far_dgram h = {.len = d->len, .flags = FAR_DGRAM_ADDR};
    struct far_req_addr to = rig_addr(port);
    uint32_t n = 40u + FAR_ALIGN8(d->len);
    if (rig.layout.tx_ring - (s->tx_head - far_load(&s->far->tx_tail)) < n) {
        return false;
    }
    memcpy(rec, &h, sizeof h);
    memcpy(rec + 8, &to.addr, sizeof to.addr);
    memcpy(rec + 40, bytes + number % 1000u, d->len);
    memcpy(rec + 40, &number, d->len < 4 ? d->len : 4);
    far_ring_put(s->tx, rig.layout.tx_ring, s->tx_head, rec, n);
    s->tx_head += n;
    return true;
}

static void publish(void) {
    FAR_WMB();
    far_store(&rig.socks[0].line->tx_head, rig.socks[0].tx_head);
    rig_kick(&rig, 0);
    while (far_load(&rig.socks[0].far->tx_tail) != rig.socks[0].tx_head) {
        engine_turn(rig.engine, false);
    }
}

// That the peer gets this one, and nothing else.
static bool arrives(uint32_t number, const struct sent *d) {
    ssize_t n = recv(peers[d->to], got, sizeof got, MSG_DONTWAIT);
    uint32_t key = d->len < 4 ? d->len : 4;
    return n == (ssize_t)d->len && memcmp(got, &number, key) == 0 &&
           memcmp(got + key, bytes + number % 1000u + key, d->len - key) == 0;
}

static bool nothing_more(void) {
    return recv(peers[0], got, sizeof got, MSG_DONTWAIT) < 0 &&
           recv(peers[1], got, sizeof got, MSG_DONTWAIT) < 0;
}

// Long runs of one length, and now and then another one, or another peer.
static struct sent some(struct sent last) {
    static const uint32_t lengths[] = {0, 1, 8, 63, 64, 65, 1400, 2040};
    uint32_t r = next_random() % 16u;
    if (r == 0) {
        last.to = 1u - last.to;
    } else if (r == 1) {
        last.len = lengths[next_random() % 8u];
    }
    return last;
}

TEST(runs_arrive_as_single_ones_do) {
    static struct sent d[64];
    struct sent last = {0, 64};
    CHECK(begin(131072, 0xffff0000u));
    uint32_t most = 0;
    for (uint32_t number = 0; number < 20000;) {
        uint32_t count = 0;
        do {
            last = some(last);
            d[count] = last;
        } while (put_record(number + count, &d[count], ports[last.to]) &&
                 ++count < 40);
        publish();
        for (uint32_t i = 0; i < count; i++) {
            CHECK(arrives(number + i, &d[i]));
        }
        CHECK(nothing_more());
        most = count > most ? count : most;
        number += count;
    }
    CHECK(most > RUN_MOST);
    CHECK_EQ(far_load(&rig.socks[0].far->err), 0);
    CHECK_EQ(rig.link->slots[0].sock->run_limit, FAR_DGRAM_MAX); // none failed
    end();
}

// Wherever the ring's end is in a run that is as long as they get.
TEST(the_longest_runs_wrap_anywhere) {
    CHECK(begin(4096, 0));
    struct sent d = {0, 8};
    for (uint32_t number = 0; number < 4096;) {
        uint32_t count = 0;
        while (count < 70 && put_record(number + count, &d, ports[0])) {
            count++;
        }
        publish();
        for (uint32_t i = 0; i < count; i++) {
            CHECK(arrives(number + i, &d));
        }
        CHECK(nothing_more());
        number += count;
    }
    CHECK_EQ(far_load(&rig.socks[0].far->err), 0);
    end();
}

TEST(runs_are_no_longer_than_one_datagram) {
    CHECK(begin(131072, 0));
    struct sent d = {0, 2048};
    for (uint32_t i = 0; i < 40; i++) {
        CHECK(put_record(i, &d, ports[0]));
    }
    publish();
    for (uint32_t i = 0; i < 40; i++) {
        CHECK(arrives(i, &d));
    }
    CHECK_EQ(rig.link->slots[0].sock->run_limit, FAR_DGRAM_MAX); // none failed
    end();
}

// Without checksums the kernel takes no runs.
TEST(what_is_no_run_to_the_kernel_goes_one_by_one) {
    struct {
        struct far_req_setsockopt req;
        int32_t value;
    } no_check = {{FAR_SOL_SOCKET, 11}, 1};
    CHECK(begin(16384, 0));
    struct sent d = {0, 64};
    CHECK_EQ(ask(FAR_OP_SETSOCKOPT, 0, &no_check, sizeof no_check), FAR_OK);
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(put_record(i, &d, ports[0]));
    }
    publish();
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(arrives(i, &d));
    }
    CHECK(nothing_more());
    CHECK_EQ(far_load(&rig.socks[0].far->err), 0);
    struct sock *s = rig.link->slots[0].sock;
    CHECK(s->run_known && s->run_limit < 64);
    // Another option, another look.
    no_check.value = 0;
    CHECK_EQ(ask(FAR_OP_SETSOCKOPT, 0, &no_check, sizeof no_check), FAR_OK);
    CHECK(put_record(20, &d, ports[0]) && put_record(21, &d, ports[0]));
    publish();
    CHECK(arrives(20, &d) && arrives(21, &d));
    CHECK(s->run_known && s->run_limit >= 64);
    end();
}

// An error is told once, and costs none but the datagram that had it.
TEST(an_error_is_that_of_one_datagram) {
    CHECK(begin(16384, 0));
    struct sent d = {0, 64};
    for (uint32_t i = 0; i < 21; i++) {
        CHECK(put_record(i, &d, i == 10 ? 0 : ports[0])); // port 0: EINVAL
    }
    publish();
    for (uint32_t i = 0; i < 21; i++) {
        CHECK(i == 10 || arrives(i, &d));
    }
    CHECK(nothing_more());
    CHECK_EQ(far_load(&rig.socks[0].far->err), 1u << 16 | -FAR_EINVAL);
    end();
}

TEST(runs_are_judged_one_by_one) {
    struct policy policy;
    struct sent d = {0, 64};
    CHECK(begin(16384, 0));
    CHECK(set_policy(&policy, "connect"));
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(put_record(i, &d, ports[i >= 10]));
    }
    publish();
    for (uint32_t i = 0; i < 10; i++) {
        CHECK(arrives(i, &d));
    }
    CHECK(nothing_more());
    CHECK_EQ(policy.rules[1].count.hits, 10);
    CHECK_EQ(policy.count.hits, 10);
    CHECK_EQ(far_load(&rig.socks[0].far->err), 10u << 16 | -FAR_EACCES);
    rig.link->policy = NULL;
    end();
}

// The peer that refused the last one does not cost the next their way.
TEST(an_earlier_error_is_told_and_the_run_goes) {
    struct sent d = {0, 64};
    CHECK(begin(16384, 0));
    struct far_req_addr to = rig_addr(ports[0]);
    struct sockaddr_in at = {.sin_family = AF_INET,
        .sin_port = htons(ports[0]),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_EQ(ask(FAR_OP_CONNECT, 0, &to, sizeof to), FAR_OK);
    struct sock *s = rig.link->slots[0].sock;
    for (uint32_t round = 1; round <= 3; round++) {
        close(peers[0]);
        CHECK_EQ(send(s->fd, "x", 1, 0), 1); // comes back as ECONNREFUSED
        peers[0] = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK_EQ(bind(peers[0], (struct sockaddr *)&at, sizeof at), 0);
        for (uint32_t i = 0; i < 5; i++) {
            CHECK(put_record(i, &d, ports[0]));
        }
        s->events = 0;
        FAR_WMB();
        far_store(&rig.socks[0].line->tx_head, rig.socks[0].tx_head);
        rig.link->turn_end_ns = UINT64_MAX;
        sock_turn(s); // before the event of the error
        for (uint32_t i = 0; i < 5; i++) {
            CHECK(arrives(i, &d));
        }
        CHECK_EQ(far_load(&rig.socks[0].far->err),
            round << 16 | (uint32_t)-FAR_ECONNREFUSED);
        publish();
        CHECK_EQ(far_load(&rig.socks[0].far->err) >> 16, round);
    }
    end();
}

// --- From the peer ---

struct came {
    uint32_t from;
    uint32_t len;
};

static bool send_in(uint32_t number, const struct came *d,
    const struct sockaddr_in *to) {
    memcpy(got, bytes + number % 1000u, d->len);
    memcpy(got, &number, d->len < 4 ? d->len : 4);
    return sendto(peers[d->from], got, d->len, 0, (const struct sockaddr *)to,
               sizeof *to) == (ssize_t)d->len;
}

// Near takes the next record: it must be this one.
static bool is_next(uint32_t number, const struct came *d) {
    struct near_sock *s = &rig.socks[0];
    static uint8_t rec[40 + 512 + FAR_ALIGN8(FAR_DGRAM_MAX)];
    struct far_dgram h;
    struct far_addr from;
    uint32_t ready = far_load(&s->far->rx_head) - s->rx_tail;
    if (ready < 40) {
        return false;
    }
    far_ring_get(s->rx, rig.layout.rx_ring, s->rx_tail, &h, sizeof h);
    uint32_t n = 40u + h.ctl_len + FAR_ALIGN8(h.len);
    if (h.len != d->len || h.ctl_len > 512 || ready < n) {
        return false;
    }
    far_ring_get(s->rx, rig.layout.rx_ring, s->rx_tail, rec, n);
    s->rx_tail += n;
    far_store(&s->line->rx_tail, s->rx_tail);
    memcpy(&from, rec + 8, sizeof from);
    const uint8_t *payload = rec + 40 + h.ctl_len;
    uint32_t key = d->len < 4 ? d->len : 4;
    return from.port == ports[d->from] && memcmp(payload, &number, key) == 0 &&
           memcmp(payload + key, bytes + number % 1000u + key, d->len - key) ==
               0;
}

static bool bind_near(struct sockaddr_in *at) {
    struct far_req_addr any = rig_addr(0);
    socklen_t len = sizeof *at;
    return ask(FAR_OP_BIND, 0, &any, sizeof any) == FAR_OK &&
           !getsockname(rig.link->slots[0].sock->fd, (struct sockaddr *)at,
               &len);
}

static void turns(void) {
    for (int i = 0; i < 8; i++) {
        engine_turn(rig.engine, false);
    }
}

// False if one is missing, or another one came.
static bool bursts(void) {
    static const uint32_t lengths[] = {0, 1, 7, 8, 9, 64, 1400, 20000};
    static struct came d[24];
    struct sockaddr_in to;
    struct came last = {0, 64};
    bool good = bind_near(&to);
    for (uint32_t number = 0; number < 12000 && good;) {
        uint32_t count = 1 + next_random() % 24u;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t r = next_random() % 12u;
            last.from = r == 0 ? 1u - last.from : last.from;
            last.len = r == 1 ? lengths[next_random() % 8u] : last.len;
            last.len = last.len == 20000 && i > 2 ? 8 : last.len;
            d[i] = last;
            good &= send_in(number + i, &d[i], &to);
        }
        turns();
        for (uint32_t i = 0; i < count; i++) {
            good &= is_next(number + i, &d[i]);
        }
        good &= far_load(&rig.socks[0].far->rx_head) == rig.socks[0].rx_tail;
        rig_kick(&rig, 0);
        number += count;
    }
    return good && rig.engine->batch;
}

TEST(batches_arrive_as_single_ones_do) {
    CHECK(begin(1u << 18, 0xfff80000u));
    CHECK(bursts());
    end();
}

// Those that moved up lay on both sides of the ring's end, too.
TEST(batches_wrap_anywhere) {
    static const struct came d[] = {{0, 6000}, {0, 6000}, {0, 100}, {1, 6000}};
    struct sockaddr_in to;
    CHECK(begin(1u << 18, 0));
    CHECK(bind_near(&to));
    for (uint32_t round = 0; round < 300; round++) {
        CHECK(send_in(0, &d[0], &to));
        turns();
        CHECK(is_next(0, &d[0]));
        rig_kick(&rig, 0);
        turns();
        for (uint32_t i = 1; i < 4; i++) {
            CHECK(send_in(i, &d[i], &to));
        }
        turns();
        for (uint32_t i = 1; i < 4; i++) {
            CHECK(is_next(i, &d[i]));
        }
    }
    end();
}

TEST(batches_bring_control_data) {
    struct {
        struct far_req_setsockopt req;
        int32_t value;
    } ttl = {{0, 12}, 1}; // IP_RECVTTL
    CHECK(begin(1u << 20, 0));
    CHECK_EQ(ask(FAR_OP_SETSOCKOPT, 0, &ttl, sizeof ttl), FAR_OK);
    CHECK(bursts());
    end();
}

// What the policy does not let in leaves no hole.
TEST(batches_are_judged_one_by_one) {
    struct policy policy;
    struct sockaddr_in to;
    CHECK(begin(1u << 20, 0));
    CHECK(bind_near(&to));
    CHECK(set_policy(&policy, "accept"));
    for (uint32_t round = 0; round < 256; round++) {
        struct came d[8];
        for (uint32_t i = 0; i < 8; i++) {
            d[i] = (struct came){round >> i & 1u, 64 + 8 * (round % 5u == i)};
            CHECK(send_in(i, &d[i], &to));
        }
        turns();
        for (uint32_t i = 0; i < 8; i++) {
            CHECK(d[i].from == 1 || is_next(i, &d[i]));
        }
        CHECK_EQ(far_load(&rig.socks[0].far->rx_head), rig.socks[0].rx_tail);
    }
    CHECK_EQ(policy.rules[1].count.hits, 1024);
    CHECK_EQ(policy.count.hits, 1024);
    rig.link->policy = NULL;
    end();
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(runs_arrive_as_single_ones_do),
        CASE(the_longest_runs_wrap_anywhere),
        CASE(runs_are_no_longer_than_one_datagram),
        CASE(what_is_no_run_to_the_kernel_goes_one_by_one),
        CASE(an_error_is_that_of_one_datagram),
        CASE(runs_are_judged_one_by_one),
        CASE(an_earlier_error_is_told_and_the_run_goes),
        CASE(batches_arrive_as_single_ones_do),
        CASE(batches_wrap_anywhere),
        CASE(batches_bring_control_data),
        CASE(batches_are_judged_one_by_one),
    };
    return RUN_TESTS(cases);
}
