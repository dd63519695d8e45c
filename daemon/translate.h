// The host's numbers to the link's and back: the daemon's edge.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_TRANSLATE_H
#define FARSOCKD_TRANSLATE_H

#include <stdint.h>
#include <sys/socket.h>

#include "farsock/wire.h"

// A host errno (positive) as a far_err (negative). What the link has no number
// for becomes FAR_EIO.
int32_t far_errno(int host);

// The result of a system call: r, or errno as a far_err.
int32_t far_result(long r);

// getaddrinfo()'s EAI_... as a far_eai.
int32_t far_eai_of(int host);

// -1: the link does not have it.
int host_family(uint32_t far);
uint32_t far_family(int host);
int host_socktype(uint32_t far);
uint32_t far_socktype(int host);
int host_shut(uint32_t far);

// Unknown bits are passed as a bit no host knows, so that it refuses them.
int host_ai_flags(uint32_t far);
int host_ni_flags(uint32_t far);

// The host's level and option, and the kind of value. 0, or FAR_ENOPROTOOPT.
int host_opt(int32_t level, int32_t opt, int *host_level, int *host_name,
    int *kind);

// Length of the sockaddr. A family the link does not know is passed on as it
// is: the kernel judges it.
socklen_t host_addr(const struct far_addr *a, struct sockaddr_storage *out);
// family 0 if len is 0 or the family is none of the link's.
void far_addr_of(const struct sockaddr_storage *sa, socklen_t len,
    struct far_addr *out);

#endif
