// The protocol between an ivshmem server and its clients (QEMU's
// docs/specs/ivshmem-spec): 64-bit little-endian numbers, some with a
// descriptor beside them.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_IVSHMEM_WIRE_H
#define FARSOCKD_IVSHMEM_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define IVSHMEM_VERSION 0
#define IVSHMEM_MEMORY  (-1) // comes with the memory's descriptor
#define IVSHMEM_PEERS   16   // of one memory at a time
#define IVSHMEM_IDS     65536

// Sends one number, with fd if that is >= 0. Never waits.
bool ivshmem_send(int sock, int64_t number, int fd);

// Receives one number. 1; 0 if nothing is there; -1 at the end or an error.
// *fd is the caller's, -1 if none came. Never waits.
int ivshmem_receive(int sock, int64_t *number, int *fd);

#endif
