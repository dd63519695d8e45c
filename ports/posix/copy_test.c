// Guarded copies: every byte, and every place at which memory may end.
// SPDX-License-Identifier: MIT
#include "ports/posix/copy.h"
#include "ports/posix/guard.h"

#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>

#include "unit.h"

#define PAGE 4096u
#define MOST 2100u // beyond it all lengths go one way
#define EDGE 64u
#define TORN 700u // more than one round of any loop; TSan bears so many faults

static uint8_t *half; // two pages, of which the second is not there
static sigjmp_buf out;
static volatile int others; // faults that are no copy's

static void on_fault(int sig, siginfo_t *info, void *context) {
    (void)sig;
    if (!far_guard_fault(info, context)) {
        others++;
        siglongjmp(out, 1); // NOLINT(cert-err52-cpp)
    }
}

static bool prepare(void) {
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigemptyset(&a.sa_mask);
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
    half = mmap(NULL, (size_t)2 * PAGE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return half != MAP_FAILED && mprotect(half + PAGE, PAGE, PROT_NONE) == 0;
}

static void fill(uint8_t *p, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (uint8_t)(seed >> 24);
    }
}

typedef bool copy(void *to, const void *from, size_t n);

// Copies n bytes between odd places, with a look at what lies around them.
static bool copies(copy *way, size_t n, size_t to_at, size_t from_at) {
    uint8_t from[MOST + EDGE];
    uint8_t to[MOST + 2 * EDGE];
    uint8_t want[sizeof to];
    fill(from, sizeof from, (uint32_t)n);
    fill(to, sizeof to, 7);
    memcpy(want, to, sizeof to);
    memcpy(want + EDGE + to_at, from + from_at, n);
    return way(to + EDGE + to_at, from + from_at, n) &&
           memcmp(to, want, sizeof to) == 0;
}

// From n bytes on: the first length that goes wrong, or none.
static size_t first_wrong(copy *way, size_t n) {
    for (; n <= MOST; n++) {
        for (size_t at = 0; at < 33; at++) {
            if (!copies(way, n, at, 32 - at)) {
                return n;
            }
        }
    }
    return MOST + 1;
}

TEST(every_length_is_copied_and_nothing_else) {
    CHECK_EQ(first_wrong(far_guard_copy, 0), MOST + 1);
}

// Also those that this processor need not take for it.
TEST(each_way_to_copy_copies_every_length) {
    if (FAR_COPY_SHORT == 0) {
        SKIP("memcpy() is all there is");
    }
    CHECK_EQ(first_wrong(far_copy_short, 1), MOST + 1);
    if (far_copy_has_wide()) {
        CHECK_EQ(first_wrong(far_copy_wide, FAR_COPY_SHORT + 1), MOST + 1);
    }
}

// Long ones go another way where they go to just behind where they come from,
// in their pages.
#define LONG 9000u

TEST(long_ones_are_copied_whatever_their_places_in_a_page) {
    static _Alignas(PAGE) uint8_t from[LONG + 2 * EDGE];
    static _Alignas(PAGE) uint8_t to[sizeof from];
    static uint8_t want[sizeof from];
    fill(from, sizeof from, 5);
    for (size_t from_at = 0; from_at < 2; from_at++) {
        for (size_t at = 0; at < EDGE; at++) {
            size_t n = LONG - at;
            fill(to, sizeof to, 7);
            memcpy(want, to, sizeof to);
            memcpy(want + at, from + from_at, n);
            CHECK(far_guard_copy(to + at, from + from_at, n));
            CHECK(memcmp(to, want, sizeof to) == 0);
        }
    }
}

// Nor do they end elsewhere: the source is 16 bytes before the place it goes
// to.
TEST(a_long_copy_ends_where_memory_ends) {
    static _Alignas(PAGE) uint8_t mine[2 * PAGE];
    CHECK(prepare());
    for (size_t there = 16; there < PAGE; there += 127) {
        uint8_t *at = half + PAGE - there;
        uint8_t *behind = mine + ((uintptr_t)at + 16) % PAGE;
        uint8_t *before = mine + ((uintptr_t)at - 16) % PAGE;
        CHECK(!far_guard_copy(at, before, there + 1));
        CHECK(!far_guard_copy(behind, at, there + 1));
        CHECK(far_guard_copy(at, before, there));
        CHECK(far_guard_copy(behind, at, there));
    }
    CHECK_EQ(others, 0);
}

// Wherever the memory ends, on either side, the copy ends with false and the
// process goes on.
TEST(a_copy_ends_where_memory_ends) {
    uint8_t mine[TORN] = {0};
    CHECK(prepare());
    for (size_t n = 1; n <= TORN; n += n < 100 ? 1 : 37) {
        bool ended = true;
        for (size_t there = 0; there < n; there++) {
            ended = ended && !far_guard_copy(half + PAGE - there, mine, n) &&
                    !far_guard_copy(mine, half + PAGE - there, n);
        }
        CHECK(ended);
        CHECK(far_guard_copy(half + PAGE - n, mine, n));
        CHECK(far_guard_copy(mine, half + PAGE - n, n));
    }
    CHECK_EQ(others, 0);
}

// Before and after a copy that failed, a fault is the program's.
TEST(other_faults_are_not_taken_for_one) {
    uint8_t byte = 0;
#ifdef __SANITIZE_THREAD__
    SKIP("TSan does not find its way over calls that a fault ends");
#endif
    CHECK(prepare());
    for (int i = 0; i < 3; i++) {
        if (sigsetjmp(out, 1) == 0) { // NOLINT(cert-err52-cpp)
            ((volatile uint8_t *)half)[PAGE] = 1;
            CHECK(false); // it went on
        }
        CHECK(!far_guard_copy(&byte, half + PAGE, 1));
    }
    CHECK_EQ(others, 3);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(every_length_is_copied_and_nothing_else),
        CASE(each_way_to_copy_copies_every_length),
        CASE(long_ones_are_copied_whatever_their_places_in_a_page),
        CASE(a_long_copy_ends_where_memory_ends),
        CASE(a_copy_ends_where_memory_ends),
        CASE(other_faults_are_not_taken_for_one),
    };
    return RUN_TESTS(cases);
}
