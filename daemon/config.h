// What farsockd can be told: one table of keys, their bounds and defaults.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_CONFIG_H
#define FARSOCKD_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/ids.h"
#include "daemon/policy.h"

#define CONFIG_LINKS  16  // listening paths
#define CONFIG_TEXT   128 // bytes of a path, more than a socket can have
#define CONFIG_REASON 400 // bytes of a line that says what is wrong

struct config {
    uint32_t links;
    char link[CONFIG_LINKS][CONFIG_TEXT];     // none: the default paths
    uint32_t log_level;                       // far_log_level
    uint32_t mode;                            // of a link's socket file
    uint32_t group;                           // of the same, or IDS_NONE
    uint32_t user;                            // to serve as, or IDS_NONE
    uint32_t seccomp;                         // filter system calls
    struct id_list allow_users, allow_groups; // may connect; both empty: all

    // Per link. What near wishes, else the default, never above the maximum.
    uint32_t sockets;
    uint32_t max_sockets;
    uint32_t tags;
    uint32_t tx_ring; // bytes
    uint32_t rx_ring;
    uint32_t max_ring;
    uint32_t max_links; // near cores at the same time
    uint32_t lookups;   // name lookups that run at the same time

    // Limits of a link; 0: none but the layout's.
    uint32_t open_sockets;
    uint32_t max_tags;
    uint32_t max_memory; // KiB of its region
    uint32_t max_lookups;
    uint32_t max_incoming; // accepted connections that are open
    uint32_t max_orphans;  // bytes of closed sockets, still to be sent
    uint32_t orphans;      // the same, of all links
    uint32_t orphan_time;  // seconds
    uint32_t links_per_user;

    // Links on ivshmem memory, where near has no wishes.
    uint32_t ivshmem_memory; // bytes, a power of two
    uint32_t ivshmem_sockets;
    uint32_t ivshmem_tags;

    struct policy_set policy;

    uint64_t given; // bit i: key i of the table was in the file
};

// The defaults.
void config_init(struct config *c);

// Frees what config_read() allocated.
void config_free(struct config *c);

// Reads an INI file over c. 0, or -1 and one line "FILE:LINE: what is wrong" in
// reason; c is then of no use.
int config_read(struct config *c, const char *file, char *reason,
    size_t reason_len);

// Adds a listening path. 0, or -1 and why not, without the file's name.
int config_add_link(struct config *c, const char *path, char *reason,
    size_t reason_len);

// Writes c as a file that config_read() would understand as c.
void config_print(const struct config *c, FILE *out);

#endif
