// What the layer's parts offer each other.
// SPDX-License-Identifier: MIT
#ifndef FAR_FAULTY_LAYER_H
#define FAR_FAULTY_LAYER_H

#include "ports/faulty/faulty.h"

enum faulty_side faulty_me(void);

// A doorbell is about to be rung: how often it shall be.
uint32_t faulty_bell(void);

// Rings the other side's doorbell as the side that we are.
void faulty_ring(void);
void faulty_ring_near_port(void);

#endif
