// Reading the configuration again.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_RELOAD_H
#define FARSOCKD_RELOAD_H

#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/options.h"

// Reads the file of the command line again. If it is wrong everything stays as
// it is, and one line says what is wrong; else it holds from now on, also for
// links that are there.
void reload(struct config *c, const struct options *o, struct engine *e);

#endif
