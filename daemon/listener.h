// Takes connections: near cores become links, the tool gets its text.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_LISTENER_H
#define FARSOCKD_LISTENER_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/place.h"

struct listener;

// Serves the places. config and places stay the caller's, and must outlive the
// listener. NULL with errno set.
struct listener *listener_new(struct engine *e, const struct config *config,
    const struct place *places, size_t count);

// Takes no more connections and hangs up on those that are no link. Before
// engine_free(), which ends the links.
void listener_stop(struct listener *l);

// After engine_free().
void listener_free(struct listener *l);

#endif
