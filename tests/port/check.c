// Runs the checks of a port and says what came of it.
// SPDX-License-Identifier: MIT
#include "port/check.h"

#include <string.h>

struct check_target *target;
static const char *skipped;

static void put(const char *text) {
    target->write(text, strlen(text));
}

static void put_number(uint64_t v) {
    char text[24];
    char *at = text + sizeof text - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + v % 10u);
        v /= 10u;
    } while (v != 0);
    put(at);
}

uint64_t check_now(void) {
    return target->port->now_ns(target->ctx);
}

const char *check_skip(const char *why) {
    skipped = why;
    return NULL;
}

void check_note(const char *what, uint64_t number, const char *unit) {
    put("#   ");
    put(what);
    put(": ");
    put_number(number);
    put(" ");
    put(unit);
    put("\n");
}

void check_ask(const char *what) {
    put("# far: ");
    put(what);
    put("\n");
}

void check_spin(uint32_t ms) {
    uint64_t end = check_now() + ms * CHECK_MS;
    while (check_now() < end) {
    }
}

void check_time(struct check_times *t, uint64_t ns) {
    if (t->n < CHECK_TIMES) {
        t->ns[t->n++] = ns;
    }
}

uint64_t check_least(const struct check_times *t) {
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < t->n; i++) {
        least = t->ns[i] < least ? t->ns[i] : least;
    }
    return least;
}

static uint64_t median(struct check_times *t) {
    for (uint32_t i = 1; i < t->n; i++) {
        for (uint32_t j = i; j > 0 && t->ns[j] < t->ns[j - 1u]; j--) {
            uint64_t swap = t->ns[j];
            t->ns[j] = t->ns[j - 1u];
            t->ns[j - 1u] = swap;
        }
    }
    return t->ns[t->n / 2u];
}

void check_note_times(const char *what, struct check_times *t) {
    put("#   ");
    put(what);
    put(", median: ");
    put_number(median(t) / 1000u);
    put(" us, least: ");
    put_number(check_least(t) / 1000u);
    put(" us, of ");
    put_number(t->n);
    put("\n");
}

// --- One after the other ---

static bool stopped; // by one that failed and that the others need

static bool run_one(const struct check *c, uint32_t number) {
    const char *wrong = NULL;
    skipped = stopped ? "something that it needs has failed" : NULL;
    if (!stopped) {
        // For a run that ends nowhere, this is the last that is seen of it.
        put("# next: ");
        put(c->name);
        put("; ");
        put(c->look);
        put("\n");
        wrong = c->run();
    }
    put(wrong ? "not ok " : "ok ");
    put_number(number);
    put(" - ");
    put(c->name);
    if (!wrong && skipped) {
        put(" # SKIP ");
        put(skipped);
    }
    put("\n");
    if (wrong) {
        put("#   ");
        put(wrong);
        put("\n#   look at: ");
        put(c->look);
        put("\n");
    }
    stopped = stopped || (wrong && c->needed);
    return wrong == NULL;
}

bool check_run(struct check_target *t, const char *phases) {
    const struct check *const tables[3] = {
        check_hooks, check_memory, check_link};
    uint32_t number = 0;
    bool good = true;
    target = t;
    stopped = false;
    for (size_t i = 0; i < 3; i++) {
        for (const struct check *c = tables[i]; c->name; c++) {
            if (strstr(phases, c->phase)) {
                good = run_one(c, ++number) && good;
            }
        }
    }
    put("1..");
    put_number(number);
    put("\n");
    return good;
}
