// Sockets made ahead: who gets them, and who is not to suffer by them.
// SPDX-License-Identifier: MIT
#include "daemon/rig_test.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "daemon/core.h"

static struct rig rig;

static void up(void) {
    rig_prepare(&rig, (struct rig_options){.base = 0});
}

static void down(void) {
    engine_free(rig.engine);
    rig_free(&rig);
}

static void turns(void) {
    for (int i = 0; i < 3; i++) {
        engine_turn(rig.engine, false);
    }
}

static struct far_near_ctl *near_ctl(struct rig *r) {
    return (void *)r->region;
}

static const struct far_far_ctl *far_ctl(struct rig *r) {
    return rig_line(r, r->layout.far_at);
}

static uint32_t promised(void) {
    return far_load(&far_ctl(&rig)->promise);
}

static int32_t answer_of(struct rig *r) {
    struct far_msg m;
    turns();
    while (rig_get(r, &m, 0)) {
        if (m.op == FAR_OP_REPLY) {
            return r->result;
        }
    }
    return NO_REPLY;
}

static int32_t ask(uint8_t op, uint32_t slot, const void *payload, size_t len) {
    rig_put(&rig, op, 1, slot, payload, len);
    return answer_of(&rig);
}

// The request for a socket in that slot of r.
static struct far_req_socket kind(struct rig *r, uint32_t slot, uint32_t family,
    uint32_t type, uint32_t promise) {
    rig_place(r, slot);
    return (struct far_req_socket){
        .rings = r->socks[slot].rings,
        .family = family,
        .type = type,
        .promise = promise,
    };
}

static int32_t make_of(struct rig *r, uint32_t slot, uint32_t family,
    uint32_t type, uint32_t promise) {
    struct far_req_socket req = kind(r, slot, family, type, promise);
    rig_put(r, FAR_OP_SOCKET, 1, slot, &req, sizeof req);
    return answer_of(r);
}

static int32_t make(uint32_t slot, uint32_t promise) {
    return make_of(&rig, slot, FAR_AF_INET, FAR_SOCK_STREAM, promise);
}

static void make_two(void) {
    make(0, FAR_PROMISE_WISH);
    make(1, FAR_PROMISE_WISH);
}

// As near does: says that it takes it, and tells with a later message.
static void take(uint32_t slot, uint32_t number) {
    struct far_req_socket req =
        kind(&rig, slot, FAR_AF_INET, FAR_SOCK_STREAM, number);
    struct far_msg m = {.op = FAR_OP_SOCKET, .sock = (uint16_t)slot};
    far_store(&near_ctl(&rig)->hdr.taken, number);
    far_msg_put(&rig.cmd, m, &req, sizeof req, NULL, 0);
}

static int32_t name_of(uint32_t slot) {
    return ask(FAR_OP_GETSOCKNAME, slot, NULL, 0);
}

static uint32_t shown(void) {
    struct link_info info;
    link_get_info(rig.link, &info);
    return info.sockets;
}

// Sockets that this process has.
static int open_sockets(void) {
    int n = 0;
    for (int fd = 0; fd < 256; fd++) {
        int domain = 0;
        socklen_t len = sizeof domain;
        n += getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
             (domain == AF_INET || domain == AF_INET6);
    }
    return n;
}

static int limit_descriptors(int most) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int before = (int)limit.rlim_cur;
    limit.rlim_cur = (rlim_t)most;
    setrlimit(RLIMIT_NOFILE, &limit);
    return before;
}

// The descriptor that the next call gives.
static int next_descriptor(void) {
    int fd = fcntl(rig.to_near, F_DUPFD_CLOEXEC, 0);
    close(fd);
    return fd;
}

TEST(one_socket_is_no_reason_for_another) {
    up();
    CHECK_EQ(make(0, FAR_PROMISE_WISH), FAR_OK);
    CHECK_EQ(promised(), 0);
    down();
}

TEST(after_two_of_a_kind_there_is_a_third) {
    up();
    make_two();
    CHECK(promised() > FAR_PROMISE_WISH);
    CHECK_EQ(far_load(&far_ctl(&rig)->promise_family), FAR_AF_INET);
    CHECK_EQ(far_load(&far_ctl(&rig)->promise_type), FAR_SOCK_STREAM);
    CHECK_EQ(far_load(&far_ctl(&rig)->promise_proto), 0);
    down();
}

TEST(a_near_that_does_not_wish_has_none) {
    up();
    CHECK_EQ(make(0, FAR_PROMISE_NONE), FAR_OK);
    CHECK_EQ(make(1, FAR_PROMISE_NONE), FAR_OK);
    CHECK_EQ(promised(), 0);
    down();
}

TEST(datagrams_have_none) {
    up();
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(make_of(&rig, i, FAR_AF_INET, FAR_SOCK_DGRAM,
                     FAR_PROMISE_WISH),
            FAR_OK);
    }
    CHECK_EQ(promised(), 0);
    down();
}

TEST(kinds_by_turns_have_none) {
    up();
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t family = i % 2 ? FAR_AF_INET6 : FAR_AF_INET;
        CHECK_EQ(make_of(&rig, i, family, FAR_SOCK_STREAM, FAR_PROMISE_WISH),
            FAR_OK);
    }
    CHECK_EQ(promised(), 0);
    down();
}

TEST(another_kind_twice_takes_its_place) {
    up();
    make_two();
    uint32_t first = promised();
    for (uint32_t i = 2; i < 4; i++) {
        CHECK_EQ(promised(), first);
        CHECK_EQ(make_of(&rig, i, FAR_AF_INET6, FAR_SOCK_STREAM,
                     FAR_PROMISE_WISH),
            FAR_OK);
    }
    CHECK(promised() != first && promised() != 0);
    CHECK_EQ(far_load(&far_ctl(&rig)->promise_family), FAR_AF_INET6);
    CHECK_EQ(open_sockets(), 5);
    down();
}

TEST(one_that_is_taken_is_a_socket_and_another_is_there) {
    up();
    make_two();
    uint32_t first = promised();
    take(2, first);
    CHECK_EQ(name_of(2), FAR_OK);
    CHECK_EQ(far_load(&rig.socks[2].far->gen), rig.socks[2].rings.gen);
    CHECK(promised() != first && promised() != 0);
    CHECK_EQ(shown(), 3);
    take(3, promised());
    CHECK_EQ(name_of(3), FAR_OK);
    CHECK_EQ(rig.link->violations[VIOLATION_PLACE], 0);
    down();
}

TEST(one_that_is_taken_connects) {
    up();
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    CHECK(bind(s, (struct sockaddr *)&at, len) == 0 && listen(s, 1) == 0);
    getsockname(s, (struct sockaddr *)&at, &len);
    make_two();
    take(2, promised());
    struct far_req_addr to = rig_addr(ntohs(at.sin_port));
    to.flags = FAR_CONNECT_WAITS;
    CHECK_EQ(ask(FAR_OP_CONNECT, 2, &to, sizeof to), FAR_OK);
    CHECK(far_load(&rig.socks[2].far->state) & FAR_ST_CONNECTED);
    int peer = accept(s, NULL, NULL);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    turns();
    turns();
    CHECK_EQ(far_load(&rig.socks[2].far->rx_head), 1);
    close(peer);
    close(s);
    down();
}

TEST(one_that_nobody_takes_is_not_shown_and_keeps_nobody_awake) {
    up();
    make_two();
    CHECK_EQ(shown(), 2);
    CHECK_EQ(open_sockets(), 3);
    struct engine_totals totals;
    engine_get_totals(rig.engine, &totals);
    CHECK_EQ(totals.sockets, 2);
    turns();
    CHECK(engine_is_idle(rig.engine));
    CHECK(node_is_alone(&rig.engine->busy));
    down();
    CHECK_EQ(open_sockets(), 0);
}

TEST(a_number_that_is_none_is_a_violation) {
    up();
    make_two();
    CHECK_EQ(make(2, promised() + 1u), FAR_EBADMSG);
    CHECK_EQ(rig.link->violations[VIOLATION_PLACE], 1);
    CHECK_EQ(shown(), 2);
    down();
}

TEST(a_number_counts_once) {
    up();
    make_two();
    uint32_t first = promised();
    take(2, first);
    CHECK_EQ(name_of(2), FAR_OK);
    CHECK_EQ(make(3, first), FAR_EBADMSG);
    CHECK_EQ(rig.link->violations[VIOLATION_PLACE], 1);
    CHECK_EQ(open_sockets(), 4);
    down();
}

TEST(a_promise_is_of_one_kind) {
    up();
    make_two();
    uint32_t n = promised();
    CHECK_EQ(make_of(&rig, 2, FAR_AF_INET6, FAR_SOCK_STREAM, n), FAR_EBADMSG);
    CHECK_EQ(make_of(&rig, 3, FAR_AF_INET, FAR_SOCK_DGRAM, n), FAR_EBADMSG);
    CHECK_EQ(rig.link->violations[VIOLATION_PLACE], 2);
    down();
}

TEST(a_promise_in_a_slot_that_is_in_use_is_a_violation) {
    up();
    make_two();
    rig.socks[1].rings.gen++;
    struct far_req_socket req =
        kind(&rig, 2, FAR_AF_INET, FAR_SOCK_STREAM, promised());
    CHECK_EQ(ask(FAR_OP_SOCKET, 1, &req, sizeof req), FAR_EBUSY);
    CHECK_EQ(rig.link->violations[VIOLATION_PLACE], 1);
    down();
}

TEST(the_link_s_limit_does_not_count_it) {
    up();
    rig.link->spec.max_sockets = 3;
    make_two();
    CHECK(promised());
    CHECK_EQ(make_of(&rig, 2, FAR_AF_INET, FAR_SOCK_DGRAM, FAR_PROMISE_WISH),
        FAR_OK);
    CHECK_EQ(promised(), 0);
    CHECK_EQ(open_sockets(), 3);
    CHECK_EQ(make(3, FAR_PROMISE_WISH), FAR_EMFILE);
    down();
}

TEST(the_link_s_limit_counts_one_that_near_has_taken) {
    up();
    rig.link->spec.max_sockets = 3;
    make_two();
    take(2, promised());
    rig.cmd.head = rig.cmd.checked; // told late
    CHECK_EQ(make_of(&rig, 3, FAR_AF_INET, FAR_SOCK_DGRAM, FAR_PROMISE_WISH),
        FAR_EMFILE);
    take(2, rig.link->promise.number);
    CHECK_EQ(name_of(2), FAR_OK);
    CHECK_EQ(shown(), 3);
    CHECK_EQ(rig.link->violations[VIOLATION_PLACE], 0);
    down();
}

TEST(nothing_is_promised_beyond_the_link_s_limit) {
    up();
    rig.link->spec.max_sockets = 2;
    make_two();
    CHECK_EQ(promised(), 0);
    down();
}

// Both were quick: far found it taken, near found it gone.
TEST(one_that_near_gave_up_is_made_anew) {
    up();
    make_two();
    uint32_t n = promised();
    far_store(&near_ctl(&rig)->hdr.taken, n);
    CHECK(!promise_revoke(rig.link));
    CHECK_EQ(promised(), 0);
    far_store(&near_ctl(&rig)->hdr.taken, 0);
    CHECK_EQ(make(2, FAR_PROMISE_WISH), FAR_OK);
    CHECK(promised() != 0 && promised() != n);
    CHECK_EQ(open_sockets(), 4);
    down();
}

TEST(new_rules_take_it_back) {
    up();
    make_two();
    engine_set_policy(rig.engine, NULL);
    CHECK_EQ(promised(), 0);
    CHECK_EQ(open_sockets(), 2);
    down();
}

TEST(new_rules_leave_what_near_has_taken) {
    up();
    make_two();
    take(2, promised());
    engine_set_policy(rig.engine, NULL);
    CHECK_EQ(promised(), 0);
    CHECK_EQ(name_of(2), FAR_OK);
    down();
}

TEST(it_gives_way_where_descriptors_end) {
    up();
    make_two();
    CHECK(promised());
    int before = limit_descriptors(next_descriptor());
    int32_t r = make_of(&rig, 2, FAR_AF_INET, FAR_SOCK_DGRAM, FAR_PROMISE_WISH);
    limit_descriptors(before);
    CHECK_EQ(r, FAR_OK);
    CHECK_EQ(promised(), 0);
    down();
}

TEST(it_gives_way_where_descriptors_become_few) {
    up();
    make_two();
    CHECK(promised());
    promises_heed(rig.engine, rig.engine->promise_fds - 1);
    CHECK(promised());
    promises_heed(rig.engine, rig.engine->promise_fds);
    CHECK_EQ(promised(), 0);
    int before = limit_descriptors(next_descriptor() + 2);
    int32_t r = make(2, FAR_PROMISE_WISH);
    limit_descriptors(before);
    CHECK_EQ(r, FAR_OK);
    CHECK_EQ(promised(), 0);
    down();
}

TEST(another_link_s_gives_way_to_a_connection) {
    static struct rig other;
    up();
    make_two();
    rig_prepare(&other, (struct rig_options){.engine = rig.engine});
    struct far_req_socket req =
        kind(&other, 0, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    rig_put(&other, FAR_OP_SOCKET, 1, 0, &req, sizeof req);
    CHECK_EQ(answer_of(&other), FAR_OK);
    struct far_req_addr at = rig_addr(0);
    rig_put(&other, FAR_OP_BIND, 1, 0, &at, sizeof at);
    CHECK_EQ(answer_of(&other), FAR_OK);
    struct far_req_listen listening = {.backlog = 1};
    rig_put(&other, FAR_OP_LISTEN, 1, 0, &listening, sizeof listening);
    CHECK_EQ(answer_of(&other), FAR_OK);
    struct sockaddr_in to;
    socklen_t len = sizeof to;
    getsockname(other.link->slots[0].sock->fd, (struct sockaddr *)&to, &len);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(peer, (struct sockaddr *)&to, len), 0);
    CHECK(promised());
    int before = limit_descriptors(next_descriptor());
    rig_place(&other, 1);
    struct far_req_accept req2 = {.rings = other.socks[1].rings, .slot = 1};
    rig_put(&other, FAR_OP_ACCEPT, 1, 0, &req2, sizeof req2);
    int32_t r = answer_of(&other);
    limit_descriptors(before);
    CHECK_EQ(r, FAR_OK);
    CHECK_EQ(promised(), 0);
    close(peer);
    down();
    rig_free(&other);
}

TEST(a_link_that_ends_takes_it_along) {
    up();
    make_two();
    take(2, promised());
    far_msg_publish(&rig.cmd);
    engine_link_drop(rig.link);
    turns();
    turns();
    CHECK(rig.gone);
    CHECK_EQ(open_sockets(), 0);
    CHECK_EQ(rig.engine->promises, 0);
    down();
}

TEST(numbers_pass_over_those_that_mean_none) {
    up();
    rig.link->promise.number = UINT32_MAX;
    make_two();
    CHECK_EQ(promised(), FAR_PROMISE_WISH + 1u);
    down();
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(one_socket_is_no_reason_for_another),
        CASE(after_two_of_a_kind_there_is_a_third),
        CASE(a_near_that_does_not_wish_has_none),
        CASE(datagrams_have_none),
        CASE(kinds_by_turns_have_none),
        CASE(another_kind_twice_takes_its_place),
        CASE(one_that_is_taken_is_a_socket_and_another_is_there),
        CASE(one_that_is_taken_connects),
        CASE(one_that_nobody_takes_is_not_shown_and_keeps_nobody_awake),
        CASE(a_number_that_is_none_is_a_violation),
        CASE(a_number_counts_once),
        CASE(a_promise_is_of_one_kind),
        CASE(a_promise_in_a_slot_that_is_in_use_is_a_violation),
        CASE(the_link_s_limit_does_not_count_it),
        CASE(the_link_s_limit_counts_one_that_near_has_taken),
        CASE(nothing_is_promised_beyond_the_link_s_limit),
        CASE(one_that_near_gave_up_is_made_anew),
        CASE(new_rules_take_it_back),
        CASE(new_rules_leave_what_near_has_taken),
        CASE(it_gives_way_where_descriptors_end),
        CASE(it_gives_way_where_descriptors_become_few),
        CASE(another_link_s_gives_way_to_a_connection),
        CASE(a_link_that_ends_takes_it_along),
        CASE(numbers_pass_over_those_that_mean_none),
    };
    return RUN_TESTS(cases);
}
