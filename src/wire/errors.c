// Texts of errors.
// SPDX-License-Identifier: MIT
#include "farsock/errors.h"

const char *far_strerror(int err) {
    switch (err) {
        case FAR_OK:
            return "ok";
#define X(name, num, text)                                                     \
    case FAR_E##name:                                                          \
        return text;
            FAR_ERRORS(X)
#undef X
        default:
            return "unknown error";
    }
}

const char *far_gai_strerror(int eai) {
    switch (eai) {
        case 0:
            return "ok";
#define X(name, num, text)                                                     \
    case FAR_EAI_##name:                                                       \
        return text;
            FAR_EAI_ERRORS(X)
#undef X
        default:
            return "unknown lookup error";
    }
}
