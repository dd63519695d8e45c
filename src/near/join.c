// Link-up on memory that stays: epochs, and who has seen whose.
// SPDX-License-Identifier: MIT
#include "near/near.h"

static struct far_part_header *near_header(const struct far_join *j) {
    return j->region;
}

static const struct far_far_ctl *far_ctl(const struct far_join *j) {
    return (const struct far_far_ctl *)(const void *)((const uint8_t *)
                                                          j->region +
                                                      j->region_bytes / 2u);
}

// One line, so that far never sees half of a step.
static void publish(const struct far_join *j, uint32_t seen) {
    struct far_part_header *h = near_header(j);
    far_store(&h->seen, seen);
    FAR_CLEAN(FAR_AT_JOIN_STEP, h, sizeof *h);
    FAR_SYNC(FAR_AT_JOIN_STEP_DONE);
}

void far_join_begin(struct far_join *j) {
    struct far_part_header *h = near_header(j);
    FAR_INV(FAR_AT_JOIN_OWN, h, sizeof *h);
    uint32_t epoch = far_load(&h->epoch) + 1u;
    j->epoch = epoch != 0 ? epoch : 1u;
    j->far_epoch = 0;
    j->far_bell = 0;
    // First what says that nothing is ready, then who we are.
    far_store(&h->ready, 0);
    publish(j, 0);
    far_store(&h->magic, FAR_WIRE_MAGIC);
    far_store(&h->version, FAR_WIRE_VERSION);
    far_store(&h->features, j->wants);
    far_store(&h->bell, j->bell);
    FAR_WMB(FAR_AT_JOIN_EPOCH);
    far_store(&h->epoch, j->epoch);
    publish(j, 0);
    j->port->notify(j->ctx);
}

static void copy_layout(struct far_layout *out, const struct far_layout *in) {
    const uint32_t *from = (const uint32_t *)(const void *)in;
    uint32_t *to = (uint32_t *)(void *)out;
    for (size_t i = 0; i < sizeof *out / sizeof *to; i++) {
        to[i] = far_load(&from[i]);
    }
}

// Far's half begins in the middle: a layout that says otherwise is not its own.
static int take_layout(struct far_join *j) {
    const struct far_far_ctl *far = far_ctl(j);
    FAR_RMB(FAR_AT_JOIN_LAYOUT_THEN);
    FAR_INV(FAR_AT_JOIN_LAYOUT, far, sizeof *far);
    copy_layout(&j->layout, &far->layout);
    j->features = far_load(&far->hdr.features) & j->wants;
    if ((uint64_t)j->layout.far_at * FAR_LINE != j->region_bytes / 2u) {
        return FAR_EBADMSG;
    }
    return far_layout_check(&j->layout, j->region_bytes);
}

int far_join_step(struct far_join *j) {
    const struct far_far_ctl *far = far_ctl(j);
    FAR_INV(FAR_AT_JOIN_LOOK, &far->hdr, sizeof far->hdr);
    uint32_t epoch = far_load(&far->hdr.epoch);
    if (epoch == 0) {
        return FAR_EAGAIN; // never there
    }
    FAR_RMB(FAR_AT_JOIN_THEN);
    j->far_bell = far_load(&far->hdr.bell);
    if (far_load(&far->hdr.magic) != FAR_WIRE_MAGIC) {
        return FAR_EBADMSG;
    }
    if (epoch != j->far_epoch) {
        j->far_epoch = epoch;
        publish(j, epoch);
    }
    if (far_load(&far->hdr.version) != FAR_WIRE_VERSION) {
        return FAR_ELINKPROTO;
    }
    // Rung each time: early doorbells may be lost, and far looks again for it.
    j->port->notify(j->ctx);
    if (far_load(&far->hdr.seen) != j->epoch ||
        far_load(&far->hdr.ready) != epoch ||
        far_load(&far->hdr.epoch) != epoch) {
        return FAR_EAGAIN;
    }
    return take_layout(j);
}

bool far_join_holds(const struct far_join *j) {
    const struct far_part_header *h = &far_ctl(j)->hdr;
    FAR_INV(FAR_AT_JOIN_HOLDS, h, sizeof *h);
    return far_load(&h->epoch) == j->far_epoch &&
           far_load(&h->ready) == j->far_epoch &&
           far_load(&h->seen) == j->epoch;
}
