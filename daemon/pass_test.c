// What near asks for while its link has its turn: served in it, if nobody else
// waits, but not without end.
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <signal.h>

#include "daemon/core.h"
#include "daemon/rig_test.h"

#define TAGS  8u // a rig's
#define TURNS 1000

static struct rig rig, other;
static uint32_t answers;
static uint32_t asked;
static uint32_t most; // that near asks for by itself
static int bell;      // the end of near's doorbell that near has

static void take_answers(void) {
    struct far_msg m;
    while (rig_get(&rig, &m, 0)) {
        answers += m.op == FAR_OP_REPLY;
    }
}

// Of no socket: nothing is quicker to answer.
static void ask_next(void) {
    rig_put(&rig, FAR_OP_GETSOCKNAME, asked++ % TAGS + 1u, 0, NULL, 0);
}

// As a near program that goes before farsockd when it is woken: all it does is
// done when far has rung.
static void woken(int sig) {
    int saved = errno;
    uint64_t n;
    ssize_t got = recv(bell, &n, sizeof n, 0);
    (void)got;
    (void)sig;
    take_answers();
    if (asked < most) {
        ask_next();
    }
    errno = saved;
}

// Near's doorbell is one that a signal comes from at once, in this thread.
static bool prepare(uint32_t count) {
    int ends[2];
    struct sigaction sa = {.sa_handler = woken};
    struct f_owner_ex me = {.type = F_OWNER_TID, .pid = gettid()};
    answers = asked = 0;
    most = count;
    rig_prepare(&rig, (struct rig_options){0});
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) < 0) {
        return false;
    }
    bell = ends[0];
    bool ok = sigaction(SIGIO, &sa, NULL) == 0 &&
              fcntl(bell, F_SETOWN_EX, &me) == 0 &&
              fcntl(bell, F_SETFL, O_NONBLOCK | O_ASYNC) == 0 &&
              dup2(ends[1], rig.to_near) == rig.to_near;
    close(ends[1]);
    ask_next();
    return ok;
}

static void end(void) {
    signal(SIGIO, SIG_IGN);
    engine_free(rig.engine);
    rig_free(&rig);
    close(bell);
}

// The machine may take its time away from a turn, but not from each.
TEST(what_near_asks_for_meanwhile_needs_no_look_for_events) {
    CHECK(prepare(2));
    bool both = false;
    for (int i = 0; i < TURNS && !both; i++) {
        engine_turn(rig.engine, false);
        both = answers == 2;
        engine_turn(rig.engine, false);
        CHECK_EQ(answers, 2);
        answers = asked = 0;
        ask_next();
    }
    CHECK(both);
    end();
}

TEST(who_asks_again_and_again_does_not_keep_the_turn) {
    CHECK(prepare(UINT32_MAX));
    engine_turn(rig.engine, false); // ends: its time is over
    uint32_t once = answers;
    engine_turn(rig.engine, false);
    CHECK(once > 0);
    CHECK(answers > once);
    most = 0;
    end();
}

TEST(not_where_another_link_waits) {
    CHECK(prepare(2));
    rig_prepare(&other, (struct rig_options){.engine = rig.engine});
    for (int i = 0; i < TURNS; i++) {
        rig_put(&other, FAR_OP_GETSOCKNAME, 1, 0, NULL, 0);
        engine_turn(rig.engine, false);
        CHECK_EQ(answers, 1);
        CHECK_EQ(rig_wait(&other, 1), FAR_EBADF);
        engine_turn(rig.engine, false);
        CHECK_EQ(answers, 2);
        answers = asked = 0;
        ask_next();
    }
    end();
    rig_free(&other);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(what_near_asks_for_meanwhile_needs_no_look_for_events),
        CASE(who_asks_again_and_again_does_not_keep_the_turn),
        CASE(not_where_another_link_waits),
    };
    return RUN_TESTS(cases);
}
