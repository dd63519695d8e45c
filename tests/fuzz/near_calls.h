// Calls of the near library that its target makes (near.c, near_calls.c).
// SPDX-License-Identifier: MIT
#ifndef FUZZ_NEAR_CALLS_H
#define FUZZ_NEAR_CALLS_H

#include "fuzz/far_side.h"

#define HANDLES 4u

// What a call is made of.
struct far_link *the_link(void);
struct input *choices(void);
int sock(uint8_t i);
struct far_addr addr(void);
uint64_t deadline(uint8_t how);
uint32_t send_flags(uint8_t how);
uint32_t recv_flags(uint8_t how);
void check(bool good, const char *what);

void call_sendmmsg(uint8_t i);
void call_recvmmsg(uint8_t i);
void call_urgent(uint8_t i);
void call_wait(uint8_t i);
void call_wait_beside(uint8_t i);
void call_beat(uint8_t i);
void call_interrupt(uint8_t i);
void call_tune(uint8_t i);
void call_look(uint8_t i);
void call_crowd(uint8_t i);
void call_hold(uint8_t i);
void call_long(uint8_t i);
void call_timeout(uint8_t i);
void call_option(uint8_t i);
void call_pieces(uint8_t i);
void call_stale(uint8_t i);

// Before the first call on a new link.
void calls_begin(void);

#endif
