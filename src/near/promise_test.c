// Sockets that far has promised: taken without a word, told with the next one.
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "farsock/farsock.h"
#include "ring/ring.h"
#include "unit.h"

#define SOCKETS 4u
#define RING    2048u

// --- A far side that promises by hand ---

static struct {
    struct far_layout lay;
    uint8_t *region;
    struct far_near_ctl *near;
    struct far_far_ctl *ctl;
    struct far_msg_reader cmd;
    struct far_msg_writer evt;
    uint32_t bells;
    uint32_t made;     // SOCKETs that were read
    uint32_t told;     // promise of the last of them
    uint32_t told_tag; // and its tag
} far;

static void *at(uint32_t line) {
    return far.region + (size_t)line * FAR_LINE;
}

static bool answer(void) {
    struct far_msg m;
    uint64_t buf[FAR_RECORD_MAX / 8u];
    const struct far_reply fine = {0};
    bool some = false;
    while (far_msg_get(&far.cmd, &m, buf) > 0) {
        some = true;
        if (m.op == FAR_OP_SOCKET) {
            struct far_req_socket req;
            memcpy(&req, buf, sizeof req);
            far.made++;
            far.told = req.promise;
            far.told_tag = m.tag;
        }
        if (m.tag) {
            far_msg_put(&far.evt,
                (struct far_msg){.op = FAR_OP_REPLY, .tag = m.tag}, &fine,
                sizeof fine, NULL, 0);
            far_msg_publish(&far.evt);
        }
    }
    return some;
}

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    return 1;
}

static void notify(void *ctx) {
    (void)ctx;
    far.bells++;
}

static int wait(void *ctx, uint64_t deadline_ns) {
    (void)ctx;
    (void)deadline_ns;
    return answer() ? FAR_OK : FAR_ELINKDOWN;
}

static void wake(void *ctx) {
    (void)ctx;
}

static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = wait,
    .wake = wake,
};

static struct far_link *begin(void) {
    int err = 0;
    memset(&far, 0, sizeof far);
    far_layout_make(&far.lay, SOCKETS, 4, RING, RING, 0);
    size_t bytes = (size_t)far_layout_bytes(&far.lay);
    far.region = aligned_alloc(4096, bytes);
    memset(far.region, 0, bytes);
    far.near = at(0);
    far.ctl = at(far.lay.far_at);
    far.ctl->hdr.magic = FAR_WIRE_MAGIC;
    far.ctl->hdr.version = FAR_WIRE_VERSION;
    far.ctl->layout = far.lay;
    far_msg_reader_init(&far.cmd, &far.near->cmd, &far.ctl->cmd,
        at(far.lay.cmd_at), far.lay.cmd_bytes, 0);
    far_msg_writer_init(&far.evt, &far.ctl->evt, &far.near->evt,
        at(far.lay.evt_at), far.lay.evt_bytes, 0);
    return far_link_init(malloc(far_link_size(&far.lay)), far.region, bytes,
        &far.lay, &port, NULL, &err);
}

static void end(struct far_link *l) {
    free(l);
    free(far.region);
}

static void promise(uint32_t number, uint32_t family, uint32_t proto) {
    far.ctl->promise_family = family;
    far.ctl->promise_type = FAR_SOCK_STREAM;
    far.ctl->promise_proto = proto;
    far_store(&far.ctl->promise, number);
}

static int stream(struct far_link *l) {
    return far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
}

// --- Tests ---

TEST(without_one_near_asks_and_wishes) {
    struct far_link *l = begin();
    CHECK(stream(l) >= 0);
    CHECK_EQ(far.made, 1);
    CHECK_EQ(far.told, FAR_PROMISE_WISH);
    CHECK(far.told_tag != 0);
    CHECK_EQ(far.near->hdr.taken, 0);
    end(l);
}

TEST(one_is_taken_without_a_word) {
    struct far_link *l = begin();
    promise(7, FAR_AF_INET, 0);
    CHECK(stream(l) >= 0);
    CHECK_EQ(far.near->hdr.taken, 7);
    CHECK_EQ(far.bells, 0);
    CHECK_EQ(far_load(&far.near->cmd.head), 0);
    CHECK(!answer());
    end(l);
}

TEST(the_next_message_tells_of_it) {
    struct far_link *l = begin();
    struct far_addr a = {.family = FAR_AF_INET};
    promise(7, FAR_AF_INET, 0);
    int s = stream(l);
    CHECK_EQ(far_bind(l, s, &a), FAR_OK);
    CHECK_EQ(far.made, 1);
    CHECK_EQ(far.told, 7);
    CHECK_EQ(far.told_tag, 0);
    end(l);
}

TEST(so_does_its_close) {
    struct far_link *l = begin();
    promise(7, FAR_AF_INET, 0);
    int s = stream(l);
    far_store(&far.ctl->cmd.wake, 0);
    CHECK_EQ(far_close(l, s, FAR_NOWAIT), FAR_OK);
    CHECK_EQ(far.bells, 1);
    CHECK(answer());
    CHECK_EQ(far.told, 7);
    end(l);
}

TEST(one_is_taken_once) {
    struct far_link *l = begin();
    promise(7, FAR_AF_INET, 0);
    CHECK(stream(l) >= 0);
    CHECK(stream(l) >= 0);
    CHECK_EQ(far.made, 2);
    CHECK_EQ(far.told, FAR_PROMISE_WISH);
    promise(8, FAR_AF_INET, 0);
    CHECK(stream(l) >= 0);
    CHECK_EQ(far.made, 2);
    CHECK_EQ(far.near->hdr.taken, 8);
    end(l);
}

TEST(one_of_another_kind_is_left) {
    struct far_link *l = begin();
    promise(7, FAR_AF_INET6, 0);
    CHECK(stream(l) >= 0);
    promise(8, FAR_AF_INET, 6);
    CHECK(stream(l) >= 0);
    promise(9, FAR_AF_INET, 0);
    CHECK(far_socket(l, FAR_AF_INET, FAR_SOCK_DGRAM, 0) >= 0);
    CHECK_EQ(far.made, 3);
    CHECK_EQ(far.near->hdr.taken, 0);
    end(l);
}

TEST(a_wish_is_no_number) {
    struct far_link *l = begin();
    promise(FAR_PROMISE_WISH, FAR_AF_INET, 0);
    CHECK(stream(l) >= 0);
    CHECK_EQ(far.made, 1);
    CHECK_EQ(far.near->hdr.taken, 0);
    end(l);
}

TEST(a_slot_is_needed_all_the_same) {
    struct far_link *l = begin();
    for (uint32_t i = 0; i < SOCKETS; i++) {
        CHECK(stream(l) >= 0);
    }
    promise(7, FAR_AF_INET, 0);
    CHECK_EQ(stream(l), FAR_EMFILE);
    CHECK_EQ(far.near->hdr.taken, 0);
    end(l);
}

TEST(a_link_that_is_down_has_none) {
    struct far_link *l = begin();
    promise(7, FAR_AF_INET, 0);
    far_link_down(l);
    CHECK_EQ(stream(l), FAR_ENETDOWN);
    end(l);
}

// What an earlier socket's line says is no news of the new one.
TEST(that_far_hears_of_it_is_no_event) {
    struct far_link *l = begin();
    const struct far_near_line *near = at(far.lay.near_socks);
    struct far_far_line *line = at(far.lay.far_socks);
    line->gen = 0xffffu;
    line->rx_head = 8;
    line->state = FAR_ST_HUP | FAR_ST_CLOSED;
    line->err = 0x10068u;
    promise(7, FAR_AF_INET, 0);
    int s = stream(l);
    uint32_t mark = far_mark(l, s, false);
    *line = (struct far_far_line){.gen = near->gen};
    CHECK_EQ(far_mark(l, s, false), mark);
    line->state = FAR_ST_CONNECTED;
    CHECK(far_mark(l, s, false) != mark);
    end(l);
}

// A far side that promises on and on, and reads nothing.
TEST(promises_without_end_do_not_overflow) {
    struct far_link *l = begin();
    struct far_near_line *near = at(far.lay.near_socks);
    struct far_far_line *lines = at(far.lay.far_socks);
    int s = 0;
    for (uint32_t n = 2; s >= 0 && n < 1000; n++) {
        promise(n, FAR_AF_INET, 0);
        s = stream(l);
        for (uint32_t i = 0; s >= 0 && i < SOCKETS; i++) {
            lines[i].gen = near[i].gen;
            lines[i].state = FAR_ST_CLOSED;
        }
        if (s >= 0) {
            far_close(l, s, FAR_NOWAIT);
        }
    }
    CHECK_EQ(s, FAR_ENETDOWN);
    CHECK(!far_link_is_up(l));
    end(l);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(without_one_near_asks_and_wishes),
        CASE(one_is_taken_without_a_word),
        CASE(the_next_message_tells_of_it),
        CASE(so_does_its_close),
        CASE(one_is_taken_once),
        CASE(one_of_another_kind_is_left),
        CASE(a_wish_is_no_number),
        CASE(a_slot_is_needed_all_the_same),
        CASE(a_link_that_is_down_has_none),
        CASE(that_far_hears_of_it_is_no_event),
        CASE(promises_without_end_do_not_overflow),
    };
    return RUN_TESTS(cases);
}
