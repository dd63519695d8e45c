// Looks for events before a sleep.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "unit.h"

static struct engine *engine;
static struct watch bell, timer;
static int bell_fd, timer_fd;
static uint32_t heard;

static void hear(struct watch *w, uint32_t events) {
    (void)w;
    (void)events;
    heard++;
}

static void up(void) {
    struct engine_config config = {0};
    engine = engine_new(&config);
    bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    bell.ready = timer.ready = hear;
    engine_watch(engine, &bell, bell_fd, EPOLLIN);
    engine_watch(engine, &timer, timer_fd, EPOLLIN);
    heard = 0;
}

static void down(void) {
    engine_free(engine);
    close(bell_fd);
    close(timer_fd);
}

// A sleep that something ends long after every look. True: it was heard.
static bool sleep_long(void) {
    struct itimerspec at = {.it_value.tv_nsec = 10L * EARLY_NS};
    uint32_t before = heard;
    timerfd_settime(timer_fd, 0, &at, NULL);
    return engine_turn(engine, true) == 0 && heard == before + 1u;
}

// One that would end at once.
static bool sleep_short(void) {
    uint64_t one = 1;
    uint32_t before = heard;
    return write(bell_fd, &one, sizeof one) == sizeof one &&
           engine_turn(engine, true) == 0 && heard == before + 1u;
}

TEST(looks_in_vain_become_rare) {
    up();
    uint32_t looks = 0;
    for (int i = 0; i < 1000; i++) {
        looks += engine->early.skip == 0;
        CHECK(sleep_long());
    }
    // Seven, and more where the machine has us wait for longer than the timer.
    CHECK(looks >= 4 && looks < 100);
    down();
}

TEST(looks_that_pay_are_made_again) {
    up();
    for (int i = 0; i < 100000 && engine->early.misses < EARLY_MISSES; i++) {
        CHECK(sleep_long());
    }
    CHECK_EQ(engine->early.misses, EARLY_MISSES);
    for (uint32_t i = 0; i < (1u << EARLY_MISSES) + EARLY_MISSES; i++) {
        CHECK(sleep_short());
    }
    CHECK_EQ(engine->early.misses, 0);
    CHECK_EQ(engine->early.skip, 0);
    down();
}

TEST(who_does_not_sleep_does_not_look) {
    up();
    CHECK_EQ(engine_turn(engine, false), 0);
    CHECK_EQ(engine->early.misses, 0);
    CHECK_EQ(engine->early.skip, 0);
    down();
}

TEST(much_that_moves_can_wait) {
    up();
    engine->bulk = true;
    CHECK(sleep_long());
    CHECK_EQ(engine->early.misses, 0);
    CHECK(sleep_long());
    CHECK_EQ(engine->early.misses, 2);
    down();
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(looks_in_vain_become_rare),
        CASE(looks_that_pay_are_made_again),
        CASE(who_does_not_sleep_does_not_look),
        CASE(much_that_moves_can_wait),
    };
    return RUN_TESTS(cases);
}
