// A near core for the engine's fuzzer: what it is made of (engine.c), and what
// it does that knows the way (engine_near.c).
// SPDX-License-Identifier: MIT
#ifndef FUZZ_ENGINE_NEAR_H
#define FUZZ_ENGINE_NEAR_H

#include "fuzz/input.h"
#include "fuzz/side.h"

#define PEERS 4u

// The link's near end, and native ends of its streams.
extern struct side side;
extern int peers[PEERS];
extern uint16_t peer_port;

void poke32(size_t at, uint32_t v);
size_t line_at(uint32_t slot);
uint32_t near_word(uint32_t slot, size_t field);
uint32_t far_word(uint32_t slot, size_t field);
void put(struct far_msg m, const void *payload, uint32_t len);
void kick(uint32_t slot);
void new_lines(uint32_t slot, uint32_t gen);
void connect_to(uint32_t slot, uint16_t port);
void send_descriptors(const int *fds, uint32_t count, uint32_t bytes);
void take_answers(void);

// The steps. Each takes what it needs from the input.
#define WELL_STEPS 20u
void well_step(uint32_t which, struct input *in);
// Closes what the steps left open.
void well_end(void);

#endif
