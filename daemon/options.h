// The command line of farsockd.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_OPTIONS_H
#define FARSOCKD_OPTIONS_H

#include <stddef.h>

#include "daemon/config.h"

enum action { ACTION_SERVE, ACTION_CHECK, ACTION_HELP, ACTION_VERSION };

struct options {
    enum action action;
    const char *config; // file, or NULL
    const char *links[CONFIG_LINKS];
    const char *explain; // with ACTION_CHECK: a call, or NULL
    size_t link_count;
    int log_level; // -1: not given
};

// Reads argv, whose strings o then refers to. 0, or -1 and why not.
int options_parse(struct options *o, int argc, char **argv, char *reason,
    size_t reason_len);

// Puts what was given over c: links replace the file's. 0, or -1 and why not.
int options_apply(const struct options *o, struct config *c, char *reason,
    size_t reason_len);

extern const char options_help[];

#endif
