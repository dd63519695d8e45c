// A farsockd of our own, for one run; and where our other parts are.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_OWN_H
#define FARSOCK_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct own {
    pid_t pid; // 0: none
    char dir[64];
    char link[80];    // DIR/link
    char ivshmem[88]; // "ivshmem:DIR/core", if that was asked for
};

// The file beside this program, else as installed. False if it is nowhere.
bool find_part(const char *beside, char *out, size_t size);

// True if a farsockd answers at path.
bool link_answers(const char *path);

// Starts it in a new directory; false if none of its own answers, and then
// own_stop() is called all the same.
bool own_start(struct own *o, bool ivshmem);
void own_stop(struct own *o);

#endif
