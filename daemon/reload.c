// Reading the configuration again.
// SPDX-License-Identifier: MIT
#include "daemon/reload.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

static bool same_links(const struct config *a, const struct config *b) {
    return a->links == b->links &&
           memcmp(a->link, b->link, sizeof a->link) == 0;
}

// Paths are made, and threads begun, once. The default path is in c only.
static void keep_what_is_begun(struct config *next, const struct config *c) {
    bool differs = next->mode != c->mode || next->lookups != c->lookups ||
                   (next->links > 0 && !same_links(next, c));
    if (differs) {
        far_log(FAR_LOG_WARN,
            "reload: link, mode and lookups change with the next start only");
    }
    next->links = c->links;
    memcpy(next->link, c->link, sizeof next->link);
    next->mode = c->mode;
    next->lookups = c->lookups;
}

static struct config *read_again(const struct options *o, char *reason,
    size_t reason_len) {
    struct config *next = malloc(sizeof *next);
    if (next == NULL) {
        snprintf(reason, reason_len, "out of memory");
        return NULL;
    }
    config_init(next);
    if (config_read(next, o->config, reason, reason_len) < 0 ||
        options_apply(o, next, reason, reason_len) < 0) {
        config_free(next);
        free(next);
        return NULL;
    }
    return next;
}

void reload(struct config *c, const struct options *o, struct engine *e) {
    char reason[CONFIG_REASON];
    if (o->config == NULL) {
        far_log(FAR_LOG_WARN, "reload: there is no --config to read again");
        return;
    }
    struct config *next = read_again(o, reason, sizeof reason);
    if (next == NULL) {
        far_log(FAR_LOG_ERROR, "reload: %s; nothing changes", reason);
        return;
    }
    keep_what_is_begun(next, c);
    struct policy_set old = c->policy;
    *c = *next;
    free(next);
    // Links let go of the old rules before these end.
    engine_set_policy(e, &c->policy);
    policy_free(&old);
    far_log_limit((enum far_log_level)c->log_level);
    far_log(FAR_LOG_INFO, "reloaded %s", o->config);
}
