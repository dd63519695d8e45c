// A near core for the engine's fuzzer: what it is made of (engine.c), what it
// does that knows the way (engine_near.c), and seldom does (engine_rare.c).
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
extern bool unrung;

void poke32(size_t at, uint32_t v);
size_t line_at(uint32_t slot);
uint32_t near_word(uint32_t slot, size_t field);
uint32_t far_word(uint32_t slot, size_t field);
void put(struct far_msg m, const void *payload, uint32_t len);
void kick(uint32_t slot);
void new_lines(uint32_t slot, uint32_t gen);
void put_socket(uint32_t slot, uint32_t family, uint32_t type, uint32_t proto);
void connect_to(uint32_t slot, uint16_t port);
void send_descriptors(const int *fds, uint32_t count, uint32_t bytes);
void take_answers(void);

// The steps. Each takes what it needs from the input.
#define WELL_STEPS 25u
void well_step(uint32_t which, struct input *in);
// Closes what the steps left open.
void well_end(void);

// Rare ones. rare_end(): no policy and no fault is left.
void rare_begin(void);
void rare_step(struct input *in);
void rare_policy(struct input *in);
void rare_end(void);

#endif
