// Links of which the near core is a guest of QEMU's, or of another machine that
// has an ivshmem device.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_IVSHMEM_H
#define FARSOCKD_IVSHMEM_H

#include <stddef.h>

#include "daemon/config.h"
#include "daemon/engine.h"

#define IVSHMEM_PREFIX "ivshmem:"

struct ivshmem;

// Becomes a client of the server at path; starts that server if there is none
// (before there are threads, and before rights are given up). NULL and one line
// in reason.
struct ivshmem *ivshmem_open(const char *path, const struct config *c,
    char *reason, size_t reason_len);

const char *ivshmem_path(const struct ivshmem *v);

// Serves the near core from now on. 0, or -1 with errno.
int ivshmem_start(struct ivshmem *v, struct engine *e);

// Before engine_free(); and after it.
void ivshmem_stop(struct ivshmem *v);
void ivshmem_close(struct ivshmem *v);

#endif
