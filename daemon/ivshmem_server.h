// The server of an ivshmem memory: a process of its own, so that memory and
// doorbells outlive farsockd.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_IVSHMEM_SERVER_H
#define FARSOCKD_IVSHMEM_SERVER_H

#include <stddef.h>
#include <stdint.h>

// Starts it: it listens at path, whose socket gets the permissions mode, gives
// every client bytes of zeroed memory and the doorbells of the others, and ends
// with the last of them. It tells the near core when farsockd dies. 0 once it
// listens, or -1 and one line in reason. Call before there are threads.
int ivshmem_server_start(const char *path, uint32_t mode, size_t bytes,
    char *reason, size_t reason_len);

#endif
