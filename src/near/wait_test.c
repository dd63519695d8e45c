// Who sleeps beside whom: several waits of one link, as of several threads. The
// port's hooks make the next thread's call where the last one sleeps, so that
// each order is the same every time.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define RING 2048u
#define MS   1000000ull

static struct {
    struct far_layout lay;
    uint8_t *region;
    void *memory;
    struct far_link *link;
    uint64_t now;
    void (*in_wait)(void); // what others do while the leader sleeps, once
    void (*in_park)(void); // and while one parks
    uint32_t waits, wakes, unparks;
} world;

static void others(void (**what)(void)) {
    void (*now)(void) = *what;
    *what = NULL;
    if (now) {
        now();
    }
}

// --- The port ---

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    return world.now += 1000u;
}

static void notify(void *ctx) {
    (void)ctx;
}

static void pass(uint64_t deadline_ns) {
    uint64_t least = world.now + MS;
    world.now =
        deadline_ns > least && deadline_ns != FAR_FOREVER ? deadline_ns : least;
}

static int wait(void *ctx, uint64_t deadline_ns) {
    (void)ctx;
    world.waits++;
    if (world.in_wait) {
        others(&world.in_wait);
        return FAR_OK;
    }
    pass(deadline_ns);
    return FAR_ETIMEDOUT;
}

static void wake(void *ctx) {
    (void)ctx;
    world.wakes++;
}

static void park(void *ctx, _Atomic uint32_t *word, uint32_t value,
    uint64_t deadline_ns) {
    (void)ctx;
    others(&world.in_park);
    if (atomic_load(word) == value) {
        pass(deadline_ns);
    }
}

static void unpark(void *ctx, _Atomic uint32_t *word) {
    (void)ctx;
    (void)word;
    world.unparks++;
}

static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = wait,
    .wake = wake,
    .park = park,
    .unpark = unpark,
};

static struct far_link *begin(void) {
    int err = 0;
    memset(&world, 0, sizeof world);
    far_layout_make(&world.lay, 2, 2, RING, RING, 0);
    size_t bytes = (size_t)far_layout_bytes(&world.lay);
    world.region = aligned_alloc(4096, bytes);
    memset(world.region, 0, bytes);
    struct far_far_ctl *far =
        (void *)(world.region + (size_t)world.lay.far_at * FAR_LINE);
    far->hdr.magic = FAR_WIRE_MAGIC;
    far->hdr.version = FAR_WIRE_VERSION;
    far->layout = world.lay;
    world.memory = malloc(far_link_size(&world.lay));
    world.now = 1000u * MS;
    world.link = far_link_init(world.memory, world.region, bytes, &world.lay,
        &port, NULL, &err);
    return world.link;
}

static void end(void) {
    free(world.memory);
    free(world.region);
}

static uint32_t events(void) {
    return far_link_events(world.link);
}

// --- A descriptor of the caller's own ---

static uint32_t beside_waits, beside_wakes;
static void (*in_beside)(void);

static int beside_wait(void *arg, bool lead, uint64_t deadline_ns) {
    (void)arg;
    (void)lead;
    beside_waits++;
    others(&in_beside);
    pass(deadline_ns);
    return FAR_ETIMEDOUT;
}

static void beside_wake(void *arg) {
    (void)arg;
    beside_wakes++;
}

static const struct far_beside beside = {
    .wait = beside_wait,
    .wake = beside_wake,
};

static void wait_beside(void) {
    far_link_wait_beside(world.link, events(), world.now + 2u * MS, &beside);
}

// --- A claim to lead ---

static int own_wait(void *arg, uint64_t deadline_ns) {
    (void)arg;
    pass(deadline_ns);
    return FAR_ETIMEDOUT;
}

// Asks the leader to make way, and leaves before it does; another one takes its
// place, and leaves as well.
static void claim_and_leave(void) {
    far_link_wait(world.link, events(), world.now + MS, own_wait, NULL);
    wait_beside();
    beside_wakes = 0;
}

TEST(a_claim_to_lead_ends_with_whoever_made_it) {
    struct far_link *l = begin();
    beside_waits = beside_wakes = 0;
    world.in_wait = claim_and_leave;
    int err = far_link_wait(l, events(), world.now + 500u * MS, NULL, NULL);
    uint32_t claim = l->claim;
    end();
    CHECK_EQ(beside_waits, 1);
    CHECK_EQ(world.wakes, 1); // the claim's
    CHECK_EQ(claim, 0);
    // Nobody wants to lead: the leader sleeps on, to its own end.
    CHECK_EQ(world.waits, 2);
    CHECK_EQ(err, FAR_ETIMEDOUT);
    // Whoever has left is woken no more.
    CHECK_EQ(beside_wakes, 0);
}

// --- The end of a link ---

static void (*the_end)(void);

static void link_down(void) {
    far_link_down(world.link);
}

// The layout has room for every KICK: far's tail says that there is none.
static void kick_finds_no_room(void) {
    world.link->cmd.head = world.link->cmd.tail + world.link->cmd.size;
    fari_kick(world.link, 0);
}

// Three sleep: the leader, one that parks, one beside a descriptor.
static void third(void) {
    in_beside = the_end;
    wait_beside();
}

static void second(void) {
    world.in_park = third;
    far_link_wait(world.link, events(), FAR_FOREVER, NULL, NULL);
}

static int first(void) {
    beside_waits = beside_wakes = 0;
    world.in_wait = second;
    return far_link_wait(world.link, events(), FAR_FOREVER, NULL, NULL);
}

TEST(a_link_that_goes_down_wakes_all_who_sleep) {
    begin();
    the_end = link_down;
    int err = first();
    bool up = far_link_is_up(world.link);
    end();
    CHECK(err == FAR_OK && !up); // it looks again, and finds that
    CHECK_EQ(world.wakes, 1);
    CHECK_EQ(world.unparks, 1);
    CHECK_EQ(beside_wakes, 1);
}

TEST(so_does_one_whose_far_side_leaves_no_room_for_a_kick) {
    begin();
    the_end = kick_finds_no_room;
    int err = first();
    bool up = far_link_is_up(world.link);
    end();
    CHECK(err == FAR_OK && !up); // it looks again, and finds that
    CHECK_EQ(world.wakes, 1);
    CHECK_EQ(world.unparks, 1);
    CHECK_EQ(beside_wakes, 1);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_claim_to_lead_ends_with_whoever_made_it),
        CASE(a_link_that_goes_down_wakes_all_who_sleep),
        CASE(so_does_one_whose_far_side_leaves_no_room_for_a_kick),
    };
    return run_tests(cases, (int)(sizeof cases / sizeof cases[0]));
}
