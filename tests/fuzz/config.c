// The configuration file.
// SPDX-License-Identifier: MIT
#include "daemon/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;
    static FILE *out;
    char path[32];
    char reason[CONFIG_REASON];
    struct config c;
    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        out = fopen("/dev/null", "we");
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size) {
        return -1;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    config_init(&c);
    int err = config_read(&c, path, reason, sizeof reason);
    if (err < 0 && memchr(reason, 0, sizeof reason) == NULL) {
        fprintf(stderr, "config: a reason without an end\n");
        abort();
    }
    config_print(&c, out);
    config_free(&c);
    return 0;
}
