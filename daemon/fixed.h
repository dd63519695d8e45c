// A link on memory that stays, whoever dies: epochs make its lives.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_FIXED_H
#define FARSOCKD_FIXED_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/engine.h"

struct fixed;

struct fixed_spec {
    struct engine *engine;
    void *region; // near's half (the lower) is only read
    size_t bytes; // as far_layout_fit() takes them
    uint32_t sockets;
    uint32_t tags;
    uint32_t bell;      // how near rings us
    int bell_from_near; // eventfd; stays the caller's, and open
    char name[64];
    // The eventfd that rings near, by the number near gave in its header
    // (whatever it may be); -1 if there is none of that number.
    int (*bell_to_near)(void *arg, uint32_t bell);
    void *arg;
};

// Begins a life of far and serves near whenever it is there. *spec is copied.
// NULL with errno (EINVAL: that many sockets do not fit).
struct fixed *fixed_new(const struct fixed_spec *spec);

// Looks again whether near is there: after a doorbell for it came to hand.
void fixed_look(struct fixed *f);

// Near died, as the platform says: its link ends, and it is served again when
// it has begun a new life.
void fixed_near_gone(struct fixed *f);

// The memory is not near's any more: its link ends at once, and nothing in it
// is served from now on. why: for the log.
void fixed_lost(struct fixed *f, const char *why);

// Tells near that this life is over. Before engine_free(), which ends the link.
void fixed_stop(struct fixed *f);

// After engine_free().
void fixed_free(struct fixed *f);

#endif
