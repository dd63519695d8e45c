// A posix link's shared memory and doorbells.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_REGION_H
#define FARSOCKD_REGION_H

#include <stddef.h>

#include "farsock/wire.h"

struct region {
    void *mem; // near's part is read-only for us
    size_t bytes;
    int memfd; // sealed; -1 once near has it
    int bell_to_far;
    int bell_to_near;
};

// Memory, zero, for this layout, and two eventfds. FAR_OK, FAR_ENOMEM,
// FAR_EMFILE, FAR_ENFILE or FAR_EIO, errno says more.
int region_make(struct region *r, const struct far_layout *layout);

// Gives the descriptor of the memory away.
void region_close_memfd(struct region *r);

void region_free(struct region *r);

#endif
