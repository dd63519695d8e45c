// System calls of the engine's that fail, or lie, when the input says so; and a
// clock that goes as it says. The linker's --wrap has our code call these.
// SPDX-License-Identifier: MIT
#ifndef FUZZ_FAULT_H
#define FUZZ_FAULT_H

#include "fuzz/input.h"

// The engine's next call of a kind that is chosen. Only within a turn of the
// engine's, or while it makes a link: what a target does itself never fails.
void fault_choose(struct input *in);

// No order is left.
void fault_none(void);

// Nothing happens to this descriptor: the honest link's.
void fault_spare(int fd);

// What else counts as the engine's: what is called in between.
void fault_within(bool on);

// Called where the engine waits for somebody. False: in vain.
extern bool (*fault_waits)(void);

// From now on the clock goes 1 us with each look at it, and as told.
void fault_clock(void);
void fault_time(struct input *in);
// Longer than anything is kept.
void fault_age(void);

#endif
