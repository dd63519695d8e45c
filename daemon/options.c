// The command line of farsockd.
// SPDX-License-Identifier: MIT
#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"

const char options_help[] =
    "usage: farsockd [OPTION]...\n"
    "Serve the network of this machine to near cores.\n"
    "\n"
    "  --link PATH        listen there; may repeat. Default: the first of\n"
    "                     /run/farsock/link and $XDG_RUNTIME_DIR/farsock/link\n"
    "                     that can be made\n"
    "  --config FILE      read FILE, see farsockd.conf(5)\n"
    "  --check-config     print what was understood and end\n"
    "  --explain CALL     with --check-config: say what the rules say of it, "
    "as\n"
    "                     \"connect tcp 192.0.2.1:80\"; see farsockd.conf(5)\n"
    "  --log-level LEVEL  error, warn, info (default) or debug\n"
    "  --help             print this and end\n"
    "  --version          print the version and end\n"
    "\n"
    "SIGTERM and SIGINT end it. See farsockd(8).\n";

enum option_id {
    ID_LINK = 256,
    ID_CONFIG,
    ID_CHECK,
    ID_EXPLAIN,
    ID_LEVEL,
    ID_HELP,
    ID_VER
};

static const struct option table[] = {
    {"link", required_argument, NULL, ID_LINK},
    {"config", required_argument, NULL, ID_CONFIG},
    {"check-config", no_argument, NULL, ID_CHECK},
    {"explain", required_argument, NULL, ID_EXPLAIN},
    {"log-level", required_argument, NULL, ID_LEVEL},
    {"help", no_argument, NULL, ID_HELP},
    {"version", no_argument, NULL, ID_VER},
    {NULL, 0, NULL, 0},
};

static int take_link(struct options *o, char *reason, size_t len) {
    if (o->link_count == CONFIG_LINKS) {
        snprintf(reason, len, "too many links (at most %d)", CONFIG_LINKS);
        return -1;
    }
    o->links[o->link_count++] = optarg;
    return 0;
}

static int take_level(struct options *o, char *reason, size_t len) {
    o->log_level = far_log_level_parse(optarg);
    if (o->log_level < 0) {
        snprintf(reason, len,
            "--log-level: \"%.100s\" is none of error, warn, info, debug",
            optarg);
    }
    return o->log_level < 0 ? -1 : 0;
}

static void set_action(struct options *o, enum action action) {
    if (action > o->action) { // --help wins, whatever the order
        o->action = action;
    }
}

static int take(struct options *o, int id, char *reason, size_t len) {
    switch (id) {
        case ID_LINK:
            return take_link(o, reason, len);
        case ID_LEVEL:
            return take_level(o, reason, len);
        case ID_CONFIG:
            if (o->config != NULL) {
                snprintf(reason, len, "--config is given twice");
                return -1;
            }
            o->config = optarg;
            return 0;
        case ID_EXPLAIN:
            o->explain = optarg;
            return 0;
        case ID_CHECK:
            set_action(o, ACTION_CHECK);
            return 0;
        case ID_HELP:
            set_action(o, ACTION_HELP);
            return 0;
        default:
            set_action(o, ACTION_VERSION);
            return 0;
    }
}

// getopt_long's own words are two lines with our path in front; ours name the
// option as it was typed.
static void say_what_is_wrong(int id, const char *word, char *reason,
    size_t len) {
    if (id == ':') {
        snprintf(reason, len, "%.100s needs a value", word);
    } else if (optopt >= ID_LINK) {
        snprintf(reason, len, "%.100s takes no value", word);
    } else {
        snprintf(reason, len, "unknown option %.100s (try --help)", word);
    }
}

int options_parse(struct options *o, int argc, char **argv, char *reason,
    size_t reason_len) {
    *o = (struct options){.log_level = -1};
    opterr = 0;
    optind = 1;
    for (;;) {
        int at = optind;
        optopt = 0;
        int id = getopt_long(argc, argv, "+:", table, NULL);
        if (id == -1) {
            break;
        }
        if (id == '?' || id == ':') {
            say_what_is_wrong(id, argv[at], reason, reason_len);
            return -1;
        }
        if (take(o, id, reason, reason_len) < 0) {
            return -1;
        }
    }
    if (optind < argc) {
        snprintf(reason, reason_len, "unexpected \"%.100s\" (try --help)",
            argv[optind]);
        return -1;
    }
    if (o->explain != NULL && o->action == ACTION_SERVE) {
        snprintf(reason, reason_len, "--explain needs --check-config");
        return -1;
    }
    return 0;
}

int options_apply(const struct options *o, struct config *c, char *reason,
    size_t reason_len) {
    if (o->log_level >= 0) {
        c->log_level = (uint32_t)o->log_level;
    }
    if (o->link_count > 0) {
        c->links = 0;
    }
    for (size_t i = 0; i < o->link_count; i++) {
        if (config_add_link(c, o->links[i], reason, reason_len) < 0) {
            return -1;
        }
    }
    return 0;
}
