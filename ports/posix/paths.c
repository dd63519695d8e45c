// Where farsockd's link is by default.
// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "farsock/posix.h"

static char runtime_path[108];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_runtime_path(void) {
    const char *dir = getenv("XDG_RUNTIME_DIR");
    if (dir && dir[0] == '/') {
        int n =
            snprintf(runtime_path, sizeof runtime_path, "%s/farsock/link", dir);
        if (n < 0 || (size_t)n >= sizeof runtime_path) {
            runtime_path[0] = '\0';
        }
    }
}

int far_posix_paths(const char **out, int max) {
    pthread_once(&once, make_runtime_path);
    int n = 0;
    if (n < max) {
        out[n++] = "/run/farsock/link";
    }
    if (n < max && runtime_path[0]) {
        out[n++] = runtime_path;
    }
    return n;
}
