// Several datagrams from the peer in one system call.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_BATCH_H
#define FARSOCKD_BATCH_H

#include "daemon/core.h"

#define BATCH_MOST 8u // datagrams

// False: no memory.
bool batch_begin(struct engine *e);

// Receives at most so many, each behind head bytes, one after the other from
// rx_head on, as if each were s->rx_guess bytes long. How many; -1 with errno.
// If they are fewer than asked for, there were no more: an error in their place
// has become the socket's, and so an event.
int batch_recv(struct sock *s, uint32_t most, uint32_t head, bool ctl);

// One of them.
struct msghdr *batch_get(const struct sock *s, uint32_t i, uint32_t *len);

// Its payload, taken out of the ring before something else comes there.
const uint8_t *batch_copy(const struct sock *s, uint32_t i);

void batch_free(struct engine *e);

#endif
