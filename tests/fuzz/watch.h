// Watches how one side reads memory that the other writes.
// SPDX-License-Identifier: MIT
#ifndef FUZZ_WATCH_H
#define FUZZ_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reads of [from, from + bytes) by the code under test, which goes through
// far_load() and FAR_COPY_IN(). Any other read of it is an error that ASan
// reports, and so is a word that is loaded twice without FAR_INV() in between:
// what was checked is not what is used then.
//
// changed() is called after each read, and may write there what it likes. The
// bytes of a pool are handed to the kernel and to callers in place, so they are
// not poisoned: blind ends where the pool begins.
void watch_begin(const void *from, size_t bytes, size_t blind,
    void (*changed)(const void *p, size_t n));
void watch_end(void);

// A new call: what it loads, it loads for itself.
void watch_anew(void);

// Words that are compared only, so that it does not matter how old they are:
// said by the word's place. NULL: none are.
extern bool (*watch_spared)(size_t at);

// Access by the peer, who is not watched.
void watch_poke(void *to, const void *from, size_t n);
void watch_peek(void *to, const void *from, size_t n);

// Reads seen since the beginning.
extern uint64_t watch_count;

#endif
