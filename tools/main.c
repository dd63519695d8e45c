// farsock: looks at a running farsockd, and runs programs over its links.
// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"

static int help(const struct tool_options *o, int argc, char **argv);
static int version(const struct tool_options *o, int argc, char **argv);

// The first is run when none is named.
static const struct tool_command commands[] = {
    {"show", tool_show, "", "links, sockets and what they wait for"},
    {"dump", tool_dump, "", "the same for programs, tab-separated"},
    {"run", tool_run, "PROGRAM...", "a program whose sockets go over a link"},
    {"qemu", tool_qemu, "[SCRIPT...]",
        "MicroPython on an emulated core without system"},
    {"help", help, "", "this"},
    {"version", version, "", "the version"},
};
#define COMMANDS (sizeof(commands) / sizeof commands[0])

int tool_fail(int status, const char *fmt, ...) {
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    for (char *p = line; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            *p = '?';
        }
    }
    fflush(stdout);
    fprintf(stderr, "farsock: %s\n", line);
    return status;
}

int tool_no_arguments(int argc, char **argv) {
    if (argc > 1) {
        return tool_fail(TOOL_USAGE, "%s takes no \"%s\" (try farsock help)",
            argv[0], argv[1]);
    }
    return TOOL_OK;
}

static int help(const struct tool_options *o, int argc, char **argv) {
    (void)o;
    if (tool_no_arguments(argc, argv) != TOOL_OK) {
        return TOOL_USAGE;
    }
    puts("usage: farsock [--link PATH] [COMMAND]\n"
         "Look at a running farsockd, or run a program over its link.\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct tool_command *c = &commands[i];
        printf("  %s%s%-*s  %s%s\n", c->name, c->args[0] ? " " : "",
            14 - (int)strlen(c->name), c->args, c->text,
            i == 0 ? " (the default)" : "");
    }
    puts("\n  --link PATH       farsockd's link; else $FARSOCK_LINK, else the\n"
         "                    first of the default paths that answers\n"
         "\nSee farsock(1).");
    return TOOL_OK;
}

static int version(const struct tool_options *o, int argc, char **argv) {
    (void)o;
    if (tool_no_arguments(argc, argv) != TOOL_OK) {
        return TOOL_USAGE;
    }
    puts("farsock " FARSOCK_VERSION);
    return TOOL_OK;
}

enum option_id { ID_LINK = 256, ID_HELP, ID_VERSION };

static const struct option options[] = {
    {"link", required_argument, NULL, ID_LINK},
    {"help", no_argument, NULL, ID_HELP},
    {"version", no_argument, NULL, ID_VERSION},
    {NULL, 0, NULL, 0},
};

static int wrong_option(int id, const char *word) {
    const char *what = id == ':'           ? "needs a value"
                       : optopt >= ID_LINK ? "takes no value"
                                           : "is no option";
    return tool_fail(TOOL_USAGE, "%s %s (try farsock help)", word, what);
}

// TOOL_OK, and *name the subcommand that an option stands for, or NULL.
static int parse(struct tool_options *o, const char **name, int argc,
    char **argv) {
    *o = (struct tool_options){.link = getenv("FARSOCK_LINK")};
    if (o->link != NULL && o->link[0] == '\0') {
        o->link = NULL;
    }
    *name = NULL;
    opterr = 0;
    for (;;) {
        int at = optind;
        optopt = 0;
        // "+": what follows the subcommand is the subcommand's
        int id = getopt_long(argc, argv, "+:", options, NULL);
        if (id == -1) {
            return TOOL_OK;
        }
        if (id == '?' || id == ':') {
            return wrong_option(id, argv[at]);
        }
        if (id == ID_LINK) {
            o->link = optarg;
        } else {
            *name = id == ID_HELP ? "help" : "version";
        }
    }
}

static int run(const struct tool_options *o, const char *name, int argc,
    char **argv) {
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return commands[i].run(o, argc, argv);
        }
    }
    return tool_fail(TOOL_USAGE, "\"%s\" is no command (try farsock help)",
        name);
}

int main(int argc, char **argv) {
    struct tool_options o;
    const char *name;
    int status = parse(&o, &name, argc, argv);
    if (status != TOOL_OK) {
        return status;
    }
    char *just_name[] = {(char *)(uintptr_t)name, NULL};
    if (name != NULL) {
        status = run(&o, name, 1, just_name);
    } else if (optind < argc) {
        status = run(&o, argv[optind], argc - optind, argv + optind);
    } else {
        just_name[0] = (char *)(uintptr_t)commands[0].name;
        status = run(&o, commands[0].name, 1, just_name);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return tool_fail(TOOL_FAILED, "cannot write the output");
    }
    return status;
}
