// Finds the C library's functions behind our wrappers.
// SPDX-License-Identifier: MIT
#include "preload/real.h"

#include <dlfcn.h>
#include <string.h>

struct real fari_real;
_Atomic bool fari_real_known;

static void find(void *where, const char *name) {
    void *f = dlsym(RTLD_NEXT, name);
    memcpy(where, &f, sizeof f); // ISO C has no cast for it
}

// Twice at the same time does no harm: both write the same.
void real_find(void) {
#define X(name) find(&fari_real.name, #name);
    REAL_FUNCTIONS(X)
#undef X
    atomic_store_explicit(&fari_real_known, true, memory_order_release);
}
