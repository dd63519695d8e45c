// Links at which nobody knocks: lost doorbells, and deaths that none reports.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include "daemon/log.h"

#define NS_PER_MS UINT64_C(1000000)

static bool has(const struct link *l, uint32_t feature) {
    return (l->spec.features & feature) != 0;
}

// An idle link with no socket owes near nothing, and has no timer.
static bool needs_rescue(const struct link *l) {
    return has(l, FAR_FEATURE_RESCUE) && (l->sockets > 0 || l->requests > 0);
}

static uint64_t period_ns(const struct link *l) {
    return (needs_rescue(l) ? FAR_RESCUE_MS : FAR_BEAT_MS) * NS_PER_MS;
}

void link_tick_set(struct link *l) {
    if (l->dead || (!needs_rescue(l) && !has(l, FAR_FEATURE_BEAT))) {
        node_remove(&l->tick);
        return;
    }
    uint64_t at = now_ns() + period_ns(l);
    if (node_is_alone(&l->tick)) {
        l->suspect = false;
        node_append(&l->engine->ticking, &l->tick);
        l->tick_ns = at;
    }
    l->tick_ns = at < l->tick_ns ? at : l->tick_ns;
}

// A message that is there may still be announced. One that was there at the
// last look, too, never will be.
static void look_for_lost(struct link *l) {
    bool there = node_is_alone(&l->busy) && far_msg_is_there(&l->cmd);
    if (there && l->suspect) {
        l->count.rescues++;
        link_wake(l);
    }
    l->suspect = there && !l->suspect;
}

static void beat(struct link *l) {
    struct far_part_header *mine = &l->far->hdr;
    const struct far_part_header *near = &l->near->hdr;
    far_store(&mine->beat, far_load(&mine->beat) + 1u);
    FAR_CLEAN(FAR_AT_FAR_BEAT, mine, sizeof *mine);
    FAR_INV(FAR_AT_FAR_BEAT_LOOK, near, sizeof *near);
    uint32_t now_beat = far_load(&near->beat);
    uint64_t now = now_ns();
    if (now_beat != l->near_beat || l->near_beat_ns == 0) {
        l->near_beat = now_beat;
        l->near_beat_ns = now;
    } else if (now - l->near_beat_ns > FAR_SILENT_MS * NS_PER_MS) {
        far_log(FAR_LOG_WARN, "link %u (%s): silent for %u ms", l->id,
            l->spec.name, FAR_SILENT_MS);
        engine_link_drop(l);
    }
}

static void tick(struct link *l) {
    node_remove(&l->tick);
    if (l->dead) {
        return;
    }
    if (needs_rescue(l)) {
        look_for_lost(l);
    }
    if (has(l, FAR_FEATURE_BEAT)) {
        beat(l);
    }
    bool suspect = l->suspect;
    link_tick_set(l);
    l->suspect = suspect;
}

void links_tick(struct engine *e) {
    if (node_is_alone(&e->ticking)) {
        return;
    }
    uint64_t now = now_ns();
    struct node *next;
    for (struct node *n = e->ticking.next; n != &e->ticking; n = next) {
        struct link *l = OF(n, struct link, tick);
        next = n->next;
        if (l->tick_ns <= now) {
            tick(l);
        }
    }
}
