// What near cores do wrong: counted, told, and in the end punished.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <stdio.h>

#include "daemon/log.h"

const char *violation_name(enum violation kind) {
    static const char *const names[] = {
#define X(name, text) text,
        VIOLATIONS(X)
#undef X
    };
    return names[kind];
}

// One line for each kind and second, which says how many were left out: a near
// core must not fill the log.
static void tell(const struct link *l, enum violation kind, const char *what,
    const char *then) {
    struct told *t = &l->engine->told[kind];
    uint64_t second = now_ns() / 1000000000u;
    if (t->second == second && t->lines > 0) {
        t->more++;
        return;
    }
    char more[48] = "";
    if (t->more > 0) {
        snprintf(more, sizeof more, " (and %u more of this kind before)",
            t->more);
    }
    *t = (struct told){.second = second, .lines = 1};
    far_log(FAR_LOG_WARN, "link %u (%s, pid %d): %s%s%s", l->id, l->spec.name,
        (int)l->spec.pid, then, what, more);
}

static void count(struct link *l, enum violation kind) {
    l->violations[kind]++;
    l->engine->violations[kind]++;
}

void link_violation(struct link *l, enum violation kind, const char *what) {
    if (l->reset) {
        return; // told already, and over
    }
    count(l, kind);
    bool over = ++l->punished >= VIOLATIONS_MAX;
    tell(l, kind, what, over ? "reset, as this was one too many: " : "");
    if (over) {
        link_reset(l, NULL);
    }
}

void link_breach(struct link *l, enum violation kind, const char *what) {
    if (!l->reset) {
        count(l, kind);
        tell(l, kind, what, "reset: ");
        link_reset(l, NULL);
    }
}

void link_nuisance(struct link *l, enum violation kind, const char *what) {
    count(l, kind);
    tell(l, kind, what, "");
}

uint32_t engine_violations(const struct engine *e, enum violation kind) {
    return e->violations[kind];
}
