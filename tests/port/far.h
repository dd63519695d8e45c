// The far side's view of a board.
// SPDX-License-Identifier: MIT
#ifndef PORT_FAR_H
#define PORT_FAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct far_board {
    uint8_t *mem;
    size_t bytes;
    int to_far, to_near; // eventfds; -1: not known yet
    uint32_t bell;       // how near rings us
    int ivshmem;         // the server's socket; -1: there is none
};

// Becomes a client of the ivshmem server at path, and starts it if there is
// none. False, and a line on stderr.
bool far_ivshmem_board(struct far_board *b, const char *path);

// Meets a near core that has come. Nothing without a server.
void far_ivshmem_peers(struct far_board *b);

#endif
