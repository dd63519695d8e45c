// Runs: datagrams to one destination, equally long, that go in one call.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_RUN_H
#define FARSOCKD_RUN_H

#include "daemon/core.h"

#define RUN_MOST 32u // datagrams; the kernel takes 64

// The first record of one, copied and checked.
struct run_first {
    const struct far_addr *addr;
    uint32_t len;
    uint32_t ctl_len;
    uint32_t payload; // ring position
    uint16_t flags;   // far_dgram_flag
};

struct run {
    struct iovec iov[RUN_MOST + 2u]; // the ring ends in one of them, perhaps
    int pieces;
    uint32_t count;   // datagrams
    uint32_t segment; // bytes of each, but for the last, which may be shorter
    uint32_t bytes;
    uint32_t end;   // ring position after the last record
    bool forbidden; // by the policy
};

// Gathers those behind it that may go with the first, at most so many in all.
// False: there are none.
bool run_gather(struct sock *s, const struct run_first *first, uint32_t most,
    struct run *run);

// True if that error says that the kernel does not take them as a run.
bool run_refused(struct sock *s, const struct run *run, int err);

// What is known of the socket may have changed.
void run_forget(struct sock *s);

#endif
