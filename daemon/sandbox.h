// What farsockd gives up before it serves anybody.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_SANDBOX_H
#define FARSOCKD_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/policy.h"

// Bits: what the rules need of root's rights.
enum sandbox_right {
    SANDBOX_LOW_PORTS = 1, // CAP_NET_BIND_SERVICE
    SANDBOX_RAW = 2,       // CAP_NET_RAW
    SANDBOX_ADMIN = 4,     // CAP_NET_ADMIN
};

// Without rules: all of them as root, without the last as another user.
uint32_t sandbox_rights(const struct policy_set *set, uint32_t user);

// Becomes user (IDS_NONE: stays who it is), keeps of the capabilities only
// those rights, and can gain none any more. Call before there are threads. 0,
// or -1 and one line in reason.
int sandbox_drop(uint32_t user, uint32_t rights, char *reason,
    size_t reason_len);

// Refuses system calls that farsockd does not make, in all threads: EPERM.
// 0; 1 if this build cannot; or -1 with errno.
int sandbox_filter(void);

#endif
