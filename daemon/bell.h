// A doorbell as a descriptor.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_BELL_H
#define FARSOCKD_BELL_H

// Rings it. One that is full rings as well: nobody has looked since.
void bell_ring(int fd);

#endif
