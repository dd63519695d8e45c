// The program's memory, which may not be there: then calls fail with EFAULT, as
// natively.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>

#include "ports/posix/guard.h"

int user_copy(void *to, const void *from, size_t n) {
    if (far_guard_copy(to, from, n)) {
        return 0;
    }
    errno = EFAULT;
    return -1;
}

bool user_range(uintptr_t at, size_t n) {
    if (far_guard_range((const void *)at, n)) {
        return true;
    }
    errno = EFAULT;
    return false;
}
