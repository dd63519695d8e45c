// How long farsockd runs before others get its processor.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_SLICE_H
#define FARSOCKD_SLICE_H

// Whom the calling thread wakes up gets the processor at once, also where the
// thread has much to do. Where the kernel does not know of that (before Linux
// 6.12), or has a real-time policy for it, nothing changes.
void slice_give_way(void);

#endif
