// Message rings that are full, both at once, and a near core that never reads.
// SPDX-License-Identifier: MIT
#include "daemon/rig_test.h"

#define TAGS    8u
#define SOCKETS 64u

static bool put(struct rig *r, uint8_t op, uint32_t tag, uint32_t sock,
    const void *payload, size_t len) {
    struct far_msg m = {
        .op = op,
        .tag = (uint16_t)tag,
        .sock = (uint16_t)sock,
    };
    return far_msg_put(&r->cmd, m, payload, (uint32_t)len, NULL, 0) == FAR_OK;
}

// A request as long as any can be, about a socket that is not there.
static bool put_longest(struct rig *r, uint32_t tag) {
    static const uint8_t value[FAR_RECORD_MAX - sizeof(struct far_msg)];
    return put(r, FAR_OP_SETSOCKOPT, tag, 1, value, sizeof value);
}

static void publish(struct rig *r) {
    if (far_msg_publish(&r->cmd)) {
        rig_bell(r);
    }
}

static bool is_read(struct rig *r) {
    for (int i = 0; i < PATIENCE_MS && !far_msg_is_read(&r->cmd); i++) {
        rig_pause();
    }
    return far_msg_is_read(&r->cmd);
}

// Everything that near may have open at a time, and then until nothing fits.
static uint32_t fill_cmd(struct rig *r, bool *due_fits) {
    uint32_t asked = 0;
    *due_fits = true;
    for (uint32_t i = 0; i < SOCKETS; i++) {
        *due_fits &= put(r, FAR_OP_KICK, 0, i, NULL, 0);
    }
    for (uint32_t t = 1; t <= TAGS; t++) {
        *due_fits &= put_longest(r, t);
        asked++;
        *due_fits &= put(r, FAR_OP_CANCEL, t, 0, NULL, 0);
        *due_fits &= put(r, FAR_OP_CANCEL, t, 0, NULL, 0);
    }
    while (put(r, FAR_OP_KICK, 0, 0, NULL, 0)) {
    }
    return asked;
}

TEST(a_full_ring_to_far_is_read_to_its_end) {
    struct rig r;
    bool due_fits = false;
    rig_prepare(&r, (struct rig_options){.base = 0});
    uint32_t asked = fill_cmd(&r, &due_fits);
    CHECK(due_fits);
    publish(&r);
    rig_start(&r);
    CHECK(is_read(&r));
    for (uint32_t i = 0; i < asked; i++) {
        struct far_msg m = {0};
        while (m.op != FAR_OP_REPLY) {
            CHECK(rig_get(&r, &m, PATIENCE_MS));
        }
        CHECK_EQ(r.result, FAR_EBADF);
    }
    CHECK(!r.gone);
    rig_down(&r);
}

// Near reads nothing: all that far owes it fits, and waits.
TEST(what_far_owes_a_near_that_does_not_read_fits) {
    struct rig r;
    uint32_t replies = 0;
    uint32_t kicked = 0;
    rig_up(&r, (struct rig_options){.base = UINT32_MAX - 4095u});
    for (uint32_t i = 0; i < SOCKETS; i++) {
        CHECK_EQ(rig_socket(&r, i, FAR_SOCK_DGRAM), FAR_OK);
    }
    r.kicked = 0;
    // Each socket changes, and each tag is answered at full length.
    struct far_req_getsockopt info = {
        .level = FAR_SOL_SOCKET, .opt = FAR_SO_TYPE, .size = 4};
    struct far_req_addr to = rig_addr(9);
    for (uint32_t t = 1; t <= TAGS; t++) {
        CHECK(put(&r, FAR_OP_GETSOCKOPT, t, t, &info, sizeof info));
    }
    publish(&r);
    CHECK(is_read(&r));
    for (uint32_t i = 0; i < 10u * SOCKETS; i++) {
        // connect() tells of a verdict: a KICKED, of which one will do. No tag:
        // no answer.
        CHECK(put(&r, FAR_OP_CONNECT, 0, i % SOCKETS, &to, sizeof to));
        publish(&r);
        CHECK(i % SOCKETS || is_read(&r));
    }
    CHECK(is_read(&r));
    for (struct far_msg m;
         rig_get(&r, &m, replies < TAGS ? PATIENCE_MS : 100);) {
        replies += m.op == FAR_OP_REPLY;
        kicked += m.op == FAR_OP_KICKED;
    }
    CHECK_EQ(replies, TAGS);
    CHECK_EQ(kicked, SOCKETS);
    CHECK(!r.gone);
    rig_down(&r);
}

TEST(a_near_that_asks_and_never_reads_loses_its_link) {
    struct rig r;
    struct far_msg m;
    rig_up(&r, (struct rig_options){.base = 0});
    CHECK_EQ(rig_socket(&r, 0, FAR_SOCK_DGRAM), FAR_OK);
    int asked = 0;
    while (!r.gone && asked < 10000) {
        put(&r, FAR_OP_GETSOCKNAME, 1, 0, NULL, 0);
        publish(&r);
        asked++;
        for (int i = 0; i < 1000 && !r.gone && !far_msg_is_read(&r.cmd); i++) {
            rig_pause();
        }
    }
    CHECK(rig_is_gone(&r));
    CHECK(asked < 1000);
    // What fitted is there.
    CHECK(rig_get(&r, &m, 0));
    CHECK_EQ(m.op, FAR_OP_REPLY);
    rig_down(&r);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_full_ring_to_far_is_read_to_its_end),
        CASE(what_far_owes_a_near_that_does_not_read_fits),
        CASE(a_near_that_asks_and_never_reads_loses_its_link),
    };
    return RUN_TESTS(cases);
}
