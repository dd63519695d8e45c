// A far side for the near library in this process: it does what the input says.
// SPDX-License-Identifier: MIT
#ifndef FUZZ_FAR_SIDE_H
#define FUZZ_FAR_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "farsock/farsock.h"
#include "fuzz/input.h"

#define FAR_SIDE_SOCKETS 4u
#define FAR_SIDE_TAGS    4u
#define FAR_SIDE_RING    2048u

// A fresh link; how: its first index, and which hooks its port has. Its far
// side takes its steps from in: whenever near rings or sleeps, and, from
// changes, after each of near's reads. Without any left it is dead to who
// sleeps.
struct far_link *far_side_begin(struct input *in, struct input changes,
    uint8_t how);
void far_side_end(void);

// One call of another thread's while one sleeps: the target's.
void far_side_beside(void);

// What happens while a wait of the caller's own sleeps.
void far_side_sleep(uint64_t deadline_ns);

// The port's clock. Each look at it takes a microsecond.
uint64_t far_side_now(void);

// The word of a lock is taken, by another thread; who waits for it gets it.
void far_side_hold(_Atomic uint32_t *word);

// Ends the process if a call that was to end by deadline_ns has slept more
// often than any needs to.
void far_side_call(uint64_t deadline_ns);

// Ends the process with a line that says what is wrong.
void far_side_fail(const char *what);

#endif
