// A path that farsockd listens at, and no other farsockd does.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_PLACE_H
#define FARSOCKD_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/config.h"

struct place {
    char path[CONFIG_TEXT];
    int fd;         // listening
    int lock;       // PATH.lock, locked as long as we live
    bool took_over; // what a dead predecessor had left
};

// Listens at path, type the kind of the socket, mode its permissions. 0, or -1
// and one line in reason: another farsockd serves it, it is no socket, ...
int place_open(struct place *p, const char *path, int type, uint32_t mode,
    char *reason, size_t reason_len);

// The socket is this user's and group's from now on; IDS_NONE: no change. 0, or
// -1 and why not in reason.
int place_give(const struct place *p, uint32_t user, uint32_t group,
    char *reason, size_t reason_len);

// Removes socket and lock file.
void place_close(struct place *p);

// Takes PATH.lock alone, without a socket. Its descriptor, or -1 and why not.
int place_lock(const char *path, char *reason, size_t reason_len);
void place_unlock(const char *path, int lock);

// The first default path whose directory is there, or can be made, and can be
// written. 0, or -1 and why there is none.
int place_default(char *path, size_t path_len, char *reason, size_t reason_len);

#endif
