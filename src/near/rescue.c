// Doorbells that get lost, and a far core whose death nobody reports.
// SPDX-License-Identifier: MIT
#include "near/near.h"

// Far looks by itself while it has a socket or a request of ours. Who waits
// longer than that rings again.
#define FARI_RING_AGAIN 10u

uint64_t fari_rescue_until(struct far_link *l, uint64_t deadline_ns) {
    if (l->port->rescue_ms == 0) {
        return deadline_ns;
    }
    uint64_t soon = fari_deadline(l, l->port->rescue_ms);
    return soon < deadline_ns ? soon : deadline_ns;
}

static void count(struct far_link *l) {
    far_store(&l->count.rescues, l->count.rescues + 1u);
}

static void ring_again(struct far_link *l) {
    struct fari_rescue *r = &l->rescue;
    if (far_msg_is_read(&l->cmd)) {
        r->unread = 0;
        return;
    }
    r->unread = r->cmd_tail == l->cmd.tail ? r->unread + 1u : 1u;
    r->cmd_tail = l->cmd.tail;
    if (r->unread > FARI_RING_AGAIN) {
        r->unread = 0;
        count(l);
        fari_bell(l);
    }
}

bool fari_rescue_look(struct far_link *l) {
    ring_again(l);
    bool there = far_msg_is_there(&l->evt);
    bool lost = there && l->rescue.evt;
    l->rescue.evt = there && !lost;
    if (lost) {
        count(l);
    }
    return !l->rescue.evt;
}

bool far_link_beat(struct far_link *l) {
    struct far_part_header *mine = (struct far_part_header *)(void *)l->region;
    const struct far_part_header *far =
        (const struct far_part_header *)(void *)(l->region +
                                                 (size_t)l->lay.far_at *
                                                     FAR_LINE);
    far_store(&mine->beat, far_load(&mine->beat) + 1u);
    FAR_CLEAN(FAR_AT_BEAT, mine, sizeof *mine);
    FAR_INV(FAR_AT_BEAT_LOOK, far, sizeof *far);
    uint32_t beat = far_load(&far->beat);
    uint64_t now = fari_now(l);
    if (beat != l->beat || l->beat_ns == 0) {
        l->beat = beat;
        l->beat_ns = now;
    } else if (now - l->beat_ns > FAR_SILENT_MS * 1000000ull &&
               !atomic_exchange(&l->silent, 1u)) {
        l->port->wake(l->ctx);
    }
    return !atomic_load(&l->silent);
}
