// Libraries that a program loads as it runs.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <dlfcn.h>

// RTLD_DEEPBIND has a library find the C library before us: PHP loads all of
// its extensions so. Called at the very end, with nothing left to do, so that
// the loader sees the program's return address: whose library it is says where
// to search.
EXPORT void *dlopen(const char *file, int mode) {
    return real()->dlopen(file, mode & ~RTLD_DEEPBIND);
}
