// Memory that may be lost: its file is another's, who may cut it.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_LOST_H
#define FARSOCKD_LOST_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/engine.h"

// Embed it, zeroed, in what the memory belongs to.
struct lost {
    struct watch watch;
    struct engine *engine; // NULL: not guarded
    struct lost *next;
    char *mem;
    size_t bytes;
    int event; // eventfd
    void (*told)(void *arg);
    void *arg;
};

// From now on an access to mem that is not there any more finds zeros in place
// of ending the process, and told() is called from the engine's next turn,
// once. 0, or -1 with errno.
int lost_guard(struct lost *l, struct engine *e);

// Before the memory is unmapped. Guarded or not.
void lost_forget(struct lost *l);

#endif
