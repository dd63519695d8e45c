// The command line of farsockd.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_OPTIONS_H
#define FARSOCKD_OPTIONS_H

#include <stddef.h>

#include "daemon/config.h"

enum far_action { FAR_SERVE, FAR_CHECK_CONFIG, FAR_HELP, FAR_VERSION };

struct far_options {
    enum far_action action;
    const char *config; // file, or NULL
    const char *links[FAR_CONFIG_LINKS];
    size_t link_count;
    int log_level; // -1: not given
};

// Reads argv, whose strings o then refers to. 0, or -1 and why not.
int far_options_parse(struct far_options *o, int argc, char **argv,
    char *reason, size_t reason_len);

// Puts what was given over c: links replace the file's. 0, or -1 and why not.
int far_options_apply(const struct far_options *o, struct far_config *c,
    char *reason, size_t reason_len);

extern const char far_options_help[];

#endif
