// Watches how one side reads memory that the other writes.
// SPDX-License-Identifier: MIT
#include "fuzz/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/mem.h"

#if defined(__has_feature)
    #if __has_feature(address_sanitizer)
        #include <sanitizer/asan_interface.h>
        #define WATCH_ASAN 1
    #endif
#endif

#define WORDS_MAX (1u << 20)

static const uint8_t *base;
static size_t size;
static void (*on_change)(const void *p, size_t n);
static uint8_t seen[WORDS_MAX / 8u];
static bool changing; // the peer's turn: it does not answer itself
uint64_t watch_count;
bool (*watch_spared)(size_t at);

static void poison(const void *p, size_t n, bool on) {
#ifdef WATCH_ASAN
    if (on) {
        ASAN_POISON_MEMORY_REGION(p, n);
    } else {
        ASAN_UNPOISON_MEMORY_REGION(p, n);
    }
#else
    (void)p;
    (void)n;
    (void)on;
#endif
}

void watch_begin(const void *from, size_t bytes, size_t blind,
    void (*changed)(const void *p, size_t n)) {
    base = from;
    size = bytes < WORDS_MAX * 4u ? bytes : WORDS_MAX * 4u;
    on_change = changed;
    memset(seen, 0, sizeof seen);
    poison(base, blind, true);
}

void watch_anew(void) {
    memset(seen, 0,
        sizeof seen < size / 32u + 1u ? sizeof seen : size / 32u + 1u);
}

void watch_end(void) {
    poison(base, size, false);
    base = NULL;
    size = 0;
    on_change = NULL;
}

static bool is_watched(const void *p) {
    return base && (const uint8_t *)p >= base &&
           (const uint8_t *)p < base + size;
}

// ASan must not look: this is the one place that may read poisoned memory.
__attribute__((no_sanitize("address"), noinline)) static uint32_t
load_raw(const uint32_t *p) {
    return atomic_load_explicit((const _Atomic uint32_t *)(const void *)p,
        memory_order_relaxed);
}

__attribute__((no_sanitize("address"), noinline)) static void copy_raw(void *to,
    const void *from, size_t n) {
    volatile uint8_t *out = to;
    const volatile uint8_t *in = from;
    for (size_t i = 0; i < n; i++) {
        out[i] = in[i];
    }
}

void watch_poke(void *to, const void *from, size_t n) {
    copy_raw(to, from, n);
}

void watch_peek(void *to, const void *from, size_t n) {
    copy_raw(to, from, n);
}

static void answer(const void *p, size_t n) {
    watch_count++;
    if (on_change && !changing) {
        changing = true;
        on_change(p, n);
        changing = false;
    }
}

static void loaded_once(const uint32_t *p) {
    size_t i = (size_t)((const uint8_t *)p - base) / 4u;
    if ((seen[i / 8u] & (1u << (i % 8u))) &&
        !(watch_spared && watch_spared(i * 4u))) {
        fprintf(stderr, "watch: the word at byte %zu was loaded twice\n",
            i * 4u);
        abort();
    }
    seen[i / 8u] |= (uint8_t)(1u << (i % 8u));
}

uint32_t watch_load(const uint32_t *p) {
    if (!is_watched(p)) {
        return load_raw(p);
    }
    loaded_once(p);
    uint32_t v = load_raw(p);
    answer(p, sizeof v);
    return v;
}

void watch_copy(void *to, const void *from, size_t n) {
    // The copy's end is checked by ASan where it goes, and here where it
    // comes from.
    memset(to, 0, n);
    copy_raw(to, from, n);
    if (is_watched(from)) {
        if (n > size - (size_t)((const uint8_t *)from - base)) {
            fprintf(stderr, "watch: a read past the part's end\n");
            abort();
        }
        answer(from, n);
    }
}

void watch_inv(const void *p, size_t n) {
    if (!is_watched(p) || n == 0) {
        return;
    }
    // Whole lines are dropped.
    size_t from = (size_t)((const uint8_t *)p - base) / 64u * 16u;
    size_t to = ((size_t)((const uint8_t *)p - base) + n + 63u) / 64u * 16u;
    for (size_t i = from; i < to && i < WORDS_MAX; i++) {
        seen[i / 8u] &= (uint8_t) ~(1u << (i % 8u));
    }
}
