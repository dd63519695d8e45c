// What a far side of the fuzzers' is made of (far_side.c, far_serve.c).
// SPDX-License-Identifier: MIT
#ifndef FUZZ_FAR_PLAYER_H
#define FUZZ_FAR_PLAYER_H

#include <stddef.h>

#include "fuzz/far_side.h"

struct far_player {
    struct far_link *link;
    void *memory;
    struct far_layout lay;
    struct far_port port;
    uint8_t *region;
    size_t bytes;
    struct input *in;
    struct input changes;
    uint64_t now, deadline;
    uint32_t sleeps;
    uint32_t evt_head, cmd_tail;
    uint32_t interrupts;              // questions that are answered with yes
    uint32_t big[FAR_SIDE_SOCKETS];   // bytes of a datagram still to come
    uint32_t marks[FAR_SIDE_SOCKETS]; // urgent bytes so far
    uint32_t depth;                   // calls beside the first one
    _Atomic uint32_t *taken; // a lock that another thread has, NULL: none
    bool others;             // other threads' calls come wherever they can
    bool busy;               // at a step already
    bool wild;               // near's part is no longer near's word
};
extern struct far_player far_side;

// A step: by the rules, or whatever its input says.
void far_step(void);

// Far's part, by the byte, and its lines.
size_t far_start(void);
void far_poke32(size_t at, uint32_t v);
uint8_t *far_at_line(uint32_t line);
size_t far_line_at(uint32_t slot);
uint32_t far_word(uint32_t slot, size_t field);
uint32_t far_near_word(uint32_t slot, size_t field);

// A message in the evt ring.
void far_put(struct far_msg m, const void *payload, uint32_t len);
void far_kicked(uint32_t slot);

// Answers near's next request: by the rules, with an error, or with anything;
// false: there is none.
enum far_answer { FAR_WELL, FAR_REFUSED, FAR_ANYHOW };
bool far_answer(enum far_answer how);

// A state in place of the one that a socket has.
void far_new_state(uint32_t slot, uint8_t how);

// Bytes, a datagram, a mark, an end: as one who keeps the rules does it.
void far_give_bytes(uint32_t slot, const void *from, uint32_t n);
void far_give_well(uint32_t slot);
void far_give_dgram(uint32_t slot, uint16_t flags);
void far_give_mark(uint32_t slot);
void far_end(uint32_t slot, uint8_t how);
void far_take_tx(uint32_t slot);

#endif
