// The unit test runner: no fork, malloc or constructor, so that the same test
// runs on a host, under an emulator and on a board. It prints TAP.
// SPDX-License-Identifier: MIT
#ifndef UNIT_H
#define UNIT_H

#include <stdio.h>

// What one test hands to its checks.
struct test_result {
    int failures;
    const char *skipped; // why, or NULL
};

struct test_case {
    const char *name;
    void (*run)(struct test_result *result);
};

// TEST(a_sentence_about_what_holds) { CHECK(...); }
#define TEST(name) static void name(struct test_result *result_)

// One line of the table that main() hands to RUN_TESTS(). A test that is in no
// table is an unused function, which -Werror refuses.
#define CASE(name)                                                             \
    { #name, name }

// Ends the test if expr is false.
#define CHECK(expr)                                                            \
    do {                                                                       \
        if (!(expr)) {                                                         \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #expr);                \
            result_->failures++;                                               \
            return;                                                            \
        }                                                                      \
    } while (0)

// The same for two integers, and shows both.
#define CHECK_EQ(a, b)                                                         \
    do {                                                                       \
        long long a_ = (long long)(a);                                         \
        long long b_ = (long long)(b);                                         \
        if (a_ != b_) {                                                        \
            printf("# %s:%d: %s is %lld, %s is %lld\n", __FILE__, __LINE__,    \
                #a, a_, #b, b_);                                               \
            result_->failures++;                                               \
            return;                                                            \
        }                                                                      \
    } while (0)

// Ends the test because this machine cannot run it. The reason is reported.
#define SKIP(reason)                                                           \
    do {                                                                       \
        result_->skipped = (reason);                                           \
        return;                                                                \
    } while (0)

// The exit status for main(): 0 if every test passed or was skipped.
static inline int run_tests(const struct test_case *t, int n) {
    int bad = 0;
    printf("1..%d\n", n);
    for (int i = 0; i < n; i++) {
        struct test_result result = {0, NULL};
        t[i].run(&result);
        printf("%sok %d - %s", result.failures ? "not " : "", i + 1, t[i].name);
        if (result.skipped && !result.failures) {
            printf(" # SKIP %s", result.skipped);
        }
        printf("\n");
        fflush(stdout);
        bad += result.failures != 0;
    }
    return bad != 0;
}

#define RUN_TESTS(cases)                                                       \
    run_tests(cases, (int)(sizeof(cases) / sizeof *(cases)))

#endif
