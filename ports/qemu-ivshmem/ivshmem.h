// The port: a link over an ivshmem device, on a core without any operating
// system.
// SPDX-License-Identifier: MIT
#ifndef FAR_IVSHMEM_H
#define FAR_IVSHMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "farsock/farsock.h"

// Brings the link up, or up again: earlier links of this core are over. mem:
// private memory, which stays the link's; FAR_ENOMEM if it is too small.
// FAR_ENODEV: no device. FAR_ETIMEDOUT: no farsockd until deadline_ns.
// FAR_EINTR. FAR_ELINKPROTO, FAR_EBADMSG: as far_join_step().
int far_ivshmem_up(void *mem, size_t mem_bytes, uint64_t deadline_ns,
    struct far_link **out);

// What waits also ends when this says so (Ctrl-C). NULL: never.
extern bool (*far_ivshmem_interrupted)(void);

// Doorbells since the start.
struct far_ivshmem_bells {
    uint32_t rung;  // far's, by us
    uint32_t taken; // ours: rings that came together are one
};
extern struct far_ivshmem_bells far_ivshmem_bells;

// For tests/port, which tries each hook by itself: memory and hooks, once
// far_ivshmem_up() has been called, whatever came of it.
const struct far_join *far_ivshmem_join(void);

#endif
