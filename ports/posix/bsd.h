// What the plain names share.
// SPDX-License-Identifier: MIT
#ifndef FAR_POSIX_BSD_H
#define FAR_POSIX_BSD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "farsock/posix.h"

// The one link of the process; opened at need. NULL: there is none.
struct far_posix *bsd_posix(void);
// The link of fd's socket and its handle; NULL: the descriptor is the host's.
struct far_link *bsd_find(int fd, int *sock, bool *nonblock);
// -1 with errno, or r.
int bsd_result(int r);
// From now on a bad pointer is EFAULT.
void bsd_guard_memory(void);

#endif
