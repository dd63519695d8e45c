// What farsock show and farsock dump print: the daemon's state as text.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_CTL_H
#define FARSOCKD_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/config.h"
#include "daemon/engine.h"

// Text is made in pieces, so that neither thousands of sockets nor a slow
// reader hold up the loop. Between two pieces links and sockets may come and
// go; what stays is shown once. Zero but for the first four it is ready.
struct ctl {
    struct engine *engine;
    const struct config *config;
    uint64_t started_ns; // of farsockd, CLOCK_MONOTONIC
    bool dump;           // for programs: tab-separated

    int stage;
    uint32_t rule; // row of the policy to go on with
    uint32_t link; // id of the last one begun
    uint32_t next; // tag or slot to go on with
    bool headed;   // the table of this link's sockets has its heading
};

#define CTL_ROOM_MIN 4096 // bytes, the least that ctl_fill() needs

// Fills text with whole lines. Bytes; 0 at the end.
size_t ctl_fill(struct ctl *c, char *text, size_t room);

#endif
