// Texts of errors, and names of messages.
// SPDX-License-Identifier: MIT
#include "farsock/errors.h"
#include "farsock/wire.h"

#include <stddef.h>
#include <stdint.h>

// Numbers, and in one string their texts: a pointer to each would be larger
// than what it points to.
static const char *text_of(const uint8_t *nums, size_t count, const char *texts,
    unsigned num, const char *other) {
    for (size_t i = 0; i < count; i++) {
        if (nums[i] == num) {
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
    return text_of(nums, sizeof nums, texts, 0u - (unsigned)err,
        "unknown error");
}

const char *far_gai_strerror(int eai) {
#define X(name, num, text) num,
    static const uint8_t nums[] = {0, FAR_EAI_ERRORS(X)};
#undef X
#define X(name, num, text) text "\0"
    static const char texts[] = "ok\0" FAR_EAI_ERRORS(X);
#undef X
    return text_of(nums, sizeof nums, texts, 0u - (unsigned)eai,
        "unknown lookup error");
}

const char *far_op_name(unsigned num) {
#define X(name, num, request, needs_socket, text) num,
    static const uint8_t nums[] = {
#include "farsock/ops.def"
    };
#undef X
#define X(name, num, request, needs_socket, text) #name "\0"
    static const char names[] =
#include "farsock/ops.def"
        ;
#undef X
    return text_of(nums, sizeof nums, names, num, "?");
}
