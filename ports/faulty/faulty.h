// Faults to order, for tests: `make FAULTS=1` puts this layer between our code
// and memory, port and kernel.
// SPDX-License-Identifier: MIT
#ifndef FAR_FAULTY_H
#define FAR_FAULTY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// A step is a store to shared memory, a call of the port's (near), or a system
// call (both sides; near only while it links up). Both sides count theirs in
// memory that the test shares with them, and obey what it says there.

enum faulty_side {
    FAULTY_NEAR,
    FAULTY_FAR,
    FAULTY_NONE, // a process that only looks
};

enum faulty_bell {
    FAULTY_BELL_RINGS,
    FAULTY_BELL_LOST,
    FAULTY_BELL_TWICE,
    FAULTY_BELL_LATE,
};

#define FAULTY_LATE_MS 20u
#define FAULTY_NAME    24u

struct faulty_steps {
    _Atomic uint32_t steps;   // since it was switched on
    _Atomic uint32_t kill_at; // this step is not made: SIGKILL; 0: never
    _Atomic uint32_t ring_at; // at this step the doorbell rings for no reason,
    _Atomic uint32_t ring_count; // so often
    _Atomic uint32_t bells;      // rung, since it was switched on
    _Atomic uint32_t bell_at;    // this one fails, 0: none,
    _Atomic uint32_t bell_every; // and each so many after it
    _Atomic uint32_t bell_fault; // like this (faulty_bell)
    _Atomic uint32_t live;       // allocations
    char last[FAULTY_NAME];      // the step at which it was killed
};

struct faulty {
    _Atomic uint32_t on; // steps are counted
    struct faulty_steps side[2];
};

// The page that $FARSOCK_FAULTS names; without it nothing happens.
extern struct faulty *faulty;

// Which side this process is. farsockd is far from its start.
void faulty_be(enum faulty_side side);

#endif
