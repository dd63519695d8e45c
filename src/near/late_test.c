// Answers that come late: to callers that have left, for tags and slots that
// somebody else could have by then.
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "farsock/farsock.h"
#include "ring/ring.h"
#include "unit.h"

#define SOCKETS 2u
#define TAGS    2u
#define RING    2048u
#define MS      1000000ull
#define ASKED   32

// --- A far side that answers when a test says so ---

static struct {
    struct far_layout lay;
    uint8_t *region;
    struct far_msg_reader cmd;
    struct far_msg_writer evt;
    struct far_near_line *near;
    struct far_far_line *lines;
    uint64_t now;
    bool interrupted;
    bool at_once; // answers as well-behaved far does
    struct far_msg asked[ASKED];
    uint32_t gen[ASKED]; // of SOCKET
    uint32_t count;
    uint32_t cancels, kicks;
    void (*at_flush)(void); // what another thread does while far sends
    uint32_t told;          // times, of slot 0
} far;

static void *at(uint32_t line) {
    return far.region + (size_t)line * FAR_LINE;
}

static void put(struct far_msg m, const void *payload, uint32_t len) {
    far_msg_put(&far.evt, m, payload, len, NULL, 0);
    far_msg_publish(&far.evt);
}

static void make_line(uint32_t slot, uint32_t gen) {
    far.lines[slot] = (struct far_far_line){
        .gen = gen,
        .rx_wake = UINT32_MAX,
        .state = FAR_ST_CONNECTED,
    };
}

// An answer with one number as its data.
static void answer(uint32_t i, int32_t result) {
    const struct far_msg *m = &far.asked[i];
    struct {
        struct far_reply rep;
        struct far_addr addr;
    } r = {.rep = {.result = result, .total = sizeof r.addr}};
    if (m->op == FAR_OP_GETSOCKNAME) {
        r.addr.family = FAR_AF_INET;
        r.addr.port = (uint16_t)i; // tells which request it belongs to
    }
    if (m->op == FAR_OP_SOCKET && result >= 0) {
        make_line(m->sock, far.gen[i]);
    }
    put((struct far_msg){.op = FAR_OP_REPLY, .tag = m->tag}, &r, sizeof r);
}

static bool take_messages(void) {
    struct far_msg m;
    bool some = false;
    uint64_t buf[FAR_RECORD_MAX / 8u];
    while (far_msg_get(&far.cmd, &m, buf) > 0) {
        some = true;
        far.cancels += m.op == FAR_OP_CANCEL;
        far.kicks += m.op == FAR_OP_KICK;
        if (m.op == FAR_OP_FLUSH && far.at_flush) {
            far.at_flush();
        }
        if (m.op == FAR_OP_CANCEL || m.op == FAR_OP_KICK) {
            continue;
        }
        uint32_t i = far.count++ % ASKED;
        far.asked[i] = m;
        if (m.op == FAR_OP_SOCKET) {
            struct far_req_socket req;
            memcpy(&req, buf, sizeof req);
            far.gen[i] = req.rings.gen;
        }
        if (far.at_once) {
            answer(i, FAR_OK);
        }
    }
    return some;
}

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    return far.now += 1000u;
}

static void notify(void *ctx) {
    (void)ctx;
    take_messages();
}

static int wait(void *ctx, uint64_t deadline_ns) {
    (void)ctx;
    if (take_messages()) {
        return FAR_OK;
    }
    if (deadline_ns == FAR_FOREVER) {
        return FAR_ELINKDOWN; // a test that would hang
    }
    far.now = deadline_ns > far.now ? deadline_ns : far.now;
    return FAR_ETIMEDOUT;
}

static void wake(void *ctx) {
    (void)ctx;
}

static bool interrupted(void *ctx) {
    (void)ctx;
    return far.interrupted;
}

static void told(void *ctx, uint32_t slot) {
    (void)ctx;
    far.told += slot == 0;
}

static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = wait,
    .wake = wake,
    .interrupted = interrupted,
    .told = told,
};

static struct far_link *begin(void) {
    int err = 0;
    memset(&far, 0, sizeof far);
    far_layout_make(&far.lay, SOCKETS, TAGS, RING, RING, 0);
    size_t bytes = (size_t)far_layout_bytes(&far.lay);
    far.region = aligned_alloc(4096, bytes);
    memset(far.region, 0, bytes);
    far.now = 1000u * MS;
    far.at_once = true;
    struct far_far_ctl *ctl = at(far.lay.far_at);
    struct far_near_ctl *near = at(0);
    ctl->hdr.magic = FAR_WIRE_MAGIC;
    ctl->hdr.version = FAR_WIRE_VERSION;
    ctl->layout = far.lay;
    far.near = at(far.lay.near_socks);
    far.lines = at(far.lay.far_socks);
    far_msg_reader_init(&far.cmd, &near->cmd, &ctl->cmd, at(far.lay.cmd_at),
        far.lay.cmd_bytes, 0);
    far_msg_writer_init(&far.evt, &ctl->evt, &near->evt, at(far.lay.evt_at),
        far.lay.evt_bytes, 0);
    return far_link_init(malloc(far_link_size(&far.lay)), far.region, bytes,
        &far.lay, &port, NULL, &err);
}

static void end(struct far_link *l) {
    free(l);
    free(far.region);
}

static int lookup(struct far_link *l, int *sys) {
    struct far_req_getaddrinfo hints = {0};
    struct far_gai_result res;
    return far_getaddrinfo(l, "a", NULL, &hints, NULL, 0, &res, sys,
        far.now + 10u * MS);
}

static int new_socket(struct far_link *l) {
    return far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
}

// Takes what far has said.
static void look(struct far_link *l) {
    far_poll(l, NULL, 0, FAR_NOWAIT);
}

// --- Tags ---

TEST(a_tag_rests_until_its_late_answer_came) {
    struct far_link *l = begin();
    struct far_addr a;
    int sys = 0;
    int s = new_socket(l);
    far.at_once = false;
    CHECK_EQ(lookup(l, &sys), FAR_EAI_SYSTEM);
    CHECK_EQ(sys, FAR_ETIMEDOUT);
    CHECK_EQ(far.cancels, 1);
    uint32_t late = far.count - 1u;
    // Lookups may hold one of two tags, and it is held.
    far.at_once = true;
    uint32_t before = far.count;
    CHECK_EQ(lookup(l, &sys), FAR_EAI_SYSTEM);
    CHECK_EQ(far.count, before); // it was not even asked
    // The other tag works; the late answer comes in the middle of it.
    answer(late, FAR_OK);
    CHECK_EQ(far_getsockname(l, s, &a), FAR_OK);
    CHECK_EQ(a.port, before); // its own answer, and not the late one
    CHECK(far.asked[before].tag != far.asked[late].tag);
    CHECK_EQ(lookup(l, &sys), 0); // free again
    CHECK_EQ(far.asked[before + 1u].tag, far.asked[late].tag);
    end(l);
}

TEST(a_second_answer_to_a_tag_is_ignored) {
    struct far_link *l = begin();
    struct far_addr a;
    int s = new_socket(l);
    for (uint32_t i = far.count; i < 5; i++) {
        CHECK_EQ(far_getsockname(l, s, &a), FAR_OK);
        CHECK_EQ(a.port, i);
        answer(i, FAR_EINVAL);
        answer(i, FAR_EINVAL);
        look(l);
    }
    CHECK(far_link_is_up(l));
    end(l);
}

// --- A datagram whose result is awaited ---

static struct far_link *shared;
static int sent_from;
static uint32_t events_seen, bits_seen;
static int32_t result_seen;

// As epoll does: counts, looks, and would sleep. Its send says EAGAIN.
static void other_thread(void) {
    const struct far_addr to = {.family = FAR_AF_INET, .port = 2};
    events_seen = far_link_events(shared);
    result_seen = far_sendto(shared, sent_from, "b", 1, FAR_MSG_DONTWAIT, &to,
        FAR_FOREVER);
    bits_seen = far_ready(shared, sent_from, FAR_POLLOUT, true);
    far.told = 0;
}

TEST(who_waits_for_its_turn_to_send_is_told_of_it) {
    const struct far_addr to = {.family = FAR_AF_INET, .port = 1};
    shared = begin();
    sent_from = far_socket(shared, FAR_AF_INET, FAR_SOCK_DGRAM, 0);
    far.at_flush = other_thread;
    CHECK_EQ(far_sendto(shared, sent_from, "a", 1, 0, &to, FAR_FOREVER), 1);
    CHECK_EQ(result_seen, FAR_EAGAIN);
    CHECK_EQ(bits_seen, 0);
    CHECK_EQ(far_ready(shared, sent_from, FAR_POLLOUT, false), FAR_POLLOUT);
    CHECK(far_link_events(shared) != events_seen); // it does not sleep
    CHECK(far.told > 0);
    end(shared);
}

// --- Slots ---

TEST(a_socket_that_nobody_waits_for_is_closed) {
    struct far_link *l = begin();
    far.at_once = false;
    far.interrupted = true;
    CHECK_EQ(new_socket(l), FAR_EINTR);
    far.interrupted = false;
    far.at_once = true;
    uint32_t slot = far.asked[0].sock;
    // One slot of two is held until it is known what became of it.
    int s = new_socket(l);
    CHECK(s >= 0);
    CHECK_EQ(new_socket(l), FAR_EMFILE);
    answer(0, FAR_OK);
    uint32_t kicks = far.kicks;
    look(l);
    take_messages();
    CHECK_EQ(far.near[slot].flags, FAR_NEAR_CLOSE);
    CHECK_EQ(far.kicks, kicks + 1u);
    CHECK_EQ(far_link_sockets(l), 2);
    // Far lets go.
    far.lines[slot].state = FAR_ST_CLOSED;
    put((struct far_msg){.op = FAR_OP_KICKED, .sock = (uint16_t)slot}, NULL, 0);
    CHECK(new_socket(l) >= 0);
    CHECK(far.near[slot].gen != far.gen[0]);
    CHECK_EQ(far.near[slot].flags, 0);
    end(l);
}

TEST(a_socket_that_nobody_waits_for_and_is_none_gives_its_slot_back) {
    struct far_link *l = begin();
    far.at_once = false;
    far.interrupted = true;
    CHECK_EQ(new_socket(l), FAR_EINTR);
    far.interrupted = false;
    far.at_once = true;
    CHECK_EQ(far_link_sockets(l), 1);
    answer(0, FAR_EMFILE);
    look(l);
    CHECK_EQ(far_link_sockets(l), 0);
    CHECK_EQ(far.near[far.asked[0].sock].flags, 0);
    end(l);
}

TEST(what_far_says_of_a_slots_last_socket_counts_for_nothing) {
    struct far_link *l = begin();
    char buf[4];
    int s = new_socket(l);
    uint32_t slot = far.asked[0].sock;
    far_close_nowait(l, s);
    far.lines[slot].state = FAR_ST_CLOSED;
    put((struct far_msg){.op = FAR_OP_KICKED, .sock = (uint16_t)slot}, NULL, 0);
    look(l);
    s = new_socket(l);
    CHECK(s >= 0);
    // Of the socket that was here before: an end, an error, bytes.
    struct far_far_line now = far.lines[slot];
    far.lines[slot].gen = now.gen - 1u;
    far.lines[slot].rx_head = 3;
    far.lines[slot].state = FAR_ST_HUP | FAR_ST_DRAINED | FAR_ST_CLOSED;
    far.lines[slot].err = 1u << 16 | 104u;
    put((struct far_msg){.op = FAR_OP_KICKED, .sock = (uint16_t)slot}, NULL, 0);
    CHECK_EQ(far_ready(l, s, FAR_POLLIN | FAR_POLLERR, false) & FAR_POLLERR, 0);
    CHECK_EQ(far_recv(l, s, buf, 4, 0, FAR_NOWAIT), FAR_ENOTCONN);
    far.lines[slot] = now;
    CHECK_EQ(far_recv(l, s, buf, 4, 0, FAR_NOWAIT), FAR_EAGAIN);
    end(l);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_tag_rests_until_its_late_answer_came),
        CASE(a_second_answer_to_a_tag_is_ignored),
        CASE(who_waits_for_its_turn_to_send_is_told_of_it),
        CASE(a_socket_that_nobody_waits_for_is_closed),
        CASE(a_socket_that_nobody_waits_for_and_is_none_gives_its_slot_back),
        CASE(what_far_says_of_a_slots_last_socket_counts_for_nothing),
    };
    return RUN_TESTS(cases);
}
