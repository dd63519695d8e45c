// How long farsockd runs before others get its processor.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_SLICE_H
#define FARSOCKD_SLICE_H

#include <stdbool.h>

// Whom the calling thread wakes up gets the processor at once, also where the
// thread has much to do; or, if not way, after the slice that all have. Where
// the kernel does not know of that (before Linux 6.12), or has a real-time
// policy for it, nothing changes.
void slice_give_way(bool way);

#endif
