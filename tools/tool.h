// What the subcommands of farsock share.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_TOOL_H
#define FARSOCK_TOOL_H

enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2 };

struct tool_options {
    const char *link; // --link, else $FARSOCK_LINK, else NULL: the defaults
};

// A subcommand: argv[0] is its name. The exit status.
struct tool_command {
    const char *name;
    int (*run)(const struct tool_options *o, int argc, char **argv);
    const char *args; // for the usage
    const char *text; // what it does
};

// tools/show.c
int tool_show(const struct tool_options *o, int argc, char **argv);
int tool_dump(const struct tool_options *o, int argc, char **argv);

// tools/run.c
int tool_run(const struct tool_options *o, int argc, char **argv);

// tools/qemu.c
int tool_qemu(const struct tool_options *o, int argc, char **argv);

// Prints "farsock: ..." as one line on stderr; returns status.
__attribute__((format(printf, 2, 3))) int tool_fail(int status, const char *fmt,
    ...);

// TOOL_OK if the subcommand got no arguments.
int tool_no_arguments(int argc, char **argv);

#endif
