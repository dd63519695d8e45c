// Caches and doorbells, against a far side that answers questions (answer.h).
// SPDX-License-Identifier: MIT
#include <string.h>

#include "farsock/mem.h"
#include "port/answer.h"
#include "port/check.h"

#define PATIENCE (5000u * CHECK_MS)
#define LOST     (5000u * CHECK_MS) // a doorbell that has not come by then
#define HERE     FAR_AT_COUNT       // no place that could be left out

static uint32_t seq;
static uint32_t spurious;

static uint8_t *half(bool near) {
    uint8_t *p = target->region;
    return near ? p : p + target->region_bytes / 2u;
}

static struct answer_ask *ask(void) {
    return (void *)(half(true) + FAR_LINE);
}

static const struct answer_tell *tell(void) {
    return (const void *)(half(false) + FAR_LINE);
}

static uint32_t look(const uint32_t *p) {
    FAR_INV(HERE, p, sizeof *p);
    uint32_t v = far_load(p);
    FAR_RMB(HERE);
    return v;
}

// Asks and waits for the answer, without the doorbell. False: there is none.
static bool answered(uint32_t op, uint32_t at, uint32_t n, uint32_t seed) {
    struct answer_ask *a = ask();
    far_store(&a->op, op);
    far_store(&a->at, at);
    far_store(&a->n, n);
    far_store(&a->seed, seed);
    FAR_CLEAN(HERE, a, sizeof *a);
    FAR_WMB(HERE);
    far_store(&a->seq, ++seq);
    FAR_CLEAN(HERE, a, sizeof *a);
    FAR_SYNC(HERE);
    uint64_t end = check_now() + PATIENCE;
    while (look(&tell()->seq) != seq) {
        if (check_now() > end) {
            return false;
        }
    }
    return true;
}

static const char no_answer[] = "the far side no longer answers";

// --- Memory ---

static const char *far_is_seen(void) {
    if (target->region_bytes < ANSWER_LEAST) {
        return "the shared memory is too small";
    }
    const uint32_t *magic = (const void *)half(false);
    uint64_t end = check_now() + PATIENCE;
    while (look(magic) != ANSWER_MAGIC) {
        if (check_now() > end) {
            return "nothing of the far side is seen in the upper half";
        }
    }
    uint32_t first = look(&tell()->beat);
    while (look(&tell()->beat) == first) {
        if (check_now() > end) {
            return "what the far side stores is seen once, and then no more";
        }
    }
    return NULL;
}

static const char *near_is_seen(void) {
    seq = look(&tell()->seq);
    return answered(ANSWER_CLOCK, 0, 0, 0)
               ? NULL
               : "the far side sees nothing of what is stored here";
}

// Pieces of every kind of begin, end and length, one behind the other.
static const char *pieces(const char *(*one)(uint32_t at, uint32_t n)) {
    static const uint32_t sizes[] = {1, 4, 8, 60, 64, 65, 128, 200, 1000};
    uint32_t at = 0;
    for (uint32_t i = 0; i < 3u * sizeof sizes / sizeof *sizes; i++) {
        uint32_t n = sizes[i % (sizeof sizes / sizeof *sizes)];
        at = at + n > ANSWER_BYTES ? i : at;
        const char *wrong = one(at, n);
        if (wrong) {
            return wrong;
        }
        at += n + i * 7u % 64u;
    }
    return one(0, ANSWER_BYTES);
}

static const char *clean_one(uint32_t at, uint32_t n) {
    uint8_t *p = half(true) + ANSWER_SCRATCH + at;
    for (uint32_t i = 0; i < n; i++) {
        p[i] = answer_pattern(seq, i);
    }
    FAR_CLEAN(HERE, p, n);
    FAR_SYNC(HERE);
    if (!answered(ANSWER_READ, at, n, 0)) {
        return no_answer;
    }
    return look(&tell()->value) == answer_digest(ANSWER_DIGEST, p, n)
               ? NULL
               : "the far side has not got all bytes that were cleaned";
}

static const char *clean_pieces(void) {
    return pieces(clean_one);
}

static const char *drop_one(uint32_t at, uint32_t n) {
    uint32_t seed = seq;
    const uint8_t *p = half(false) + ANSWER_SCRATCH + at;
    if (!answered(ANSWER_WRITE, at, n, seed)) {
        return no_answer;
    }
    FAR_INV(HERE, p, n);
    for (uint32_t i = 0; i < n; i++) {
        if (p[i] != answer_pattern(seed, i)) {
            return "after FAR_INV old bytes are read";
        }
    }
    return NULL;
}

static const char *drop_pieces(void) {
    return pieces(drop_one);
}

// Far's clock, and between which moments of near's it was read.
struct moment {
    uint64_t from, to, far;
};

// The narrowest of some tries: the far side may be kept from answering at once.
static bool read_clocks(struct moment *best) {
    *best = (struct moment){.to = UINT64_MAX};
    for (uint32_t i = 0; i < 50; i++) {
        struct moment m = {.from = check_now()};
        if (!answered(ANSWER_CLOCK, 0, 0, 0)) {
            return false;
        }
        m.to = check_now();
        m.far = (uint64_t)look(&tell()->ns_high) << 32 | look(&tell()->ns_low);
        *best = m.to - m.from < best->to - best->from ? m : *best;
    }
    return true;
}

static const char *clocks_agree(void) {
    struct moment a, b;
    if (!read_clocks(&a)) {
        return no_answer;
    }
    check_spin(300);
    if (!read_clocks(&b)) {
        return no_answer;
    }
    uint64_t took = b.far - a.far;
    uint64_t least = b.from - a.to;
    uint64_t most = b.to - a.from;
    check_note("a second of near's is by far's clock",
        took * 2000u / (least + most), "ms");
    return took + took / 50u < least || took - took / 50u > most
               ? "the two clocks run at different speeds"
               : NULL;
}

// --- Doorbells ---

static const char *near_rings(void) {
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t before = look(&tell()->rung);
        target->port->notify(target->ctx);
        uint64_t end = check_now() + LOST;
        while (look(&tell()->rung) == before) {
            if (check_now() > end) {
                check_note("doorbells that came before", i, "of 200");
                return "the far side was not interrupted";
            }
        }
    }
    return NULL;
}

// Sleeps first, though the answer may be there by now: the doorbell is what is
// tried. FAR_OK may be for no reason.
static bool rung_until(bool (*there)(void)) {
    uint64_t end = check_now() + LOST;
    for (;;) {
        int err = target->port->wait(target->ctx, end);
        if (err != FAR_OK || check_now() >= end) {
            return false; // at the deadline it is no answer to a doorbell
        }
        if (there()) {
            return true;
        }
        spurious++;
    }
}

static bool echoed(void) {
    return look(&tell()->echo) == far_load(&ask()->word);
}

static const char *bells_come_back(void) {
    struct check_times times = {.n = 0};
    spurious = 0;
    if (!answered(ANSWER_ECHO, 0, 1, 0)) {
        return no_answer;
    }
    const char *wrong = NULL;
    for (uint32_t i = 1; i <= CHECK_TIMES && !wrong; i++) {
        uint64_t begin = check_now();
        far_store(&ask()->word, seq << 16 | i);
        FAR_CLEAN(HERE, &ask()->word, sizeof(uint32_t));
        FAR_SYNC(HERE);
        target->port->notify(target->ctx);
        if (!rung_until(echoed)) {
            check_note("round trips before", i - 1u, "of 512");
            wrong = echoed() ? "the far side's doorbell did not end wait()"
                             : "the far side was rung before it could see what "
                               "had been stored, or not at all";
        }
        check_time(&times, check_now() - begin);
    }
    if (!answered(ANSWER_ECHO, 0, 0, 0)) {
        return no_answer;
    }
    check_note_times("round trip of a doorbell", &times);
    check_note("returns of wait() for nothing", spurious, "");
    return wrong                         ? wrong
           : spurious > 2u * CHECK_TIMES ? "wait() returned for nothing, often"
                                         : NULL;
}

// Takes what is left of earlier doorbells; false: it does not end.
static bool quiet(void) {
    for (uint32_t i = 0; i < 5; i++) {
        int err = target->port->wait(target->ctx, check_now() + 50u * CHECK_MS);
        if (err == FAR_ETIMEDOUT) {
            return true;
        }
    }
    return false;
}

static const char *bell_while_asleep(void) {
    for (uint32_t i = 0; i < 5; i++) {
        if (!quiet()) {
            return "wait() does not stop to return FAR_OK";
        }
        uint64_t begin = check_now();
        if (!answered(ANSWER_RING, 30000, 1, 0)) {
            return no_answer;
        }
        int err = target->port->wait(target->ctx, begin + LOST);
        if (err != FAR_OK || check_now() - begin >= LOST) {
            return "a doorbell did not end a wait() that slept";
        }
    }
    return NULL;
}

static const char *bell_before(void) {
    if (!quiet() || !answered(ANSWER_RING, 0, 5, 0)) {
        return no_answer;
    }
    check_spin(20); // it has rung by now
    uint64_t begin = check_now();
    int err = target->port->wait(target->ctx, begin + LOST);
    if (err != FAR_OK || check_now() - begin >= LOST) {
        return "wait() slept although the doorbell had rung before";
    }
    return NULL;
}

static const char *bells_end(void) {
    if (!answered(ANSWER_RING, 0, 20, 0)) {
        return no_answer;
    }
    check_spin(20);
    uint32_t n = 0;
    while (target->port->wait(target->ctx, check_now() + 50u * CHECK_MS) ==
           FAR_OK) {
        if (++n > 25) {
            return "wait() goes on to return FAR_OK after the last doorbell";
        }
    }
    check_note("returns of wait() for 20 doorbells", n, "");
    return NULL;
}

static const char *region_is_there(void) {
    return target->region ? NULL
                          : "this port has no memory before it has a link";
}

const struct check check_memory[] = {
    {"memory", "there is shared memory", region_is_there,
        "the port's mapping of it", true},
    {"memory", "what the far side stores is seen here", far_is_seen,
        "FAR_INV; the address of the shared memory, on both sides; does the "
        "far "
        "side run",
        true},
    {"memory", "what is stored here is seen by the far side", near_is_seen,
        "FAR_CLEAN and FAR_SYNC; how the far side maps the memory: cached is "
        "wrong where caches are not coherent",
        true},
    {"memory", "CLEAN takes every byte along", clean_pieces,
        "FAR_CLEAN: the line's size, and ranges that begin or end within a "
        "line",
        false},
    {"memory", "INV drops every byte", drop_pieces,
        "FAR_INV: the line's size, and ranges that begin or end within a line",
        false},
    {"memory", "both clocks run at one speed", clocks_agree,
        "now_ns(): the frequency that it divides by", false},
    {"memory", "near's doorbell interrupts the far side", near_rings,
        "notify(): the register, the channel, whether the far side's interrupt "
        "is enabled",
        true},
    {"memory", "doorbells there and back, and what they announce",
        bells_come_back,
        "the barrier before the doorbell's register; the interrupt handler: "
        "acknowledge first; wait(): count, look, then sleep",
        false},
    {"memory", "a doorbell ends a wait() that sleeps", bell_while_asleep,
        "the interrupt handler: is it enabled, does it wake the task", false},
    {"memory", "a doorbell before wait() is not lost", bell_before,
        "wait(): what rang before must be remembered", false},
    {"memory", "no more interrupts than doorbells", bells_end,
        "the interrupt handler: acknowledge at the source", false},
    {.name = NULL},
};
