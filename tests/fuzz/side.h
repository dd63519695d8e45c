// A link on an engine in this process, with a near side that is written here:
// one that keeps the rules, and one that does what the input says.
// SPDX-License-Identifier: MIT
#ifndef FUZZ_SIDE_H
#define FUZZ_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/engine.h"
#include "farsock/wire.h"

#define SIDE_SOCKETS 8u
#define SIDE_TAGS    4u
#define SIDE_RING    2048u
#define SIDE_BIG     (256u * 1024u) // rings, where how says so

struct side {
    struct engine *engine;
    struct link *link;
    struct far_layout lay;
    uint8_t *region;
    size_t bytes, mapped;
    uint32_t ring; // bytes of each
    const char *name;
    int to_near, to_far, near_end, far_end;
    uint32_t cmd_head;
    bool gone;
};

// A fresh link; the region's memory is kept from one to the next. how: its
// features, limits and rings. It is tried again where an order makes it fail.
void side_open(struct side *s, struct engine *e, uint32_t base, uint8_t how);
// After the engine has let go of it (gone).
void side_close(struct side *s);

void *side_line(const struct side *s, uint32_t line);
void side_ring(const struct side *s);
struct far_rings side_rings(const struct side *s, uint32_t slot, uint32_t gen);

// --- The honest link (honest.c) ---

// Moves checked bytes both ways over a stream, and over datagrams, for as long
// as the process lives; ends it if one is wrong, or comes late.
void honest_begin(struct engine *e);
// One engine turn, with something for the honest link to do.
void honest_turn(void);
// Turns until everything that was given has arrived.
void honest_finish(void);

#endif
