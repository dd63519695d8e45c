// A fuzzer's input as a row of choices. After its end every choice is 0.
// SPDX-License-Identifier: MIT
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
    const uint8_t *at;
    size_t left;
};

static inline void take(struct input *in, void *to, size_t n) {
    size_t have = n < in->left ? n : in->left;
    memset(to, 0, n);
    if (have) {
        memcpy(to, in->at, have);
    }
    in->at += have;
    in->left -= have;
}

static inline uint8_t take8(struct input *in) {
    uint8_t v;
    take(in, &v, sizeof v);
    return v;
}

static inline uint16_t take16(struct input *in) {
    uint16_t v;
    take(in, &v, sizeof v);
    return v;
}

static inline uint32_t take32(struct input *in) {
    uint32_t v;
    take(in, &v, sizeof v);
    return v;
}

// A number that is small mostly, and anything at all sometimes.
static inline uint32_t take_number(struct input *in) {
    uint8_t v = take8(in);
    return v < 0xf0 ? v : take32(in);
}

// The last part of the input, n bytes of it, apart from the rest.
static inline struct input split(struct input *in, size_t n) {
    n = n < in->left ? n : in->left;
    in->left -= n;
    return (struct input){in->at + in->left, n};
}

// libFuzzer's names.
// NOLINTBEGIN(readability-identifier-naming)
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
// NOLINTEND(readability-identifier-naming)

#endif
