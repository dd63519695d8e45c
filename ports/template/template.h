// A port to copy: a near core beside a Linux core, with memory that both see
// and a doorbell each way. docs/porting.md says how to go about it.
// SPDX-License-Identifier: MIT
#ifndef FAR_TEMPLATE_H
#define FAR_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>

#include "farsock/farsock.h"

// Starts clock and doorbell. Once, before the others.
void far_template_start(void);

// Brings the link up, or up again: earlier links of this core are over. mem:
// private memory, outside of any garbage-collected heap, which stays the
// link's; FAR_ENOMEM if it is too small. FAR_ETIMEDOUT: no farsockd until
// deadline_ns. FAR_EINTR. FAR_ELINKPROTO, FAR_EBADMSG: as far_join_step().
int far_template_up(void *mem, size_t mem_bytes, uint64_t deadline_ns,
    struct far_link **out);

// [TI] Makes calls that wait end with FAR_EINTR, until it is called with 0:
// what a handler of Ctrl-C does.
void far_template_interrupt(int on);

// For tests/port, which tries each hook by itself.
const struct far_port *far_template_port(void);

#endif
