// Texts of errors.
// SPDX-License-Identifier: MIT
#include "farsock/errors.h"

#include <stddef.h>
#include <stdint.h>

// Numbers, and in one string their texts: a pointer to each would be larger
// than what it points to.
static const char *text_of(const uint8_t *nums, size_t count, const char *texts,
    int err, const char *other) {
    for (size_t i = 0; i < count; i++) {
        if (-(int)nums[i] == err) {
            return texts;
        }
        while (*texts++) {
        }
    }
    return other;
}

const char *far_strerror(int err) {
#define X(name, num, text) num,
    static const uint8_t nums[] = {0, FAR_ERRORS(X)};
#undef X
#define X(name, num, text) text "\0"
    static const char texts[] = "ok\0" FAR_ERRORS(X);
#undef X
    return text_of(nums, sizeof nums, texts, err, "unknown error");
}

const char *far_gai_strerror(int eai) {
#define X(name, num, text) num,
    static const uint8_t nums[] = {0, FAR_EAI_ERRORS(X)};
#undef X
#define X(name, num, text) text "\0"
    static const char texts[] = "ok\0" FAR_EAI_ERRORS(X);
#undef X
    return text_of(nums, sizeof nums, texts, eai, "unknown lookup error");
}
